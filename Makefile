# nixos-test-driver: `make` builds; `make demo` and `make test` set the machine up first.
# Variables: BUILD (output directory), PREFIX, CC, CFLAGS, PYTHON_CONFIG (a pkg-config module), AGENT_CC (a compiler
# with musl, for the program that runs in guests).

VERSION = 0.1.0
BUILD ?= build
PREFIX ?= /usr/local
PYTHON_CONFIG ?= python3-embed
PKG_CONFIG ?= pkg-config

CORE_PKGS = libcjson libxml-2.0 zlib
# What is loaded when it is needed (driver/ssh/library.c), and here its headers and its place.
LOADED_PKGS = libssh
CFLAGS ?= -O2 -g
OPTIMISE ?=
WARNINGS = -Wall -Wextra -Wswitch-enum -Werror=shadow -Werror=missing-prototypes \
	-Werror=strict-prototypes -Werror=format=2 -Werror=incompatible-pointer-types \
	-Werror=return-type -Werror=implicit-function-declaration -Wno-unused-parameter
WERROR ?=
# The result does not depend on the directory of the build.
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -Idriver -pthread -ffile-prefix-map=$(CURDIR)=. \
	$(CFLAGS) $(OPTIMISE) $(WARNINGS) $(WERROR)

# A program of the build, which prints the man page.
MAN_SOURCE = driver/session/man_page.c
# The program that runs in guests. Its other files are in libntd.a, too.
AGENT_MAIN = driver/agent/main.c
CORE_SOURCES := $(filter-out $(MAN_SOURCE) $(AGENT_MAIN),$(sort $(wildcard driver/*/*.c)))
EMBED_SOURCES := $(sort $(wildcard embed/*.c embed/*/*.c))
CORE_OBJECTS := $(CORE_SOURCES:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/driver/agent_channel/programs.o \
	$(BUILD)/obj/driver/report/page_head.o
EMBED_OBJECTS := $(EMBED_SOURCES:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/embed/machine/kvm_probe.o

CORE_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(CORE_PKGS) $(LOADED_PKGS) 2>/dev/null) \
	-DNTD_LIBSSH_DIR='"$(shell $(PKG_CONFIG) --variable=libdir libssh 2>/dev/null)"'
CORE_LIBS := $(shell $(PKG_CONFIG) --libs $(CORE_PKGS) 2>/dev/null) -lm

# The interpreter that the program is linked with; its prefix is where modules come from.
PYTHON_VERSION := $(shell $(PKG_CONFIG) --modversion $(PYTHON_CONFIG) 2>/dev/null)
PYTHON ?= $(shell $(PKG_CONFIG) --variable=exec_prefix $(PYTHON_CONFIG) 2>/dev/null)/bin/python$(PYTHON_VERSION)
EMBED_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(PYTHON_CONFIG) 2>/dev/null) \
	-DNTD_PYTHON='"$(PYTHON)"' -DNTD_PYTHON_DIR='"python$(PYTHON_VERSION)"' -DNTD_VERSION='"$(VERSION)"'
EMBED_LIBS := $(shell $(PKG_CONFIG) --libs $(PYTHON_CONFIG) 2>/dev/null)

.PHONY: all clean install
all: $(BUILD)/nixos-test-driver $(BUILD)/generate-driver-symbols $(BUILD)/nixos-test-driver.1 $(BUILD)/py

$(BUILD)/obj/driver/%.o: driver/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(CORE_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/embed/%.o: embed/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Iembed $(CORE_CFLAGS) $(EMBED_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/obj/embed/%.o: embed/%.S
	@mkdir -p $(@D)
	$(CC) -ffile-prefix-map=$(CURDIR)=. $(CFLAGS) -MMD -MP -c -o $@ $<

# The guest's functions as strings, as they are sent to root shells and shells on serial consoles: comments, which
# are lines of their own, indentation, and blanks before the files of redirections and around "&&" and "||" stay here.
GUEST_TEXT = sed -E -e 's/^[[:space:]]*//' -e 's@([<>]) ([/$$])@\1\2@g' -e 's/ *(&&|\|\|) */\1/g' -e '/^\#/d' -e '/^$$/d' -e 's/[\\"]/\\&/g' -e 's/.*/"&\\n"/'
# Name of the string, script, header that declares the string.
define guest_text
GUEST_SCRIPTS += $(2)
CORE_OBJECTS += $(BUILD)/obj/$(dir $(2))$(1).o
$(BUILD)/$(1).c: $(2) Makefile
	@mkdir -p $$(@D)
	{ echo '#include "$(3)"'; echo 'const char ntd_$(1)[] ='; $$(GUEST_TEXT) $$<; echo ';'; } >$$@

$(BUILD)/obj/$(dir $(2))$(1).o: $(BUILD)/$(1).c
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) -MMD -MP -c -o $$@ $$<
endef
$(eval $(call guest_text,guest_bash,driver/channel/guest.bash,channel/framing.h))
$(eval $(call guest_text,guest_long_bash,driver/channel/guest_long.bash,channel/framing.h))
$(eval $(call guest_text,guest_port_bash,driver/channel/guest_port.bash,channel/framing.h))
$(eval $(call guest_text,copy_links_bash,driver/guest/copy_links.bash,guest/files.h))
$(eval $(call guest_text,serial_sh,driver/channel/serial.sh,channel/serial_internal.h))
$(eval $(call guest_text,launch_sh,driver/agent_channel/launch.sh,agent_channel/agent_channel_internal.h))

# The head of the page that --report writes: its style and its program, which are one file each in the page. The policy
# in the page allows these two alone, by their hashes.
PAGE = driver/report/page
PAGE_STYLES = $(addprefix $(PAGE)/,colours.css layout.css timeline.css views.css)
PAGE_PROGRAM = $(addprefix $(PAGE)/,text.js colours.js unpack.js model.js totals.js element.js list.js timeline_draw.js \
	timeline.js steps.js detail.js script.js consoles.js screens.js times.js run.js main.js)
$(BUILD)/page.css: $(PAGE_STYLES) Makefile
	@mkdir -p $(@D)
	cat $(PAGE_STYLES) >$@
$(BUILD)/page.js: $(PAGE_PROGRAM) Makefile
	@mkdir -p $(@D)
	{ echo '"use strict";'; echo '(() => {'; cat $(PAGE_PROGRAM); echo '})();'; } >$@
# Of what is between the tags, which begins with a newline.
SHA256 = $$({ echo; cat $(1); } | sha256sum | cut -c1-64 | tr a-f A-F | basenc --base16 -d | base64)
$(BUILD)/page.html: $(PAGE)/page.html $(BUILD)/page.css $(BUILD)/page.js
	sed -e "s|@STYLE_HASH@|$(call SHA256,$(BUILD)/page.css)|" -e "s|@PROGRAM_HASH@|$(call SHA256,$(BUILD)/page.js)|" \
		-e '/@STYLE@/{r $(BUILD)/page.css' -e 'd}' -e '/@PROGRAM@/{r $(BUILD)/page.js' -e 'd}' $< >$@
$(BUILD)/page_head.c: $(BUILD)/page.html
	{ echo '#include "report/page.h"'; echo 'const char ntd_page_head[] = {'; \
	od -An -v -td1 $< | sed 's/  *\(-*[0-9]*\)/\1,/g'; echo '};'; \
	echo 'const size_t ntd_page_head_len = sizeof ntd_page_head;'; } >$@

$(BUILD)/obj/driver/report/page_head.o: $(BUILD)/page_head.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(CORE_CFLAGS) -MMD -MP -c -o $@ $<

# The agent, a static program for each architecture of guests for which there is a compiler with musl. Guests of other
# architectures, and all guests of a driver that was built without such a compiler, do without.
found = $(firstword $(foreach program,$(1),$(shell command -v $(program))))
ifeq ($(origin AGENT_CC),undefined)
AGENT_CC := $(call found,musl-gcc)
endif
define agent_compiler
ifeq ($$(origin AGENT_CC_$(1)),undefined)
AGENT_CC_$(1) := $$(if $$(filter $(1),$$(MACHINE)),$$(AGENT_CC),$$(call found,$(1)-linux-musl-gcc))
endif
endef
MACHINE := $(shell uname -m)
AGENT_ARCHITECTURES = x86_64 aarch64
$(foreach arch,$(AGENT_ARCHITECTURES),$(eval $(call agent_compiler,$(arch))))
AGENTS := $(foreach arch,$(AGENT_ARCHITECTURES),$(if $(AGENT_CC_$(arch)),$(BUILD)/agent-$(arch)))

AGENT_SOURCES := $(sort $(wildcard driver/agent/*.c)) driver/base/buf.c driver/base/mem.c \
	driver/sftp/packet.c
# Small: without these options, the program for aarch64 would have a third more.
AGENT_CFLAGS = -std=gnu17 -D_GNU_SOURCE -Idriver -ffile-prefix-map=$(CURDIR)=. -Os -flto -ffunction-sections -fdata-sections \
	-fomit-frame-pointer -fno-asynchronous-unwind-tables -fno-unwind-tables \
	-Wl,--gc-sections,--build-id=none,-z,noseparate-code,-z,norelro -static -s $(WARNINGS) $(WERROR)
AGENT_SIZE = 100000

$(BUILD)/agent-%: $(AGENT_SOURCES) $(wildcard driver/agent/*.h) $(patsubst %,driver/base/%.h,buf list mem vec) driver/sftp/packet.h Makefile
	@mkdir -p $(@D)
	$(AGENT_CC_$*) $(AGENT_CFLAGS) -o $@.new $(AGENT_SOURCES)
	@test $$(stat -c %s $@.new) -lt $(AGENT_SIZE) || { echo "$@.new has $(AGENT_SIZE) bytes or more" >&2; exit 1; }
	mv $@.new $@

# They are data of the driver.
$(BUILD)/agent_programs.c: $(AGENTS) Makefile
	@$(if $(AGENTS),,echo "no compiler with musl (AGENT_CC): the driver is built without the agent" >&2)
	@mkdir -p $(@D)
	{ echo '#include "agent_channel/programs.h"'; \
	$(foreach arch,$(patsubst $(BUILD)/agent-%,%,$(AGENTS)),echo 'static const unsigned char $(arch)[] = {'; \
	od -An -v -tu1 $(BUILD)/agent-$(arch) | sed 's/  *\([0-9]*\)/\1,/g'; echo '};';) \
	echo 'const struct ntd_agent_program ntd_agent_programs[] = {'; \
	$(foreach arch,$(patsubst $(BUILD)/agent-%,%,$(AGENTS)),echo '{"$(arch)", $(arch), sizeof $(arch)},';) \
	echo '{0}};'; } >$@

$(BUILD)/obj/driver/agent_channel/programs.o: $(BUILD)/agent_programs.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

.PHONY: require-agent
require-agent:
	@$(if $(filter $(BUILD)/agent-$(MACHINE),$(AGENTS)),,echo "no compiler with musl for the agent" >&2; exit 1)

$(BUILD)/libntd.a: $(CORE_OBJECTS)
	rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/nixos-test-driver: $(EMBED_OBJECTS) $(BUILD)/libntd.a
	$(CC) -pthread $(CFLAGS) $(LDFLAGS) -o $@ $^ $(CORE_LIBS) $(EMBED_LIBS)

# The same program, which does another thing under this name.
$(BUILD)/generate-driver-symbols: $(BUILD)/nixos-test-driver
	ln -sf nixos-test-driver $@

$(BUILD)/man-page: $(MAN_SOURCE) $(BUILD)/libntd.a
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -DNTD_VERSION='"$(VERSION)"' -MMD -MP -MF $@.d -o $@ $< $(BUILD)/libntd.a $(CORE_LIBS)

$(BUILD)/nixos-test-driver.1: $(BUILD)/man-page
	$(FIXED_ADDRESSES) $< >$@.new
	mv $@.new $@

# The link is made again when the build directory was moved here from another tree.
ifneq ($(realpath $(BUILD)/py),$(realpath embed/py))
.PHONY: $(BUILD)/py
endif
$(BUILD)/py:
	ln -sfn $(abspath embed/py) $@

# The installed tree can be moved: the program looks for its Python files relative to itself.
SITE_PACKAGES = $(DESTDIR)$(PREFIX)/lib/python$(PYTHON_VERSION)/site-packages
install: all
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BUILD)/nixos-test-driver $(DESTDIR)$(PREFIX)/bin/
	ln -sf nixos-test-driver $(DESTDIR)$(PREFIX)/bin/generate-driver-symbols
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 $(BUILD)/nixos-test-driver.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	ln -sf nixos-test-driver.1 $(DESTDIR)$(PREFIX)/share/man/man1/generate-driver-symbols.1
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/nixos-test-driver driver/report/events.schema.json \
		embed/py/test_driver/run-record.schema.json
	cd embed/py && find . -type f ! -name '*.pyc' \
		-exec install -D -m 644 {} $(abspath $(SITE_PACKAGES))/{} \;

clean:
	rm -rf $(BUILD)

-include $(CORE_OBJECTS:.o=.d) $(EMBED_OBJECTS:.o=.d) $(BUILD)/man-page.d

# ---- Tests and checks. `unit`, `tsan` and `fuzz` build the core once more, each with flags of its own
# and a directory of its own below $(BUILD), by calling make again: the rules are the same.

UNIT_TESTS := $(patsubst tests/unit/%.c,%,$(sort $(wildcard tests/unit/test_*.c)))
THREAD_TESTS := $(filter test_expect test_loop test_timer test_request test_report test_terminal_sink test_live_line test_background test_switch test_net_% \
	test_timeline test_use test_job test_agent_call test_agent_copy test_agent_refresh test_life% test_channel test_machine_ssh test_qmp% test_data_port% test_serial% test_shell% test_script_socket test_console% test_monitor test_retry test_environment test_thread test_ocr_jobs test_ssh%,$(UNIT_TESTS))
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
CHECKED_SOURCES = $(CORE_SOURCES) $(MAN_SOURCE) $(AGENT_MAIN) $(EMBED_SOURCES)
FORMATTED := $(sort $(wildcard driver/*/*.[ch] embed/*.[ch] embed/*/*.[ch] tests/*/*.[ch]))

NM ?= nm
CLANG ?= clang
CLANG_FORMAT ?= clang-format
CLANG_TIDY ?= clang-tidy
CPPCHECK ?= cppcheck
SHELLCHECK ?= shellcheck
UNIT_SECONDS ?= 900
# How many unit programs run at a time.
UNIT_JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
SANITIZE = -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all

.PHONY: unit e2e-asan e2e-tsan tsan fuzz run-unit run-fuzz check layers tidy cppcheck shellcheck format format-check test demo bench

unit:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan CFLAGS="$(SANITIZE) -fsanitize=address,undefined" run-unit

# To fork a process with ThreadSanitizer's memory takes seconds on a busy host, so a program gets longer.
tsan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan CFLAGS="$(SANITIZE) -fsanitize=thread" \
		UNIT_TESTS="$(THREAD_TESTS)" UNIT_SECONDS=1200 run-unit

fuzz:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=$(CLANG) \
		CFLAGS="$(SANITIZE) -fsanitize=fuzzer-no-link,address,undefined" run-fuzz

# Runs tests/e2e, or the tests that E2E names (arguments of pytest), on a program with the sanitizers of the unit
# tests. Python does not free all memory at its end, so leaks are not looked for. A finding aborts the program.
E2E ?= tests/e2e
e2e-asan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan CFLAGS="$(SANITIZE) -fsanitize=address,undefined" all
	NTD_DRIVER=$(BUILD)/asan/nixos-test-driver ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 \
		UBSAN_OPTIONS=abort_on_error=1:print_stacktrace=1 \
		$(FIXED_ADDRESSES) /usr/bin/python3 -m pytest -q -p no:cacheprovider $(E2E)

# The same with ThreadSanitizer. CPython is not instrumented, but the sanitizer sees its locks, so that findings are
# about the driver's own memory.
e2e-tsan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan CFLAGS="$(SANITIZE) -fsanitize=thread" all
	NTD_DRIVER=$(BUILD)/tsan/nixos-test-driver TSAN_OPTIONS=halt_on_error=1:report_thread_leaks=0 \
		$(FIXED_ADDRESSES) /usr/bin/python3 -m pytest -q -p no:cacheprovider $(E2E)

$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/libntd.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(CORE_CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(BUILD)/libntd.a $(CORE_LIBS) -lcmocka

# Sanitizers of some compilers crash at random where the kernel randomizes addresses in 32 bits.
FIXED_ADDRESSES = $(shell setarch -R true 2>/dev/null && echo setarch -R)

# Runs all tests, whichever fail, as many at a time as there are processors; those that take long begin first. The
# output of a program comes in one piece. tests/run reads it: a line "== PROGRAM" before it, and
# "== PROGRAM: exit status N" after it if the program failed.
LONG_TESTS = test_ssh% test_life% test_sftp% test_serial% test_shell%
UNIT_RUN = $(filter $(LONG_TESTS),$(UNIT_TESTS)) $(filter-out $(LONG_TESTS),$(UNIT_TESTS))
run-unit: $(UNIT_TESTS:%=$(BUILD)/unit/%)
	@printf '%s\n' $(UNIT_RUN:%=$(BUILD)/unit/%) | xargs -P "$(UNIT_JOBS)" -I PROGRAM sh -c ' \
		timeout $(UNIT_SECONDS) $(FIXED_ADDRESSES) "$$0" >"$$0.log" 2>&1; status=$$?; \
		exec 9>$(BUILD)/unit/.lock; flock 9; \
		echo "== $$0"; cat "$$0.log"; [ $$status = 0 ] || { echo "== $$0: exit status $$status"; exit 1; }' PROGRAM

$(BUILD)/fuzz_%: tests/fuzz/fuzz_%.c $(BUILD)/libntd.a
	$(CC) $(ALL_CFLAGS) $(CORE_CFLAGS) -fsanitize=fuzzer -MMD -MP -MF $@.d -o $@ $< $(BUILD)/libntd.a $(CORE_LIBS)

# The fuzzers write new inputs below $(BUILD)/corpus. Copy inputs worth keeping to tests/fuzz/corpus/NAME by hand.
# The paths are absolute, since a target may work in a directory of its own.
run-fuzz: $(FUZZERS:%=run-%)
.PHONY: $(FUZZERS:%=run-%)
$(FUZZERS:%=run-%): run-fuzz_%: $(BUILD)/fuzz_%
	@mkdir -p $(BUILD)/corpus/$* $(BUILD)/findings
	@$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
		-artifact_prefix=$(abspath $(BUILD))/findings/$*- $(abspath $(BUILD)/corpus/$* \
		$(wildcard tests/fuzz/corpus/$*)) >$(BUILD)/$*.log 2>&1 || { cat $(BUILD)/$*.log; exit 1; }
	@grep -e '^Done' $(BUILD)/$*.log | sed 's/^/fuzz_$*: /'

check: format-check layers tidy cppcheck shellcheck unit

# The floors of the code, lowest first: a file includes and uses what is on its own floor and on those below.
FLOORS = $(addprefix driver/,base sftp agent loop report net console channel agent_channel ssh qemu ocr machine guest session) \
	$(addprefix embed/,bridge log machine run driver py_program module symbols main)

layers: $(CORE_OBJECTS) $(EMBED_OBJECTS)
	@NM="$(NM)" tests/layers --floors "$(FLOORS)" --objects $(BUILD)/obj $^

TIDIED := $(CHECKED_SOURCES:%.c=$(BUILD)/tidy/%.ok)
tidy: $(TIDIED)
$(TIDIED): $(BUILD)/tidy/%.ok: %.c .clang-tidy $(filter %.h,$(FORMATTED))
	@mkdir -p $(@D)
	@echo $(CLANG_TIDY) $<
	@$(CLANG_TIDY) --quiet $< -- $(ALL_CFLAGS) -Iembed $(CORE_CFLAGS) $(EMBED_CFLAGS) 2>$@.log || { cat $@.log; exit 1; }
	@touch $@

SHELL_SCRIPTS = $(GUEST_SCRIPTS) .ci/run tests/setup \
	$(sort $(shell grep -rlE '^(\#!/.*sh|\# shellcheck shell=)' tests/guests tests/fake/bin))
# Not asked for: SC2016, for what is in single quotes is for other programs, and SC2094, which takes a file that is
# read twice for one that is written.
shellcheck:
	$(SHELLCHECK) --external-sources --exclude=SC2016,SC2094 $(SHELL_SCRIPTS)

# cppcheck runs without Python's headers, so it does not know that some of their macros return.
cppcheck:
	@mkdir -p $(BUILD)/cppcheck
	$(CPPCHECK) --quiet --error-exitcode=1 --inline-suppr --std=c11 --cppcheck-build-dir=$(BUILD)/cppcheck \
		--enable=warning,performance,portability --suppress=missingReturn:embed/* \
		-DNTD_PYTHON='""' -DNTD_PYTHON_DIR='""' '-DPy_BEGIN_ALLOW_THREADS={' '-DPy_END_ALLOW_THREADS=}' -D_GNU_SOURCE -Idriver -Iembed $(CHECKED_SOURCES)

format:
	$(CLANG_FORMAT) -i $(FORMATTED)

# In one call: a call for each file takes thirty times as long.
format-check:
	@$(CLANG_FORMAT) --dry-run --Werror $(FORMATTED)

# tests/setup may install the packages that pkg-config is asked for above, so another make does the rest.
test:
	@tests/setup --for test
	@$(MAKE) --no-print-directory WERROR=-Werror all require-agent
	@tests/run

# The Nix side in the test framework of a nixpkgs: NIXPKGS is its tree; or NIXPKGS_LIB and NIXOS are its folders
# lib and nixos, and STUB_PACKAGES the directory of the tool that completes them (tests/nix/toolchain.py).
test-nix: export NIXPKGS := $(NIXPKGS)
test-nix: export NIXPKGS_LIB := $(NIXPKGS_LIB)
test-nix: export NIXOS := $(NIXOS)
test-nix: export STUB_PACKAGES := $(STUB_PACKAGES)
test-nix:
	@tests/setup --for test
	@$(MAKE) --no-print-directory WERROR=-Werror all
	@tests/run nix framework

# Boots the NixOS tests that tests/nixos/genuine lists, and with PEER the same under another driver, and prints a table.
# TESTS: some of them. JOBS: how many at a time, 1 or 2. tests/nixos/run --help says what NIXTRUTH is.
.PHONY: test-nixos
test-nixos: all
	@NIXTRUTH="$(NIXTRUTH)" PEER="$(PEER)" BUILD="$(BUILD)" JOBS="$(JOBS)" tests/nixos/run $(TESTS)

# Builds the checks of the flake that are about its test bed. The quick ones boot nothing.
NIX = nix --extra-experimental-features 'nix-command flakes'
NIX_SYSTEM = $(shell uname -m)-linux
QUICK_CHECKS = vm-config-integrity-test platform-validation-test vm-build-test
test-vm-quick:
	$(NIX) build --no-link --print-build-logs --keep-going $(NIXFLAGS) $(QUICK_CHECKS:%=.#checks.$(NIX_SYSTEM).%)

test-vm:
	$(NIX) build --print-build-logs --keep-going $(NIXFLAGS) .#checks.$(NIX_SYSTEM).vm-test-suite
	@cat result/summary.txt

demo:
	@tests/setup --for demo
	@$(MAKE) --no-print-directory -s all
	@tests/guests/make-vm --node 1 --vlan 1 tiny client
	@tests/guests/make-vm --node 2 --vlan 1 tiny server
	@mkdir -p $(BUILD)/demo
	$(BUILD)/nixos-test-driver --vlans 1 --vm-start-scripts build/vms/tiny/run-client-vm \
		build/vms/tiny/run-server-vm --output_directory $(BUILD)/demo tests/e2e/examples/ping.py

# Pictures of the pages that --report writes, in both themes.
.PHONY: report-demo
report-demo:
	@tests/setup --for test
	@$(MAKE) --no-print-directory -s all
	NTD_DRIVER=$(BUILD)/nixos-test-driver tests/report-demo $(BUILD)/report-demo

# Runs the scripts of tests/e2e/contract on this driver, or on the driver that PEER names, which must do the same.
.PHONY: contract
contract: all
	PEER="$(PEER)" /usr/bin/python3 -m pytest -q -rs -p no:cacheprovider tests/e2e/test_contract.py

# Kills agents, root shells and QEMUs at random moments. A fault is printed with what repeats it.
SEED ?= 1
KILLS ?= 1000
.PHONY: torture
torture: all
	/usr/bin/python3 tests/e2e/torture.py --seed "$(SEED)" --kills "$(KILLS)"

# BENCH, ROUNDS and PEER are explained by tests/bench/run --help.
bench:
	@tests/setup --for demo
	@$(MAKE) --no-print-directory -s all $(BUILD)/bench/vlan
	@BUILD=$(BUILD) tests/bench/run

$(BUILD)/bench/vlan: tests/bench/vlan.c $(BUILD)/libntd.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(CORE_CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(BUILD)/libntd.a $(CORE_LIBS)

-include $(UNIT_TESTS:%=$(BUILD)/unit/%.d) $(FUZZERS:%=$(BUILD)/%.d) $(BUILD)/bench/vlan.d
