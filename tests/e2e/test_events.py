"""The events of a run (--events): each line satisfies the schema, and all lines together are a timeline."""

import datetime
import json
import time

import jsonschema
import pytest

import harness
from timeline import SCHEMA, Timeline, validator


def run_with_events(script, vms=None, *, whole=True, status=0, **named):
    with harness.Run(script, vms, options=["--events", "events.jsonl"], **named) as run:
        result = run.finish()
        if status is not None and result.status != status:
            run.fail(f"exit status {result.status}, expected {status}")
        return result, Timeline(run.directory / "out/events.jsonl", whole=whole)


def test_events_tell_everything(fakes):
    began, wall = time.monotonic(), time.time()
    _, timeline = run_with_events("""
        start_all()
        with subtest("the title"):
            a.succeed("echo from a >&2")
        b.log("a \\"message\\"\\n\\033[1m")
        b.wait_for_console_text("connecting")
        log.warning("careful", {"key": "value"})
        b.succeed("exit 3")
    """, fakes("a", "b"), status=1)
    events = timeline.events
    now, wall_now = time.monotonic(), time.time()
    for event in timeline.lines:
        assert began <= event["monotonic"] <= now
        at = datetime.datetime.fromisoformat(event["wall"].replace("Z", "+00:00")).timestamp()
        assert wall - 0.001 <= at <= wall_now
    described = [(event["kind"], event["machine"], event["text"]) for event in events]
    for expected in [
        ("nest-begin", None, "start all VMs"),
        ("subtest-begin", None, "the title"),
        ("nest-begin", "a", "must succeed: echo from a >&2"),
        ("serial", "a", "from a"),
        ("subtest-end", None, "the title"),
        ("message", None, "careful"),
        ("test-error", None, "RequestedAssertionFailed: command `exit 3` failed (exit code 3)"),
        ("run-end", None, "exit status 1"),
    ]:
        assert expected in described
    by_text = {event["text"]: event for event in events if event["kind"] != "nest-begin"}
    assert by_text["careful"]["level"] == "warning" and by_text["careful"]["attributes"] == {"key": "value"}
    assert by_text["must succeed: exit 3"]["failed"] is True
    assert by_text["must succeed: echo from a >&2"]["failed"] is False
    assert any(text.startswith('a "message"\n\033[1m') for _, machine, text in described if machine == "b")
    assert events[-1]["kind"] == "run-end" and events[-1]["failed"] is True


def test_events_where_they_are_wanted(fake, tmp_path):
    harness.run("machine.start()", fake, options=["--events", tmp_path / "here"])
    assert json.loads((tmp_path / "here").read_text().splitlines()[-1])["text"] == "exit status 0"
    result = harness.run("machine.start()", fake, options=["--events", "no/such/directory"], status=2)
    assert "argument --events: " in result.err and "No such file or directory" in result.err


@pytest.mark.parametrize("after", [0.0, 0.05, 0.1, 0.2])
def test_events_of_a_killed_driver_are_whole_lines(fake, after):
    _, timeline = run_with_events(f"""
        import threading
        machine.connect()
        threading.Timer({after}, os.kill, (os.getpid(), 9)).start()
        machine.execute("while :; do echo a line of some length, as there are many; done >&2")
    """, fake, whole=False, status=137)
    assert {"starting vm", "connected to guest root shell"} <= {event["text"] for event in timeline.events}
    assert timeline.of_kind("run-end") == []


# ---- the schema


def test_the_schema_is_strict():
    line = {"monotonic": 1.5, "wall": "2026-01-01T00:00:00.000000Z", "kind": "serial", "id": 1, "parent": None, "thread": 1,
            "machine": "m", "text": "t"}
    validator().validate(line)
    for wrong in [
        {**line, "level": "info"},
        {**line, "parent": 1},
        {**line, "machine": None},
        {**line, "wall": "2026-01-01 00:00"},
        {**line, "kind": "unheard of"},
        {**line, "kind": "message"},
        {**line, "kind": "state", "from": "down", "to": "gone"},
        {**line, "kind": "nest-begin", "step": "none"},
        {**line, "kind": "command-end", "seconds": 1, "status": -1, "bytes": 0},
        {key: line[key] for key in line if key != "thread"},
    ]:
        with pytest.raises(jsonschema.ValidationError):
            validator().validate(wrong)


def test_the_schema_has_the_words_of_the_source():
    """The schema and the source have tables with the same names."""
    definitions = json.loads(SCHEMA.read_text())["$defs"]
    names = (SCHEMA.parent / "names.c").read_text()
    states = (SCHEMA.parents[1] / "machine/state.c").read_text()
    for word in definitions["step"]["enum"]:
        assert f'[NTD_STEP_{word.upper()}] = "{word}"' in names
    assert names.count("[NTD_STEP_") == len(definitions["step"]["enum"]) + 1  # NONE
    for word in definitions["detail"]["properties"]["detail"]["enum"]:
        assert f'[NTD_DETAIL_{word.upper().replace("-", "_")}] = "{word}"' in names
    for word in definitions["machine-state"]["enum"]:
        assert f'[NTD_MACHINE_{word.upper()}] = {{"{word}"' in states
    for word in definitions["message"]["properties"]["level"]["enum"]:
        assert f'[NTD_LEVEL_{word.upper()}] = "{word}"' in names


# ---- steps


def test_steps_have_a_kind(fake, tmp_path):
    source = tmp_path / "source"
    source.write_text("text")
    _, timeline = run_with_events("""
        start_all()
        with subtest("a part"), log.nested("mine"), machine.nested("of the machine"):
            machine.succeed("true")
        machine.fail("false")
        machine.wait_until_succeeds("true")
        machine.wait_for_console_text("connecting")
        machine.send_key("a")
        machine.send_chars("ab")
        machine.copy_from_host_via_shell(SOURCE, "/dev/null")
        machine.shutdown()
        join_all()
    """.replace("SOURCE", repr(str(source))), fake, vlans=[1])
    run = timeline.find("run", "run the VM test script")
    assert [(step.kind, step.text) for step in run.steps()] == [
        ("start", "start all VMs"),
        ("script", "a part"),
        ("command", "must fail: false"),
        ("wait", "waiting for success: true"),
        ("wait", "waiting for connecting to appear on console"),
        ("keys", "sending key 'a'"),
        ("keys", "sending keys 'ab'"),
        ("file", f"copying {source} to /dev/null by the root shell"),
        ("stop", "waiting for the VM to power off"),
        ("stop", "wait for all VMs to finish"),
    ]
    part, = run.steps("script")
    mine, = part.steps("script")
    of_machine, = mine.steps("script")
    assert (part.begin["kind"], mine.begin["kind"], of_machine.machine) == ("subtest-begin", "nest-begin", "machine")
    command, = of_machine.steps("command")
    assert [step.text for step in command.steps("boot")] == ["waiting for the VM to finish booting"]
    assert timeline.find("start", "start all VLans").begin["parent"] is None
    assert timeline.find("cleanup", "cleanup").begin["parent"] is None


def test_steps_of_replaced_methods_have_the_same_kinds(fake):
    """A step that the script itself begins is of the kind for scripts, whatever its text."""
    _, timeline = run_with_events("""
        def execute(*args, **named):
            return type(machine).execute(machine, *args, **named)
        machine.execute = execute
        machine.send_monitor_command = lambda command: ""
        with log.nested("waiting for nothing"):
            machine.succeed("true")
        machine.fail("false")
        machine.wait_until_succeeds("true")
        machine.send_key("a")
    """, fake)
    run = timeline.find("run", "run the VM test script")
    assert [step.kind for step in run.steps()] == ["script", "command", "wait", "keys"]
    assert [step.text for step in run.steps("script")[0].steps("command")] == ["must succeed: true"]


def test_an_exception_ends_the_steps_that_it_passes(fake):
    _, timeline = run_with_events("""
        try:
            with subtest("bad"), log.nested("inner"):
                machine.succeed("false")
        except Exception:
            log.log("caught")
    """, fake)
    bad = timeline.find("script", "bad")
    inner, = bad.steps()
    assert bad.end["failed"] and inner.end["failed"] and inner.steps("command")[0].end["failed"]
    assert len(bad.events("test-error")) == 1
    assert [event["text"] for event in timeline.find("run", "run the VM").events("message")] == ["caught"]


def test_threads_have_steps_of_their_own(fakes):
    _, timeline = run_with_events("""
        import threading
        both = threading.Barrier(2)

        def work(machine):
            with log.nested("the same text"):
                both.wait()
                for _ in range(20):
                    machine.succeed("true")
                both.wait()

        start_all()
        threads = [threading.Thread(target=work, args=[machine]) for machine in (a, b)]
        with log.nested("of the main thread"):
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
    """, fakes("a", "b"))
    works = [step for step in timeline.steps.values() if step.text == "the same text"]
    assert [step.begin["parent"] for step in works] == [None, None]
    assert len({step.begin["thread"] for step in [*works, timeline.find("script", "of the main thread")]}) == 3
    for step in works:
        assert len(step.steps("command")) == 20 and len({one.machine for one in step.steps("command")}) == 1
        assert {one.begin["thread"] for one in step.steps("command")} == {step.begin["thread"]}


def test_a_step_that_another_thread_ends(fake):
    _, timeline = run_with_events("""
        import threading
        step = log.nested("handed over")
        step.__enter__()
        log.log("in it")
        thread = threading.Thread(target=step.__exit__, args=(None, None, None))
        thread.start()
        thread.join()
        log.log("behind it")
    """, fake)
    step = timeline.find("script", "handed over")
    assert [event["text"] for event in step.events("message")] == ["in it"]
    assert step.end["thread"] != step.begin["thread"]


def test_a_driver_within_a_script(fakes):
    """The file has the events of a driver that logs to the run's log, and none of a driver with another log."""
    _, timeline = run_with_events("""
        from test_driver.driver import Driver
        from test_driver.logger import CompositeLogger
        scripts = [START.replace("outer", "inner")]
        for logger in log, CompositeLogger([]):
            with log.nested("a driver"), Driver(scripts, [], "inner.succeed('true')", driver.out_dir, logger) as within:
                within.test_script()
    """.replace("START", repr(fakes("outer", "inner")["outer"])), fakes("outer"))
    ours, other = [step for step in timeline.steps.values() if step.text == "a driver"]
    assert [step.kind for step in ours.steps()] == ["start", "run", "cleanup"]
    assert [step.text for step in ours.steps("run")[0].steps()] == ["must succeed: true"]
    assert other.inside == []
    assert timeline.states["inner"] == ["down", "starting", "up", "connected", "stopping", "down"]


# ---- states


def test_states_of_a_life(fakes):
    _, timeline = run_with_events("""
        a.start()
        a.succeed("true")
        a.shutdown()
        a.start()
        a.crash()
        b.succeed("true")
        os.kill(b.pid, 9)
        try:
            b.succeed("sleep 1000")
        except Exception as error:
            log.log(str(error))
        b.start()
        b.succeed("true")
    """, fakes("a", "b", "unused"))
    assert timeline.states == {
        "a": ["down", "starting", "up", "connected", "stopping", "down", "starting", "up", "stopping", "down"],
        "b": ["down", "starting", "up", "connected", "dead", "starting", "up", "connected", "stopping", "down"],
    }


# ---- commands


def test_ends_of_commands(fake):
    long = "true " + "é" * 2500
    _, timeline = run_with_events(f"""
        machine.succeed("printf abc; exit 0")
        machine.execute("exit 3")
        machine.execute("echo said", check_return=False)
        machine.execute("echo not heard of", check_output=False)
        machine.execute({long!r})
        with log.nested("mine"):
            machine.execute("printf '\\\\377\\\\000'")
        try:
            machine.execute("kill -9 $PPID; sleep 1000", timeout=None)
        except Exception:
            pass
    """, fake, whole=True, status=None)
    ends = timeline.of_kind("command-end")
    assert [(end["text"], end["status"], end["bytes"]) for end in ends[:6]] == [
        ("printf abc; exit 0", 0, 3),
        ("exit 3", 3, 0),
        ("echo said", None, 5),
        ("echo not heard of", None, 0),
        ("true " + "é" * 1997, 0, 0),
        ("printf '\\377\\000'", 0, 2),
    ]
    assert timeline.find("command", "must succeed: printf abc").events("command-end") == ends[:1]
    assert timeline.find("script", "mine").events("command-end") == ends[5:6]
    assert ends[0]["attributes"] == {"output": "abc"} and "attributes" not in ends[1]
    assert {end["machine"] for end in ends} == {"machine"} and all(end["seconds"] >= 0 for end in ends)


def test_long_output_and_errors_of_commands(fake):
    _, timeline = run_with_events("""
        machine.execute("seq 1 5000; echo wrong >&2", stderr=True)
    """, fake)
    end = next(end for end in timeline.of_kind("command-end") if end["text"].startswith("seq"))
    output = end["attributes"]["output"]
    assert output.startswith("1\n2\n") and output.endswith("4999\n5000\n") and len(output) < 8100
    assert f"\n... {end['bytes'] - 8000} bytes are left out here ...\n" in output
    assert end["attributes"]["errors"] == "wrong\n"


# ---- places in the script, and what else a report needs


def test_events_tell_the_line_of_the_script(fake):
    script = """
        def helper():
            machine.succeed("true")
        machine.start()
        helper()
        log.log("here")
        machine.wait_until_succeeds("false", timeout=1)
    """
    _, timeline = run_with_events(script, fake, status=1)
    source, = timeline.details("source")
    assert source["attributes"] == {"name": "script.py"} and source["source"] == 1
    lines = source["text"].splitlines()

    def line(event):
        assert event["source"] == 1
        return lines[event["line"] - 1].strip()

    assert line(timeline.find("command", "must succeed: true").begin) == 'machine.succeed("true")'
    assert line(next(event for event in timeline.of_kind("message") if event["text"] == "here")) == 'log.log("here")'
    wait = timeline.find("wait", "waiting for success: false")
    assert line(wait.begin) == 'machine.wait_until_succeeds("false", timeout=1)'
    error, = wait.events("detail")
    assert error["detail"] == "step-error" and "last seen: exit code 1" in error["text"]
    failure, = timeline.details("failure")
    assert line(failure) == line(wait.begin) and failure["text"] == f"RequestedAssertionFailed: {error['text']}"
    assert failure["attributes"]["traceback"].startswith("Traceback")
    assert not any("line" in event for event in timeline.of_kind("serial"))


def test_events_tell_how_the_driver_was_called(fake):
    _, timeline = run_with_events("machine.start()", fake)
    run, = [event for event in timeline.details("run") if not event["machine"]]
    assert "--events events.jsonl" in run["text"] and run["attributes"]["script"].endswith("/script.py")
    assert {"version", "host", "directory", "time limit"} <= run["attributes"].keys()


def test_an_exception_of_the_script_is_told_with_its_values(fake):
    _, timeline = run_with_events("""
        answer = 41
        assert answer == 6 * 7
    """, fake, status=1)
    failure, = timeline.details("failure")
    assert failure["line"] == 3 and "41" in failure["text"] and failure["text"].startswith("AssertionError")


def test_a_command_of_a_machine_that_dies(fake):
    _, timeline = run_with_events("""
        import threading
        machine.connect()
        machine.succeed("true")
        threading.Timer(0.1, os.kill, (machine.pid, 9)).start()
        machine.succeed("sleep 1000")
    """, fake, status=1)
    first, last = timeline.of_kind("command-end")
    assert (first["status"], last["text"], last["status"], last["bytes"]) == (0, "sleep 1000", None, 0)


# ---- tests in pytest style


def test_tests_are_steps(fake):
    _, timeline = run_with_events("""
        import pytest

        def test_good(machine):
            machine.succeed("true")

        def test_with_parts(subtest):
            with subtest("a part"):
                pass

        @pytest.mark.skip(reason="not today")
        def test_skipped():
            pass

        def test_bad(machine):
            machine.succeed("false")
    """, fake, status=1)
    run = timeline.find("run", "run the VM test script")
    tests = {step.text.partition("::")[2]: step for step in run.steps("test")}
    assert list(tests) == ["test_good", "test_with_parts", "test_skipped", "test_bad"]
    assert [step.kind for step in run.steps()] == ["test"] * 4
    assert {step.begin["kind"] for step in run.steps()} == {"subtest-begin"}
    assert [name for name in tests if tests[name].end["failed"]] == ["test_bad"]
    assert tests["test_skipped"].end["attributes"] == {"skipped": "not today"}
    assert [step.text for step in tests["test_with_parts"].steps("script")] == ["a part"]
    assert len(tests["test_good"].steps("command")) == 1
