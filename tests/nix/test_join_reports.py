"""nix/join-reports.py: reports of shards, or of the members of a suite, become one."""

import subprocess
import xml.etree.ElementTree as ElementTree

import pytest
import toolchain

PASSED = '<testsuite name="a" time="1.25"><testcase classname="a" name="x &lt; y" time="1"/><testcase name="z"/></testsuite>'
FAILED = ('<?xml version="1.0"?><testsuites><testsuite name="b"><testcase name="x" time="0.5"><failure message="m">text</failure>'
          '</testcase><testcase name="s" time="2"><skipped/></testcase></testsuite></testsuites>')


@pytest.fixture
def join(tmp_path):
    def run(**reports):
        for member, text in reports.items():
            (tmp_path / member).mkdir()
            if text is not None:
                (tmp_path / member / "junit.xml").write_text(text)
        done = subprocess.run(["/usr/bin/python3", toolchain.ROOT / "nix/join-reports.py", "--name", "all", tmp_path,
                               *reports], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return done, tmp_path
    return run


def test_all_passed(join):
    done, directory = join(one=PASSED, second=PASSED)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "one     passed  2 tests  1.2 s\nsecond  passed  2 tests  1.2 s\n"
    assert (directory / "summary.txt").read_text() == done.stdout
    root = ElementTree.parse(directory / "junit.xml").getroot()
    assert dict(root.attrib) == {"name": "all", "tests": "4", "failures": "0", "errors": "0", "skipped": "0", "time": "2.500"}
    assert [suite.get("name") for suite in root] == ["one: a", "second: a"]
    assert root.find("testsuite/testcase").get("name") == "x < y"


def test_one_failed(join):
    done, directory = join(one=PASSED, two=FAILED)
    assert done.returncode == 1
    assert "two  failed  2 tests  2.5 s" in done.stdout
    root = ElementTree.parse(directory / "junit.xml").getroot()
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("4", "1", "1")
    assert root.find(".//failure").text == "text"


@pytest.mark.parametrize("text", [None, "", "<testsuite>"])
def test_a_report_that_cannot_be_read(join, text):
    done, directory = join(one=PASSED, two=text)
    assert done.returncode == 2 and "two/junit.xml" in done.stderr
    assert not (directory / "junit.xml").exists()
