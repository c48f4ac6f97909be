"""What the README shows is what runs, and what it names is there."""

import re
import subprocess
import textwrap

import boot_images
import harness

ROOT = harness.ROOT
README = (ROOT / "README.md").read_text()


def section(title):
    return re.search(rf"^###? {title}\n(.*?)(?=^##|\Z)", README, re.M | re.S)[1]


def example(title):
    """The indented lines of a section that is about Python."""
    return textwrap.dedent("".join(re.findall(r"^(?:    .*\n|\n)", section(title), re.M)))


# ---- examples


def test_the_readme_shows_the_example_scripts():
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    assert blocks == [(ROOT / "tests/e2e/examples" / name).read_text() for name in ("ping.py", "ping_pytest.py")]


def test_make_demo_runs_the_example():
    done = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the server is called server" in done.stdout
    assert "subtest: the client reaches the server" in done.stderr


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


def test_names_of_scripts(fake):
    rows = "".join(re.findall(r"^\| (.*?) \|", section("In a script") + section("Interactive"), re.M))
    names = set(re.findall(r"`(?:machine\.)?(\w+)(?:\(.*?\))?(?:\.\w+\(.*?\))?`", rows)) - {"server", "client"}
    assert len(names) > 40
    result = harness.run(f"""
        print([name for name in {sorted(names)!r} if name not in driver.test_symbols() and not hasattr(machine, name)])
    """, fake, vlans=[1])
    assert result.lines == ["['reload']"] and "reload()" in harness.run("", arguments=["--help"]).out  # at a prompt


def unknown_options(program, texts):
    """Those in the texts that its --help does not have."""
    known = re.findall(OPTION, subprocess.run([program, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout)
    named = set(re.findall(OPTION, " ".join(texts)))
    assert named
    return named - set(known)


OPTION = r"(?<![\w-])--[a-z][\w-]+"


def test_options():
    lines = re.findall(r"^ .*(?:nixos-test-driver|--output_directory|--vm-start-scripts) .*", README.partition("## Build it")[2], re.M)
    assert unknown_options(harness.DRIVER, re.findall(r"`(--[^`]+)`", README) + lines) == set()
    assert unknown_options(ROOT / "tests/guests/make-vm", re.findall(r"`tests/guests/make-vm ([^`]+)`", README)) == set()


def test_targets_and_files():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^    )make ([a-z][\w-]*)", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
    paths = re.findall(r"\]\((?!https?:)([^)]+)\)", README) + re.findall(r"`((?:driver|embed|tests)/[\w/.-]*\.?\w*)[ `]", README)
    assert len(paths) > 10 and [path for path in paths if not (ROOT / path).exists()] == []
