"""Standard error is a pipe that nobody reads: a thread that logs has to wait, and all other threads go on."""

import re
import sys

import harness
import pytest

# Runs the driver with standard error connected to a pipe whose reader does not read.
NOBODY_READS = ("sh", "-c", 'mkfifo stuck && exec "$@" 2<>stuck', "sh", harness.DRIVER)

# Runs the driver with standard error connected to a pipe that is read in small pieces.
SLOWLY_READ = (sys.executable, "-c", """
import os, subprocess, sys, time
driver = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE)
while piece := os.read(driver.stderr.fileno(), 8192):
    os.write(2, piece)
    time.sleep(0.002)
sys.exit(driver.wait())
""", harness.DRIVER)

SCRIPT = """
    import os, select, threading, time

    def fail():
        with subtest("fails"):
            raise ValueError

    def flood():
        global calls
        while flooding:
            calls += 1
            try:
                {statement}
            except Exception:
                pass

    def count():
        global counted
        while flooding:
            counted += 1
            time.sleep(0)  # gives the GIL away

    def read():
        with open("stuck", "rb", buffering=0) as pipe:
            while pipe.read(1 << 20):
                pass

    calls, counted, flooding = 0, 0, True
    flooder, counter = threading.Thread(target=flood), threading.Thread(target=count)
    flooder.start()
    counter.start()
    before = -1
    while select.select([], [2], [], 0)[1] or before != calls:  # until the pipe is full and the flooder waits
        before = calls
        time.sleep(0.1)  # releases the GIL and takes it again
    seen = counted
    while counted == seen:  # while one thread is stuck, another goes on beside this one
        time.sleep(0)
    print("went on", flooder.is_alive(), flush=True)
    flooding = False
    threading.Thread(target=read, daemon=True).start()
    flooder.join()
"""


def run(script, vms=None, **named):
    with harness.Run(script, vms, driver=NOBODY_READS, **named) as running:
        return running.finish()


@pytest.mark.parametrize("statement", [
    "log.info('a message')",
    "fail()",
    "driver.start_all()",
    "create_machine({'startCommand': 'true', 'name': 'm'})",
    "machine.wait_for_console_text('never', timeout=0)",
])
def test_other_threads_go_on(statement, fake):
    vms = fake if "machine" in statement else {}
    result = run(SCRIPT.format(statement=statement), vms)
    assert result.lines[-1:] == ["went on True"] and result.status == 0


def test_the_time_limit_ends_the_run():
    result = run("while True: log.info('a message')", global_timeout=2)
    assert result.status == 128 + 15


def test_one_file_of_embed_logs():
    """What waits for the log releases the GIL, because embed/log/log.c does so for all of embed/. place.c emits the
    sources of a script, which no log shows, on behalf of log.c, which waits."""
    calls = re.compile(r"\bntd_(log|log_\w+|nest_\w+|report_emit|machine_step_begin)\(")
    files = sorted((harness.ROOT / "embed").glob("**/*.c"))
    assert [str(path.relative_to(harness.ROOT)) for path in files if calls.search(path.read_text())] == [
        "embed/bridge/place.c", "embed/log/log.c"
    ]


def test_calls_without_the_gil_are_counted():
    """What the driver uses is freed when no thread is in a call into the core. CPython's own macros would not tell."""
    files = sorted((harness.ROOT / "embed").glob("**/*.c"))
    released = [str(path.relative_to(harness.ROOT)) for path in files if "Py_BEGIN_ALLOW_THREADS" in path.read_text()]
    assert released == ["embed/run/ending.c"]  # the main thread's last wait, which has no end


def test_daemon_threads_that_log_when_the_run_ends():
    """Standard error is read slowly, so the threads are in the middle of writing the log when Python ends: what they
    use stays until the process is gone. Without that, a build with AddressSanitizer (`make e2e-asan`) ends with a
    report every other time, and other builds die of SIGSEGV now and then."""
    with harness.Run("""
        import threading, time

        def flood():
            while True:
                log.info("x" * 3000)

        for _ in range(40):
            threading.Thread(target=flood, daemon=True).start()
        time.sleep(1)
        print("end")
    """, driver=SLOWLY_READ) as running:
        result = running.finish()
    assert result.status == 0 and result.lines == ["end"]
    assert "AddressSanitizer" not in result.err
