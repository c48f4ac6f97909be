"""The life of machines with fakes: reboots, ends by the guest or the script, and new starts."""

import pytest

import harness


def test_shutdown_crash_reboot(fake):
    harness.run("""
        import subprocess
        machine.start(allow_reboot=True)
        shell = machine.succeed("echo $PPID")
        machine.reboot()
        assert (machine.booted, machine.connected) == (True, False)
        pid = machine.pid
        assert machine.succeed("echo $PPID") != shell and machine.pid == pid
        machine.shutdown()
        machine.start()
        machine.connect()
        machine.reboot()  # -no-reboot: this is the end
        machine.wait_for_shutdown()
        assert not machine.booted
        machine.start()
        machine.execute("poweroff", check_output=False, check_return=False)
        machine.wait_for_shutdown(timeout=10)
        machine.start()
        try:
            machine.wait_for_shutdown(timeout=0.5)
        except subprocess.TimeoutExpired:
            pass
        else:
            raise AssertionError
        machine.crash()
        assert machine.succeed("echo again") == "again\\n"
    """, fake)


@pytest.mark.parametrize("pid, text", [
    ("machine.pid", "killed by signal 9"),
    # QEMU is a child of /bin/sh if that is dash, which does not replace itself by its only command.
    ("int(machine.succeed('echo $FAKE_VM_PID'))", "killed by signal 9|exited with code 137"),
], ids=["pid", "qemu"])
def test_process_dies_in_a_command(fake, pid, text):
    harness.run(f"""
        import re, signal, threading, time
        machine.succeed("true")  # the first command takes longer: it starts the agent
        victim = {pid}
        threading.Timer(0.3, lambda: os.kill(victim, signal.SIGKILL)).start()
        began = time.monotonic()
        try:
            machine.succeed("echo last words >&2; sleep 100")
        except Exception as error:
            caught = str(error)
        assert time.monotonic() - began < 3
        assert "machine 'machine'" in caught and "last words" in caught, caught
        assert re.search({text!r}, caught), caught
        assert not machine.booted
        try:
            machine.succeed("true")  # the command does not start the machine again
        except Exception as error:
            assert "machine 'machine'" in str(error)
        else:
            raise AssertionError
        machine.start()
        assert machine.succeed("echo new life") == "new life\\n"
    """, fake)


def test_create_machine(fakes, fake):
    extra = fakes("extra")["extra"]
    result = harness.run("""
        extra = create_machine(EXTRA)
        assert extra.name == "extra" and repr(extra).endswith("'extra'>")
        assert [one.name for one in machines] == ["machine"]
        assert extra.succeed("basename $PWD") == "vm-state-extra\\n"
        (extra.state_dir / "mark").touch()
        other = create_machine(f"cd /; FOO='b a r'; export FOO; {EXTRA}", name="other")
        assert other.succeed("echo $FOO; basename $PWD") == "b a r\\nvm-state-other\\n"
        extra.shutdown()
        kept = create_machine(EXTRA, keep_machine_state=True)
        assert (kept.state_dir / "mark").exists()
        wiped = create_machine(EXTRA)
        assert not (wiped.state_dir / "mark").exists()
        assert create_machine("exec true").name == "machine"
        assert not machine.booted
        wiped.start()
    """.replace("EXTRA", repr(extra)), fake)
    assert "kill QemuMachine" in result.log


def test_fifty_cycles_leave_nothing(fake):
    harness.run(harness.PROCESSES + """
def cycle(n):
    machine.start()
    if n % 3 == 0:
        machine.succeed("true")
    machine.crash() if n % 2 else machine.shutdown()

cycle(0)
cycle(1)
before = held_at_rest()
for n in range(50):
    cycle(n)
assert_held_again(before)
""", fake)


@pytest.mark.parametrize("rest", ["", "echo it's", 'echo "', "echo 'it\"s", "echo \"it's", "echo $'it\\'s"])
def test_what_a_killed_shell_has_not_read(fake, rest):
    """The next shell reads it, and then the driver's text: a quote that is open must not swallow that."""
    with harness.Session(fake) as session:
        session("""
            import re, time
            machine.succeed("true")
            machine.shell.send(b"kill -9 $$\\n" + rest.encode() + b"\\n")
            for attempt in range(3):
                try:
                    assert machine.succeed("echo well") == "well\\n"
                    break
                except Exception as error:
                    assert "root shell began anew" in str(error), error
            else:
                raise AssertionError("no command was run")
        """, rest=rest)
