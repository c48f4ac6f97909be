"""What people can use is documented: options in --help and the man page."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import harness

ROOT = harness.ROOT
MAN_PAGE = Path(harness.DRIVER).parent / "nixos-test-driver.1"

def option_names():
    return re.findall(r'\.name = "([\w-]+)"', (ROOT / "driver/session/option_table.c").read_text())


@pytest.fixture(scope="module")
def rendered():
    """The man page as a reader sees it; roff's complaints are failures."""
    if not shutil.which("groff"):
        pytest.skip("groff is missing")
    done = subprocess.run(["groff", "-man", "-Tascii", "-ww", "-P-cbou", MAN_PAGE], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    return done.stdout


# ---- the command line


def test_there_are_options():
    assert len(option_names()) > 25


@pytest.mark.parametrize("name", option_names())
def test_an_option(name):
    shown = subprocess.run([harness.DRIVER, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    page = MAN_PAGE.read_text()
    if name == "keep-vm-state":  # stands with keep-machine-state
        assert f"--{name}" in shown and "\\-\\-keep\\-vm\\-state" in page
        return
    paragraph = re.search(rf"^  (?:-\w, )?--{name}\b.*\n((?:        .*\n)+)", shown, re.M)
    assert paragraph and len(paragraph[1].split()) >= 4
    escaped = re.escape(name.replace("-", "\\-"))
    entry = re.search(rf"^\.TP\n(?:\\fB\\-\w\\fR, )?\\fB\\-\\-{escaped}\\fR.*\n(.*)", page, re.M)
    assert entry and len(entry[1].split()) >= 4


# ---- the man page


def test_the_sections_of_the_man_page():
    page = MAN_PAGE.read_text()
    assert re.findall(r'^\.SH "?(.*?)"?$', page, re.M) == [
        "NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]
    version = (ROOT / "Makefile").read_text().partition("VERSION = ")[2].split()[0]
    assert re.search(rf'^\.TH NIXOS\\-TEST\\-DRIVER 1 "" "nixos\\-test\\-driver {re.escape(version)}"', page, re.M)


def test_the_man_page_has_the_groups_and_variables_of_help():
    shown = subprocess.run([harness.DRIVER, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    page = MAN_PAGE.read_text().replace("\\-", "-")
    headings = re.findall(r"^([A-Z].*):$", shown, re.M)
    assert headings[-2:] == ["Environment", "Exit status"]
    assert re.findall(r'^\.SS "(.*)"$', page, re.M) == [*headings[:-2], "How options are written"]
    for variable in re.findall(r"\[environment:\s+(\w+)\]", shown):
        assert f".BR {variable} ." in page
    for status in re.findall(r"^  (\d+) ", shown, re.M):
        assert f".TP\n.B {status}\n" in page


def test_the_man_page_can_be_read(rendered):
    """No line of text is lost as a request, no backslash shows."""
    assert re.search(r"^ {7}-o, --output_directory DIR$", rendered, re.M)
    assert re.search(r"^NAME\n {7}nixos-test-driver, generate-driver-symbols - ", rendered, re.M)
    assert "\\\n               --vm-start-scripts result/bin/run-*-vm" in rendered and rendered.count("\\") == 2
    assert any("--pause-on-failure -- -k network -x" in line for line in rendered.splitlines())
