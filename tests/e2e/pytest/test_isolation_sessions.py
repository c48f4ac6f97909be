"""Isolated tests in sessions that are plain pytest, are interrupted, or end at the first failure or at a limit."""

import signal

import pytest
from isolation_harness import FOUR, RESTORE, TOOLS, IsolatedRun, run


def test_sessions_of_pytest(fake):
    """Without a script the machines are fixtures only, and a conftest.py has the session's."""
    arguments = ["--vm-start-scripts", fake["machine"], "--pytest", "-o", "{dir}/out", *RESTORE]
    with IsolatedRun("", None, arguments=arguments) as running:
        (running.directory / "conftest.py").write_text(TOOLS)
        (running.directory / "test_it.py").write_text(f"from conftest import *\n{FOUR}")
        result = running.finish()
    assert result.status == 0 and result.out.count("PASSED") == 4
    assert (result.boots, result.saves, result.restores) == (1, 2, 3)


def test_interrupts(fake):
    script = """
        @pytest.fixture(scope="session")
        def prepared(machine):
            put(machine, "prepared")
            yield machine
            print("the fixture ended with", has(machine), flush=True)

        def test_a(prepared):
            put(prepared, "a")
            stand_still(prepared)
        def test_b(prepared): pass
        """
    with IsolatedRun(script, fake, words=["-s"]) as running:
        running.wait_for("stand still")
        running.signal(signal.SIGINT)
        result = running.finish()
    assert result.status == 130 and "the fixture ended with ['prepared']" in result.out


def test_the_first_failure_ends_the_run_and_is_run_alone_next_time(tmp_path, fake):
    script = """
        def test_a(prepared): put(prepared, "a")
        def test_b(prepared): assert has(prepared) == []
        def test_c(prepared): pass
        """
    result = run(script, fake, words=["-x"], status=1, directory=tmp_path)
    assert result.outcomes == {"test_a": "PASSED", "test_b": "FAILED"}
    result = run(script, fake, words=["--lf"], status=1, directory=tmp_path)
    assert result.outcomes == {"test_b": "FAILED"} and (result.saves, result.restores) == (2, 0)


def test_the_time_limit_of_the_run(fake):
    result = run("""
        def test_a(prepared): (prepared.state_dir / "FAKE_LOAD").write_text("hangs")
        def test_b(prepared): pass
        """, fake, status=143, global_timeout=6)
    assert "test_b" not in result.outcomes or result.outcomes["test_b"] != "PASSED"


def test_pytest_rerunfailures_begins_anew(fake):
    pytest.importorskip("pytest_rerunfailures", reason="python3-pytest-rerunfailures is not installed")
    result = run("""
        TRIES = []
        def test_a(prepared):
            assert give(prepared, "a") == ["prepared"]
            TRIES.append(1)
            assert len(TRIES) == 2
        """, fake, words=["--reruns", "2"])
    assert result.outcomes == {"test_a": "RERUN PASSED"} and result.restores == 1
