"""Files that a script leaves open are written, and its atexit functions run, in each way in which a run can end except
os._exit() and SIGKILL; and nothing that the script leaves can keep the run from its end."""

import os
import signal

import pytest

import harness

LEAVE = """
import atexit, gzip, os, sys, tempfile, time, weakref

def tell(text):
    os.write(2, f"left: {text}\\n".encode())

def generate():
    try:
        yield
    finally:
        tell("generator")

class Thing:
    pass

def leave():
    global kept, zipped, generator, thing, directory
    atexit.register(tell, "atexit")
    kept = open("kept", "w")
    kept.write("kept text")
    zipped = gzip.open("zipped", "wt")
    zipped.write("zipped text")
    thing = Thing()
    weakref.finalize(thing, tell, "finalizer")
    directory = tempfile.TemporaryDirectory(dir=".", prefix="temporary")
    generator = generate()
    next(generator)

"""
ENDINGS = {
    "success": ("leave()", 0),
    "exception": ("leave()\nraise ValueError", 1),
    "exception with variables": ("def f(x):\n    leave()\n    1 / 0\nf(open('other', 'w'))", 1),
    "failed check": ("leave()\nmachine.fail('true')", 1),
    "exit": ("leave()\nsys.exit(3)", 3),
    "log.error": ("leave()\nlog.error('the reason')", 1),
    "KeyboardInterrupt": ("leave()\nraise KeyboardInterrupt", 130),
}
ENDLESS = "leave()\nmachine.connect()\ndef wait():\n    local = open('local', 'w')\n    local.write('x')\n    print('now')\n" \
    "    {}\nwait()"


def assert_nothing_is_lost(run, result):
    told = [line[6:] for line in result.log.splitlines() if line.startswith("left: ")]
    assert sorted(told) == ["atexit", "finalizer", "generator"]
    assert (run.directory / "kept").read_text() == "kept text"
    assert b"zipped text" == harness.subprocess.run(["zcat", run.directory / "zipped"], capture_output=True).stdout
    assert list(run.directory.glob("temporary*")) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_ends_of_scripts(fake, ending):
    code, status = ENDINGS[ending]
    with harness.Run(LEAVE + code, fake) as run:
        result = run.finish()
        assert result.status == status
        assert_nothing_is_lost(run, result)


@pytest.mark.parametrize("body", ["machine.succeed('sleep 1000')", "while True: pass"], ids=["command", "loop"])
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals(fake, number, status, body):
    with harness.Run(LEAVE + ENDLESS.format(body), fake) as run:
        run.wait_for("^now$")
        run.signal(number)
        result = run.finish()
        assert result.status == status
        assert_nothing_is_lost(run, result)
        assert (run.directory / "local").read_text() == "x"


@pytest.mark.parametrize("body", ["machine.succeed('sleep 1000')", "while True: pass", "time.sleep(1000)",
                                  "machine.wait_for_console_text('never')"], ids=["command", "loop", "sleep", "console"])
def test_time_limit(fake, body):
    with harness.Run(LEAVE + ENDLESS.format(body), fake, global_timeout=1) as run:
        result = run.finish()
        assert result.status == 143
        assert_nothing_is_lost(run, result)
        assert (run.directory / "local").read_text() == "x"


def test_thread_that_never_ends(fake):
    """atexit functions run even then, though Python itself would call them only after the end of all threads."""
    with harness.Run(LEAVE + "leave()\nimport threading\nthreading.Thread(target=threading.Event().wait).start()",
                     fake) as run:
        result = run.finish()
        assert result.status == 0 and "does not end; leaving without it" in result.log
        assert_nothing_is_lost(run, result)


def test_pytest_mode(fake):
    with harness.Run(LEAVE + "def test_pass(machine):\n    leave()\ndef test_fail(machine):\n    assert 0\n", fake) as run:
        result = run.finish()
        assert result.status == 1
        assert_nothing_is_lost(run, result)


def test_prompt(fake):
    """The end of the prompt is the end of the run."""
    read, write = os.pipe()
    os.write(write, b"test_script()\n")
    os.close(write)
    with harness.Run(LEAVE + "leave()", fake, options=["--interactive"], stdin=read) as run:
        os.close(read)
        result = run.finish()
        assert result.status == 0
        assert_nothing_is_lost(run, result)


def test_script_that_does_not_listen(fake):
    """The third interrupt ends the run of a script that ignores interrupts."""
    loop = "leave()\nwhile True:\n    try:\n        print('now')\n        time.sleep(1000)\n" \
        "    except BaseException:\n        pass"
    with harness.Run(LEAVE + loop, fake) as run:
        for n in range(3):
            assert harness.wait_until(lambda: run.out.count("now") == n + 1, 30)
            run.signal(signal.SIGINT)
        result = run.finish()
        assert result.status == 130
        assert_nothing_is_lost(run, result)


# ---- the deadline of an end

HANGS = {
    "atexit": "import atexit, time\natexit.register(time.sleep, 1000)",
    "GIL": "import atexit, ctypes\natexit.register(ctypes.PyDLL(None).pause)",
    "finalizer": "import time\nclass Blocking:\n    def __del__(self): time.sleep(1000)\nblocking = Blocking()",
    "generator": "import time\ndef wait():\n    try:\n        yield\n    finally:\n        time.sleep(1000)\n"
                 "waiting = wait()\nnext(waiting)",
}
HANGS_BEFORE = {  # the run hangs while the script still runs
    "file": "import os\nfile = open(os.pipe()[1], 'wb', buffering=1 << 20)\nfile.write(bytes(1 << 19))",
    "GIL of a thread": "import ctypes, threading\nthreading.Thread(target=ctypes.PyDLL(None).pause).start()",
}


@pytest.mark.parametrize("hang", HANGS)
def test_end_that_hangs(fake, hang):
    result = harness.run(f"machine.connect()\n{HANGS[hang]}", fake, seconds=60, env={"FAKE_SURVIVOR": "1000"})
    assert "kill QemuMachine" in result.log


@pytest.mark.parametrize("hang", HANGS | HANGS_BEFORE)
def test_end_that_hangs_at_the_time_limit(fake, hang):
    code = (HANGS | HANGS_BEFORE)[hang]
    result = harness.run(f"machine.connect()\n{code}\nimport time\ntime.sleep(1000)", fake, global_timeout=1, status=143,
                         seconds=60, env={"FAKE_SURVIVOR": "1000"})
    assert "kill QemuMachine" in result.log


def test_process_that_does_nothing_any_more(fake):
    """The keeper process kills a driver that does nothing, and its machines, within 30 s of the time limit."""
    result = harness.run("import os, signal\nmachine.connect()\nos.kill(os.getpid(), signal.SIGSTOP)", fake,
                         global_timeout=1, status=137, seconds=60, env={"FAKE_STUBBORN": "1"})
    assert "the run does not come to its end in time; the driver is killed" in result.log
