"""The tests in suite/, run once by the driver: their outcomes, and the reports of their expected failures."""

import re
from pathlib import Path

import pytest
from pytest_harness import run

EXPECTED = {
    "test_machines_by_name": "PASSED",
    "test_names_of_scripts": "PASSED",
    "test_shared_helper": "PASSED",
    "test_scopes": "PASSED",
    "test_capsys": "PASSED",
    "test_capfd": "PASSED",
    "test_caplog": "PASSED",
    "test_tmp_path": "PASSED",
    "test_request": "PASSED",
    "test_assertion_with_values": "FAILED",
    "test_parameters[one]": "PASSED",
    "test_parameters[two words]": "PASSED",
    "test_parameters[\\u0442\\u0440\\u0438]": "PASSED",
    "test_product[a-0]": "PASSED",
    "test_product[a-7]": "PASSED",
    "test_product[b-0]": "PASSED",
    "test_product[b-7]": "PASSED",
    "test_skipped": "SKIPPED",
    "test_skips_itself": "SKIPPED",
    "test_expected_to_fail": "XFAIL",
    "test_passes_unexpectedly": "FAILED",
    "test_raises": "PASSED",
    "TestClass::test_set_up": "PASSED",
    "TestClass::test_file": "PASSED",
    "test_class_is_over": "PASSED",
    "test_command": "FAILED",
    "test_set_up": "ERROR",
    "test_taken_down": "PASSED ERROR",
    "test_machine_dies": "FAILED",
    "test_needs_it": "ERROR",
    "test_needs_the_other": "PASSED",
    "test_has_it_started_again": "PASSED",
    "test_uses_it_again": "PASSED",
    "test_requires_too_much": "SKIPPED",
    "test_requires_what_is_unknown": "ERROR",
    "test_marks": "PASSED",
}
FAILED = {name for name, outcome in EXPECTED.items() if "FAILED" in outcome or "ERROR" in outcome}
SKIPPED = {name for name, outcome in EXPECTED.items() if outcome in ("SKIPPED", "XFAIL")}


@pytest.fixture(scope="module")
def result(pair):
    suite = Path(__file__).with_name("suite")
    return run(vms=pair, vlans=[1], status=1, files={path.name: path.read_text() for path in suite.glob("*.py")})


def failure_of(result, test):
    """Returns the part of the terminal's output about the failure of a test."""
    return re.search(rf"^_+ (?:ERROR at \w+ of )?{re.escape(test)} _+\n(.*?)^(?:_{{5}}|={{5}}|-+ seconds)", result.out,
                     re.M | re.S)[1]


def test_outcomes(result):
    assert result.outcomes == EXPECTED
    assert re.search(r"^=+ 4 failed, 25 passed, 3 skipped, 1 xfailed, 4 errors in ", result.out, re.M)


def test_junit_has_a_case_a_test(result):
    titles = {title.partition("::")[2]: case for title, case in result.cases.items() if title != "main"}
    assert set(titles) - {"a part of it"} - {""} == set(EXPECTED)
    assert {name for name, case in titles.items() if case.find("failure") is not None} == FAILED
    assert {name for name, case in titles.items() if case.find("skipped") is not None} == SKIPPED
    assert "a part of it" in result.cases  # a subtest within a test


def test_junit_has_the_log_and_the_failure(result):
    case = result.cases["test_trouble.py::test_command"]
    assert "server: must succeed: echo its output; exit 3" in case.findtext("system-out")
    assert "command `echo its output; exit 3` failed (exit code 3)" in case.findtext("failure")


def test_time_is_shown(result):
    assert re.search(r"::test_capsys PASSED \(\d+\.\d\ds\)", result.out)
    assert re.search(r"^FAILED \S+::test_command - ", result.out, re.M)  # the summary has pytest's format, which scripts parse
    assert re.search(r"^-+ seconds: all, boot, waiting, commands, rest -+\n(( +\d+\.\d\d){5}  \S+.*\n){36}", result.out,
                     re.M)


def test_assertion_shows_values(result):
    text = failure_of(result, "test_assertion_with_values")
    assert "assert '41' == '42'" in text and 'assert server.succeed("echo 41").strip() == "42"' in text


def test_failure_of_a_command(result):
    text = failure_of(result, "test_command")
    assert "command `echo its output; exit 3` failed (exit code 3)" in text
    assert "server: logged before\nserver: must succeed: echo its output; exit 3\nserver: output: its output" in text
    assert "printed before" in text and "echo 41" not in text  # output of another test
    assert re.search(r"^-+ artifacts -+\n\S+/out/failure/test_trouble.py-test_command$", text, re.M)


def test_failures_of_fixtures(result):
    assert "server: output: before the set-up fails" in failure_of(result, "test_set_up")
    assert "server: output: while it is taken down" in failure_of(result, "test_taken_down")


def test_dead_machines(result):
    assert "QEMU process was killed by signal 9" in failure_of(result, "test_machine_dies")
    needs = failure_of(result, "test_needs_it")
    assert needs.startswith("client cannot be used: machine 'client': QEMU process was killed by signal 9")
    assert re.search(r"^starting again: client$", result.log, re.M)
    assert result.log.count("client: starting vm") == 2


def test_artifacts(result):
    assert result.kept == sorted(
        f"{file}-{test}/{machine}" for file, test, machine in [
            ("test_language.py", "test_assertion_with_values", "server"),
            ("test_language.py", "test_passes_unexpectedly", "server"),
            ("test_trouble.py", "test_command", "server"),
            ("test_trouble.py", "test_machine_dies", "client"),
            ("test_trouble.py", "test_needs_it", "client"),
            ("test_trouble.py", "test_requires_what_is_unknown", "server"),
            ("test_trouble.py", "test_set_up", "server"),
            ("test_trouble.py", "test_taken_down", "server"),
        ])


def test_requirements(result):
    assert re.search(r"^SKIPPED \[1\] \S+test_trouble.py:\d+: requires memory=1000T: [\d.]+G are available$",
                     result.out, re.M)
    assert "requires: unknown 'a moon'; known are 'kvm', 'net' and memory=\"SIZE\"" in result.out
    assert "warnings summary" not in result.out  # pytest knows the marks vm, slow and the others
