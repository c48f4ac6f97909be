# nixos-test-driver: `make` builds; `make demo` and `make test` set the machine up first.
# Variables: BUILD (output directory), PREFIX, CC, CFLAGS, PYTHON_CONFIG (a pkg-config module).

BUILD ?= build
PREFIX ?= /usr/local
PYTHON_CONFIG ?= python3-embed
PKG_CONFIG ?= pkg-config

CORE_PKGS = libcjson libxml-2.0
CFLAGS ?= -O2 -g
OPTIMISE ?=
WARNINGS = -Wall -Wextra -Wswitch-enum -Werror=shadow -Werror=missing-prototypes \
	-Werror=strict-prototypes -Werror=format=2 -Werror=incompatible-pointer-types \
	-Werror=return-type -Werror=implicit-function-declaration -Wno-unused-parameter
WERROR ?=
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -Idriver -pthread $(CFLAGS) $(OPTIMISE) $(WARNINGS) $(WERROR)

CORE_SOURCES := $(sort $(wildcard driver/*/*.c))
EMBED_SOURCES := $(sort $(wildcard embed/*.c))
CORE_OBJECTS := $(CORE_SOURCES:%.c=$(BUILD)/obj/%.o)
EMBED_OBJECTS := $(EMBED_SOURCES:%.c=$(BUILD)/obj/%.o)

CORE_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(CORE_PKGS) 2>/dev/null)
CORE_LIBS := $(shell $(PKG_CONFIG) --libs $(CORE_PKGS) 2>/dev/null)

.PHONY: all clean
all: $(BUILD)/libntd.a

$(BUILD)/obj/driver/%.o: driver/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(CORE_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/libntd.a: $(CORE_OBJECTS)
	rm -f $@
	$(AR) rcs $@ $^

clean:
	rm -rf $(BUILD)

-include $(CORE_OBJECTS:.o=.d) $(EMBED_OBJECTS:.o=.d)
