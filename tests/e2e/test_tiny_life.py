"""The life of a real machine: start, shutdown, crash, reboot, state, machines made by the script."""

import harness

BOOT = 'cat /proc/sys/kernel/random/boot_id'


def test_life(tiny):
    harness.run(f"""
        boots = set()
        machine.start(allow_reboot=True)
        boots.add(machine.succeed("{BOOT}"))
        machine.succeed("touch /tmp/old")
        pid = machine.pid
        machine.reboot()
        assert (machine.booted, machine.connected) == (True, False)
        machine.wait_for_file("/proc/version")
        boots.add(machine.succeed("{BOOT}"))
        assert machine.pid == pid and machine.fail("test -e /tmp/old") == ""
        machine.shell.send(b"reboot\\n")
        machine.connected = False
        machine.connect()
        boots.add(machine.succeed("{BOOT}"))
        assert len(boots) == 3
        machine.shutdown()
        assert not machine.booted and machine.pid is None
        machine.shutdown()
        machine.crash()
        boots.add(machine.succeed("{BOOT}"))
        assert len(boots) == 4 and "connecting to host" in machine.get_console_log()
        machine.crash()
        assert not machine.is_up()
        machine.start()
        machine.connect()
        machine.reboot()  # ends QEMU, which was started with -no-reboot
        machine.wait_for_shutdown()
        assert not machine.booted
    """, tiny, seconds=120)


def test_state_is_kept_or_not(tiny, tmp_path):
    script = """
        print(machine.succeed("head -c 5 /dev/vda | tr '\\\\0' ."))
        machine.succeed("echo marks | dd of=/dev/vda bs=512 conv=sync; sync")
    """
    for options, expected in ([], "....."), (["--keep-machine-state"], "marks"), ([], "....."):
        result = harness.run(script, tiny, directory=tmp_path, options=options)
        assert result.lines[0] == expected


def test_created_machine(tiny, guests):
    harness.run("""
        extra = create_machine(EXTRA)
        assert extra.name == "extra" and [one.name for one in machines] == ["machine"]
        assert extra.succeed("hostname") == "extra\\n"
        extra.crash()
        other = create_machine(f"QEMU_KERNEL_PARAMS=word-of-mine {EXTRA} -smp 2", name="other")
        assert other.succeed("nproc; grep -c word-of-mine /proc/cmdline") == "2\\n1\\n"
        assert other.state_dir.name == "vm-state-other"
        assert not machine.booted
    """.replace("EXTRA", repr(guests.tiny("extra"))), tiny)


def test_environment_reaches_qemu(tiny):
    harness.run("""
        os.environ["QEMU_KERNEL_PARAMS"] = "set-by-script"
        os.environ["QEMU_OPTS"] = "-smp 2"
        assert machine.succeed("nproc; grep -c set-by-script /proc/cmdline") == "2\\n1\\n"
    """, tiny)


def test_join_all(tiny):
    with harness.Run("""
        import threading
        machine.connect()
        threading.Timer(1, machine.execute, ("poweroff",), dict(check_return=False, check_output=False)).start()
        join_all()
        print("all have ended")
    """, tiny) as run:
        assert run.finish().lines == ["all have ended"]
