"""What people can use is documented: options in --help, the man page and a README; what scripts meet in docstrings and
in embed/README.md; fixtures and marks of pytest there, too."""

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import harness

ROOT = harness.ROOT
MAN_PAGE = Path(harness.DRIVER).parent / "nixos-test-driver.1"
README = (ROOT / "embed/README.md").read_text()

# {option that no README has: why}
NOT_IN_A_README = {"keep-vm-state": "older name", "start-scripts": "older name", "no-interactive": "the default",
                   "help": "known", "version": "known"}


# ---- the command line


def option_names():
    return re.findall(r'\.name = "([\w-]+)"', (ROOT / "driver/session/option_table.c").read_text())


def help_text():
    return subprocess.run([harness.DRIVER, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout


def test_there_are_options():
    assert len(option_names()) > 25 and set(NOT_IN_A_README) <= set(option_names())


@pytest.mark.parametrize("name", option_names())
def test_an_option(name):
    shown, page = help_text(), MAN_PAGE.read_text().replace("\\-", "-")
    if name == "keep-vm-state":  # stands with keep-machine-state
        assert shown.count(f"--{name}") == page.count(f"--{name}") == 1
        return
    paragraph = re.search(rf"^  (?:-\w, )?--{name}\b.*\n((?:        .*\n)+)", shown, re.M)
    assert paragraph and len(paragraph[1].split()) >= 4
    entry = re.search(rf"^\.TP\n(?:\\fB-\w\\fR, )?\\fB--{name}\\fR.*\n(.*)", page, re.M)
    assert entry and len(entry[1].split()) >= 4
    readmes = "".join(path.read_text() for path in (ROOT / "README.md", *ROOT.glob("*/README.md")))
    assert name in NOT_IN_A_README or re.search(rf"--{name}\b", readmes)


# ---- the man page


@pytest.fixture(scope="module")
def rendered():
    """Returns the man page as a reader sees it. A warning of roff is a failure."""
    if not shutil.which("groff"):
        pytest.skip("groff is missing")
    done = subprocess.run(["groff", "-man", "-Tascii", "-ww", "-P-cbou", MAN_PAGE], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    return done.stdout


def test_the_sections_of_the_man_page():
    page = MAN_PAGE.read_text()
    assert re.findall(r'^\.SH "?(.*?)"?$', page, re.M) == [
        "NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]
    version = (ROOT / "Makefile").read_text().partition("VERSION = ")[2].split()[0]
    assert re.search(rf'^\.TH NIXOS\\-TEST\\-DRIVER 1 "" "nixos\\-test\\-driver {re.escape(version)}"', page, re.M)


def test_the_man_page_has_the_groups_and_variables_of_help():
    shown, page = help_text(), MAN_PAGE.read_text().replace("\\-", "-")
    headings = re.findall(r"^([A-Z].*):$", shown, re.M)
    assert headings[-2:] == ["Environment", "Exit status"]
    assert re.findall(r'^\.SS "(.*)"$', page, re.M) == [*headings[:-2], "How options are written"]
    for variable in re.findall(r"\[environment:\s+(\w+)\]", shown):
        assert f".BR {variable} ." in page
    for status in re.findall(r"^  (\d+) ", shown, re.M):
        assert f".TP\n.B {status}\n" in page


def test_the_man_page_can_be_read(rendered):
    """roff takes no line of text for a request, and shows no backslash except in examples."""
    assert re.search(r"^ {7}-o, --output_directory DIR$", rendered, re.M)
    assert re.search(r"^NAME\n {7}nixos-test-driver, generate-driver-symbols - ", rendered, re.M)
    assert "\\\n               --vm-start-scripts result/bin/run-*-vm" in rendered and rendered.count("\\") == 2
    assert any("--pause-on-failure -- -k network -x" in line for line in rendered.splitlines())


# ---- names of scripts

# {section of the reference: its classes, with their modules}
REFERENCE = {
    "Machines": "_test_driver.BaseMachine _test_driver.QemuMachine _test_driver.NspawnMachine",
    "The driver": "_test_driver.Driver _test_driver.RaceTimer",
    "Networks": "_test_driver.VLan",
    "The log": "_test_driver.CompositeLogger",
    "QMP": "_test_driver.QMPSession",
    "Polling conditions": "test_driver.polling_condition.PollingCondition",
    "Test machines": "test_driver.test_vm.TestVM test_driver.test_vm.TestVMManager test_driver.image_machine.ImageMachine",
    "Run records": "test_driver.run_record.RunRecord",
    "Residue of RAID and LVM": " ".join(f"test_driver.residue.{name}" for name in (
        "ResiduePlan", "ResidueResult", "Snapshot", "Remnant", "SeedStep")),
    "EFI variables": "test_driver.efi.EfiVars test_driver.efi.EfiVariable",
    "Processes and start commands": "test_driver.machine.process.Process test_driver.machine.QemuStartCommand",
}
# Types of _test_driver that scripts do not use by name, or only as a base class or an exception.
WITHOUT_A_TABLE = {"Lazy", "Method", "Object", "Step", "Machine", "MachineError", "MachineDied", "MachineTimeout",
                   "MachineProtocolError", "RequestedAssertionFailed"}

SURVEY = f"""
import importlib, inspect, json, _test_driver

def signature(value):
    try:
        parameters = list(inspect.signature(value).parameters.values())
    except ValueError:
        return "()"
    return str(inspect.Signature(parameters[parameters[:1] != [] and parameters[0].name == "self":]))

def members(cls):
    found = {{}}
    for name in vars(cls):
        if name.startswith("_"):
            continue
        static, value = inspect.getattr_static(cls, name), getattr(cls, name)
        is_function = callable(value) and not isinstance(value, type)
        doc = inspect.getdoc(value if is_function or isinstance(value, type) else static)
        found[name] = [signature(value) if is_function else None, bool(doc and len(doc) > 3)]
    return found

survey = {{}}
for topic, names in {REFERENCE!r}.items():
    for name in names.split():
        module, _, name = name.rpartition(".")
        cls = getattr(importlib.import_module(module), name)
        survey[name] = dict(topic=topic, constructor=signature(cls), doc=bool(cls.__doc__), members=members(cls))
from test_driver import residue, test_vm
for name in ("remnants", "left", "places_of", "raw_remnants"):
    function = getattr(residue, name)
    survey[name] = dict(topic="Residue of RAID and LVM", function=signature(function), doc=bool(function.__doc__))
from test_driver import image_machine, ssh_key
for module, name in [(test_vm, "create_test_vm"), (test_vm, "delete_test_vm"), (test_vm, "living_vms"),
                     (test_vm, "transient_cause"), (image_machine, "create_image_machine"), (ssh_key, "run_key"),
                     (ssh_key, "public_key_of")]:
    function = getattr(module, name)
    survey[name] = dict(topic="Test machines", function=signature(function), doc=bool(function.__doc__))
from test_driver import run_record
for name in ("begin", "recording", "make_directory"):
    function = getattr(run_record, name)
    survey[name] = dict(topic="Run records", function=signature(function), doc=bool(function.__doc__))
types = [name for name, value in vars(_test_driver).items() if isinstance(value, type) and not name.startswith("_")]
functions = {{name: bool(value.__doc__) for name, value in vars(_test_driver).items() if inspect.isbuiltin(value)}}
print(json.dumps([survey, types, functions, sorted(driver.test_symbols()), list(test_vm.Timeouts.__dataclass_fields__)]))
"""


@pytest.fixture(scope="module")
def survey():
    return json.loads(harness.run(SURVEY).lines[-1])


def first_column(text):
    """Returns [(name, arguments in parentheses or "")], the first columns of the tables in a text."""
    cells = "\n".join(re.findall(r"^\| (.*?) \|", text, re.M))
    return re.findall(r"`(?:\w+\.)?(\w+)(\([^`]*\))?`", cells)


def section(title, level="##"):
    return re.search(rf"^{level} {title}\n(.*?)(?=^#{{2,{len(level)}}} |\Z)", README, re.M | re.S)[1]


def topic(title):
    """Returns the rows of all parts of a topic of the reference."""
    parts = re.findall(rf"^### {title}(?::[^\n]*)?\n(.*?)(?=^### |\Z)", section("Reference"), re.M | re.S)
    assert parts, title
    return first_column("".join(parts))


def test_every_type_has_a_table(survey):
    _, types, functions, _, _ = survey
    named = {name.rpartition(".")[2] for names in REFERENCE.values() for name in names.split()}
    assert set(types) - named == WITHOUT_A_TABLE
    assert [name for name, documented in functions.items() if not documented] == []


@pytest.mark.parametrize("title", REFERENCE)
def test_the_reference_is_complete(survey, title):
    """The reference has each public name of the topic with its arguments, and no other name; each name has a
    docstring."""
    survey = survey[0]
    classes = {name: entry for name, entry in survey.items() if entry["topic"] == title}
    known, undocumented = {}, [name for name, entry in classes.items() if not entry["doc"]]
    for name, entry in classes.items():
        known.setdefault(name, set()).add(entry.get("constructor", entry.get("function")))
        for member, (signature, documented) in entry.get("members", {}).items():
            known.setdefault(member, set()).add(signature or "")
            undocumented += [] if documented else [f"{name}.{member}"]
    assert undocumented == []
    rows = topic(title)
    members = {member for entry in classes.values() for member in entry.get("members", {})}
    functions = {name for name, entry in classes.items() if "function" in entry}
    assert (members | functions) - {name for name, _ in rows} == set()
    wrong = [name + arguments for name, arguments in rows if name != "Timeouts" and arguments not in known.get(name, ())]
    assert wrong == []


def test_the_time_outs_of_test_machines(survey):
    arguments = dict(topic("Test machines"))["Timeouts"]
    assert re.findall(r"(\w+)=", arguments) == survey[4]


def test_the_names_of_scripts(survey):
    rows = [name for name, _ in first_column(section("In a script"))]
    examples = {"server", "client", "vlan1"}
    assert set(rows) == set(survey[3]) | examples


# ---- pytest


def assigned(path, name):
    """Returns the value of a constant in a module of the plugin, without importing it."""
    for node in ast.parse((ROOT / "embed/py/test_driver_pytest" / path).read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"{path} has no {name}")


def test_marks():
    marks = dict(re.fullmatch(r"(\w+)(?:\(.*?\))?: (.*)", text).groups() for text in assigned("plugin.py", "MARKS"))
    assert marks and all(len(text.split()) >= 2 for text in marks.values())
    documented = set(re.findall(r"@pytest\.mark\.(\w+)", "\n".join(
        re.findall(r"^\| (`@.*?) \|", section("Tests in pytest style"), re.M))))
    assert documented == set(marks)


def test_marks_are_registered(fake):
    result = harness.run("def test_it(machine):\n    pass\n", fake, options=["--", "--markers"])
    for text in assigned("plugin.py", "MARKS"):
        assert f"@pytest.mark.{text}" in result.out


def fixture_names():
    tree = ast.parse((ROOT / "embed/py/test_driver_pytest/test_vms.py").read_text())
    own = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    assert len(own) > 3
    return [*assigned("fixtures.py", "NAMES"), "machines", "out_dir", *own]


@pytest.mark.parametrize("name", fixture_names())
def test_a_fixture(name):
    table = section("Tests in pytest style").partition("| fixture | |")[2].partition("\n\n")[0]
    assert name in dict(first_column(table))


def test_fixtures_for_boot_images():
    """With their scope, which projects rely on."""
    tree = ast.parse((ROOT / "embed/py/test_driver_pytest/boot_image.py").read_text())
    found = {node.name: ast.unparse(node.decorator_list[0]) for node in tree.body
             if isinstance(node, ast.FunctionDef) and "fixture" in ast.unparse(node.decorator_list)}
    table = section("Tests of a boot image", "###").partition("| fixture of the session | |")[2].partition("\n\n")[0]
    assert {name for name, _ in first_column(table)} == set(found) and len(found) > 6
    assert set(found.values()) == {"pytest.fixture(scope='session')"}


def test_variables_for_boot_images():
    sources = "".join((ROOT / "embed/py/test_driver_pytest" / name).read_text()
                      for name in ("boot_image.py", "image_build.py", "plain.py"))
    names = set(re.findall(r"""["'](BOOT_IMAGE_\w+|NIXOS_TEST_DRIVER\w*)["']""", sources))
    assert len(names) > 3
    for name in names:
        assert f"`{name}`" in section("Tests of a boot image", "###")


def test_options_of_the_plugin():
    """An option that a plugin adds to pytest must be documented and have a help text."""
    sources = "".join(path.read_text() for path in (ROOT / "embed/py/test_driver_pytest").glob("*.py"))
    options = re.findall(r"""\baddoption\(\s*["'](--[\w-]+)["']((?:.|\n)*?)\)""", sources)
    assert options
    for name, rest in options:
        assert f"`{name}" in section("Tests in pytest style") and "help=" in rest
