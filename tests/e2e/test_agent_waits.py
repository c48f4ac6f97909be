"""Waits in a real guest: by its agent, and without one, with the same results."""

import pytest

import harness

FIRST = """
    import time

    def later(command, seconds=1):
        machine.succeed(f"(sleep {seconds}; {command}) > /dev/null 2>&1 &")

    def started():
        \"""How many processes the guest has started.\"""
        return int(machine.succeed("grep ^processes /proc/stat").split()[1])
"""


@pytest.fixture(scope="module", params=["agent", "commands"])
def how(request, tiny):
    options = [] if request.param == "agent" else ["--no-agent"]
    with harness.Session(tiny, FIRST, options=options) as session:
        session("machine.succeed('true')", seconds=200)
        session.by_agent = request.param == "agent"
        yield session


def test_what_is_there_counts_at_once(how):
    how("""
        machine.succeed("mkdir /tmp/directory; : > /tmp/empty; ln -s empty /tmp/link")
        for path in "/tmp/directory", "/tmp/directory/", "/tmp/empty", "/tmp/link", "/dev/null", "/tmp/em*", "$HOME":
            machine.wait_for_file(path)
    """)


def test_an_agent_starts_no_processes(how):
    """Both ways wait for three seconds; only commands are processes."""
    count = how("""
        before = started()
        later(": > /tmp/late", 3)
        machine.wait_for_file("/tmp/late")
        result = started() - before
    """)
    assert count < 12 if how.by_agent else count > 12


@pytest.mark.parametrize("writing, content", {
    "in two steps": ("(echo first; sleep 0.05; echo last) > FILE", "first\nlast\n"),
    "made first": ("touch FILE; echo written > FILE", "written\n"),
    "renamed": ("echo written > FILE.new; sleep 0.3; mv FILE.new FILE", "written\n"),
    "empty": (": > FILE", ""),
    "in directories": ("mkdir -p FILE/a; echo deep > FILE/a/b", None),
}.values(), ids=["two steps", "made first", "renamed", "empty", "in directories"])
def test_a_file_is_complete(how, writing, content):
    how("""
        path = "/tmp/appearing"
        for _ in range(4):
            machine.succeed(f"rm -rf {path}*")
            later(writing.replace("FILE", path), 0.5)
            machine.wait_for_file(path + ("" if content is not None else "/a/b"))
            if content is not None:
                assert machine.succeed(f"cat {path}") == content
    """, writing=writing, content=content)


@pytest.mark.parametrize("event, wait", {
    "file": ("mv FILE.new FILE", "wait_for_file('FILE')"),
    "closed port": ("kill $(cat FILE.pid)", "wait_for_closed_port(5002)"),
    "terminal": ("echo FILE > /dev/tty1", "wait_until_tty_matches('1', 'FILE')"),
}.values(), ids=["file", "closed port", "terminal"])
def test_what_goes_on_after_the_event_is_over(how, event, wait):
    """As when logind writes a user's file, and then has systemd start the user's slice: one that looks each second
    comes later than the slice. What goes on takes a few programs, and is over before an idle guest is at rest."""
    how(r"""
        for i in range(5):
            path = f"/tmp/{name}-{i}"
            machine.succeed(f"(nc -lk -p 5002 > /dev/null 2>&1 & echo $! > {path}.pid); echo > {path}.new")
            machine.wait_for_open_port(5002)
            later(event.replace("FILE", path) + f"; for i in 1 2 3 4 5 6; do /bin/busybox true; done; echo > {path}.next", 0.5)
            eval("machine." + wait.replace("FILE", path))
            machine.succeed(f"test -e {path}.next; kill $(cat {path}.pid) 2> /dev/null || true")
    """, event=event, wait=wait, name=event.split()[0])


@pytest.fixture
def busy(how):
    """A guest in which a program always runs."""
    how("machine.succeed('(while :; do :; done) > /dev/null 2>&1 & echo $! > /tmp/busy')")
    yield how
    how("machine.succeed('kill $(cat /tmp/busy)')")


def test_a_guest_that_is_never_at_rest(busy):
    """A wait ends there, too."""
    busy("""
        later(": > /tmp/at-work", 0.5)
        machine.wait_for_file("/tmp/at-work")
    """)


def test_what_held_before_counts_without_rest(busy):
    """Twenty waits for rest would take twenty seconds; without, a wait takes about as long as a command."""
    commands, waits = busy("""
        import time
        def duration(function, *arguments):
            began = time.monotonic()
            for _ in range(20):
                function(*arguments)
            return time.monotonic() - began
        result = duration(machine.succeed, "true"), duration(machine.wait_for_file, "/tmp/busy")
    """)
    assert waits < 3 * commands + 10


def test_directories_that_go_and_come(how):
    how("""
        machine.succeed("mkdir -p /tmp/gone")
        later("rm -r /tmp/gone; mkdir -p /tmp/gone; echo x > /tmp/gone/file")
        machine.wait_for_file("/tmp/gone/file")
    """)


def test_errors_tell_what_commands_saw(how):
    how("""
        text = error_of(machine.wait_for_file, "/no/such", timeout=1.5)
        assert text.startswith("RequestedAssertionFailed: action timed out after "), text
        assert text.endswith("waiting for file '/no/such'; last seen: `test -e /no/such`: exit code 1, no output"), text
        text = error_of(machine.wait_for_open_port, 4999, timeout=1.5)
        assert text.endswith("; last seen: `nc -z localhost 4999`: exit code 1, no output"), text
        text = error_of(machine.wait_for_file, "/no/such", timeout=0)
        assert "last seen: `test -e /no/such`: exit code 1" in text, text
    """)


def test_ports(how):
    how("""
        machine.wait_for_closed_port(5001)
        later("nc -lk -p 5001")
        machine.wait_for_open_port(5001)
        machine.wait_for_open_port(5001, "127.0.0.1")
        machine.succeed("killall nc")
        machine.wait_for_closed_port(5001)
        machine.wait_for_closed_port(5001, "127.0.0.1")
    """)


def test_a_terminal(how):
    how("""
        later("echo hello there > /dev/tty1")
        machine.wait_until_tty_matches("1", "hello there", timeout=60)
        assert "action timed out" in error_of(machine.wait_until_tty_matches, "1", "good bye", timeout=1)
    """)


def test_commands_and_waits_at_once(how):
    """A wait does not keep a command waiting where there is an agent; it ends in any case."""
    how("""
        import threading
        threads = [threading.Thread(target=machine.wait_for_file, args=(f"/tmp/many-{i}",)) for i in range(8)]
        for thread in threads:
            thread.start()
        machine.succeed("sleep 0.5; for i in 0 1 2 3 4 5 6 7; do echo > /tmp/many-$i; done")
        for thread in threads:
            thread.join()
    """)


def test_an_agent_that_is_killed(how):
    """The wait goes on by commands, or by another agent."""
    how(r"""
        (machine.shared_dir / "kill").write_text('''
            for process in /proc/[0-9]*; do
                case $(readlink $process/exe) in *deleted*) kill -9 ${process#/proc/}; echo killed;; esac
            done
        ''')
        later("sh /tmp/shared/kill > /tmp/killed; sleep 0.5; echo x > /tmp/after", 0.5)
        machine.wait_for_file("/tmp/after")
        assert machine.succeed("cat /tmp/after") == "x\n"
        assert ("killed" in machine.succeed("cat /tmp/killed")) == by_agent
    """, by_agent=how.by_agent)
