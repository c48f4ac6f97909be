"""The pytest plugin for boot images: how a session gets into the driver, the image, programs and failures. Nothing is
booted here."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

import harness
from plugin_harness import SOURCE, Session, run

BOTH = pytest.mark.parametrize("how", ["driver", "plain"])
PASSING = "def test_it():\n    pass\n"
VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"

# ---- the way into the driver


@BOTH
def test_a_session_is_in_the_driver(how):
    result = run(how, {"test_it.py": """
import pathlib
def test_a(out_dir):
    import _test_driver
    assert out_dir.name == "out" and pathlib.Path("test_it.py").exists()
def test_b(): pass
"""}, "-k", "test_a or test_c")
    assert result.outcomes == {"test_a": "PASSED"} and "1 deselected" in result.out
    assert result.out.count("test session starts") == 1


def test_the_option_p_adds_the_plugin_too():
    test = "def test_it():\n    import _test_driver\n"
    result = run("plain", {"conftest.py": "", "test_it.py": test}, "-p", "test_driver_pytest.boot_image")
    assert result.outcomes == {"test_it": "PASSED"}


def test_plugins_of_a_program_that_calls_pytest():
    """A module becomes an option; an object cannot be carried into another process."""
    program = "import pytest, sys, test_driver_pytest.boot_image as plugin\nsys.exit(pytest.main(sys.argv[1:], [{}]))\n"
    test = "def test_it():\n    import _test_driver\n"
    for plugin, status in ("plugin", 0), ("plugin, object()", 4):
        files = {"conftest.py": "", "test_it.py": test, "program.py": program.format(plugin)}
        result = run("plain", files, status=status, driver=(sys.executable, "program.py"))
        assert ("nixos-test-driver, where the plugin <object" in result.err) == bool(status)


@pytest.mark.parametrize("words, text, status", [
    (("none.py",), "", 4), ((), "x = 1\n", 5), ((), "def test_it(): assert 1 == 2\n", 1)])
def test_the_exit_status_is_pytests(words, text, status):
    run("plain", {"test_it.py": text}, *words, status=status)


def test_ctrl_c_ends_the_session():
    test = "import time\ndef test_it():\n    print('now', flush=True)\n    time.sleep(1000)\ndef test_no(): pass\n"
    with Session("plain", {"test_it.py": test}, "-s") as session:
        session.wait_for("now$")
        session.signal(signal.SIGINT)
        result = session.finish()
    assert result.status == 128 + signal.SIGINT and "KeyboardInterrupt" in result.out and "test_no" not in result.out


def test_packages_of_a_virtual_environment(tmp_path):
    """They are there in the driver, with those that .pth files name."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", venv], check=True)
    packages = venv / f"lib/python{VERSION}/site-packages"
    (packages / "of_the_venv.py").write_text("value = 5\n")
    (packages / "more.pth").write_text(f"{tmp_path}\n")
    (tmp_path / "further.py").write_text("value = 6\n")
    run("plain", {"test_it.py": f"""
import sys, _test_driver, further, of_the_venv
def test_it():
    assert further.value + of_the_venv.value == 11 and sys.executable == "{venv}/bin/python"
"""}, driver=(f"{venv}/bin/python", "-m", "pytest"))


def test_another_version_of_python():
    plain = json.dumps({"version": [3, 1], "program": "/opt/python3.1", "path": []})
    result = run("driver", {"test_it.py": PASSING}, status=4, env={"NTD_PLAIN_PYTEST": plain})
    assert f"started by Python 3.1 (/opt/python3.1), but nixos-test-driver is linked with Python {VERSION} (/" in result.log
    assert "name a driver for Python 3.1 in NIXOS_TEST_DRIVER" in result.log


@pytest.mark.parametrize("option", ["--help", "--version", "--markers"])
def test_information_needs_no_driver(option):
    result = run("plain", {}, option, env={"NIXOS_TEST_DRIVER": "/none"})
    if option == "--markers":
        assert "@pytest.mark.vm: boots machines" in result.out and "@pytest.mark.slow: " in result.out
    if option == "--help":
        assert "--boot-image=FILE" in result.out and "--boot-image-attr=ATTRIBUTE" in result.out


# ---- where the driver is found

FAKE_DRIVER = "#!/bin/sh\nprintf '%s\\n' \"$0\" \"$@\"\nexit 7\n"


@pytest.fixture
def installation(tmp_path):
    """The prefix of an installation of the plugin, without a driver."""
    shutil.copytree(SOURCE / "test_driver_pytest", tmp_path / f"lib/python{VERSION}/site-packages/test_driver_pytest")
    return tmp_path


def program(path):
    path.parent.mkdir(exist_ok=True)
    path.write_text(FAKE_DRIVER)
    path.chmod(0o755)
    return path


def installed(prefix, **env):
    """The environment in which plain pytest finds the plugin in the installation, and no driver by the environment."""
    return {"PYTHONPATH": f"{prefix}/lib/python{VERSION}/site-packages", "NIXOS_TEST_DRIVER": "", **env}


def test_the_driver_beside_the_plugin(installation):
    driver, other = program(installation / "bin/nixos-test-driver"), program(installation / "other/nixos-test-driver")
    env = installed(installation, PATH=f"{other.parent}:{os.environ['PATH']}")
    result = run("plain", {"test_it.py": PASSING}, "-k", "a b", status=7, env=env)
    out = result.lines[1:][1]
    assert result.lines == [str(driver), "--output_directory", out, "--pytest", "--", "-k", "a b", "-v"]


def test_the_driver_in_path(installation):
    driver = program(installation / "other/nixos-test-driver")
    env = installed(installation, PATH=f"{driver.parent}:{os.environ['PATH']}")
    assert run("plain", {"test_it.py": PASSING}, status=7, env=env).lines[0] == str(driver)


def test_the_driver_that_a_variable_names(installation):
    program(installation / "bin/nixos-test-driver")
    driver = program(installation / "other/nixos-test-driver")
    env = installed(installation, NIXOS_TEST_DRIVER=driver)
    assert run("plain", {"test_it.py": PASSING}, status=7, env=env).lines[0] == str(driver)


def test_no_driver(installation):
    result = run("plain", {"test_it.py": PASSING}, status=4, env=installed(installation))
    assert "need the program nixos-test-driver, which is in none of these places" in result.err
    for place in ("NIXOS_TEST_DRIVER (not set)", f"{installation}/bin/nixos-test-driver", "/build/nixos-test-driver", "PATH"):
        assert place in result.err
    result = run("plain", {"test_it.py": PASSING}, status=4, env=installed(installation, NIXOS_TEST_DRIVER="/none"))
    assert "the environment variable NIXOS_TEST_DRIVER names no program: /none" in result.err


def test_the_output_directory():
    """By default it is in pytest's root directory, and version control ignores it."""
    test = "def test_it(out_dir):\n    (out_dir / 'file').touch()\n"
    with Session("plain", {"test_it.py": test}, env={"NIXOS_TEST_DRIVER_OUTPUT": ""}) as session:
        assert session.finish().status == 0
        output = session.directory / ".nixos-test-driver"
        assert (output / "file").exists() and (output / ".gitignore").read_text() == "*\n"


# ---- the image


def failed(how, test, *words, files=None, **named):
    """Runs a test whose fixtures must fail, and returns the result."""
    result = run(how, {"test_it.py": test, **(files or {})}, *words, status=1, **named)
    assert set(result.outcomes.values()) == {"ERROR"}
    return result


BUILT = """
def test_it(boot_image_build, boot_image_iso, out_dir):
    build = boot_image_build
    assert boot_image_iso == build.iso and build.iso.read_text() == "image\\n"
    assert build.iso.resolve().is_relative_to(build.out) and build.out.name == "store" and build.build_seconds > 0
    assert build.metadata["attribute"] == {attribute!r} and build.metadata["nix_version"] == "2.18.1"
    assert build.metadata["source"] == "nix build {attribute}" and build.metadata["iso_bytes"] == 6
    assert (out_dir / "boot-image-build.log").read_text() == "building the image\\n"

def test_again(boot_image_build): pass
"""


@BOTH
@pytest.mark.parametrize("result", ["iso/x.iso", "x.iso", "iso/x.iso other.iso", "note a/b/x.iso"])
def test_a_build(how, result):
    found = run(how, {"test_it.py": BUILT.format(attribute=".#bootImage")}, env={"FAKE_NIX_RESULT": result})
    assert found.nix.count("build") == 1 and found.nix[-1] == ".#bootImage" and found.nix[1] == "nix-command flakes"
    assert "skipped" not in found.out


def test_another_attribute():
    run("plain", {"test_it.py": BUILT.format(attribute=".#other")}, "--boot-image-attr=.#other")


@pytest.mark.parametrize("result, found", [("a/x.iso b/y.iso", "x.iso, "), ("iso/x.iso iso/y.iso", "x.iso, "),
                                           ("iso/x.img", "none")])
def test_one_iso_is_expected(result, found):
    said = failed("driver", "def test_it(boot_image_iso): pass\n", env={"FAKE_NIX_RESULT": result}).out
    assert "one ISO was expected in what was built" in said and found in said


def test_a_build_that_fails():
    said = failed("plain", "def test_it(boot_image_iso): pass\n", env={"FAKE_NIX_STATUS": "3"}).out
    assert "nix build .#bootImage failed with status 3" in said and "error: no such attribute" in said
    assert "boot-image-build.log" in said


def test_a_build_that_takes_too_long():
    env = {"FAKE_NIX_HANGS": "1", "BOOT_IMAGE_BUILD_TIMEOUT": "0.5"}
    said = failed("driver", "def test_it(boot_image_iso): pass\n", env=env).out
    assert "BOOT_IMAGE_BUILD_TIMEOUT: nix build .#bootImage did not end within 0.5 s" in said
    env["BOOT_IMAGE_BUILD_TIMEOUT"] = "soon"
    said = failed("driver", "def test_it(boot_image_iso): pass\n", env=env).out
    assert "environment variable BOOT_IMAGE_BUILD_TIMEOUT: 'soon' is not a number of seconds above 0" in said


def test_ctrl_c_ends_a_build():
    test = "def test_it(boot_image_iso): pass\n"
    with Session("plain", {"test_it.py": test}, env={"FAKE_NIX_HANGS": "1"}) as session:
        session.wait_for("nix build .#bootImage; its output goes to")
        assert harness.wait_until((session.directory / "nix/words").exists, 60)
        session.signal(signal.SIGINT)
        assert session.finish().status == 128 + signal.SIGINT


GIVEN = """
def test_it(boot_image_build, boot_image_iso):
    assert boot_image_iso == boot_image_build.iso and boot_image_iso.name == "given, once.iso" and boot_image_iso.is_absolute()
    assert boot_image_build.build_seconds == 0 and boot_image_build.out is None
    assert boot_image_build.metadata == {"source": "%s", "iso_bytes": 5}
"""
IMAGES = {"given, once.iso": "hello", "other.iso": ""}


@BOTH
def test_a_given_image(how):
    """Nothing is built then, and nix is not needed. The option takes precedence."""
    env = {"BOOT_IMAGE_ISO": "given, once.iso"}
    run(how, {"test_it.py": GIVEN % "BOOT_IMAGE_ISO", **IMAGES}, nix=False, env=env)
    found = run(how, {"test_it.py": GIVEN % "--boot-image", **IMAGES}, "--boot-image=given, once.iso", nix=False,
                env={"BOOT_IMAGE_ISO": "other.iso"})
    assert "boot image: given, once.iso" in found.out


def test_an_image_that_is_not_in_the_project(tmp_path):
    """pytest takes no folder of an option's value for the project."""
    (tmp_path / "given, once.iso").write_text("hello")
    run("plain", {"test_it.py": GIVEN % "--boot-image"}, f"--boot-image={tmp_path}/given, once.iso", nix=False)


@pytest.mark.parametrize("words, env, origin", [(["--boot-image=no.iso"], {}, "--boot-image"),
                                                ([], {"BOOT_IMAGE_ISO": "no.iso"}, "BOOT_IMAGE_ISO")])
def test_a_given_image_that_is_missing(words, env, origin):
    assert f"{origin}: there is no file /" in failed("driver", "def test_it(boot_image_iso): pass\n", *words, env=env).out


# ---- programs


@pytest.mark.parametrize("fixture, name, package", [
    ("nix_executable", "nix", "nix-bin"), ("qemu_executable", "qemu-system-x86_64", "qemu-system-x86"),
    ("ssh_executable", "ssh", "openssh-client"), ("ssh_keygen_executable", "ssh-keygen", "openssh-client"),
    ("boot_image_iso", "nix", "nix-bin")])
def test_a_missing_program_is_a_failure(fixture, name, package):
    files = {"conftest.py": """
import pytest
pytest_plugins = ["test_driver_pytest.boot_image"]

@pytest.fixture(scope="session")
def boot_image_options():
    return {"arch": "x86_64"}
"""}
    said = failed("driver", f"def test_it({fixture}): pass\n", files=files, env={"PATH": "{dir}/bin"}, nix=False).out
    assert f"the program {name} is missing: no directory in PATH has it (the package {package} of Debian" in said


@pytest.mark.parametrize("arch, message", [
    ("i386", "the program qemu-system-i386 is missing: no directory in PATH has it (the package qemu-system-x86 of Debian"),
    ("amd64", "the program qemu-system-x86_64 is missing"), ("x86_64-linux", "the program qemu-system-x86_64 is missing"),
    ("vax", "boot_image_options: arch 'vax' is not known; there are x86_64, i386, aarch64")])
def test_names_of_architectures(arch, message):
    """They are those of create_image_machine()."""
    files = {"conftest.py": f"""
import pytest
pytest_plugins = ["test_driver_pytest.boot_image"]

@pytest.fixture(scope="session")
def boot_image_options():
    return {{"arch": {arch!r}}}
"""}
    said = failed("driver", "def test_it(qemu_executable): pass\n", files=files, env={"PATH": "{dir}/bin"}, nix=False).out
    assert message in said and "Traceback" not in said


def test_programs_are_paths():
    names = ["nix", "ssh", "ssh-keygen", "qemu-system-aarch64"]
    files = {"conftest.py": """
import pytest
pytest_plugins = ["test_driver_pytest.boot_image"]

@pytest.fixture(scope="session")
def boot_image_options():
    return {"arch": "aarch64"}
""", "test_it.py": """
def test_it(nix_executable, ssh_executable, ssh_keygen_executable, qemu_executable):
    found = [nix_executable, ssh_executable, ssh_keygen_executable, qemu_executable]
    assert [path.parent.name + "/" + path.name for path in found] == %r
""" % [f"bin/{name}" for name in names]}
    with Session("plain", files, nix=False) as session:
        for name in names:
            session.program(name, "#!/bin/sh\n")
        assert session.finish().status == 0
