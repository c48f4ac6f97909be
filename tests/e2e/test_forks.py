"""Scripts that fork: the child cannot use the driver, and the run does not depend on how long the child lives."""

import os
import signal

import pytest

import harness

REFUSED = "MachineError: the test driver does not exist in a process that the script has forked"
# A function that forks a child process which only SIGKILL ends.
LIVING_CHILD = """
    import os, signal
    def living_child():
        pid = os.fork()
        if not pid:
            for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
                signal.signal(number, signal.SIG_IGN)
            signal.pause()
            os._exit(0)
        open("child", "w").write(str(pid))
        return pid
"""


def run_with_living_child(script, fake, ready="now", number=None, **named):
    """Does a run that leaves its living child behind, and nothing else. Returns the result."""
    with harness.Run(harness.textwrap.dedent(LIVING_CHILD) + harness.textwrap.dedent(script), fake, **named) as run:
        run.wait_for(f"^{ready}$")
        child = int((run.directory / "child").read_text())
        if number:
            run.signal(number)
        result = run.finish(leaves_nothing=False)
        harness.wait_until(lambda: set(harness.left_processes(run.mark)) == {child}, harness.LEAVE_SECONDS)
        assert set(harness.left_processes(run.mark)) == {child}
        os.kill(child, signal.SIGKILL)
        run.check_nothing_left()
        return result


@pytest.mark.parametrize("leave", [
    "sys.exit(0)", "sys.exit(3)", "raise ValueError('in the child')", "pass", "raise KeyboardInterrupt",
    "machine.succeed('true')",
])
def test_child_that_comes_to_the_end_of_the_script(fake, leave):
    result = harness.run(f"""
import atexit, os, sys, tempfile
atexit.register(lambda: os.write(1, b"atexit\\n"))
directory = tempfile.TemporaryDirectory()
unwritten = open("unwritten", "w")
unwritten.write("once")
machine.connect()
pid = os.fork()
if pid == 0:
    own = open("own", "w")
    own.write("of the child")
    {leave}
else:
    print("child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    print(open("own").read(), machine.booted, os.path.isdir(directory.name), machine.succeed("echo alive"), end="")
    unwritten.close()
    print(open("unwritten").read())
""", fake)
    expected = {"sys.exit(3)": 3, "raise ValueError('in the child')": 1, "raise KeyboardInterrupt": 130,
                "machine.succeed('true')": 1}
    assert result.lines == [f"child {expected.get(leave, 0)}", "of the child True True alive", "once", "atexit"]
    assert ("ValueError: in the child" in result.err) == ("ValueError" in leave)
    assert result.log.count("cleanup\n") == result.log.count("kill QemuMachine") == 1


def test_child_that_leaves_by_the_drivers_context_managers(fake):
    result = harness.run("""
        import os, sys
        machine.connect()
        with driver, machine, subtest("title"), machine.nested("step"), log.nested("other"):
            pid = os.fork()
            if not pid:
                sys.exit(3)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), machine.succeed("echo alive"), end="")
    """, fake)
    assert result.lines == ["3 alive"] and result.log.count("(finished: step") == 1


def test_calls_in_a_child(fake):
    result = harness.run(harness.ERROR_OF + harness.textwrap.dedent("""
        import multiprocessing, os
        machine.connect()
        succeed = machine.succeed

        def calls():
            for call in (lambda: machine.execute("true", timeout=3), lambda: succeed("true"), lambda: log.info("x"),
                         lambda: machine.booted, lambda: driver.start_all(), start_all, lambda: vlan1.stop(),
                         lambda: subtest("x"), lambda: retry(lambda _: False), lambda: create_machine("x"),
                         lambda: QemuMachine(driver), lambda: type(vlan1)(2, "."), lambda: type(driver)([], [], "", "out")):
                print(error_of(call), flush=True)

        child = multiprocessing.get_context("fork").Process(target=calls)
        child.start()
        child.join()
        pid = os.fork()
        if not pid:
            calls()
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), child.exitcode, machine.succeed("echo alive"), end="")
    """), fake, vlans=[1])
    assert len(result.lines) == 2 * 13 + 1 and result.lines[-1] == "7 0 alive"
    assert [line for line in result.lines[:-1] if not line.startswith(REFUSED)] == []


def test_child_of_a_thread_while_others_log(fake):
    """Locks that other threads hold at the moment of the fork do not stop the child."""
    harness.run("""
        import os, threading
        machine.connect()
        stop = threading.Event()

        def work():
            while not stop.is_set():
                log.info("noise")

        def fork():
            for _ in range(30):
                pid = os.fork()
                if not pid:
                    try:
                        log.info("refused")
                    finally:
                        os._exit(0)
                os.waitpid(pid, 0)

        worker, forker = threading.Thread(target=work), threading.Thread(target=fork)
        worker.start()
        forker.start()
        forker.join()
        stop.set()
    """, fake)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(fake, method):
    result = harness.run(f"""
        import multiprocessing, operator, signal, time
        machine.connect()
        context = multiprocessing.get_context("{method}")
        with context.Pool(2) as pool:
            print(pool.map(abs, [-1, 2, -3]))
        child = context.Process(target=time.sleep, args=(1000,))
        child.start()
        child.terminate()
        child.join()
        print(child.exitcode, machine.succeed("echo alive"), end="")
    """, fake)
    assert result.lines == ["[1, 2, 3]", "-15 alive"]


def test_other_ways_to_start_programs(fake):
    result = harness.run("""
        import os, subprocess
        machine.connect()
        out = lambda *args, **named: subprocess.run(*args, check=True, capture_output=True, text=True, **named).stdout
        print(out(["echo", "a"]), out("echo b", shell=True), out(["echo", "c"], preexec_fn=os.getpid),
              out(["echo", "d"], start_new_session=True), sep="", end="")
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 4"], os.environ)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), os.system("exit 5") >> 8, os.popen("echo e").read(), end="")
        print(machine.succeed("echo alive"), end="")
    """, fake)
    assert result.lines == ["a", "b", "c", "d", "4 5 e", "alive"]


def test_child_has_none_of_the_drivers_connections(fake):
    """The child has only its standard files and the files that the script has opened."""
    result = harness.run("""
        import os, socket
        machine.connect()
        script_s = open("/dev/zero")
        pid = os.fork()
        if not pid:
            links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                     if os.path.lexists(f"/proc/self/fd/{fd}")]
            print(sum(link.startswith("socket:") for link in links), "/dev/zero" in links, flush=True)
            os._exit(0)
        os.waitpid(pid, 0)
    """, fake, vlans=[1])
    assert result.lines == ["0 True"]


def test_living_child_at_the_end(fake):
    result = run_with_living_child("machine.connect(); living_child(); print('now')", fake)
    assert result.status == 0


def test_living_child_at_the_time_limit(fake):
    result = run_with_living_child("machine.connect(); pid = living_child(); print('now'); os.waitpid(pid, 0)", fake,
                                   global_timeout=2)
    assert result.status == 143 and "timeout reached" in result.log


@pytest.mark.parametrize("number, status", [(signal.SIGKILL, 137), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_living_child_when_the_driver_is_killed(fake, number, status):
    result = run_with_living_child("machine.connect(); pid = living_child(); print('now'); os.waitpid(pid, 0)", fake,
                                   number=number, vlans=[1], env={"FAKE_STUBBORN": "1", "FAKE_SURVIVOR": "1000"})
    assert result.status == status


def test_signal_to_a_child_is_not_the_drivers(fake):
    result = harness.run("""
        import os, signal
        machine.connect()
        for number in signal.SIGTERM, signal.SIGHUP, signal.SIGINT:
            pid = os.fork()
            if not pid:
                os.kill(os.getpid(), number)
                signal.pause()
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        print(machine.succeed("echo alive"), end="")
    """, fake)
    assert result.lines == ["-15", "-1", "130", "alive"]


def test_process_of_multiprocessing_that_lives_on(fake):
    """The run ends though Python itself would wait for such a process without limit."""
    result = harness.run("""
        import multiprocessing, time
        multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,)).start()
    """, fake, seconds=30)
    assert "a process of the test script does not end; it is terminated" in result.log


def test_process_of_multiprocessing_that_ends(fake):
    result = harness.run("""
        import multiprocessing, os, time
        def work():
            time.sleep(0.5)
            os.write(1, b"done\\n")
        multiprocessing.get_context("fork").Process(target=work).start()
    """, fake)
    assert result.lines == ["done"] and "terminated" not in result.log


def test_child_of_a_pytest_style_test(fake):
    result = harness.run("""
        import os, sys

        def test_fork(machine):
            machine.connect()
            pid = os.fork()
            if not pid:
                sys.exit(3)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
            assert machine.succeed("echo alive") == "alive\\n"

        def test_once():
            open("once", "a").write("x")
            assert open("once").read() == "x"
    """, fake)
    assert "2 passed" in result.out
