"""driver.snapshot() and driver.restore(): two real guests and their network at one moment."""

import pytest

import harness

FIRST = harness.PROCESSES + """
import threading

def say(words):
    client.succeed(f"echo {words} > /tmp/in")

def heard():
    return server.succeed("cat /tmp/heard").split()

def wait_for_heard(*words):
    server.wait_until_succeeds(f"test \\"$(echo $(cat /tmp/heard))\\" = '{' '.join(words)}'")
"""


@pytest.fixture(scope="module", params=[[], ["--no-agent"]], ids=["agent", "shell"])
def session(guests, request):
    vms = {"client": guests.tiny("client", 1, [1]), "server": guests.tiny("server", 2, [1])}
    with harness.Session(vms, FIRST, vlans=[1], options=request.param) as running:
        running("""
            start_all()
            server.succeed("nc -l -p 6000 > /tmp/heard 2> /dev/null &")
            client.succeed("mkfifo /tmp/in")
            client.succeed("(exec 3<> /tmp/in; until nc 192.168.1.2 6000 <&3; do sleep 0.1; done) > /dev/null 2>&1 &")
            say("one")
            wait_for_heard("one")
            driver.snapshot("then")
        """, seconds=300)
        yield running


def test_a_connection_goes_on(session):
    session("""
        say("two")
        wait_for_heard("one", "two")
        driver.restore("then")
        assert heard() == ["one"]
        say("three")
        wait_for_heard("one", "three")
        uuids = [one.succeed("cat /proc/sys/kernel/random/uuid") for one in (client, server)]
        client.crash()
        driver.restore("then")
        say("four")
        wait_for_heard("one", "four")
        server.crash()
        client.crash()
        driver.restore("then")
        say("five")
        wait_for_heard("one", "five")
        uuids += [one.succeed("cat /proc/sys/kernel/random/uuid") for one in (client, server)]
        assert len(set(uuids)) == 4, uuids
    """, seconds=300)


def test_one_alone_and_one_that_is_off(session):
    session("""
        client.crash()
        server.succeed("echo old > /tmp/state")
        driver.snapshot("without client")
        assert not client.booted
        client.start()
        client.connect()
        server.succeed("echo new > /tmp/state")
        driver.restore("without client")
        assert not client.booted
        assert server.succeed("cat /tmp/state") == "old\\n"
        assert "it has no snapshot 'none'" in error_of(driver.restore, "none")
        server.crash()
        client.restore("then")
        assert not server.booted
        driver.restore("then")
        say("six")
        wait_for_heard("one", "six")
    """, seconds=300)


def test_two_threads(session):
    """One of two that restore at the same time does; the other is told. The machines are as they were in any case."""
    session("""
        errors = []
        def restore():
            try:
                driver.restore("then")
            except Exception as error:
                errors.append(str(error))
        threads = [threading.Thread(target=restore) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(errors) < 4 and all("another thread saves or restores" in error for error in errors), errors
        say("seven")
        wait_for_heard("one", "seven")
    """, seconds=300)


def test_a_machine_that_boots_is_waited_for(session):
    session("""
        client.crash()
        threading.Thread(target=client.start).start()
        while not client.booted:
            time.sleep(0.01)
        client.snapshot("booted")
        client.succeed("touch /tmp/new")
        client.restore("booted")
        client.succeed("! test -e /tmp/new; test -e /tmp/shared")
        driver.restore("then")
    """, seconds=300)
