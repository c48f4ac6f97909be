"""What the fake machine shows of QEMU's snapshots: jobs with their events and errors, states that come back in the same
process and in a new one, and the faults that can be ordered. QEMU 7.2 behaves so."""

import pytest

import harness

FIRST = harness.PROCESSES + harness.ERROR_OF + """
import signal, threading

NODES = ["#block100"]

def send(command, **arguments):
    arguments = {name.replace("_", "-"): value for name, value in arguments.items()}
    return machine.qmp_client.send(command, arguments)["return"]

def conclude(id="job"):
    \"\"\"Waits for the job's end, dismisses it, and returns its error and the events up to its end.\"\"\"
    events = []
    while not events or events[-1] != "concluded":
        event = machine.qmp_client.wait_for_event(timeout=60)
        events.append(event["data"]["status"] if event["event"] == "JOB_STATUS_CHANGE" else event["event"])
    job, = send("query-jobs")
    assert job["id"] == id and job["status"] == "concluded", job
    send("job-dismiss", id=id)
    assert send("query-jobs") == []
    return job.get("error"), " ".join(events)

def job(command, **arguments):
    list(machine.qmp_client.events())
    assert send(command, job_id="job", **arguments) == {}
    return conclude()

def state(verb, tag="one", vmstate=NODES[0], devices=NODES, **others):
    if verb != "delete":
        others["vmstate"] = vmstate
    return job(f"snapshot-{verb}", tag=tag, devices=devices, **others)

def order(**settings):
    for name, value in settings.items():
        (machine.state_dir / f"FAKE_{name}").write_text(value)

def wait_until(condition):
    while not condition():
        time.sleep(0.01)

CALM = "created running waiting pending concluded"
LIVE = "created running STOP RESUME waiting pending concluded"
"""
ADD_DISK = """
path = str(machine.state_dir / "saved.qcow2")
assert job("blockdev-create", options={"driver": "file", "filename": path, "size": 0}) == (None, CALM)
send("blockdev-add", driver="file", node_name="saved-file", filename=path)
assert "not in qcow2" in error_of(send, "blockdev-add", driver="qcow2", node_name="saved", file="saved-file")
assert job("blockdev-create", options={"driver": "qcow2", "file": "saved-file", "size": 1 << 30}) == (None, CALM)
send("blockdev-add", driver="qcow2", node_name="saved", file="saved-file")
"""


def running(fake, options):
    with harness.Session(fake, FIRST, options=options) as session:
        session("machine.connect()")
        yield session
        session("machine.crash()")  # else the driver would run a command in it, though it may be stopped


@pytest.fixture(params=[["--no-agent"], []], ids=["shell", "agent"])
def session(fake, request):
    yield from running(fake, request.param)


@pytest.fixture
def shell(fake):
    yield from running(fake, ["--no-agent"])


def test_files_go_back(session):
    session("""
        machine.succeed("mkdir $PWD/guest-state; echo old > $PWD/guest-state/file")
        assert state("save") == (None, LIVE)
        machine.succeed("echo new > $PWD/guest-state/file; touch $PWD/guest-state/more; echo left > $PWD/outside")
        assert state("save", "two") == (None, LIVE)
        for _ in range(2):
            assert state("load") == (None, LIVE)
            assert machine.succeed("cd $PWD/guest-state; cat file; ls") == "old\\nfile\\n"
            assert state("load", "two") == (None, LIVE)
            assert machine.succeed("cd $PWD/guest-state; cat file; ls; cat ../outside") == "new\\nfile\\nmore\\nleft\\n"
        send("stop")
        assert state("load") == state("delete") == (None, CALM)
        assert send("query-status") == {"status": "paused", "singlestep": False, "running": False}
        send("cont")
        assert machine.succeed("cat $PWD/guest-state/file") == "old\\n"
        error, events = state("load")
        assert events == "created running STOP aborting concluded"
        assert send("query-status")["status"] == "restore-vm"
    """)


def test_the_shell_goes_on_where_it_is_idle(shell):
    shell("""
        machine.succeed("true")
        pid, banners = machine.succeed("echo $PPID"), machine.get_console_log().count("connecting to host")
        state("save")
        machine.succeed("sleep 1000 > /dev/null 2>&1 & echo $! > $PWD/new")
        began = machine.succeed("cat $PWD/new").strip()
        state("load")
        assert machine.succeed("echo $PPID") == pid
        wait_until(lambda: not os.path.exists(f"/proc/{began}"))
        assert machine.get_console_log().count("connecting to host") == banners == 1
    """)


@pytest.mark.parametrize("line", ["sleep 1000; echo late", "while :; do :; done"])
def test_a_command_of_a_state_that_is_gone_does_not_answer(shell, line):
    shell("""
        state("save")
        machine.shell.sendall(f"touch $PWD/busy; echo early; {line}\\n".encode())
        wait_until((machine.state_dir / "busy").exists)
        send("stop")
        machine.shell.sendall(b"echo now\\n")
        state("load")
        send("cont")
        stream = machine.shell.makefile()
        first = stream.readline()
        assert (stream.readline() if first == "early\\n" else first) == "now\\n"
    """, line=line)


def test_a_stopped_guest_says_nothing(session):
    session("""
        send("stop")
        said = []
        thread = threading.Thread(target=lambda: said.append(machine.execute("echo here")))
        thread.start()
        for _ in range(20):
            send("query-status")
        thread.join(0.5)
        assert thread.is_alive() and not said
        machine.send_monitor_command("cont")
        thread.join()
        assert said == [(0, "here\\n")]
    """)


def test_errors_of_jobs(shell):
    shell("""
        assert state("save") == (None, LIVE)
        bad = "created running aborting concluded"
        stopped = "created running STOP aborting concluded"
        assert state("save") == ("Snapshot 'one' already exists in one or more devices", bad)
        assert state("load", "x") == ("Snapshot 'x' does not exist in one or more devices", stopped)
        send("cont")
        assert state("delete", "x") == (None, CALM)
        assert state("save", "x", "no") == ("vmstate block device 'no' does not exist", bad)
        assert state("save", "x", devices=["no"]) == ("No block device node 'no'", bad)
        assert state("save", "x", devices=[]) == ("At least one device is required for snapshot", bad)
        order(DISKS='[{}, {"drv": "raw", "file": "data.img"}]')
        blocks = [one["inserted"] for one in send("query-block")]
        assert [(one["drv"], one["ro"], one["node-name"]) for one in blocks] == [
            ("qcow2", False, "#block100"), ("raw", False, "#block101")]
        assert blocks[1]["image"]["filename"] == blocks[1]["file"] == str(machine.state_dir / "data.img")
        text = "Device '#block101' is writable but does not support snapshots"
        assert state("save", "x", devices=NODES + ["#block101"]) == (text, bad)
        assert machine.send_monitor_command("savevm x").endswith(f"Error: {text}\\r\\n(qemu) ")
        assert state("save", "x") == (None, LIVE)
        assert send("query-migrate") == {}
        order(BLOCKERS="export path '/a' is mounted\\nthe second")
        assert send("query-migrate") == {"blocked-reasons": ["export path '/a' is mounted", "the second"]}
        assert state("save", "y") == ("export path '/a' is mounted", bad)
        error = error_of(send, "blockdev-create", options={})
        assert "GenericError" in error and "job_id" in error, error
        assert "Job not found" in error_of(send, "job-dismiss", id="x")
        assert send("query-name") == {"name": "machine"}
        assert send("announce-self", initial=50, max=550, rounds=5, step=50) == {}
    """)


def test_other_ports_than_then(session):
    """Ports of the script's, since the driver takes its own away before a state is saved or loaded."""
    session("""
        path = str(machine.state_dir / "other")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        backend = {"type": "socket", "data": {"addr": {"type": "unix", "data": {"path": path}}, "server": False}}
        assert state("save") == (None, LIVE)
        send("chardev-add", id="other", backend=backend)
        send("device_add", driver="virtserialport", id="other", chardev="other", name="other")
        assert state("load") == ("Error -22 while loading VM state", "created running STOP aborting concluded")
        machine.wait_for_console_text("VM setup matches your saved VM setup", timeout=60)
        send("device_del", id="other")
        send("chardev-remove", id="other")
        machine.qmp_client.wait_for_event(timeout=60)
        assert state("load") == (None, CALM)
        listener.close()
        os.unlink(path)
    """)


def test_faults(shell):
    shell("""
        machine.succeed("mkdir $PWD/guest-state")
        order(SAVE="full")
        assert state("save") == ("Error while writing VM state: No space left on device",
                                 "created running STOP RESUME aborting concluded")
        assert os.listdir(machine.state_dir / "machine.qcow2.d") == []
        order(SAVE="hangs")
        for verb, back in ("save", "RESUME "), ("load", ""):
            list(machine.qmp_client.events())
            send(f"snapshot-{verb}", job_id="job", tag="one", vmstate=NODES[0], devices=NODES)
            assert send("query-jobs")[0]["status"] == "running" and not send("query-status")["running"]
            assert "cannot accept command verb 'dismiss'" in error_of(send, "job-dismiss", id="job")
            send("job-cancel", id="job")
            assert conclude() == ("Operation canceled", f"created running STOP {back}aborting concluded")
            send("cont")
            order(SAVE="", LOAD="hangs")
            if verb == "save":
                assert state("save") == (None, LIVE)
        order(SAVE="0.5 full", LOAD="stuck")
        began = time.monotonic()
        assert "No space" in state("save", "two")[0] and time.monotonic() - began >= 0.5
        send("snapshot-load", job_id="job", tag="one", vmstate=NODES[0], devices=NODES)
        send("job-cancel", id="job")
        assert send("query-jobs")[0]["status"] == "running" and not send("query-status")["running"]
    """)


def test_killed_in_the_middle(fake):
    with harness.Session(fake, FIRST, options=["--no-agent", "--keep-machine-state"]) as session:
        session("""
            machine.connect()
            machine.succeed("mkdir -p $PWD/guest-state; touch $PWD/guest-state/file")
            state("save")
            for name, verb, tag in ("SAVE", "save", "two"), ("LOAD", "load", "one"):
                order(**{name: "killed"})
                ended = error_of(state, verb, tag)
                machine.wait_for_shutdown()
                assert machine.succeed("ls machine.qcow2.d").split() in (
                    ["one.state"], ["one.state", "two.incomplete"])
                assert (name == "LOAD") != (machine.state_dir / "guest-state/file").exists()
                os.unlink(machine.state_dir / f"FAKE_{name}")
        """)


def test_a_new_process(shell):
    shell(ADD_DISK + """
nodes = ["#block100", "saved"]
machine.succeed("mkdir $PWD/guest-state; echo old > $PWD/guest-state/file")
assert state("save", vmstate="saved", devices=nodes) == (None, LIVE)
assert "in use" in error_of(send, "blockdev-del", node_name="saved-file")
send("blockdev-del", node_name="saved")
send("blockdev-del", node_name="saved-file")
assert "Failed to find node" in error_of(send, "blockdev-del", node_name="saved")
assert "disk-only" in state("load")[0]
machine.crash()
(machine.state_dir / "guest-state/file").write_text("new")
os.environ["QEMU_OPTS"] = "-S"
machine.start()
assert send("query-status")["status"] == "prelaunch"
assert "Could not open" in error_of(send, "blockdev-add", driver="file", node_name="x", filename="none")
send("blockdev-add", driver="file", node_name="saved-file", filename=path)
send("blockdev-add", driver="qcow2", node_name="saved", file="saved-file")
assert "Duplicate nodes" in error_of(send, "blockdev-add", driver="qcow2", node_name="saved", file="saved-file")
assert state("load", vmstate="saved", devices=nodes) == (None, CALM)
machine.shell.sendall(b"cat guest-state/file\\n")
assert send("query-status")["status"] == "prelaunch"
send("cont")
assert machine.shell.recv(100) == b"old\\n"
assert "connecting to host" not in machine.get_console_log()
""")


def test_stopped_from_the_start(shell):
    shell("""
        machine.crash()
        os.environ["QEMU_OPTS"] = "-S"
        machine.start()
        assert send("query-status") == {"status": "prelaunch", "singlestep": False, "running": False}
        assert "prelaunch" in machine.send_monitor_command("info status")
        send("cont")
        assert machine.succeed("echo here") == "here\\n"
    """)


@pytest.mark.parametrize("uri", ["exec:cat > {path}", "file:{path}"])
def test_moved_through_a_file(shell, uri):
    shell("""
        path = str(machine.state_dir.parent / "moved")
        machine.succeed("mkdir $PWD/guest-state; echo old > $PWD/guest-state/file")
        send("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
        list(machine.qmp_client.events())
        assert "valid migration protocol" in error_of(send, "migrate", uri="nothing:x")
        assert "'-incoming' was not specified" in error_of(send, "migrate-incoming", uri=uri)
        send("migrate", uri="exec:false")
        while send("query-migrate")["status"] != "failed":
            pass
        assert send("query-status")["running"]
        list(machine.qmp_client.events())
        send("migrate", uri=uri.replace("{path}", path))
        events = [machine.qmp_client.wait_for_event(timeout=60) for _ in range(4)]
        events = [event.get("data", {}).get("status", "STOP") for event in events]
        assert events == ["setup", "active", "STOP", "completed"]
        assert send("query-status")["status"] == "postmigrate" and send("query-migrate") == {"status": "completed"}
        machine.crash()
        (machine.state_dir / "guest-state/file").write_text("new")
        os.environ["QEMU_OPTS"] = "-incoming defer"
        machine.start()
        assert send("query-status")["status"] == "inmigrate"
        send("migrate-incoming", uri=uri.replace("{path}", path).replace("cat >", "cat"))
        while send("query-migrate").get("status") != "completed":
            pass
        assert send("query-status")["running"]
        machine.shell.sendall(b"cat guest-state/file\\n")
        assert machine.shell.recv(100) == b"old\\n"
        os.unlink(path)
    """, uri=uri)


def test_no_clock_is_set(session):
    session("""
        machine.succeed("date -s @1.5; date --set=yesterday; test $(date +%s) -gt 1000000000")
        assert (machine.state_dir / "clock").read_text() == "-s @1.5\\n--set=yesterday\\n"
    """)
