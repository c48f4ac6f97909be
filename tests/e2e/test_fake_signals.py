"""Signals to a driver whose script does not cooperate. test_signals.py tests the usual moments with a real QEMU."""

import os
import re
import signal
import time

import pytest

import harness


def interrupted(script, vms, *numbers, seconds=5, **named):
    """Does a run that gets the signals once its script has printed `now`."""
    with harness.Run(script, vms, **named) as run:
        run.wait_for("^now$")
        for number in numbers:
            run.signal(number)
        return run.finish(seconds=seconds)


def test_finally_runs(fake):
    for number, status, exception in [
        (signal.SIGINT, 130, "KeyboardInterrupt"),
        (signal.SIGTERM, 143, "SystemExit"),
        (signal.SIGHUP, 129, "SystemExit"),
    ]:
        result = interrupted("""
            machine.connect()
            try:
                print("now")
                machine.succeed("sleep 1000")
            except BaseException as error:
                print("caught", type(error).__name__)
                raise
            finally:
                print("finally", machine.is_up())
        """, fake, number)
        assert result.status == status
        assert result.lines == ["now", f"caught {exception}", "finally True"]


def test_script_that_goes_on(fake):
    """An interrupt ends one wait; the script may catch KeyboardInterrupt and go on."""
    result = interrupted("""
        machine.connect()
        print("now")
        try:
            machine.wait_for_console_text("never")
        except KeyboardInterrupt:
            print("caught")
        print(machine.succeed("echo still usable"))
    """, fake, signal.SIGINT)
    assert result.status == 0
    assert result.lines == ["now", "caught", "still usable", ""]


def test_interrupted_command_does_not_disturb_the_next(fake):
    result = interrupted("""
        machine.connect()
        print("now")
        try:
            machine.succeed("sleep 2; echo late output; exit 9")
        except KeyboardInterrupt:
            pass
        print(machine.execute("echo next; exit 3"))
    """, fake, signal.SIGINT, seconds=8)
    assert result.lines == ["now", "(3, 'next\\n')"]


@pytest.mark.parametrize("body", ["while True: pass", "machine.succeed('sleep 1000')"])
def test_sigterm_to_a_script_that_ignores_it(fake, body):
    """The script gets 10 seconds."""
    result = interrupted(f"""
        import time
        machine.connect()
        told = False  # a signal outside of `try` would end the script
        while True:
            try:
                if not told:
                    told = True
                    print("now")
                {body}
            except BaseException:
                print("ignored")
    """, fake, signal.SIGTERM, seconds=15)
    assert result.status == 143
    assert "the test script did not end when told to" in result.log


def test_three_interrupts(fake):
    """The third Ctrl-C ends a run whose script ignores interrupts."""
    with harness.Run("""
        import time
        machine.connect()
        print("now")
        while True:
            try:
                time.sleep(1000)
            except BaseException:
                print("ignored")
    """, fake) as run:
        run.wait_for("^now$")
        for n in range(3):
            assert harness.wait_until(lambda: run.out.count("ignored") == n, 5)
            run.signal(signal.SIGINT)
        assert run.finish(seconds=4).status == 130


def test_interrupt_while_other_threads_wait(fakes):
    result = interrupted("""
        import threading
        start_all()
        for one in machines:
            threading.Thread(target=one.succeed, args=("sleep 1000",)).start()
        print("now")
        machines[0].wait_for_console_text("never")
    """, fakes("a", "b", "c"), signal.SIGINT)
    assert result.status == 130, result.err
    assert len(re.findall("^kill QemuMachine", result.log, re.M)) == 3


def test_sigterm_in_stubborn_starts(fake):
    for env in ({"FAKE_QMP": "silent"}, {"FAKE_BANNER": "no"}, {"FAKE_STUBBORN": "1"},
                {"FAKE_STUBBORN": "1", "FAKE_BANNER": "no"}):
        result = interrupted("print('now')\nmachine.connect()\nimport time; time.sleep(1000)", fake, signal.SIGTERM,
                             env=env, seconds=6)
        assert result.status == 143


def test_signal_before_the_script(fake):
    """A signal ends the run even while Python starts."""
    for delay in (0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.1):
        for number, statuses in (signal.SIGTERM, {143}), (signal.SIGINT, {130}), (signal.SIGKILL, {137}):
            with harness.Run("machine.connect()\nmachine.succeed('sleep 1000')", fake, vlans=[1]) as run:
                time.sleep(delay)
                run.signal(number)
                assert run.finish(seconds=5).status in statuses, (delay, number)


def test_sigkill_with_many_machines(fakes):
    vms = fakes(*(f"m{n}" for n in range(8)))
    result = interrupted("""
        start_all()
        for one in machines:
            one.connect()
        print("now")
        while True: pass
    """, vms, signal.SIGKILL, vlans=[1, 2, 3], env={"FAKE_STUBBORN": "1", "FAKE_SURVIVOR": "1000"})
    assert result.status == 137


def test_death_of_the_helper_process(fake):
    """If the keeper process is killed, the script gets an error, and still nothing is left behind."""
    with harness.Run("""
        machine.connect()
        print("now")
        machine.succeed("sleep 1000")
    """, fake, env={"FAKE_SURVIVOR": "1000"}) as run:
        run.wait_for("^now$")
        helpers = [pid for pid in harness.children_of(run.pid)]
        assert len(helpers) == 1
        os.kill(helpers[0], signal.SIGKILL)
        result = run.finish(seconds=10)
        assert result.status == 1
        assert "machine 'machine'" in result.log


def test_ignored_interrupts_stay_ignored(fake):
    """SIGINT stays ignored if the driver was started with it ignored, as a background job of a non-interactive shell
    is."""
    with harness.Run("""
        import signal, time
        machine.connect()
        print(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)
        print("now")
        time.sleep(1)
    """, fake, ignore_interrupts=True) as run:
        run.wait_for("^now$")
        run.signal(signal.SIGINT)
        result = run.finish()
        assert (result.status, result.lines) == (0, ["True", "now"])
