"""machine.shell, machine.monitor and machine.qmp_client, used directly by scripts."""

import harness


def test_they_are_sockets(fake):
    harness.run(r"""
        import select, socket
        assert machine.shell is machine.monitor is machine.qmp_client is None
        machine.succeed("true")
        for connection in machine.shell, machine.monitor, machine.qmp_client.sock:
            assert isinstance(connection, socket.socket) and connection.fileno() >= 0 and not connection.get_inheritable()
            assert connection.gettimeout() is None and connection.getblocking()
        shell = machine.shell
        assert shell is machine.shell and machine.monitor is machine.monitor
        assert select.select([shell], [], [], 0)[0] == []
        assert shell.send(b"echo one; echo two\n") == 19 and shell.sendall(b"echo three; echo four\n") is None
        assert select.select([shell], [], [], 60)[0] == [shell]
        with shell.makefile("rw") as file:
            assert [file.readline() for _ in range(4)] == ["one\n", "two\n", "three\n", "four\n"]
            file.write("echo five\n")
        buffer = bytearray(10)
        assert shell.recv_into(buffer) == 5 and buffer[:5] == b"five\n"
        shell.setblocking(False)
        try:
            shell.recv(1)
        except BlockingIOError:
            pass
        else:
            raise Exception("there was something")
        assert machine.succeed("echo in step") == "in step\n"
        with machine.shell.dup() as twin:
            twin.settimeout(60)
            twin.send(b"echo six\n")
            assert twin.recv(100) == b"six\n"
        shell.close()
        assert machine.shell is shell and shell.fileno() == -1 and machine.succeed("echo goes on") == "goes on\n"
    """, fake)


def test_what_is_sent_goes_before_what_follows(fake):
    harness.run(r"""
        machine.succeed("true")
        for i in range(50):
            machine.shell.send(f"number={i}; export number\n".encode())
            assert machine.succeed("echo $number") == f"{i}\n"
        machine.monitor.send(b"info status\n")
        answer = machine.wait_for_monitor_prompt()
        assert "VM status: running" in answer and answer.endswith("(qemu) "), answer
        machine.shell.send(b"poweroff\n")
        machine.wait_for_shutdown()
    """, fake)


def test_what_ended_stays_readable(fake):
    """After the machine's end, recv() returns the remaining bytes and then b"", and send() raises one of the exceptions
    that upstream's sockets raise. Nothing hangs."""
    result = harness.run(r"""
        import queue
        machine.start()
        shell, monitor, client = machine.shell, machine.monitor, machine.qmp_client
        machine.connect()
        shell.send(b"echo last words\n")
        while b"words" not in (received := shell.recv(100, 2)):  # MSG_PEEK
            pass
        machine.shutdown()
        assert (machine.shell, machine.monitor, machine.qmp_client) == (shell, monitor, client)
        assert shell.recv(100) == b"last words\n" and shell.recv(100) == b""
        monitor.settimeout(60)
        while monitor.recv(1000):
            pass
        assert client.wait_for_event()["event"] == "SHUTDOWN"
        for send in shell.send, monitor.sendall, client.sock.send, lambda data: client.send("query-status"), lambda data: client.wait_for_event():
            try:
                send(b"x\n")
            except (BrokenPipeError, ConnectionError):
                continue
            raise Exception(f"{send} went on")
        assert client.pending_events.empty() and client.sock.recv(1) == b""
        machine.start()
        assert machine.shell is not shell and machine.monitor is not monitor and machine.qmp_client is not client
        try:
            client.send("query-status")
        except BrokenPipeError as error:
            print(error)
        assert machine.qmp_client.send("query-status")["return"]["running"] and shell.recv(1) == b""
    """, fake)
    assert "machine 'machine': the QMP connection is of an earlier start" in result.out


def test_they_can_be_asked_for_when_all_is_over(fake):
    harness.run("""
        machine.succeed("true")
        machine.crash()
        assert machine.shell.recv(10) == b"" and machine.monitor is not None
        try:
            machine.qmp_client.send("query-status")
        except BrokenPipeError:
            pass
        else:
            raise Exception("there is no QEMU")
    """, fake)


# ---- time-outs that a script sets


def test_a_limit_bounds_commands(fake):
    harness.run(r"""
        import time
        machine.succeed("true")
        machine.shell.settimeout(0.5)
        for use in (lambda: machine.execute("sleep 1000", timeout=None), lambda: machine.shell.recv(1),
                    lambda: machine.succeed("sleep 1000")):
            try:
                use()
            except TimeoutError as error:
                print(type(error).__name__, error)
            else:
                raise Exception("it returned")
        machine.shell.settimeout(None)
        assert machine.shell.gettimeout() is None and machine.succeed("sleep 1; echo in step") == "in step\n"
        machine.shell.settimeout(0.5)
        machine.crash()
        machine.start()
        assert machine.shell.gettimeout() is None and machine.succeed("sleep 1; echo anew") == "anew\n"
        machine.shell.setblocking(False)
        assert machine.succeed("sleep 1; echo no limit") == "no limit\n"
    """, fake)


def test_a_limit_is_one_of_silence(fake):
    """The time-out limits the wait for the next bytes, as for recv(); output that keeps coming may take longer."""
    harness.run(r"""
        machine.succeed("true")
        machine.shell.settimeout(1000)
        assert len(machine.succeed("head -c 3000000 /dev/zero | tr '\\0' x")) == 3000000
        machine.monitor.settimeout(1000)
        assert "running" in machine.send_monitor_command("info status")
    """, fake)


def test_a_limit_bounds_monitor_commands(fake):
    harness.run(r"""
        import signal
        from pathlib import Path
        machine.succeed("true")
        machine.monitor.settimeout(0.5)
        os.kill(machine.pid, signal.SIGSTOP)
        tasks = Path(f"/proc/{machine.pid}/task")
        while not all(" T " in (task / "stat").read_text() for task in tasks.iterdir()):
            pass
        try:
            machine.send_monitor_command("info status")
        except TimeoutError as error:
            assert "info status" in str(error), error
        else:
            raise Exception("a stopped QEMU answered")
        os.kill(machine.pid, signal.SIGCONT)
        machine.monitor.settimeout(None)
        assert "running" in machine.send_monitor_command("info status")
    """, fake)


# ---- QMP


def test_queues_of_qmp(tiny):
    harness.run(r"""
        import json, queue, time
        machine.start()
        client = machine.qmp_client
        events, results = client.pending_events, client.results
        assert client is machine.qmp_client and events is client.pending_events and results.empty()
        assert client.send("query-status")["return"]["running"] and results.empty()
        while not events.empty():
            events.get_nowait()
        for get in events.get_nowait, lambda: events.get(timeout=0.05), results.get_nowait:
            try:
                get()
            except queue.Empty:
                continue
            raise Exception("there was one")
        client.send("stop")
        client.send("cont")
        assert events.get(timeout=60)["event"] == "STOP"
        while events.empty():
            time.sleep(0.01)
        assert events.qsize() == 1 and client.wait_for_event(timeout=60)["event"] == "RESUME" and events.empty()
        client.send("stop")
        events.put({"event": "MADE_UP"})
        assert [events.get()["event"] for _ in range(2)] == ["MADE_UP", "STOP"]
        client.sock.settimeout(60)
        client.sock.sendall(b'{"execute": "query-name", "id": "mine"}\n')
        assert json.loads(client.sock.makefile().readline()) == {"return": {"name": "machine"}, "id": "mine"}
        assert not client.send("query-status")["return"]["running"]
    """, tiny, seconds=120)


def test_threads_get_the_same_objects_of_a_session(fake):
    """Two threads ask at the same time, and an object for each of them is made before either is kept."""
    harness.run("""
        import queue, threading
        import test_driver.machine.connection as connections
        import test_driver.machine.qmp as qmp

        def together(function):
            both = threading.Barrier(2)

            def call(*arguments):
                made = function(*arguments)
                both.wait(60)
                return made

            return call

        connections.connection = together(connections.connection)
        qmp.EventQueue = together(qmp.EventQueue)
        queue.Queue = together(queue.Queue)
        machine.start()
        client = machine.qmp_client
        for name in "sock", "pending_events", "results":
            seen = []
            threads = [threading.Thread(target=lambda: seen.append(getattr(client, name))) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(seen) == 2 and seen[0] is seen[1] is getattr(client, name), (name, seen)
    """, fake)


def test_machine_and_connections_are_collected_together(fake):
    harness.run("""
        import gc, weakref
        other = create_machine(machine.start_command._cmd, name="other")
        other.start()
        parts = other.shell, other.monitor, other.qmp_client, other.qmp_client.pending_events, other.qmp_client.sock
        other.crash()
        gone = weakref.ref(other)
        del other, parts
        gc.collect()
        assert gone() is None
    """, fake)
