"""Starts and connections: faults of start scripts and guests, which must not stop the driver. The
faults are made by the fake; test_qemu_death.py and test_guest_faults.py test a real QEMU and real guests."""

import re
import stat
import subprocess

import pytest

import harness


def failing(script, vms, **named):
    """Does a run that must fail with a MachineError. Returns the text of the error and the run's result."""
    result = harness.run(script, vms, status=1, **named)
    errors = "\n".join(line[4:] for line in result.log.splitlines() if line.startswith("!!! "))
    assert "MachineError: " in errors or "MachineDied: " in errors or "MachineTimeout: " in errors, result.log
    return errors, result


# ---- the start script ends


@pytest.mark.parametrize("stage, text", [
    ("start", "QEMU process exited with code 7 before connecting to monitor socket"),
    ("monitor", "QEMU process exited with code 7 before connecting to shell socket"),
    ("shell", "QEMU process exited with code 7"),
    ("qmp", "QEMU process exited with code 7"),
    ("banner", "QEMU process exited with code 7"),
])
def test_process_ends_while_starting(fake, stage, text):
    errors, result = failing("machine.connect()", fake, seconds=60, env={
        "FAKE_EXIT": f"{stage}:7", "FAKE_STDERR": "the reason for it\\n", "FAKE_OUTPUT": "some output\\n"})
    assert "machine 'machine'" in errors
    assert text in errors
    assert "the reason for it" in errors and "some output" in errors
    assert result.seconds < 5 * harness.slowness()


def test_process_ends_well_but_too_early(fake):
    errors, result = failing("machine.start()", fake, seconds=60, env={"FAKE_EXIT": "start:0"})
    assert "QEMU process exited with code 0 before connecting to monitor socket" in errors
    assert result.seconds < 5 * harness.slowness()


def test_failed_start_can_be_repeated(fake):
    harness.run("""
        os.environ["FAKE_EXIT"] = "monitor:3"
        for _ in range(3):
            try:
                machine.start()
            except Exception as error:
                assert "exited with code 3" in str(error), error
            else:
                raise AssertionError
            assert not machine.booted and machine.pid is None
        del os.environ["FAKE_EXIT"]
        assert machine.succeed("echo well") == "well\\n"
    """, fake)


def test_missing_start_script():
    errors, result = failing("machine.start()", {"machine": "/no/such/run-machine-vm"}, seconds=60)
    assert "machine 'machine'" in errors and "/no/such/run-machine-vm" in errors
    assert re.search("not found|No such file", errors)
    assert result.seconds < 5 * harness.slowness()


def test_start_script_that_is_not_executable(tmp_path):
    script = tmp_path / "run-machine-vm"
    script.write_text("#!/bin/sh\n")
    errors, result = failing("machine.start()", {"machine": script}, seconds=60)
    assert "machine 'machine'" in errors and str(script) in errors and "ermission denied" in errors
    assert result.seconds < 5 * harness.slowness()


def test_start_script_with_a_long_complaint(tmp_path):
    script = tmp_path / "run-machine-vm"
    script.write_text("#!/bin/bash\nseq 100000 >&2\necho the last line; exit 1\n")
    script.chmod(0o755)
    errors, result = failing("machine.start()", {"machine": script}, seconds=60)
    assert "exited with code 1" in errors and "the last line" in errors
    assert len(errors) < 10_000  # the error has only the end of the output


def test_start_all_names_those_that_failed(fakes, tmp_path):
    broken = tmp_path / "run-broken-vm"
    broken.write_text("#!/bin/sh\necho no luck; exit 4\n")
    broken.chmod(0o755)
    result = harness.run("""
        try:
            start_all()
        except Exception as error:
            print(type(error).__name__)
            print(error)
        print(good.booted, broken.booted)
        print(good.succeed("echo fine"))
    """, {**fakes("good"), "broken": broken})
    assert result.lines[0] == "MachineError"
    assert result.lines[1] == "Failed to start the following machines:"
    assert result.lines[2].startswith("broken: ")
    assert "exited with code 4" in result.out and "no luck" in result.out
    assert result.lines[-3:] == ["True False", "fine", ""]


def test_start_all_starts_all_at_the_same_time(fakes, tmp_path):
    names = ["a", "b", "c", "d", "e", "f"]
    all_are_there = f"until [ $(ls {tmp_path} | wc -l) = {len(names)} ]; do sleep 0.05; done"
    harness.run("""
        start_all()
        assert all(one.booted for one in machines)
        start_all()
    """, {name: f"touch {tmp_path}/{name}; {all_are_there}; {path}" for name, path in fakes(*names).items()})


def test_a_seed_varies_the_order_of_starts(fakes):
    names = ["a", "b", "c", "d"]
    orders = []
    for seed in "3", "3", "4":
        result = harness.run("start_all()", fakes(*names), options=["--seed", seed])
        orders.append(re.findall(r"^(\w): starting vm$", result.log, re.M))
    assert orders[0] == orders[1] != orders[2] and sorted(orders[2]) == names


# ---- the root shell


@pytest.mark.parametrize("env", [
    {"FAKE_NOISE": "firmware says hello\\n\\r\\n\\x1b[2J"},
    {"FAKE_NOISE": "firmware without a newline "},
    {"FAKE_NOISE": "\\xff\\xfe\\x00\\n\\xe2\\x82"},
    {"FAKE_NOISE": "Spawning backdoor root shel"},
    {"FAKE_NOISE": "QUJD\\n" * 2000},
    {"FAKE_NOISE": "noise " * 10000},
    {"FAKE_BANNER": "split"},
    {"FAKE_BANNER": "split", "FAKE_NOISE": "noise before\\n"},
    {"FAKE_CHUNK": "1"},
    {"FAKE_CHUNK": "7", "FAKE_NOISE": "noise "},
    {"FAKE_BANNER": "1.5"},
], ids=["lines", "part-line", "binary", "half-banner", "base64", "long", "split", "split-noise", "bytes", "chunks",
        "late"])
def test_banner_is_found(fake, env):
    harness.run("""
        machine.connect()
        assert machine.execute("echo one; exit 3") == (3, "one\\n")
        assert machine.succeed("seq 2000") == "".join(f"{n}\\n" for n in range(1, 2001))
    """, fake, env=env)


def test_noise_is_logged(fake):
    result = harness.run("machine.connect()", fake, env={"FAKE_NOISE": "firmware \\xff\\n"})
    assert r"machine: Guest shell says: b'firmware \xff\nSpawning backdoor root shell...\n'" in result.log.splitlines()


def test_no_banner(fake):
    errors, result = failing("machine.succeed('true')", fake, seconds=60, options=["--boot-timeout", "2"], env={
        "FAKE_BANNER": "no", "FAKE_OUTPUT": "the last words on the console\\n"})
    assert "machine 'machine'" in errors and "Shell did not start in time" in errors
    assert "the last words on the console" in errors
    assert 1.9 < result.seconds < 5 * harness.slowness()


def test_shell_that_hangs_up(fake):
    harness.run(harness.ERROR_OF + """
for command in "hang-up; sleep 1000", "true":
    error = error_of(machine.execute, command)
    assert "machine 'machine'" in error and "Shell disconnected" in error, error
machine.crash()
assert machine.succeed("echo new") == "new\\n"
""", fake)


def test_command_after_a_hang_up(fake):
    """A command that comes after the shell hung up, and before the driver knows why, waits for the reason."""
    harness.run(harness.ERROR_OF + """
machine.connect()
shell = machine.shell
shell.send(b"hang-up\\n")
while shell.recv(100):
    pass
error = error_of(machine.execute, "true")
assert "machine 'machine'" in error and "Shell disconnected" in error, error
machine.crash()
""", fake)


def test_shell_that_begins_anew_in_a_command(fake):
    """The fake starts another bash when one ends, as a guest's init does."""
    harness.run("""
        import time
        for how in "kill -9 $PPID", "kill -9 $PPID; sleep 100":
            began = time.monotonic()
            try:
                machine.execute(how, timeout=None)  # with a time-out, the parent process would be the program timeout
            except Exception as error:
                assert "machine 'machine'" in str(error) and "root shell began anew" in str(error), error
            else:
                raise AssertionError
            assert time.monotonic() - began < 5
            assert machine.execute("echo usable; exit 2") == (2, "usable\\n")
            assert machine.execute("sleep 10", timeout=0.5) == (124, "")
    """, fake, options=["--no-agent"])


# ---- QMP


def test_qmp_that_says_nothing(fake):
    errors, result = failing("machine.start()", fake, seconds=60, options=["--boot-timeout", "2"],
                             env={"FAKE_QMP": "silent"})
    assert "machine 'machine'" in errors
    assert result.seconds < 6


def test_qmp_that_closes(fake):
    """Commands and the monitor still work when QEMU has closed the QMP connection."""
    harness.run("""
        assert machine.succeed("echo a") == "a\\n"
        assert "running" in machine.send_monitor_command("info status")
        assert machine.succeed("echo b") == "b\\n"
    """, fake, env={"FAKE_QMP": "closes"})


# ---- processes that are left behind


def test_processes_that_the_start_script_left(fake):
    result = harness.run("""
        machine.succeed("true")
        print(machine.pid)
    """, fake, env={"FAKE_SURVIVOR": "1000"})
    assert result.seconds < 10


def test_survivors_end_with_their_machine(fake):
    """Processes left by a start script end with their machine, since they may hold what the next start needs."""
    harness.run(harness.PROCESSES + """
import time

def survivors():
    return [pid for pid in below(os.getpid()) if b"sleep\\0001000" in open(f"/proc/{pid}/cmdline", "rb").read()]

machine.connect()
assert len(survivors()) == 1
machine.shutdown()
began = time.monotonic()
while survivors():
    assert time.monotonic() - began < 20, survivors()
machine.start()
assert len(survivors()) == 1
""", fake, env={"FAKE_SURVIVOR": "1000"})


def test_survivors_of_a_start_that_failed(fake):
    errors, _ = failing("machine.start()", fake, env={"FAKE_SURVIVOR": "1000", "FAKE_EXIT": "start:1"})
    assert "exited with code 1" in errors


def test_survivor_with_an_empty_environment(tmp_path, fake):
    script = tmp_path / "run-machine-vm"
    script.write_text(f'#!/bin/bash\nenv -i setsid sleep 1000 &\nexec {fake["machine"]} "$@"\n')
    script.chmod(0o755)
    harness.run("machine.succeed('true')", {"machine": script})


def test_process_that_ignores_sigterm(fake):
    result = harness.run("machine.succeed('true')", fake, env={"FAKE_STUBBORN": "1"}, seconds=20)
    assert result.seconds < 8


# ---- the contract with the start script


def test_environment_and_arguments(tmp_path, fake):
    script = tmp_path / "run-machine-vm"
    script.write_text(f"""#!/bin/bash
        env > "$TMPDIR/env"
        printf '%s\\0' "$@" > "$TMPDIR/arguments"
        pwd > "$TMPDIR/cwd"
        exec {fake["machine"]} "$@"
    """)
    script.chmod(0o755)
    harness.run("""
        os.environ["SET_BY_SCRIPT"] = "later"
        machine.start()
        state = machine.state_dir
        env = dict(line.split("=", 1) for line in (state / "env").read_text().splitlines() if "=" in line)
        assert env["TMPDIR"] == str(state) and env["USE_TMPDIR"] == "1"
        assert env["SHARED_DIR"] == str(machine.shared_dir)
        assert env["NIX_EFI_VARS"] == str(state / "machine-efi-vars.fd")
        assert env["SET_BY_SCRIPT"] == "later" and env["QEMU_OPTS"] == "-from outside"
        assert env["QEMU_VDE_SOCKET_7"] == str(machine.tmp_dir / "vde7.ctl")
        assert (state / "cwd").read_text() == f"{state}\\n"
        given = (state / "arguments").read_text().split("\\0")[:-1]
        assert given == [
            "-qmp", f"unix:{state}/qmp,server=on,wait=off", "-monitor", f"unix:{state}/monitor",
            "-chardev", f"socket,id=shell,path={state}/shell", "-device", "virtio-serial",
            "-device", "virtconsole,chardev=shell", "-device", "virtio-rng-pci", "-serial", "stdio",
            "-no-reboot", "-nographic"], given
        machine.crash()
        os.environ["DISPLAY"] = ":77"
        machine.start(allow_reboot=True)
        given = (state / "arguments").read_text().split("\\0")[:-1]
        assert given[-2:] == ["-serial", "stdio"], given
    """, {"machine": script}, env={"QEMU_OPTS": "-from outside"}, vlans=[7])


def test_variables_of_networks(tmp_path, fake):
    script = tmp_path / "run-machine-vm"
    script.write_text(f'#!/bin/bash\nenv > "$TMPDIR/env"\nexec {fake["machine"]} "$@"\n')
    script.chmod(0o755)
    harness.run("""
        def started_with():
            machine.start()
            machine.crash()
            return dict(line.split("=", 1) for line in (machine.state_dir / "env").read_text().splitlines())

        assert os.environ["QEMU_VDE_SOCKET_7"] == str(vlan7.socket_dir)
        made = type(vlan7)(8, machine.tmp_dir, log)
        env = started_with()
        assert env["QEMU_VDE_SOCKET_8"] == os.environ["QEMU_VDE_SOCKET_8"] == str(made.socket_dir)
        os.environ["QEMU_VDE_SOCKET_7"] = "/of/the/script"
        env = started_with()
        assert (env["QEMU_VDE_SOCKET_7"], env["QEMU_VDE_SOCKET_8"]) == ("/of/the/script", str(made.socket_dir))
    """, {"machine": script}, vlans=[7])


def test_environment_changes_while_machines_start(fakes):
    """The test is for builds with sanitizers: use of freed memory does not show each time otherwise."""
    harness.run("""
        import threading

        def change():
            for number in range(100):
                type(vlan1)(number + 2, machine.tmp_dir, log).stop()
                os.environ[f"CHANGED_{number}"] = "x" * number

        def start(one):
            while changing.is_alive():
                one.start()
                one.crash()

        machine = machines[0]
        changing = threading.Thread(target=change)
        threads = [changing, *(threading.Thread(target=start, args=(one,)) for one in machines)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    """, fakes("a", "b"), vlans=[1])


def test_only_python_changes_the_environment():
    """Python changes the environment only while it holds the GIL. A call of setenv() without the GIL could free a
    string that another thread is reading."""
    symbols = subprocess.run(["nm", "-D", "--undefined-only", harness.DRIVER], stdout=subprocess.PIPE, text=True, check=True)
    names = {line.split()[-1].partition("@")[0] for line in symbols.stdout.splitlines()}
    assert "PyEval_SaveThread" in names
    assert not names & {"setenv", "putenv", "unsetenv", "clearenv"}


def test_attributes(fake):
    harness.run("""
        from pathlib import Path
        assert (machine.booted, machine.connected, machine.is_up(), machine.pid) == (False, False, False, None)
        assert machine.state_dir == Path(os.environ["TMPDIR"], "vm-state-machine")
        assert machine.shared_dir == Path(os.environ["TMPDIR"], "shared-xchg")
        assert all((path.stat().st_mode & 0o777) == 0o700 for path in (machine.state_dir, machine.shared_dir))
        assert machine.out_dir.name == "out" and machine.tmp_dir == Path(os.environ["TMPDIR"])
        assert repr(machine).endswith("'machine'>") and machine.name == "machine"
        machine.start()
        assert (machine.booted, machine.connected, machine.is_up()) == (True, False, False)
        assert os.readlink(f"/proc/{machine.pid}/cwd") == str(machine.state_dir)
        machine.connect()
        assert (machine.booted, machine.connected, machine.is_up()) == (True, True, True)
        pid = machine.pid
        machine.start()
        machine.connect()
        assert machine.pid == pid
        machine.shutdown()
        assert (machine.booted, machine.connected, machine.is_up(), machine.pid) == (False, False, False, None)
        machine.shutdown()
        machine.crash()
        machine.wait_for_shutdown()
    """, fake)


def test_state_directory_is_private(fake):
    with harness.Run("machine.start()", fake) as run:
        run.finish()
        mode = stat.S_IMODE((run.directory / "tmp/vm-state-machine").stat().st_mode)
    assert mode == 0o700
