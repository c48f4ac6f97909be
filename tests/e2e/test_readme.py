"""What the READMEs show is what runs, and what they name is there."""

import re
import subprocess
import textwrap

import boot_images
import harness

ROOT = harness.ROOT
NAMES = ["README.md", "driver/README.md", "embed/README.md", "nix/README.md", "tests/README.md", ".github/CONTRIBUTING.md"]
TEXTS = {name: (ROOT / name).read_text() for name in NAMES}
ALL = "\n".join(TEXTS.values())


def section(title):
    """Of the text for people who write tests."""
    return re.search(rf"^## {title}\n(.*?)(?=^##|\Z)", TEXTS["embed/README.md"], re.M | re.S)[1]


def example(title):
    """The indented lines of a section that is about Python."""
    return textwrap.dedent("".join(re.findall(r"^(?:    .*\n|\n)", section(title), re.M)))


# ---- examples


def test_the_readme_shows_the_example_scripts():
    for name, script in ("README.md", "ping.py"), ("embed/README.md", "ping_pytest.py"):
        blocks = re.findall(r"```python\n(.*?)```", TEXTS[name], re.S)
        assert blocks == [(ROOT / "tests/e2e/examples" / script).read_text()]
    assert ALL.count("```python") == 2


def test_make_demo_runs_the_example():
    done = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the server is called server" in done.stdout
    assert "subtest: the client reaches the server" in done.stderr


def test_the_command_of_the_demo():
    """README says what `make demo` calls."""
    shown = re.search(r"^    (build/nixos-test-driver .*?\.py)$", TEXTS["README.md"], re.M | re.S)[1]
    recipe = (ROOT / "Makefile").read_text().partition("\ndemo:\n")[2].partition("\n\n")[0]
    called = recipe[recipe.index("$(BUILD)/nixos-test-driver"):].replace("$(BUILD)", "build")
    called = re.sub(r"(build/vms/tiny/run)-client-vm \\\n\s*\1-server-vm", r"\1-*-vm", called)
    assert shown.replace("\\\n", " ").split() == called.replace("\\\n", " ").split()


def test_a_command_in_a_script(fakes):
    harness.run(example("In a script"), fakes("server"))


def test_machines_that_a_test_makes(tmp_path, fakes):
    """The disk says something else than `login: `."""
    boot_images.make_qcow2(tmp_path).rename(tmp_path / "debian.qcow2")
    (tmp_path / "result/bin").mkdir(parents=True)
    (tmp_path / "result/bin/run-server-vm").symlink_to(fakes("server")["server"])
    script = example("Machines that a test makes")
    assert script.count("login: ") == 1
    result = harness.run(script.replace("login: ", "hello from the image"), directory=tmp_path,
                         env={"TEST_VM_ACCEL": "tcg"})
    assert re.search(r"^test-vm-\w+ is reached by \['ssh', .*'root@127.0.0.1', 'uptime'\]$", result.log, re.M)
    assert re.search(r"^test-vm-\w+: must succeed: hostname$", result.log, re.M)


def test_machines_of_ones_own(tmp_path, fake):
    boot_images.make_qcow2(tmp_path)
    harness.run(example("Machines, drivers and logs of one's own") + f"""
router = Router({str(tmp_path / "disk.qcow2")!r}, name="router")
driver.machines.append(router)
start_all()
router.wait_for_console_text("hello from the image")
assert machine.booted and repr(router) == "<Router 'router'>"
assert router.qmp_client.send("query-memory-size-summary")["return"]["base-memory"] == 256 << 20
""", fake)


# ---- names


def test_names_at_the_prompt(fake):
    rows = "".join(re.findall(r"^\| (.*?) \|", section("At the prompt"), re.M))
    names = set(re.findall(r"`(?:machine\.)?(\w+)\(", rows))
    assert len(names) >= 8
    result = harness.run(f"""
        print([name for name in {sorted(names)!r} if name not in driver.test_symbols() and not hasattr(machine, name)])
    """, fake)
    assert result.lines == ["['help', 'reload']"]  # which are there at a prompt
    assert "reload()" in harness.run("", arguments=["--help"]).out


def test_links():
    """To files, and to headings of them as GitHub calls these."""
    for name, text in TEXTS.items():
        links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text)
        for path, anchor in links:
            target = (ROOT / name).parent / path if path else ROOT / name
            assert target.exists(), (name, path)
            if anchor:
                titles = re.findall(r"^#+ (.*)", target.read_text(), re.M)
                assert anchor in [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles], anchor


def unknown_options(program, texts):
    """Those in the texts that its --help does not have."""
    known = re.findall(OPTION, subprocess.run([program, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout)
    named = set(re.findall(OPTION, " ".join(texts)))
    assert named
    return named - set(known)


OPTION = r"(?<![\w-])--[a-z][\w-]+"


def test_options():
    lines = re.findall(r"^ .*(?:nixos-test-driver|--output_directory|--vm-start-scripts) .*", ALL, re.M)
    lines = [line for line in lines if "nix " not in line and "nix-" not in line and "--print-out" not in line]
    quoted = [words for words in re.findall(r"`(--[^`]+)`", ALL) if not words.startswith(OTHERS_OPTIONS)]
    assert unknown_options(harness.DRIVER, quoted + lines) == set()
    assert unknown_options(ROOT / "tests/guests/make-vm", re.findall(r"`tests/guests/make-vm ([^`]+)`", ALL)) == set()


OTHERS_OPTIONS = ("--stat", "--help", "--boot-image")


def test_targets_and_files():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^    )make ([a-z][\w-]*)", ALL, re.M):
        assert re.search(rf"^{target}:|^\.PHONY:.* {target}( |$)", makefile, re.M), target
    found = 0
    for name, text in TEXTS.items():
        here = (ROOT / name).parent
        for path in re.findall(r"`((?:\.?[\w-]+/)+[\w.-]*)[ `]", text):
            if not re.search(r"NAME|^OUT/|^PREFIX/|^result/|^build/|^/|^vm-state", path):
                assert (ROOT / path).exists() or (here / path).exists(), (name, path)
                found += 1
        for word, path in re.findall(r"`(\w+)` (?:in|of) `([\w/-]+\.(?:[chS]|py))`", text):
            assert re.search(rf"\b{word}\b", (here / path).read_text()), (name, word)
    assert found > 100


def test_the_example_of_the_tests(fake):
    code = re.search(r"^    import harness\n(?:\n|    .*\n)+", TEXTS["tests/README.md"], re.M)[0]
    names = {}
    exec(textwrap.dedent(code), names)
    names["test_a_command"](fake)
