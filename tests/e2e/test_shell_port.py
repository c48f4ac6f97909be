"""The root shell's data port: long outputs and input go by it, and without it by hvc0. What happens when it goes away,
or the guest, or a caller."""

import pytest

import harness


NO_AGENT = ["--no-agent"]


@pytest.fixture(scope="module", params=["port", "refuse", "late", "agent"])
def session(request, fakes):
    """The agent, which has a port of its own, does the same as the shell."""
    kind = request.param
    with harness.Session(fakes("machine"), f"AGENT = {kind == 'agent'}",
                         env={"FAKE_PORT": kind if kind in ("refuse", "late") else ""},
                         options=[] if kind == "agent" else NO_AGENT) as running:
        running.kind = kind
        yield running


def has_port(session):
    return session("import glob\nresult = len(glob.glob(str(machine.state_dir) + '/virtio-ports/*'))")


def test_outputs_of_every_length(session):
    session("""
        import hashlib
        for size in (0, 1, 4094, 4095, 4096, 4097, 65536, 73727, 73728, 73729, 98304, 3_000_000):
            for timeout in (None, 60):
                status, output = machine.execute(f"head -c {size} /dev/zero | tr '\\\\0' y; exit 7", timeout=timeout)
                assert status == 7 and output == "y" * size, (size, timeout, status, len(output))
        output = machine.succeed("head -c 400000 /dev/urandom | tee $PWD/random | base64 -w 0")
        assert output == machine.succeed("base64 -w 0 $PWD/random")
    """, seconds=120)
    assert has_port(session) == (0 if session.kind == "refuse" else 1)


def test_input(session):
    session("""
        text = "x" * 1_500_000
        assert machine.execute(f": {text}; echo $((6 * 7)); exit 5") == (5, "42\\n")
        assert machine.execute(f": {text}; yes {'z' * 50} | head -n 2000; exit 5")[1].count("z") == 100_000
        import os, tempfile
        with tempfile.TemporaryDirectory() as directory:
            data = os.urandom(200_000)
            open(directory + "/source", "wb").write(data)
            machine.copy_from_host_via_shell(directory + "/source", directory + "/target")
            assert open(directory + "/target", "rb").read() == data
    """, seconds=120)


def test_output_as_it_arrives(session):
    """Without a port it arrives at the end, here at the time-out."""
    expected = [124, "first\n"] if session.kind == "refuse" else [0, "first\nsecond\n"]
    assert session("""
        seen = []
        def note(text):
            seen.append(text)
            if seen == ["first\\n"]:
                open(str(machine.state_dir) + "/gate", "w").close()
        result = machine.execute("echo first; while [ ! -e gate ]; do sleep 0.02; done; rm gate; echo second",
                                 timeout=5, on_output=note)
    """) == expected


def test_long_outputs_at_a_time_out(session):
    session("""
        machine.succeed("sleep 1.2") # so long that the shell has another process watch the command
        status, output = machine.execute("head -c 100000 /dev/zero; sleep 1000", timeout=2)
        assert status == 124 and len(output) == 100_000, (status, len(output))
        try:
            machine.execute("head -c 100000 /dev/zero; sleep 30 & exit", timeout=1)
            raise AssertionError("no error")
        except Exception as error:
            assert "still open" in str(error) and "(sleep)" in str(error), error
        assert machine.succeed("echo in step") == "in step\\n"
    """)


def test_an_exception_in_the_middle(session):
    """What the abandoned command has written reaches no other."""
    session("""
        def refuse(text):
            raise KeyError
        for _ in range(3):
            try:
                machine.execute("while echo much much much; do :; done", timeout=2, on_output=refuse)
                raise AssertionError("no exception")
            except KeyError:
                pass
            assert machine.succeed("head -c 70000 /dev/zero | tr '\\\\0' m") == "m" * 70000
    """)


def test_the_port_is_kept(session):
    session("""
        import glob
        machine.succeed("head -c 70000 /dev/zero")
        before = glob.glob(str(machine.state_dir) + "/virtio-ports/*/name")
        machine.succeed("head -c 70000 /dev/zero")
        assert glob.glob(str(machine.state_dir) + "/virtio-ports/*/name") == before
    """)


def test_the_shell_ends_in_an_output(session):
    """The parent of a command is the shell, or the agent, whose parent is the shell."""
    session("""
        for victim in ("kill -9 $PPID", "read -r _ _ _ shell _ < /proc/$PPID/stat; kill -9 $shell" if AGENT else
                       "kill -9 $PPID; kill -9 $$"):
            try:
                machine.execute(f"head -c 200000 /dev/zero; {victim}; sleep 1000", timeout=60)
                raise AssertionError("no error")
            except Exception as error:
                agent_alone = AGENT and victim == "kill -9 $PPID"
                assert ("the agent in the guest ended" if agent_alone else "began anew") in str(error), error
            try:
                output = machine.succeed("head -c 70000 /dev/zero")
            except Exception as error: # the new root shell was not there yet
                assert "began anew" in str(error), error
                output = machine.succeed("head -c 70000 /dev/zero")
            assert len(output) == 70000
    """)


def test_qemu_is_killed_in_an_output(fake):
    result = harness.run("""
        import threading, time
        machine.connect()
        threading.Timer(1, lambda: os.kill(machine.pid, 9)).start()
        began = time.monotonic()
        try:
            machine.execute("while :; do echo much much much; done", timeout=60)
        except Exception as error:
            print("ended:", error)
        assert time.monotonic() - began < 30
        machine.start()
        print("again", len(machine.succeed("head -c 70000 /dev/zero")))
    """, fake, options=NO_AGENT)
    assert "ended: machine 'machine'" in result.out + result.err and "again 70000" in result.out


def test_a_guest_that_never_has_the_port(fakes):
    """QEMU does not answer, or the guest has no such directory: the output comes in pieces."""
    with harness.Session(fakes("machine"), env={"FAKE_PORT": "never"}, options=NO_AGENT) as running:
        running("assert len(machine.succeed('head -c 200000 /dev/zero')) == 200000")
    with harness.Session(fakes("machine"), options=NO_AGENT) as running:
        running("""
            machine.connect()
            machine.shell.send(b"NTD_PORTS=/nowhere\\n")
            assert len(machine.succeed('head -c 200000 /dev/zero')) == 200000
            assert len(machine.succeed('head -c 200000 /dev/zero')) == 200000
        """)


def test_pieces(fakes):
    """One process of the guest sends all of them, or head does where there is no awk; and it ends with them."""
    with harness.Session(fakes("machine"), env={"FAKE_PORT": "refuse"}, options=NO_AGENT) as running:
        running("""
            def much(size):
                status, output = machine.execute(f"seq {size} | tee $PWD/sent")
                assert status == 0 and output == "".join(f"{i}\\n" for i in range(1, size + 1)), len(output)
                assert machine.succeed("set -- $(< /proc/$PPID/task/$PPID/children); echo $#") == "1\\n"

            for _ in range(2):
                much(100_000)
                machine.shell.send(b"type() { return 1; }\\n")
            machine.shell.send(b"unset -f type; awk() { return 1; }\\n")
            try:
                much(100_000)
                raise RuntimeError("it came all the same")
            except Exception as error:
                assert "base64" in str(error), error
            machine.shell.send(b"unset -f awk\\n")
            much(100_000)
        """, seconds=120)


GUEST = """
    def much(timeout=None):
        output = machine.execute("seq 100000 | tee /tmp/sent", timeout=timeout)[1]
        assert output == "".join(f"{i}\\n" for i in range(1, 100001)), len(output)
"""


def test_a_real_guest(tiny):
    with harness.Session(tiny, GUEST, options=NO_AGENT) as running:
        running("""
            import threading, time
            machine.start()
            for timeout in (None, 60, None):
                much(timeout)
            stop = False
            def spin():
                while not stop:
                    sum(range(1000))
            threads = [threading.Thread(target=spin) for _ in range(3)]
            [thread.start() for thread in threads]
            much()
            stop = True
            text = "x" * 1_000_000
            assert machine.execute(f": {text}; echo $((6 * 7)); exit 5") == (5, "42\\n")
            much()
        """, seconds=300)
        running("""
            def refuse(text):
                raise KeyError
            try:
                machine.execute("while echo much much much; do :; done", on_output=refuse)
                raise AssertionError("no exception")
            except KeyError:
                much()
            # Someone takes the port away in the middle.
            name = machine.succeed("cat /sys/class/virtio-ports/*/name").strip()
            def unplug(text):
                global name
                if name:
                    machine.qmp_client.send("device_del", {"id": name})
                name = None
            try:
                machine.execute("for i in 1 2 3; do echo $i; sleep 1; done", on_output=unplug)
                raise AssertionError("no error")
            except Exception as error:
                assert "data port" in str(error), error
            much()
            # The guest reboots in the middle.
            machine.allow_reboot = True
            try:
                machine.execute("head -c 200000 /dev/zero; reboot -f; sleep 1000")
                raise AssertionError("no error")
            except Exception as error:
                assert "began anew" in str(error) or "QEMU" in str(error), error
        """, seconds=300)
