"""The XML log and the JUnit report."""

import re
import xml.etree.ElementTree as ElementTree

import harness

SCRIPT = r"""
    machine.connect()
    with subtest("the first <title> & \"more\""):
        machine.succeed("echo 'line <1> & \001\033[1m€'>&2; echo out")
        machine.wait_for_console_text("line")
    with subtest("the second"):
        log.log("between]]>")
    log.warning("from the script")
"""


def run(script, vms, *, status=0, **named):
    """Does a run with both reports; the path of the XML log is relative to the current directory. Returns the result
    and the root elements of the XML log and of the JUnit report."""
    with harness.Run(script, vms, env={"LOGFILE": "log.xml", **named.pop("env", {})},
                     options=["--junit-xml", "report.xml"], **named) as running:
        result = running.finish()
        assert result.status == status, result.err
        return (result, ElementTree.parse(running.directory / "log.xml").getroot(),
                ElementTree.parse(running.directory / "out/report.xml").getroot())


def heads(nest):
    return [child.findtext("head") for child in nest.findall("nest")]


def test_xml_log(fake):
    _, root, _ = run(SCRIPT, fake, vlans=[1])
    assert root.tag == "logfile"
    assert heads(root) == ["start all VLans", "run the VM test script", "cleanup"]
    script = root.findall("nest")[1]
    assert heads(script) == ["waiting for the VM to finish booting", 'the first <title> & "more"', "the second"] or \
        heads(script) == ["waiting for the VM to finish booting", 'subtest: the first <title> & "more"',
                          "subtest: the second"]
    first = script.findall("nest")[1]
    assert first.find("nest/head").get("machine") == "machine"
    assert first.find("nest/head").text.startswith("must succeed: echo 'line <1> & ")
    serial = [line for line in root.iter("line") if line.get("type") == "serial"]
    assert {line.get("machine") for line in serial} == {"machine"}
    assert [line.text for line in serial] == ["connecting to host...", "line <1> & [1m€"]
    plain = [line.text for line in root.iter("line") if line.get("type") is None]
    assert "between]]>" in plain and "from the script" in plain
    assert [line.get("machine") for line in root.iter("line") if line.text == "starting vm"] == ["machine"]
    assert any(re.fullmatch(r"\(finished: cleanup, in \d+\.\d\d seconds\)", text) for text in plain)


def test_junit_report(fake):
    _, _, root = run(SCRIPT, fake)
    suites = [root] if root.tag == "testsuite" else root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["NixOS integration test"]
    cases = {case.get("name"): case for case in suites[0].findall("testcase")}
    assert set(cases) == {'the first <title> & "more"', "the second"}
    assert "between]]>" in cases["the second"].findtext("system-out")
    for text in "between]]>", "connected to guest root shell":
        assert text in suites[0].findtext("system-out")
    assert not list(root.iter("failure"))
    assert suites[0].get("tests") == "2" and suites[0].get("failures") == "0"


def test_junit_times_in_a_locale_with_commas(fake, comma_locale):
    _, _, root = run("""
        import locale
        locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
        with subtest("one"):
            machine.succeed("sleep 0.1")
    """, fake, env=comma_locale)
    times = [float(one.get("time")) for one in root.iter() if one.get("time")]
    assert len(times) > 2 and 0.1 < max(times) < 60


def test_reports_of_a_failure(fake):
    _, log, junit = run("""
        with subtest("good"):
            machine.succeed("true")
        with subtest("bad"):
            machine.succeed("echo the output; false")
    """, fake, status=1)
    cases = {case.get("name"): case for case in junit.iter("testcase")}
    assert cases["good"].find("failure") is None
    assert cases["bad"].find("failure").get("message") == "test case failed"
    assert "failed (exit code 1)" in cases["bad"].findtext("system-err")
    assert "the output" in cases["bad"].findtext("system-out")
    assert any("failed (exit code 1)" in (line.text or "") for line in log.iter("line"))


def test_junit_has_main_for_what_failed_outside_of_subtests(fake):
    _, _, junit = run("""
        try:
            with subtest("bad"):
                machine.succeed("false")
        except Exception:
            pass
        machine.succeed("exit 3")
    """, fake, status=1)
    failures = {case.get("name"): case.findtext("failure") for case in junit.iter("testcase")}
    assert set(failures) == {"bad", "main"}
    assert "(exit code 3)" in failures["main"] and "(exit code 1)" not in failures["main"]


def test_reports_are_complete_after_the_time_limit(fake):
    _, log, junit = run("""
        with subtest("endless"):
            machine.succeed("sleep 1000")
    """, fake, global_timeout=1, status=143)
    assert "timeout reached; test terminating..." in [line.text for line in log.iter("line")]
    assert "endless" in [case.get("name") for case in junit.iter("testcase")]


def test_reports_of_many_lines(fake):
    _, log, junit = run("""
        machine.succeed("for i in $(seq 20000); do echo serial $i >&2; done")
        machine.wait_for_console_text("serial 20000")
    """, fake)
    serial = [line.text for line in log.iter("line") if line.get("type") == "serial"]
    assert serial[1:] == [f"serial {n}" for n in range(1, 20001)]
    text = junit.findtext("testsuite/system-out")
    assert "serial 1\n" in text and "serial 20000" in text


def test_log_is_thrown_away(fake):
    result = harness.run("machine.succeed('true')", fake, env={"LOGFILE": "/dev/null"})
    assert "machine: QEMU running" in result.log
