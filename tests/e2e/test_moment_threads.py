"""Other threads' calls while the state of a real guest is saved or restored: a restore fails what is under way, a save
waits for it, and what begins meanwhile waits. With the agent and without it."""

import pytest

import harness

FIRST = harness.PROCESSES + """
import threading
from pathlib import Path

shared = machine.shared_dir
threads = {}  # name: what the call of a thread has come to

class Call(threading.Thread):
    \"\"\"A call on a thread of its own: `result`, or `error` as text, `order` among all that have ended.\"\"\"

    ended = []

    def __init__(self, function, *arguments, **named):
        super().__init__(daemon=True)
        self.call, self.result, self.error = lambda: function(*arguments, **named), None, None
        self.start()

    def run(self):
        try:
            self.result = self.call()
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
        self.ended.append(self)

    def end(self):
        self.join(60)
        assert not self.is_alive()
        return self

def wait_until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)

def let_begin():
    \"\"\"What threads have begun without a sign of it is under way after these.\"\"\"
    for _ in range(20):
        machine.qmp_client.send("query-status")
"""


@pytest.fixture(scope="module", params=[[], ["--no-agent"]], ids=["agent", "shell"])
def session(tiny, request):
    with harness.Session(tiny, FIRST, options=request.param) as running:
        running("""
            machine.start()
            machine.succeed("echo old > /tmp/state; mount -t tracefs tracefs /sys/kernel/tracing")
            machine.snapshot("then")
        """, seconds=300)
        running.without_agent = bool(request.param)
        yield running


@pytest.fixture(autouse=True)
def at_the_snapshot(session):
    yield
    session("machine.restore('then')", seconds=300)


CALLS = [  # where without the agent one command runs at a time, the others are waiting for their turn
    "machine.succeed('touch /tmp/shared/begun; sleep 1000')",
    "machine.succeed('sleep 1001')",
    "machine.wait_until_succeeds('sleep 1002', timeout=1000)",
    "machine.wait_until_succeeds('false', timeout=1000)",
    "machine.wait_until_fails('true', timeout=1000)",
    "machine.wait_for_file('/never', timeout=1000)",
    "machine.wait_for_open_port(9, timeout=1000)",
    "machine.wait_for_console_text('never printed', timeout=1000)",
]


# cp waits for what is never written; the agent does not.
COPY = "machine.copy_from_machine('/sys/kernel/tracing/trace_pipe', 'pipe')"


def test_what_is_under_way_fails(session):
    calls = [*CALLS, COPY] if session.without_agent else CALLS
    for number, call in enumerate(calls):
        session(f"threads[{number}] = Call(lambda: {call})")
    session("wait_until((shared / 'begun').exists); let_begin(); (shared / 'begun').unlink()")
    errors = session("""
        began = time.monotonic()
        machine.restore("then")
        took = time.monotonic() - began
        assert took < 9, took  # there is a limit of ten seconds for threads that do not end
        result = [thread.end().error for thread in threads.values()]
    """, seconds=300)
    for call, error in zip(calls, errors):
        assert error and error.startswith("MachineError: machine 'machine': ") and " went back to " in error, (call, error)
        assert error.count("machine 'machine'") == 1, (call, error)
    session("assert machine.succeed('cat /tmp/state') == 'old\\n'")


def test_a_save_waits_for_what_is_under_way(session):
    session("""
        busy = Call(machine.succeed, "touch /tmp/shared/busy; until [ -e /tmp/shared/go ]; do sleep 0.1; done; echo done")
        wait_until((shared / "busy").exists)
        error = error_of(machine.snapshot, "late", timeout=0.1)
        assert error.startswith("MachineTimeout: machine 'machine': commands, waits or copies are still under way"), error
        assert error.count("machine 'machine'") == 1, error
        saving = Call(machine.snapshot, "waited")
        machine.qmp_client.send("query-status")
        later = Call(machine.succeed, "echo later > /tmp/state; echo later")
        let_begin()
        assert busy.is_alive() and saving.is_alive() and later.is_alive()
        (shared / "go").touch()
        assert busy.end().result == "done\\n"
        assert saving.end().error is None, saving.error
        assert later.end().result == "later\\n"
        machine.restore("waited")
        assert machine.succeed("cat /tmp/state") == "old\\n"
        for name in "busy", "go":
            (shared / name).unlink()
    """, seconds=300)
