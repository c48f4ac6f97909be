"""Containers that misbehave: their start script only sends systemd-nspawn's messages
(tests/fake/run-fake-nspawn), and their commands run on this host.
"""

import json
import re
import shlex
import signal
import textwrap

import harness
import pytest
from terminal import Terminal
from timeline import Timeline

pytestmark = pytest.mark.skipif(bool(harness.obstacle_to_containers()),
                                reason=f"no containers can be started here: {harness.obstacle_to_containers()}")
BOOTED = r"say=STATUS=Container\ running." + "\nX_NSPAWN_LEADER_PID={pid}", "say=READY=1"


@pytest.fixture
def box(tmp_path):
    """A function that takes the actions of a start script and returns {name: start script}."""

    def script(*actions, name="box"):
        path = tmp_path / f"run-{name}-nspawn"
        path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin exec {harness.ROOT}/tests/fake/run-fake-nspawn {shlex.join(actions)}\n",
                        errors="surrogateescape")
        path.chmod(0o755)
        return {name: str(path)}

    return script


def test_what_it_says_may_come_in_any_order_and_more(box):
    harness.run("""
        assert box.succeed("echo a") == "a\\n"
    """, containers=box("say=READY=1\nSTATUS=x\n\n=\nX_NSPAWN_LEADER_PID=\nX_NSPAWN_LEADER_PID=x", "say=", "say=" + "x" * 20_000,
                        "say=X_NSPAWN_LEADER_PID=-1", "say=X_NSPAWN_LEADER_PID=1", "say=X_NSPAWN_LEADER_PID=99999999999999999999",
                        "say=X_NSPAWN_LEADER_PID=4194304", "say=\udcff\udcfe", "say=X_NSPAWN_LEADER_PID={pid}", *["say=x"] * 500))


def test_its_environment_has_three_variables(box, tmp_path):
    path = tmp_path / "run-box-nspawn"
    path.write_text("#!/bin/sh\n/usr/bin/env; pwd; exit 7\n")
    path.chmod(0o755)
    result = harness.run("box.succeed('true')", containers={"box": path}, status=1)
    lines = [line.removeprefix("box # ") for line in result.log.splitlines() if line.startswith("box # ")]
    names = {line.partition("=")[0] for line in lines if "=" in line} - {"PWD", "OLDPWD", "SHLVL", "_"}  # the shell's own
    assert names == {"RUN_NSPAWN_ROOT_DIR", "RUN_NSPAWN_SHARED_DIR", "NOTIFY_SOCKET"}
    assert "exited unexpectedly: it exited with code 7 before the container had booted; last console lines:" in result.log


def test_its_boot_is_a_boot_in_the_table_of_pytest_and_in_the_events(box, tmp_path):
    result = harness.run("""
        def test_the_box(box):
            box.wait_until_succeeds("true")
    """, containers=box(BOOTED[0], "sleep=1", BOOTED[1]), options=["--events", tmp_path / "events"])
    boot, waiting = map(float, re.search(r"^ +[\d.]+ +([\d.]+) +([\d.]+) +[\d.]+ +[\d.]+  \S+::test_the_box$", result.out, re.M).groups())
    assert boot >= 1 > waiting
    timeline = Timeline(tmp_path / "events")
    wait = timeline.find("wait", "waiting for success: true")
    assert [step.text for step in wait.steps()] == ["waiting for the container to finish booting"]
    assert wait.steps()[0].kind == "boot" and wait.steps()[0].end["seconds"] >= 1
    assert timeline.states["box"] == ["down", "starting", "up", "connected", "stopping", "down"]


@pytest.mark.parametrize("actions, text", [
    (("print=cannot do it", "exit=3"), r"it exited with code 3 before the container had booted; last console lines:\n.*cannot do it"),
    (("die=9",), r"it was killed by signal 9 \(Killed\) before"),
    ((*BOOTED, "wait={go}", "exit=0"), "it exited with code 0"),
])
def test_its_end_is_told(box, tmp_path, actions, text):
    """A container that has booted ends only once a command runs: a command that begins after the end but before the
    driver has noticed it has another message."""
    go = shlex.quote(str(tmp_path / "go"))
    actions = [action.replace("{go}", str(tmp_path / "go")) for action in actions]
    result = harness.run(f"box.succeed({f'touch {go}; sleep 1000'!r})", containers=box(*actions), status=1)
    assert re.search("machine 'box': systemd-nspawn process exited unexpectedly: " + text, result.log, re.S)


def test_a_start_script_that_is_missing(tmp_path):
    result = harness.run("box.start(); box.succeed('true')", containers={"box": tmp_path / "run-box-nspawn"}, status=1)
    assert "exited with code 127" in result.log and "run-box-nspawn" in result.log


@pytest.mark.parametrize("actions", [(), BOOTED[:1], BOOTED[1:]])
def test_one_that_never_boots_has_its_time(box, actions):
    result = harness.run('box.succeed("true")', containers=box("print=still here", *actions), status=1,
                         options=("--boot-timeout", "2"))
    assert "machine 'box': systemd-nspawn did not report the end of the boot in time (2 seconds)" in result.log
    assert "still here" in result.log


def test_it_can_be_given_up(box):
    with harness.Run('box.succeed("true")', containers=box()) as run:
        run.wait_for("^box: systemd-nspawn running")
        run.signal(signal.SIGINT)
        assert run.finish(20).status == 130


def test_at_a_prompt(box, tmp_path):
    with Terminal(harness.Run("", containers=box(*BOOTED), options=("--interactive",),
                              env={"TERM": "screen", "HOME": tmp_path})) as terminal:
        terminal.type("print('out', box.succeed('echo a').upper())")
        terminal.wait_for("out A")
        terminal.type("box.succeed('echo begun >&2; sleep 1000')")
        terminal.wait_for("box # begun")
        terminal.press("C-c")
        terminal.wait_for("KeyboardInterrupt")
        terminal.type("print('still', box.is_up(), box.succeed('echo b').upper())")
        terminal.wait_for("still True B")
        assert terminal.leave() == 0


def test_init_that_ends_before_systemd_nspawn_does(box, tmp_path):
    result = harness.run(f"""
        assert box.succeed("echo a") == "a\\n"
        open({str(tmp_path / "go")!r}, "w")
        box.wait_until_fails("true", timeout=20)
    """, containers=box("say=X_NSPAWN_LEADER_PID={child}\nREADY=1", f"wait={tmp_path}/go", "end="), status=1)
    assert "machine 'box': its init has ended" in result.log


def test_one_that_boots_again_has_a_new_init(box, tmp_path):
    harness.run(f"""
        first = box.succeed("echo a")
        open({str(tmp_path / "go")!r}, "w")
        retry(lambda _: os.path.exists({str(tmp_path / "told")!r}))
        assert box.succeed("echo b") == "b\\n"
    """, containers=box("say=X_NSPAWN_LEADER_PID={child}\nREADY=1", f"wait={tmp_path}/go", "say=X_NSPAWN_LEADER_PID={pid}",
                        "end=", "sleep=1", f"make={tmp_path}/told", "say=READY=1"))


def test_a_console_that_floods_holds_nothing_up(box, tmp_path):
    path = tmp_path / "run-flood-nspawn"
    path.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\nyes 0123456789 | head -c 30000000 &\nexec {harness.ROOT}/tests/fake/run-fake-nspawn "
                    + shlex.join(BOOTED) + "\n")
    path.chmod(0o755)
    harness.run("""
        for _ in range(20):
            flood.succeed("echo a >&2")
    """, containers={"flood": path})


def test_names_may_be_anything(box):
    harness.run("""
        assert machines[0].name == "a b$c" and machines[0].succeed("echo a") == "a\\n" and a_b_c is machines[0]
    """, containers={"a b$c": box(*BOOTED)["box"]})


def test_long_run_time_directories(box, tmp_path):
    long = tmp_path / ("x" * 100)
    long.mkdir()
    harness.run("""
        assert box.succeed("echo a") == "a\\n"
    """, containers=box(*BOOTED), env={"TMPDIR": long})


def test_without_descriptors_starts_and_commands_fail(box):
    """Starts and commands by nsenter fail at each of their steps, and leave no descriptor open. A command by the agent
    needs no descriptor of the driver's."""
    result = harness.run(harness.PROCESSES + textwrap.dedent("""
        import resource

        def with_descriptors(count, function, *arguments):
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1 + count, limits[1]))
            try:
                return function(*arguments)
            except Exception as error:
                print(error)
                assert "machine 'box': " in str(error) and "Too many open files" in str(error), error
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)

        box.succeed("true")
        before = held()[0]
        assert with_descriptors(0, box.succeed, "echo a") is None
        assert "a\\n" in [with_descriptors(count, box.succeed, "echo a") for count in range(20)]
        assert held()[0] == before
        for _ in range(3):  # another thread's short-lived descriptor may hide a step
            box.process.kill()
            box.wait_for_shutdown()
            for count in range(50):
                with_descriptors(count, box.start)
                if box.booted:
                    break
            box.succeed("true")
        assert held()[0] == before
    """), containers=box(*BOOTED), options=["--no-agent"])
    assert "a command cannot be run" in result.out and "cannot make the socket" in result.out and "the raw console log" in result.out


def test_without_root_it_says_so(box, tmp_path):
    config = {"containers": {"box": {"start_script": box(*BOOTED)["box"]}}, "test_script": "/dev/null"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = harness.run("", driver=("/usr/bin/unshare", "--user", "--map-user=65534", harness.DRIVER), status=1,
                         arguments=["--config", tmp_path / "config.json", "-o", "{dir}/out"])
    assert "systemd-nspawn requires root to work. You are 65534" in result.log


def test_missing_programs_are_named(box, tmp_path):
    result = harness.run("box.succeed('true')", containers=box(*BOOTED), status=1,
                         driver=("/usr/bin/env", f"PATH={tmp_path}", harness.DRIVER))
    assert "box: journalctl is not on PATH: the container's journal is not shown" in result.log
    assert "commands in containers are run by nsenter, which is not on PATH; it is part of util-linux" in result.log


def test_a_journal_outside_of_the_root_directory_is_not_followed(box, tmp_path):
    path = tmp_path / "run-box-nspawn"
    path.write_text("#!/bin/sh\nPATH=/usr/bin:/bin\nmkdir -p var && ln -s /var/log var/log\n"
                    f"exec {harness.ROOT}/tests/fake/run-fake-nspawn {shlex.join(BOOTED)}\n")
    path.chmod(0o755)
    harness.run("""
        import subprocess, time
        box.succeed("true")
        assert f"--directory={box.state_dir}" not in box.succeed("sleep 2; ps -e -ww -o args")
    """, containers={"box": path})


def test_a_hung_end_is_not_waited_for_without_end(box, tmp_path):
    """A start script that ignores SIGTERM is killed."""
    path = tmp_path / "run-box-nspawn"
    path.write_text("#!/bin/sh\ntrap '' TERM\necho trapped\nPATH=/usr/bin:/bin\nwhile :; do sleep 0.2; done\n")
    path.chmod(0o755)
    with harness.Run("import time\nbox.start()\ntime.sleep(60)", containers={"box": path}, seconds=100) as run:
        run.wait_for("^box # trapped")
        run.signal(signal.SIGINT)
        result = run.finish()
    assert 25 < result.seconds < 90 and "kill NspawnMachine" in result.log


def test_a_hung_end_does_not_outlast_the_limit_of_time_by_much(box, tmp_path):
    """The machines and the driver are gone 30 s after the time limit at the latest; the exit status is that of the
    limit."""
    path = tmp_path / "run-box-nspawn"
    path.write_text("#!/bin/sh\ntrap '' TERM\nPATH=/usr/bin:/bin\nwhile :; do sleep 0.2; done\n")
    path.chmod(0o755)
    result = harness.run("import time\nbox.start()\ntime.sleep(600)", containers={"box": path}, global_timeout=3,
                         seconds=100, status=143)
    assert result.seconds < 3 + 30


BARE = """
mount -t tmpfs none /etc; mount -t tmpfs none /var; mount -t tmpfs none /sys/fs/cgroup
mount -t tmpfs -o ro none /run
exec "$@"
"""


@pytest.mark.parametrize("in_build", [True, False])
def test_a_nix_build_gets_what_systemd_nspawn_expects(box, in_build):
    """Outside a Nix build the driver changes nothing of the host."""
    found = harness.run("""
        import re, subprocess
        def looks(path, pattern=""):
            try:
                return bool(re.search(pattern, open(path).read()))
            except OSError:
                return False
        box.start()
        print([os.path.isdir("/run/netns") and os.access("/run", os.W_OK), os.path.realpath("/var/run") == "/run" != "/var/run",
               os.path.exists("/sys/fs/cgroup/cgroup.procs"), looks("/etc/os-release"),
               looks("/etc/machine-id", "^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}\\n$")])
    """, containers=box(), driver=("/bin/sh", "-c", BARE, "sh", harness.DRIVER),
                        env={"NIX_BUILD_TOP": "/build"} if in_build else None).lines
    assert found == [str([in_build] * 5)]


def test_ssh_commands_are_those_of_each_machine(box, fakes):
    """Virtual machines and containers are sorted together by name, and each has the right command."""
    result = harness.run("""
        dump_machine_ssh()
        assert a.ssh_backdoor_command().endswith('unix-export/a/ssh" bash')
        assert [one.name for one in machines] == ["a", "b", "c", "d"]
    """, fakes("b", "d"), containers={**box(name="a"), **box(name="c")}, options=("--dump-vsocks", "10"))
    commands = dict(re.findall(r"^    (.): +(ssh .*)$", result.out, re.M))
    assert commands["b"] == "ssh -o User=root vsock/11" and commands["d"] == "ssh -o User=root vsock/12"
    assert "unix-export/a/ssh" in commands["a"] and "unix-export/c/ssh" in commands["c"]
