"""machine.process, a subprocess.Popen of a machine's process, and scripts that set `booted` and `pid` themselves."""

import re

import harness


def test_what_ended_stays_readable(fake):
    """Scripts read the process' attributes after each way to end a machine."""
    result = harness.run("""
        machine.start()
        process, thread = machine.process, machine.serial_thread
        assert process.poll() is process.returncode is None and thread.is_alive()
        machine.shutdown()
        assert machine.process is process and process.poll() == process.returncode == 0 and machine.pid is None
        assert machine.serial_thread is thread and not thread.is_alive()
        machine.start()
        machine.process.kill()
        machine.wait_for_shutdown()
        if machine.process is None or machine.process.returncode != 0:
            print("failed with", machine.process.returncode)
        machine.start()
        machine.crash()
        assert machine.process.wait() == 0
        machine.start()
        machine.release()
        assert machine.process.poll() == 0 and not machine.booted
    """, fake)
    assert "failed with -9" in result.out


def test_it_is_a_popen(fake):
    result = harness.run("""
        import signal, subprocess
        assert machine.process is None
        machine.start()
        process = machine.process
        assert isinstance(process, subprocess.Popen) and process.pid == machine.pid and process.stderr is None
        assert "-chardev socket,id=shell," in process.args and process.args.startswith(machine.start_command._cmd)
        assert repr(process).startswith("<Process: returncode: None args: '/")
        for timeout in 0, 0.05, -1:
            try:
                process.wait(timeout=timeout)
            except subprocess.TimeoutExpired as error:
                assert error.timeout == timeout and error.cmd == process.args
            else:
                raise Exception("it has not ended")
        assert machine.booted and machine.succeed("echo goes on") == "goes on\\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0 and repr(process).startswith("<Process: returncode: 0 args: '/")
        for end in process.kill, process.terminate, lambda: process.send_signal(9):
            assert end() is None
    """, fake)
    assert "deprecated" not in result.log and "power off" not in result.log


def test_waiting_for_it_does_nothing_to_the_machine(fake):
    """After process.wait() the machine still has to notice the end, so that no command starts it again by mistake."""
    result = harness.run("""
        machine.start()
        machine.process.terminate()
        assert machine.process.wait() == 0
        try:
            machine.succeed("true")
        except RuntimeError as error:
            assert "QEMU process exited with code 0" in str(error), error
        else:
            raise Exception("started again")
        machine.wait_for_shutdown()
        machine.succeed("true")
    """, fake)
    assert result.log.count("QEMU running (pid") == 2 and "waiting for the VM to power off" in result.log


def test_it_describes_its_own_start(fake):
    harness.run("""
        import threading
        machine.start()
        first = machine.process
        machine.crash()
        machine.start(allow_reboot=True)
        second = machine.process
        assert first is not second and first.pid != second.pid == machine.pid
        assert (first.returncode, second.returncode) == (0, None)
        assert "-no-reboot" in first.args and "-no-reboot" not in second.args
        first.kill()
        first.terminate()
        assert machine.succeed("echo here") == "here\\n" and first.wait(timeout=0) == 0
        for write in first.stdin.write, lambda data: first.communicate(data):
            try:
                write(b"x")
            except BrokenPipeError:
                continue
            raise Exception("written to another process")
        assert first.stdout.read() == first.stdout.readline() == b""
        threading.Thread(target=second.kill).start()
        assert second.wait() == second.poll() == -9
    """, fake)


def test_its_output_and_its_end(fake):
    harness.run("""
        import threading
        machine.start()
        with machine.process as process:
            assert process.stdin.write(b"\\xff typed\\n") == 8 and process.stdin.flush() is None
            machine.execute("echo first >&2; echo second >&2")
            while b"first" not in process.stdout.readline():
                pass
            threading.Timer(0.1, process.terminate).start()
            output, nothing = process.communicate(b"more\\n", timeout=60)
        assert output == b"second\\n" and nothing is None and process.returncode == 0, output
        assert process.stdin.closed and process.stdout.closed
    """, fake)


def test_machine_and_process_are_collected_together(fake):
    harness.run("""
        import gc, weakref
        other = create_machine(machine.start_command._cmd, name="other")
        other.start()
        kept, thread = other.process, other.serial_thread
        other.crash()
        gone = weakref.ref(other)
        del other, thread
        gc.collect()
        assert kept.returncode == 0
        del kept
        gc.collect()
        assert gone() is None
    """, fake)


# ---- scripts that set the machine's state


def test_a_script_says_that_it_is_down(fake):
    """After `booted = False`, by a script whose guest is going down, no method waits for the machine or uses it."""
    result = harness.run("""
        machine.succeed("true")
        machine.booted = False
        assert not machine.booted and not machine.is_up() and machine.pid
        machine.shutdown()
        machine.crash()
        machine.wait_for_shutdown()
        join_all()
        assert machine.process.poll() is None
    """, fake)
    assert "waiting for the VM to power off" not in result.log and "sync" not in result.log


def test_a_script_has_killed_it_and_says_so(fake):
    """Whatever the order of kill, wait and attributes, start() then starts a new process."""
    result = harness.run("""
        import signal
        def kill():
            os.kill(machine.pid, signal.SIGKILL)
        def kill_and_wait():
            machine.process.kill()
            machine.process.wait()
        def say():
            machine.booted = False
            machine.connected = False
            machine.pid = None
        for steps in (kill, say), (kill_and_wait, say), (say,), (lambda: setattr(machine, "booted", False), kill):
            machine.start()
            machine.succeed("true")
            before = machine.process
            for step in steps:
                step()
            machine.start()
            assert machine.booted and machine.pid == machine.process.pid != before.pid
            assert machine.succeed("echo runs") == "runs\\n" and before.poll() is not None
    """, fake)
    assert "Traceback" not in result.log


def test_a_start_of_all_machines_begins_anew_what_is_said_to_be_down(fakes):
    harness.run("""
        start_all()
        before = a.pid, b.pid
        a.booted = False
        start_all()
        assert a.pid != before[0] and b.pid == before[1]
        assert a.succeed("echo runs") == "runs\\n"
    """, fakes("a", "b"))


def test_a_script_says_that_it_is_up(fake):
    """After `booted = True`, start() does nothing and a command fails at once."""
    result = harness.run("""
        machine.booted = True
        machine.start()
        assert machine.booted and machine.pid is machine.process is None and not machine.is_up()
        try:
            machine.succeed("true")
        except RuntimeError as error:
            assert "is not running" in str(error)
        else:
            raise Exception("there is nothing")
        machine.booted = False
        assert machine.succeed("echo runs") == "runs\\n"
        machine.booted = True
        machine.crash()
        assert not machine.booted
    """, fake)
    assert len(re.findall(r"QEMU running \(pid", result.log)) == 1


def test_what_a_script_sets_stays_until_the_next_start(fake):
    harness.run("""
        machine.process = machine.serial_thread = machine
        machine.pid = 5
        assert machine.process is machine.serial_thread is machine and machine.pid == 5
        machine.start()
        assert machine.process.pid == machine.pid != 5
        pid = machine.pid
        machine.pid = None
        machine.release()
        assert machine.booted and os.path.exists(f"/proc/{pid}")
        machine.pid = pid
        machine.release()
        assert not machine.booted and not os.path.exists(f"/proc/{pid}")
    """, fake)
