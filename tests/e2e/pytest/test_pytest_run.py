"""Runs of pytest: selection of tests, shards, names, plugins, dead machines, and the end of a run."""

import re
import signal
import time

import pytest
from pytest_harness import PytestRun, read_junit, run

TWO = """
def test_a(client): client.succeed("true")
def test_b(server): server.succeed("true")
def test_none(): pass
"""


def started(result):
    return re.findall(r"^(\w+): starting vm$", result.log, re.M)


# ---- selection of tests and machines


def test_only_machines_that_are_asked_for_start(pair):
    assert started(run(TWO, pair, words=["-k", "test_b"])) == ["server"]
    assert started(run(TWO, pair, words=["-k", "none"])) == []


def test_machines_start_together_before_the_first_test(pair):
    result = run(TWO, pair)
    begin = result.log.index("subtest: script.py::test_a")
    assert sorted(started(result)) == ["client", "server"]
    assert all(result.log.index(f"{name}: starting vm") < begin for name in pair)


def test_machines_that_do_not_start(pair):
    result = run("""
        import pytest
        @pytest.mark.machines(start=False)
        def test_a(client):
            assert not client.booted
        @pytest.mark.requires(memory="1000T")
        def test_b(server): pass
        """, pair)
    assert started(result) == [] and result.outcomes == {"test_a": "PASSED", "test_b": "SKIPPED"}


def test_machine_is_the_only_one(fakes):
    script = "def test_a(machine): assert machine.name == 'lonely-one'\ndef test_b(lonely_one): pass\n"
    result = run(script, fakes("lonely-one"))
    assert result.outcomes == {"test_a": "PASSED", "test_b": "PASSED"}
    result = run("def test_a(machine): pass\n", fakes("one", "two"), status=1)
    assert "fixture 'machine' not found" in result.out


def test_a_machine_that_cannot_start(pair):
    result = run(TWO, pair, env={"FAKE_EXIT": "start:3"}, status=1)
    assert result.outcomes == {"test_a": "ERROR", "test_b": "ERROR", "test_none": "PASSED"}
    assert "client cannot be used: machine 'client': QEMU process exited with code 3" in result.out


def test_a_machine_that_starts_later(fake):
    result = run("""
        import os, pytest
        def test_a(machine): pass
        @pytest.mark.machines(start=False)
        def test_b(machine):
            os.environ["FAKE_EXIT"] = ""
            machine.start()
        def test_c(machine): machine.succeed("true")
        """, fake, env={"FAKE_EXIT": "start:3"}, status=1)
    assert result.outcomes == {"test_a": "ERROR", "test_b": "PASSED", "test_c": "PASSED"}


def test_collect_only_starts_nothing(pair):
    result = run(TWO, pair, words=["--collect-only", "-q"])
    assert started(result) == [] and "script.py::test_b" in result.out and "subtest" not in result.log


def test_selection(pair):
    assert run(TWO, pair, words=["-k", "nothing"], status=5).outcomes == {}
    assert run(TWO, pair, env={"PYTEST_ADDOPTS": "-k none"}).outcomes == {"test_none": "PASSED"}
    result = run(TWO + "def test_0(): assert False\n", pair, words=["-p", "no:cacheprovider", "-k", "0 or none", "-x"],
                 status=1)
    assert result.outcomes == {"test_none": "PASSED", "test_0": "FAILED"}


def test_what_failed_last(tmp_path, fake):
    script = "def test_a(): pass\ndef test_b(): assert False\n"
    run(script, fake, status=1, directory=tmp_path)
    assert run(script, fake, words=["--lf"], status=1, directory=tmp_path).outcomes == {"test_b": "FAILED"}
    assert not (tmp_path / "script.pyc").exists() and not (tmp_path / "__pycache__").exists()


def test_the_last_runs_artifacts_go(tmp_path, fake):
    assert run("def test_a(machine): assert not machine.name\n", fake, status=1, directory=tmp_path).kept == [
        "script.py-test_a/machine"]
    run("def test_a(machine): pass\n", fake, directory=tmp_path)
    assert not (tmp_path / "out/failure").exists()


def test_parts(fake):
    script = "import pytest\n@pytest.mark.parametrize('n', range(20))\ndef test_a(n): pass\n"
    parts = [set(run(script, fake, options=["--shard", f"{k}/3"]).outcomes) for k in (1, 2, 3)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 20 and all(parts)
    fewer = run(script, fake, options=["--shard", "1/3"], words=["-k", "test_a[1"])
    assert set(fewer.outcomes) <= parts[0]  # a test belongs to the same shard, whatever other tests there are
    assert run("def test_a(): pass\n", fake, options=["--shard", "2/3"], status=None).status == 0  # also if the shard has no tests
    assert "argument --shard" in run(script, options=["--shard", "4/3"], status=2).err


def test_usage_errors_of_pytest(fake):
    assert "unrecognized arguments: --bogus" in run(TWO, fake, words=["--bogus"], status=4).err


def test_a_directory_that_cannot_be_collected(fake):
    result = run(files={"test_a.py": "def test_a(): pass\n", "test_b.py": "import nothing_like_it\n"}, vms=fake, status=2)
    assert "No module named 'nothing_like_it'" in result.out and started(result) == []


# ---- names


def test_a_machine_with_the_name_of_a_fixture(fakes):
    vms = fakes("request", "cache")
    result = run("""
        def test_a(request): pass
        def test_b(machines): assert machines["request"].succeed("echo a") == "a\\n"
        def test_c(machines, tmp_path): machines["cache"].succeed("true")
        """, vms, status=1)
    assert result.outcomes == {"test_a": "ERROR", "test_b": "PASSED", "test_c": "PASSED"}
    assert ("'request' is a fixture of pytest and also a machine: take \"machines\" as the argument and use "
            "machines['request']") in result.out


def test_fixtures_of_the_tests_come_first(fake):
    result = run("""
        import pytest
        @pytest.fixture
        def log(): return "mine"
        def test_a(log, machine): assert log == "mine"
        """, fake)
    assert result.outcomes == {"test_a": "PASSED"}


# ---- plugins


def test_xdist_refuses(fake):
    pytest.importorskip("xdist", reason="python3-pytest-xdist is not installed")
    result = run(TWO, fake, words=["-n", "2"], status=4)
    assert "its tests cannot be spread over others" in result.err and "--shard 1/4" in result.err
    assert run("def test_a(): pass\n", fake, words=["-n", "0"]).outcomes == {"test_a": "PASSED"}


def test_timeout_plugin(pair):
    result = run("""
        import pytest
        @pytest.mark.timeout(3)
        def test_a(client): client.succeed("sleep 1000")
        def test_b(client, server): assert client.succeed("echo a") + server.succeed("echo b") == "a\\nb\\n"
        """, pair, status=1)
    assert result.outcomes == {"test_a": "FAILED", "test_b": "PASSED"}
    assert "Failed: Timeout >3" in result.out and "client: must succeed: sleep 1000" in result.out


def test_rerunfailures_plugin(fake):
    result = run("""
        import pytest
        tries = []
        @pytest.mark.flaky(reruns=2)
        def test_a(machine):
            tries.append(machine.succeed("echo a"))
            assert len(tries) == 2
        @pytest.mark.flaky(reruns=1)
        def test_b(machine): assert not machine.name
        """, fake, status=1)
    assert result.outcomes == {"test_a": "RERUN PASSED", "test_b": "RERUN FAILED"}
    assert result.cases["script.py::test_a"].find("failure") is None
    assert result.cases["script.py::test_b"].find("failure") is not None
    assert result.log.count("trying it again") == 2


def test_order_plugin(fake):
    result = run("import pytest\ndef test_a(): pass\n@pytest.mark.order(1)\ndef test_b(): pass\n", fake)
    assert list(result.outcomes) == ["test_b", "test_a"]


def test_plugins_are_left_out(fake):
    result = run("def test_a(machine): machine.succeed('true')\n", fake, words=["-p", "no:terminal"])
    assert result.lines == [] and result.cases["script.py::test_a"].find("failure") is None
    result = run("def test_a(machine): print(machine.succeed('echo a'))\n", fake, words=["-p", "no:capture", "-p",
                                                                                         "no:cacheprovider"])
    assert "script.py::test_a a" in result.lines


def test_pytest_is_missing(fake, tmp_path):
    (tmp_path / "pytest.py").write_text("raise ModuleNotFoundError(\"No module named 'pytest'\", name='pytest')\n")
    result = run("def test_a(machine): pass\n", fake, env={"PYTHONPATH": tmp_path}, status=1)
    assert "the test script is pytest style, but pytest is not there for /" in result.err
    assert "extraPythonPackages = p: [ p.pytest ]" in result.err and started(result) == []
    assert "Traceback" not in result.err


def test_coroutines(fake):
    result = run("""
        import asyncio
        async def test_a(machine, tmp_path):
            await asyncio.sleep(0.01)
            assert machine.succeed("echo a") == "b\\n"
        class TestB:
            async def test_b(self, machine): machine.succeed("true")
        """, fake, status=1)
    assert result.outcomes == {"test_a": "FAILED", "TestB::test_b": "PASSED"}
    assert "assert 'a\\n' == 'b\\n'" in result.out


# ---- places of scripts


def test_scripts_by_any_path(tmp_path, fake):
    plain = tmp_path / "vm-test-script"
    plain.write_text("def test_a(machine): machine.succeed('true')\n")
    result = run(vms=fake, options=["--script", plain])
    assert result.outcomes == {"test_a": "PASSED"} and list(result.cases) == ["test_script.py::test_a"]
    directory = tmp_path / "tests"
    (directory / "part").mkdir(parents=True)
    (directory / "part/test_a.py").write_text(plain.read_text())
    result = run(vms=fake, options=["--script", directory])
    assert list(result.cases) == ["part/test_a.py::test_a"]
    result = run(vms=fake, arguments=[directory, "--vm-start-scripts", *fake.values(), "-o", "{dir}/out", "--",
                                      f"{directory}/part/test_a.py::test_a"])
    assert result.outcomes == {"test_a": "PASSED"}
    assert not list(tmp_path.rglob("__pycache__"))


# ---- dead machines


DIES = """
import os, signal
def test_a(client):
    os.kill(client.pid, signal.SIGKILL)
    client.wait_until_succeeds("false")
def test_b(client, server): pass
def test_c(server): server.succeed("true")
"""


def test_dead_machines_fail_tests_at_once(pair):
    result = run(DIES, pair, status=1)
    assert result.outcomes == {"test_a": "FAILED", "test_b": "ERROR", "test_c": "PASSED"}
    assert "client cannot be used: machine 'client': QEMU process was killed by signal 9" in result.out


def test_dead_machines_start_again(pair):
    result = run(DIES, pair, options=["--restart-dead"], status=1)
    assert result.outcomes == {"test_a": "FAILED", "test_b": "PASSED", "test_c": "PASSED"}
    assert sorted(started(result)) == ["client", "client", "server"]


def test_a_requirement_that_must_be_met(fake):
    script = "import pytest\n@pytest.mark.requires(memory='1000T')\ndef test_a(): pass\n"
    assert run(script, fake).outcomes == {"test_a": "SKIPPED"}
    result = run(script, fake, options=["--no-skip"], status=1)
    assert result.outcomes == {"test_a": "ERROR"} and "requires memory=1000T" in result.out
    assert "(--no-skip)" in result.out


# ---- ends


SLEEPS = """
def test_a(machine): machine.succeed("true")
def test_b(machine): machine.succeed("sleep 1000")
def test_c(machine): pass
"""


def interrupted(vms, number, seconds=20):
    with PytestRun(SLEEPS, vms) as running:
        running.wait_for("must succeed: sleep 1000")
        began = time.monotonic()
        running.signal(number)
        result = running.finish()
        assert time.monotonic() - began < seconds
    assert result.outcomes.get("test_c") is None and "subtest: script.py::test_c" not in result.log
    assert result.cases["script.py::test_a"].find("failure") is None
    assert result.cases["script.py::test_b"].find("failure") is not None
    return result


def test_ctrl_c(fake):
    result = interrupted(fake, signal.SIGINT)
    assert result.status == 130 and "!! KeyboardInterrupt !!" in result.out
    assert "run.py" not in result.err and result.kept == []


def test_sigterm(fake):
    result = interrupted(fake, signal.SIGTERM)
    assert result.status == 143 and "!! Interrupted: SIGTERM !!" in result.out and result.kept == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_machines_start(fake, number):
    with PytestRun(SLEEPS, fake, env={"FAKE_QMP": "silent"}) as running:
        running.wait_for("machine # connecting to host")
        running.signal(number)
        result = running.finish(seconds=20)
    assert result.status == 128 + number and result.outcomes == {} and "INTERNALERROR" not in result.out


def test_global_timeout(fake):
    result = run(SLEEPS, fake, global_timeout=6, status=143)
    assert "timeout reached; test terminating..." in result.log
    assert result.cases["script.py::test_b"].find("failure") is not None
    assert float(result.cases["script.py::test_b"].get("time")) > 1
    assert result.cases["script.py::test_a"].find("failure") is None


def test_junit_is_valid_at_any_moment(fake):
    with PytestRun(SLEEPS, fake) as running:
        running.wait_for("must succeed: sleep 1000")
        path = running.directory / "out/junit.xml"
        assert read_junit(path)["main"].find("failure") is not None
        running.signal(signal.SIGKILL)
        running.finish(leaves_nothing=False)
        assert read_junit(path)["main"].find("failure") is not None
        running.check_nothing_left()


def test_exit_in_a_test_is_a_failure(fake):
    result = run("import sys, pytest\ndef test_a(): sys.exit(7)\ndef test_b(): pytest.exit('enough', 9)\n"
                 "def test_c(): pass\n", fake, status=9)
    assert result.outcomes.get("test_a") == "FAILED" and "test_c" not in result.outcomes


# ---- output of guests


def test_reports_command_no_terminal(fakes):
    result = run(r"""
        def test_a(machine):
            text = machine.succeed(r"printf '\033]0;title\007\033[31mred\033[2J text \302\2332K'")
            print(text)
            raise ValueError(text)
        """, fakes("machine"), status=1)
    assert "ValueError: red text" in result.out and "Captured stdout call" in result.out
    assert "\x1b" not in result.out and "\x9b" not in result.out


def test_texts_with_odd_characters(fake):
    """A failure or a reason with a NUL or half of a character in it does not end the run."""
    result = run(r"""
        import pytest
        def test_a(machine): raise ValueError("a\0b")
        def test_b(machine): raise ValueError("a\udc80b")
        def test_c(machine): pytest.skip("a\0b\udc80c")
        def test_d(machine): pass
        """, fake, status=1, options=("--events", "events.jsonl"))
    assert list(result.outcomes.values()) == ["FAILED", "FAILED", "SKIPPED", "PASSED"]
    assert re.search("^the test failed: script.py::test_a: ValueError: a.*b$", result.log, re.M)
