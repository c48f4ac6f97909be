"""--rerun: verdicts on tests that have failed."""

import random
import re
import signal

import pytest
from isolation_harness import RESTORE, IsolatedRun, run

RERUN = ("--rerun", "3")
THREE_KINDS = """
    COUNT = []

    def test_always(prepared):
        put(prepared, "left")
        assert has(prepared) == []

    def test_sometimes(prepared):
        COUNT.append(1)
        put(prepared, "left")
        assert len(COUNT) in (2, 4)

    def test_only_after_others(prepared):
        assert has(prepared) == ["prepared"]

    def test_passes(prepared): pass
    """
ALWAYS, NEVER = "deterministic: it fails in 3 of 3 runs", "only after the tests before it: it passes in 3 of 3 runs"


def test_verdicts(fake):
    result = run(THREE_KINDS, fake, options=(*RERUN, "--events", "events.jsonl"), status=1)
    assert list(result.outcomes.values()) == ["FAILED", "FAILED", "FAILED", "PASSED"]
    assert result.verdicts == {"test_always": f"{ALWAYS} from its snapshot",
                               "test_sometimes": "sometimes: it fails in 1 of 3 runs from its snapshot",
                               "test_only_after_others": f"{NEVER} from its snapshot"}
    for title, text in result.verdicts.items():
        section = re.search(rf"^_+ {title} _+\n(.*?)^(_+|-+ seconds: .*)\n", result.out, re.M | re.S)[1]
        assert re.search(rf"^-+ runs of the test again -+\n{text}$", section, re.M)
        assert text in result.cases[f"script.py::{title}"].findtext("system-out")
        assert f'"attributes":{{"rerun":"{text}"}}' in result.events
        told = re.search(rf'"text":"starts and networks in run 3 of 3 of script.py::{title} again","detail":"seed",.*"seed":"(\d+)"', result.events)
        report, = [text for path, text in result.files.items() if path.endswith(f"{title}/rerun-3/report.txt")]
        assert f"Its seed was {told[1]};" in report
    assert "3 failed, 1 passed" in result.out and result.boots == 1


def test_isolated_tests_do_not_fail_because_of_others(fake):
    result = run(THREE_KINDS, fake, options=(*RERUN, *RESTORE), status=1)
    assert list(result.outcomes.values()) == ["FAILED", "FAILED", "PASSED", "PASSED"]
    assert result.verdicts["test_always"].startswith(ALWAYS) and "test_only_after_others" not in result.verdicts
    result = run("""
        COUNT = []
        def test_once(prepared):
            COUNT.append(1)
            assert len(COUNT) > 1
        """, fake, options=(*RERUN, *RESTORE), status=1)
    assert result.verdicts == {"test_once": "sometimes: it fails in 0 of 3 runs from its snapshot"}


def test_the_machines_go_on_where_they_were(fake):
    """Also a machine that the test has killed, which other tests cannot use, as ever."""
    result = run("""
        def test_a(machine): put(machine, "a")
        def test_b(machine):
            put(machine, "b")
            assert has(machine) == []
        def test_c(machine): assert has(machine) == ["a", "b"]
        def test_d(machine):
            os.kill(machine.pid, signal.SIGKILL)
            machine.succeed("true")
        def test_e(machine): pass
        """, fake, options=RERUN, status=1)
    assert result.outcomes == {"test_a": "PASSED", "test_b": "FAILED", "test_c": "PASSED", "test_d": "FAILED",
                               "test_e": "ERROR"}
    assert "machine cannot be used: " in result.out and result.verdicts["test_d"].startswith(ALWAYS)


def test_what_the_first_failure_left_is_kept(fake):
    result = run("""
        def test_a(machine):
            (machine.out_dir / "picture").write_text(str(machine.out_dir))
            machine.succeed("echo of this run > /dev/console")
            raise ValueError(f"in {machine.out_dir.name}")
        """, fake, options=RERUN, status=1)
    assert result.kept == ["script.py-test_a/machine", *(f"script.py-test_a/rerun-{n}" for n in (1, 2, 3))]
    assert result.files["picture"].endswith("/out")
    for number in (1, 2, 3):
        directory = f"failure/script.py-test_a/rerun-{number}"
        assert result.files[f"{directory}/picture"].endswith(directory)
        assert f"ValueError: in rerun-{number}" in result.files[f"{directory}/report.txt"]
        assert "restoring the snapshot" in result.files[f"{directory}/log.txt"]
        assert f"{directory}/machine/console.log" in result.files


def test_machines_start_in_another_order(fakes):
    """start_all() begins with the first by name, and in the repetitions with that of the seed, which is told."""
    names = ["a", "b", "c", "d"]
    result = run("""
        import random
        pytestmark = pytest.mark.machines(start=False)
        def test_a(machines):
            random.seed(0)
            start_all()
            assert False
        """, fakes(*names), options=RERUN, status=1)
    seeds = [int(text) for text in re.findall(r"again, with --seed (\d+)$", result.log, re.M)]
    started = re.findall(r"^(\w+): starting vm$", result.log, re.M)
    assert len(seeds) == 3 and len(set(seeds)) > 1 and len(started) == 16
    for number, seed in enumerate([None, *seeds]):
        order = list(names)
        if seed:
            random.Random(seed).shuffle(order)
        assert started[4 * number:4 * number + 4] == order


def test_fixtures_of_wider_scopes_are_set_up_once(fake):
    result = run("""
        EVENTS = []
        @pytest.fixture(scope="class")
        def wide(machine):
            EVENTS.append("wide")
            put(machine, "wide")
            yield
            EVENTS.append("end of wide")

        @pytest.fixture
        def narrow(machine):
            EVENTS.append("narrow")
            yield
            EVENTS.append("end")

        class TestIt:
            @pytest.mark.parametrize("number", [1, 2])
            def test_a(self, wide, narrow, machine, number):
                assert has(machine) == ["wide"]
                put(machine, "a")
                assert number == 1

        def test_events():
            assert EVENTS == ["wide", *["narrow", "end"] * 5, "end of wide"]
        """, fake, options=(*RERUN, *RESTORE), status=1)
    assert result.outcomes == {"TestIt::test_a[1]": "PASSED", "TestIt::test_a[2]": "FAILED", "test_events": "PASSED"}
    assert result.verdicts["TestIt::test_a[2]"].startswith(ALWAYS)


def test_what_is_not_run_again(fake):
    result = run("""
        @pytest.fixture(scope="session")
        def broken(machine):
            raise ValueError

        def test_a(broken): pass
        def test_b(): assert False
        @pytest.mark.xfail
        def test_c(machine): assert False
        """, fake, options=RERUN, status=1)
    assert result.verdicts == {"test_a": "not run again: it failed before there was a snapshot for it",
                               "test_b": "not run again: it uses no machines"}
    result = run("def test_a(machine): assert False\n", fake, options=RERUN, status=1,
                 env={"FAKE_BLOCKERS": "a toaster"})
    assert result.outcomes == {"test_a": "FAILED"} and result.log.count("there are no snapshots for --rerun: ") == 1


def test_a_restore_that_fails_is_no_failure_of_the_test(fake):
    result = run("""
        COUNT = []
        def test_a(prepared):
            COUNT.append(1)
            (prepared.state_dir / "FAKE_LOAD").write_text("killed" if len(COUNT) > 1 else "")
            assert len(COUNT) > 1
        """, fake, options=(*RERUN, *RESTORE), status=1)
    assert result.verdicts["test_a"].startswith("no verdict: the machines could not be restored: ")
    assert "It has passed." in result.files["failure/script.py-test_a/rerun-1/report.txt"]
    assert "could not be restored" in result.files["failure/script.py-test_a/rerun-2/report.txt"]


@pytest.mark.parametrize("count, verdict", [
    (1, "not run again: the run ends"), (2, "no verdict: the run ends"),
    (3, "sometimes: it fails in 0 of 1 runs from its snapshot")])
def test_a_run_that_is_ended_is_none_of_the_test(fake, count, verdict):
    script = f"""
        COUNT = []
        def test_a(prepared):
            COUNT.append(1)
            if len(COUNT) == {count}:
                stand_still(prepared)
            assert len(COUNT) == 2
        def test_b(prepared): pass
        """
    with IsolatedRun(script, fake, options=(*RERUN, *RESTORE), words=["-s"]) as running:
        running.wait_for("stand still")
        running.signal(signal.SIGTERM)
        result = running.finish()
    assert result.status == 143 and result.verdicts == {"test_a": verdict}
    assert "1 failed" in result.out and "test_b" not in result.out


@pytest.mark.parametrize("setting, line", [("FAKE_SAVE", "saving the snapshot 'pytest-before-rerun"),
                                           ("FAKE_LOAD", "restoring the snapshot 'pytest-isolation")])
def test_a_run_may_end_while_machines_are_saved_or_restored(fake, setting, line):
    script = f"""
        def test_a(prepared):
            (prepared.state_dir / "{setting}").write_text("hangs")
            assert False
        """
    with IsolatedRun(script, fake, options=RERUN) as running:
        running.wait_for(line)
        running.signal(signal.SIGTERM)
        result = running.finish()
    assert result.status == 143 and "1 failed" in result.out and "INTERNALERROR" not in result.out
    assert result.verdicts == {"test_a": "no verdict: the run ends"}


def test_interrupts_end_the_repetitions(fake):
    script = """
        COUNT = []
        def test_a(machine):
            COUNT.append(1)
            if len(COUNT) == 3:
                stand_still(machine)
            assert False
        """
    with IsolatedRun(script, fake, options=RERUN, words=["-s"]) as running:
        running.wait_for("stand still")
        running.signal(signal.SIGINT)
        result = running.finish()
    assert result.status == 130 and "1 failed" in result.out


@pytest.mark.parametrize("options", [RERUN, RESTORE], ids=" ".join)
def test_scripts_of_the_other_style(fake, options):
    with IsolatedRun("", fake, options=(*options, "--mode", "legacy")) as running:
        result = running.finish()
    assert result.status == 2 and f"{options[0]} is for pytest style scripts" in result.err
