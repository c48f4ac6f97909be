"""Real containers: systemd-nspawn that runs Debian's or Ubuntu's systemd."""

import os
import re
import signal
import subprocess
from pathlib import Path

import guest_links
import harness
import pytest


@pytest.fixture(scope="module")
def containers(guests):
    """{name: start script} of two containers on one network."""
    return {"left": guests.container("left", 1, [1], ["right=192.168.1.2"]),
            "right": guests.container("right", 2, [1], ["left=192.168.1.1"])}


@pytest.fixture(scope="module")
def left(containers):
    return {"left": containers["left"]}


@pytest.fixture(scope="module", params=[(), ("--no-agent",)], ids=["agent", "nsenter"])
def session(request, containers):
    with harness.Session({}, containers=containers, vlans=[1], options=request.param) as session:
        yield session


# ---- methods of containers


def test_a_container_is_a_machine(session):
    session("""
        assert repr(left) == "<NspawnMachine 'left'>" and isinstance(left, NspawnMachine)
        assert isinstance(left, BaseMachine) and not isinstance(left, QemuMachine)
        assert machines == machines_nspawn == driver.machines == [left, right] and machines_qemu == []
        assert left.name == "left" and left.start_command.endswith("/run-left-nspawn")
        assert left.state_dir == left.tmp_dir / "vm-state-left" and left.shared_dir == left.tmp_dir / "shared-xchg"
        for name in "connect crash reboot block send_console wait_for_console_text get_tty_text screenshot monitor".split():
            assert not hasattr(left, name), name
        left.start()
        assert left.is_up() and left.booted and left.pid
        left.succeed("true")
        assert left.process.pid == left.pid and left.process.poll() is None
        assert left.ssh_backdoor_command().startswith("ssh ")
        assert os.readlink(f"/proc/{left.get_systemd_process}/root") == "/" and left.get_systemd_process != left.pid
        assert open(f"/proc/{left.get_systemd_process}/comm").read() == "systemd\\n"
        assert NspawnMachine.machine_name_from_start_command("/x/bin/run-a-b-nspawn --option") == "a-b"
        assert "AssertionError" in error_of(NspawnMachine.machine_name_from_start_command, "/x/bin/run-a-vm")
    """)


def test_commands(session):
    session(r"""
        assert left.succeed("echo one; echo two") == "one\ntwo\n"
        assert left.execute("printf 'a\\303\\244'; exit 3") == (3, "a\u00e4")
        assert left.execute("false | true")[0] == 1 and left.execute("echo $unset_variable")[0] != 0
        assert left.execute("kill -TERM $$")[0] == 128 + 15
        assert left.succeed("echo $USER $HOME $DISPLAY") == "root /root :0.0\n"
        assert left.succeed("cat /etc/hostname; readlink /proc/self/fd/0") == "left\n/dev/null\n"
        assert "command `exit 4` failed (exit code 4)" in error_of(left.succeed, "exit 4")
        assert left.fail("echo out; false") == "out\n"
        assert len(left.succeed("head -c 20000000 /dev/zero | tr '\\0' x")) == 20_000_000
        assert left.succeed("printf 'a\\0b\\377'") == "a\0b\ufffd"
        assert left.execute("echo x", check_return=False, check_output=False) == (0, "x\n")
        assert "NUL" in error_of(left.succeed, "echo \0")
    """)


def test_the_shell_is_found_in_the_container(left):
    """bash is looked up inside the container: on this host the container's symbolic links lead elsewhere."""
    harness.run(r"""
        left.succeed("mkdir /root/new; mount -t tmpfs none /root/new; mkdir /root/new/upper /root/new/work; "
                     "mount -t overlay none -o lowerdir=/usr/bin,upperdir=/root/new/upper,workdir=/root/new/work /usr/bin")
        left.succeed("cp /bin/bash /root/ && ln -sf /root/bash /bin/bash")
        assert left.succeed("echo $0 $BASH $# $(echo a | cat)") == "/bin/bash /bin/bash 0 a\n"
        left.succeed("rm /bin/bash; ln -sf /root/bash /bin/sh")
        assert left.succeed("echo $0 $BASH $# $(echo a | cat)") == "/bin/sh /bin/sh 0 a\n"
        assert left.execute("false; true")[0] == 1 and left.execute("exit 3")[0] == 3 and left.execute("kill -9 $$")[0] == 137
        assert left.succeed("echo 'a  b' \\$ \"*\"\n# nothing") == "a  b $ *\n"
    """, containers=left, seconds=60)


def test_more_output_than_can_be_kept(session):
    session("""
        assert "a command printed more than 1 GiB" in error_of(left.succeed, "yes")
    """)


def test_long_commands(session):
    session("""
        text = "0123456789" * 30_000
        assert left.succeed(f"echo {text}; cat; readlink /proc/self/fd/0") == text + "\\n/dev/null\\n"
        assert left.execute(f"x={text}; exit $(( ${{#x}} / 100000 ))")[0] == 3
    """)


def test_a_command_takes_no_longer_than_it_may(session):
    session("""
        import time
        began = time.monotonic()
        assert left.execute("echo early; sleep 1000 & sleep 1000", timeout=1) == (124, "early\\n")
        assert left.execute("trap '' TERM; sleep 1000; sleep 1000", timeout=1)[0] == 124
        assert left.execute("sleep 1000 & echo held", timeout=1) == (124, "held\\n")
        status, output = left.execute("setsid sh -c 'while echo y; do sleep 0.001; done' & sleep 1000", timeout=1)
        assert status == 124 and output.startswith("y\\ny\\n")
        assert time.monotonic() - began < 30
        left.succeed("pkill sleep || true")
        # The command and its child processes are dead in the container, too.
        left.execute("sh -c 'sleep 2000; true'; true", timeout=1)
        assert left.execute("pgrep -f '[s]leep 2000'")[0] == 1
    """)


def test_commands_do_not_wait_for_each_other(session):
    session("""
        import threading
        results = []
        threads = [threading.Thread(target=lambda: results.append(left.succeed(
            "mkdir -p /tmp/met; touch /tmp/met/$$; while [ $(ls /tmp/met | wc -l) -lt 8 ]; do sleep 0.01; done; echo met")))
            for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert results == ["met\\n"] * 8
    """)


def test_standard_error_and_the_journal_are_the_console(session):
    session("""
        left.succeed("echo to standard error >&2; logger to the journal")
        left.log_serial("by hand")
    """)
    session.wait_for("^left # to standard error$")
    session.wait_for(r"^left # \[ *\d+\.\d+\] left root\[\d+\]: to the journal$")
    session.wait_for("^left # by hand$")


def test_standard_error_kept_apart(session):
    """It is on the console nevertheless, also what processes write after the command's end."""
    session("""
        import time
        assert left.execute("echo out; printf 'wrong\\n\\nkept apart' >&2; exit 4", stderr=True) == (
            4, "out\\n", "wrong\\n\\nkept apart")
        assert left.execute("echo out", stderr=True) == (0, "out\\n", "")
        assert left.execute("echo wrong >&2; sleep 100", timeout=1, stderr=True) == (124, "", "wrong\\n")
        status, output, errors = left.execute("head -c 3000000 /dev/zero | tr '\\\\0' x >&2; echo end >&2", stderr=True)
        assert (status, output, len(errors), errors[-5:]) == (0, "", 1 << 20, "xend\\n")
        text = error_of(left.succeed, "echo wrong >&2; exit 3", stderr=True)
        assert text.endswith("failed (exit code 3); standard error:\\n    wrong"), text
        left.succeed("rm -f /tmp/gate /tmp/written; mkfifo /tmp/gate")
        assert left.execute("(read line < /tmp/gate; echo a late word >&2; touch /tmp/written) > /dev/null & echo soon >&2",
                            stderr=True) == (0, "", "soon\\n")
        left.succeed("echo > /tmp/gate", "until test -e /tmp/written; do sleep 0.1; done")
    """)
    session.wait_for("^left # kept apart")
    session.wait_for("^left # a late word$")


def test_the_journal_is_shown_in_any_locale(left, comma_locale):
    """The journal is also shown when a script has called setlocale() for a locale whose numbers have commas."""
    with harness.Run("""
        import locale

        def test_one(left):
            locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
            left.shutdown()
            left.succeed("logger to the journal")
            left.wait_for_file("/tmp/shared/seen", timeout=20)
            left.fail("true")
    """, containers=left, env=comma_locale, seconds=60) as run:
        run.wait_for("^left # .*: to the journal$")
        (run.directory / "tmp/shared-xchg/seen").touch()
        run.finish()
        journal, = (run.directory / "out/failure").glob("*/left/journal.txt")
        assert "to the journal" in journal.read_text()


def test_units_and_waits(session):
    session("""
        left.wait_for_unit("dbus.service")
        assert left.get_unit_property("dbus.service", "ActiveState") == "active"
        left.require_unit_state("dbus.service")
        assert left.systemctl("is-active dbus.service") == (0, "active\\n")
        assert 'unit "nosuch.service" is inactive and there are no pending jobs' in error_of(left.wait_for_unit, "nosuch.service")
        left.succeed("systemd-run --unit=later sh -c 'sleep 0.5; touch /tmp/file; nc -l 81'")
        left.wait_for_file("/tmp/file")
        left.wait_for_open_port(81)
        left.wait_until_succeeds("test -e /tmp/file")
        assert left.wait_until_fails("echo out; test -e /tmp/nosuch") == "out\\n"
        left.sleep(1)
    """)


def test_files_are_copied(session, tmp_path):
    (tmp_path / "tree/below").mkdir(parents=True)
    (tmp_path / "tree/below/file").write_bytes(bytes(range(256)) * 1000)
    session("""
        from pathlib import Path
        source = Path(source)
        left.copy_from_host(source, "/root/a/tree")
        left.copy_from_host_via_shell(source / "below/file", "/root/b/file")
        left.succeed("cmp /root/a/tree/below/file /root/b/file")
        left.copy_from_machine("/root/a/tree", "copied")
        assert (driver.out_dir / "copied/tree/below/file").read_bytes() == (source / "below/file").read_bytes()
    """, source=str(tmp_path / "tree"))


def test_links_in_a_tree(session):
    """A copy has nothing that the host cannot follow, and nothing that leads to files of the host."""
    session("""
        import sys; sys.path.insert(0, directory)
        import guest_links
        guest_links.check(left, driver.out_dir, error_of)
    """, directory=str(Path(__file__).parent))
    session.wait_for(guest_links.SAID)


def test_containers_reach_each_other(session):
    session("""
        start_all()
        left.wait_until_succeeds("ping -c 1 -W 1 right")
        right.succeed("ping -c 1 -W 1 left")
        right.succeed("systemd-run sh -c 'echo hello | nc -N -l 82'")
        assert left.wait_until_succeeds("nc -d right 82") == "hello\\n"
    """)


# ---- life


def test_a_container_starts_again(left):
    result = harness.run("""
        left.succeed("echo kept > /root/file")
        first = left.process
        assert first.poll() is None and left.process is first and first.stdout is None
        left.shutdown()
        assert not left.is_up() and left.pid is left.process is None and first.poll() == 0  # known to have ended, as upstream
        left.shutdown()  # the container is off already
        assert left.succeed("cat /root/file") == "kept\\n"  # starts the container
        left.execute("systemctl poweroff")
        left.wait_for_shutdown()
        left.start()
        left.succeed("logger third boot")
        left.wait_until_succeeds("journalctl --boot | grep 'third boot'")
    """, containers=left, seconds=120)
    assert result.log.count("left: systemd-nspawn running (pid ") == 3
    assert result.log.count("left: waiting for the container to power off\n") == 2
    assert result.log.count("kill NspawnMachine (pid ") == 1
    assert result.log.count("Journal started") == 3  # once for each boot


def test_a_container_ends_whatever_is_under_way(left):
    """The container's systemd kills commands that still run as its last processes, after SIGSTOP."""
    result = harness.run("""
        import threading

        def sleep():
            try:
                left.succeed("echo begun >&2; sleep 1000; true")
            except Exception as error:
                print("ended:", error)

        left.succeed("true")
        thread = threading.Thread(target=sleep)
        thread.start()
        left.wait_until_succeeds("pgrep sleep")
        left.shutdown()
        thread.join()
        # The command that powers the container off is killed the same way.
        left.succeed("echo 'systemctl() { command systemctl $@; sleep 1000; }' >> /etc/profile")
        left.shutdown()
        assert not left.booted
    """, containers=left, seconds=60)
    assert result.out.count("ended:") == 1


def test_a_container_is_shut_down_by_several(left):
    harness.run("""
        import threading
        errors = []

        def shut_down():
            try:
                left.shutdown()
            except Exception as error:
                errors.append(str(error))

        for _ in range(3):
            left.succeed("true")
            threads = [threading.Thread(target=shut_down) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert errors == [] and not left.booted, errors
        left.execute("systemctl poweroff")
        left.shutdown()
    """, containers=left, seconds=60)


def test_a_container_that_cannot_power_off_says_so(left):
    result = harness.run("""
        left.succeed("echo 'systemctl() { return 3; }' >> /etc/profile")
        left.shutdown()
    """, containers=left, status=1, seconds=60)
    assert "machine 'left': `systemctl poweroff` failed (exit code 3)" in result.log


def test_a_reboot_ends_a_container(left):
    """systemd-nspawn's option --keep-unit has that effect."""
    harness.run("""
        left.succeed("touch /run/mark")
        left.execute("systemctl reboot")
        left.wait_for_shutdown()
        assert not left.is_up()
        left.fail("test -e /run/mark")
    """, containers=left, seconds=120)


def test_the_root_directory_is_kept_if_asked(left, tmp_path):
    deleted = []
    for options, status in ((), 1), (("--keep-machine-state",), 0), ((), 1):
        result = harness.run("""
            code, _ = left.execute("test -e /root/file")
            left.succeed("touch /root/file")
            raise SystemExit(code)
        """, containers=left, options=options, directory=tmp_path, status=status, seconds=120)
        deleted.append("deleting machine state directory" in result.log)
    assert deleted == [False, False, True]


def test_a_container_that_ends_fails_what_is_under_way(left):
    result = harness.run("""
        import threading
        left.succeed("true")
        threading.Timer(1, lambda: left.process.kill()).start()
        left.succeed("sleep 1000")
    """, containers=left, status=1, seconds=120)
    assert "machine 'left': systemd-nspawn process exited unexpectedly: it was killed by signal 9" in result.log
    assert result.seconds < 60


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_and_killed_drivers_leave_nothing(left, number):
    """The start script removes the container's network, and gets the time for that."""
    with harness.Run('left.succeed("echo begun >&2; sleep 1000")', containers=left, vlans=[1], seconds=120) as run:
        run.wait_for("^left # begun")
        inside = ["nsenter", f"--mount=/proc/{run.pid}/ns/mnt", f"--net=/proc/{run.pid}/ns/net"]
        with subprocess.Popen([*inside, "sh", "-c", "echo; read line; ls /run/netns /sys/class/net"], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as there:
            harness.own_children.add(there.pid)
            there.stdout.readline()
            assert "ntd-left" in subprocess.check_output([*inside, "ls", "/run/netns"], text=True)
            run.signal(number)
            run.finish(40)
            left_there = there.communicate("\n")[0].split()
            harness.own_children.discard(there.pid)
    assert "ntd-left" not in left_there and "br1" not in left_there and "lo" in left_there


def test_the_evidence_of_a_failure(left):
    with harness.Run("""
        left.succeed("systemd-run --unit=broken false")
        left.fail("true")
    """, containers=left, seconds=120) as run:
        run.finish()
        directory = run.directory / "out/failure/left"
        assert "broken.service" in (directory / "failed-units.txt").read_text()
        assert "/sbin/init" in (directory / "processes.txt").read_text()
        assert (directory / "journal.txt").stat().st_size and (directory / "console.log").stat().st_size
        assert not (directory / "notes.txt").exists() or "QEMU" not in (directory / "notes.txt").read_text()


def test_the_raw_console_is_delivered(left):
    with harness.Run("""
        left.succeed("printf 'no end of line' >&2")
    """, containers=left, seconds=120) as run:
        run.finish()
        assert b"no end of line" in (run.directory / "out/console-logs/left.log").read_bytes()


# ---- beside virtual machines, and in pytest's style


@pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="there is no /dev/net/tun")
def test_a_container_and_a_virtual_machine_reach_each_other(guests, tmp_path):
    vms = {"vm": guests.tiny("vm", 9, [1])}
    containers = {"both": guests.container("both", 1, [1, 2]), "apart": guests.container("apart", 2, [2])}
    result = harness.run("""
        start_all()
        assert machines == [apart, both, vm] and machines_qemu == [vm] and machines_nspawn == [apart, both]
        both.wait_until_succeeds("ping -c 1 -W 1 192.168.1.9")
        vm.succeed("ping -c 1 -W 5 192.168.1.1")
        both.succeed("ping -c 1 -W 5 192.168.2.2")
        apart.fail("ping -c 1 -W 1 192.168.1.9")
        both.succeed("systemd-run sh -c 'head -c 3000000 /dev/zero | nc -N -l 82'")
        assert vm.wait_until_succeeds("nc 192.168.1.1 82 < /dev/null | wc -c") == "3000000\\n"
        vm.copy_from_host(SOURCE, "/tmp/a")
        both.copy_from_host(SOURCE, "/tmp/a")
    """.replace("SOURCE", repr(__file__)), vms, containers=containers, vlans=[1, 2], seconds=200)
    assert "creating tap interface vde-tap1" in result.log and "creating tap interface vde-tap2" in result.log


def test_without_taps_containers_are_alone(containers):
    """A container without a TAP device, as in a Nix build without /dev/net, has no network."""
    hide = ("/bin/sh", "-c", 'mount -t tmpfs none /dev/net; exec "$@"', "sh", harness.DRIVER)
    result = harness.run("""
        start_all()
        left.wait_until_succeeds("ping -c 1 -W 1 right")
    """, containers=containers, vlans=[1], driver=hide, seconds=120)
    assert re.search("^vlan 1: .*extra-sandbox-paths.*: /dev/net/tun: No such file", result.log, re.M)


def test_functions_in_pytest_style(containers):
    result = harness.run("""
        def test_one(left):
            assert left.succeed("echo a") == "a\\n"

        def test_both(left, right):
            left.wait_until_succeeds("ping -c 1 -W 1 right")
            right.succeed("true")
    """, containers=containers, vlans=[1], seconds=120)
    assert "2 passed" in result.out + result.log


def test_a_driver_of_the_scripts_own(left, containers):
    harness.run("""
        from test_driver.driver import Driver, load_driver_configuration
        from test_driver.machine import NspawnMachine as Class
        config = load_driver_configuration(CONFIG)
        config.test_script = SCRIPT
        with Driver(config=config, out_dir=driver.out_dir, logger=driver.logger) as inner:
            one, = inner.machines_nspawn
            assert inner.machines == [one] and isinstance(one, Class) and one.succeed("echo a") == "a\\n"
        other = Class(out_dir=driver.out_dir, tmp_dir=driver.tmp_dir, start_command=RIGHT, logger=log)
        assert other.name == "right" and other.succeed("echo a") == "a\\n"
        other.release()
    """.replace("CONFIG", "os.environ['PWD'] + '/config.json'").replace("SCRIPT", "'/dev/null'")
        .replace("RIGHT", repr(containers["right"])), containers=left, seconds=120)


def test_older_command_lines(left):
    harness.run("""
        assert left.succeed("echo a") == "a\\n" and machine is left
    """, containers=left, style="options", seconds=120)


def test_mypy_knows_containers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("from test_driver.machine import NspawnMachine\n"
                      "def f(one: NspawnMachine) -> str:\n    one.start()\n    one.crash()\n    return one.succeed('x')\n")
    checked = subprocess.run(["/usr/bin/python3", "-m", "mypy", "--strict", str(script)], capture_output=True, text=True,
                             env={"MYPYPATH": str(harness.ROOT / "embed/py"), "PATH": "/usr/bin:/bin"}, cwd=tmp_path)
    assert 'has no attribute "crash"' in checked.stdout and "Found 1 error" in checked.stdout, checked.stdout
