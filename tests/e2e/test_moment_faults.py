"""Snapshots that cannot be saved or restored: what the error says, that the machine goes on or is off, and that nothing is
left. In a fake guest, which orders faults, and in a real one."""

import pytest

import harness

FIRST = harness.PROCESSES + """
import signal, threading

def order(**settings):
    for name, value in settings.items():
        (machine.state_dir / f"FAKE_{name}").write_text(value)

def assert_runs(machine):
    assert machine.qmp_client.send("query-status")["return"]["running"]
    assert machine.succeed("echo here") == "here\\n"

def interrupt_when(condition):
    \"\"\"Presses Ctrl-C when the condition holds.\"\"\"
    def wait():
        while not condition():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=wait, daemon=True).start()

def stands_still():
    try:
        return not machine.qmp_client.send("query-status")["return"]["running"]
    except Exception:  # it is starting
        return False

def interrupted(function, *arguments):
    try:
        function(*arguments)
    except KeyboardInterrupt:
        return True
    return False
"""


@pytest.fixture(params=[[], ["--no-agent"]], ids=["agent", "shell"])
def session(fake, request):
    with harness.Session(fake, FIRST, options=request.param) as running:
        running("""
            machine.connect()
            machine.succeed("mkdir -p $PWD/guest-state; echo old > $PWD/guest-state/file")
            machine.snapshot("then")
        """)
        yield running


def test_a_full_disk(session):
    session("""
        order(SAVE="full")
        for _ in range(2):
            error = error_of(machine.snapshot, "then")
            assert error == ("MachineError: machine 'machine': QEMU: snapshot-save: Error while writing VM state: No space "
                             "left on device"), error
            assert_runs(machine)
        order(SAVE="")
        machine.succeed("echo new > $PWD/guest-state/file")
        machine.restore("then")
        assert machine.succeed("cat $PWD/guest-state/file") == "old\\n"
        machine.snapshot("then")
        machine.restore("then")
        assert_runs(machine)
    """)


def test_what_is_in_the_way(session):
    session("""
        order(BLOCKERS="Migration is disabled when VirtFS export path '/a' is mounted in the guest using mount_tag 'mine'",
              DISKS='[{}, {"drv": "raw", "file": "data.img"}, {"drv": "raw", "ro": true}]')
        error = error_of(machine.snapshot, "more")
        assert "its state cannot be saved:\\n" in error and "mount_tag 'mine'; unmount" in error, error
        assert "data.img" in error and "format raw" in error and "qcow2" in error, error
        assert error.count("\\n") == 2, error
        assert_runs(machine)
        assert "it has 'then'" in error_of(machine.restore, "more")
        order(BLOCKERS="", DISKS="[{}]")
        machine.snapshot("more")
        assert "it has 'then', 'more'" in error_of(machine.restore, "less")
        assert_runs(machine)
    """)


def test_killed_in_the_middle(session):
    session("""
        order(SAVE="killed")
        error = error_of(machine.snapshot, "then")
        assert error.startswith("MachineDied: machine 'machine': QEMU process was killed by signal 9 (Killed)"), error
        machine.wait_for_shutdown()
        order(SAVE="", LOAD="killed")
        error = error_of(machine.restore, "then")
        assert error.startswith("MachineDied: machine 'machine': QEMU process was killed by signal 9 (Killed)"), error
        machine.wait_for_shutdown()
        order(LOAD="")
        machine.restore("then")
        assert machine.succeed("cat $PWD/guest-state/file") == "old\\n"
        before = held()
        for _ in range(3):
            machine.crash()
            machine.restore("then")
            assert_runs(machine)
        assert_held_again(before)
    """)


def test_ctrl_c(session):
    session("""
        order(SAVE="hangs", LOAD="hangs")
        interrupt_when(stands_still)
        assert interrupted(machine.snapshot, "then")
        assert_runs(machine)
        order(SAVE="")
        interrupt_when(stands_still)
        assert interrupted(machine.restore, "then")
        machine.wait_for_shutdown()
        assert not machine.booted
        order(LOAD="")
        machine.restore("then")
        assert machine.succeed("cat $PWD/guest-state/file") == "old\\n"
    """)


def test_ctrl_c_where_qemu_does_not_heed_it(session):
    session("""
        machine.crash()
        order(LOAD="stuck")
        interrupt_when(stands_still)
        assert interrupted(machine.restore, "then")
        assert not machine.booted
        order(LOAD="")
        machine.restore("then")
        assert machine.succeed("cat $PWD/guest-state/file") == "old\\n"
    """)


# ---- a real guest


def test_a_container_has_none(guests):
    script = """
        machine.start()
        for method in machine.snapshot, machine.restore:
            try:
                method("x")
            except Exception as error:
                print(type(error).__name__, error)
    """
    result = harness.run(script, containers={"machine": guests.container("machine")}, seconds=300)
    said = [line for line in result.lines if "containers have no snapshots" in line]
    assert len(said) == 2 and all(line.startswith("MachineError machine 'machine': ") for line in said), result.lines


SMALL = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=220m tmpfs "$TMPDIR" && exec "$@"', "sh", harness.DRIVER]


@pytest.fixture(scope="module", params=[[], ["--no-agent"]], ids=["agent", "shell"])
def real(tiny, request):
    """The machine's state directory is on a small disk."""
    with harness.Session(tiny, FIRST, options=request.param, driver=SMALL) as running:
        running("""
            machine.start()
            machine.succeed("echo old > /tmp/state")
            store = machine.state_dir / "snapshots.qcow2"

            def assert_old():
                machine.restore("then")
                assert_runs(machine)
                assert machine.succeed("cat /tmp/state; echo new > /tmp/state; mount | grep -c 9p") == "old\\n2\\n"

            def next_save():
                # A function that tells whether the file has grown by some megabytes since.
                before = store.stat().st_blocks
                return lambda: store.stat().st_blocks > before + 8192

            serve.__globals__.update(locals())
            machine.snapshot("then")
        """, seconds=300)
        yield running


def test_the_disk_is_full(real):
    real("""
        filler = machine.state_dir / "filler"
        space = os.statvfs(machine.state_dir)
        with open(filler, "wb") as file:
            file.write(bytes(space.f_bavail * space.f_bsize - (8 << 20)))
        for _ in range(2):
            error = error_of(machine.snapshot, "then")
            assert error.startswith("MachineError: machine 'machine': QEMU: snapshot-save: "), error
            assert "has only" in error and str(machine.state_dir) in error, error
            assert_runs(machine)
        filler.unlink()
        assert_old()
    """, seconds=300)


def test_ctrl_c_in_a_real_save(real):
    real("""
        assert_old()
        interrupt_when(next_save())
        assert interrupted(machine.snapshot, "more")
        assert_runs(machine)
        assert "it has 'then'" in error_of(machine.restore, "more")
        assert_old()
    """, seconds=300)


def test_killed_in_a_real_save_and_restore(real):
    real("""
        def kill_when(condition):
            def wait(pid):
                while not condition():
                    time.sleep(0.001)
                os.kill(pid, signal.SIGKILL)
            threading.Thread(target=wait, args=(qemu(machine),), daemon=True).start()

        assert_old()
        kill_when(next_save())
        error = error_of(machine.snapshot, "more")
        assert error.startswith("MachineDied: machine 'machine': QEMU process was killed by signal 9 (Killed)"), error
        machine.wait_for_shutdown()
        assert_old()
        kill_when(stands_still)  # a new one does what it could not
        assert_old()
    """, seconds=300)


def test_a_wait_for_a_save_is_no_boot(fake):
    """The log tells of one boot only, though a call has waited until the machine was saved."""
    result = harness.run("""
        import threading
        machine.connect()
        saving = threading.Thread(target=machine.snapshot, args=("slow",))
        saving.start()
        while machine.qmp_client.send("query-status")["return"]["running"]:
            pass
        machine.succeed("true")
        saving.join()
    """, fake, env={"FAKE_SAVE": "1"})
    assert result.log.count("waiting for the VM to finish booting") == 2, result.log  # its beginning and its end
