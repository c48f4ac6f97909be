"""The script's global `driver`, create_machine(), and networks."""

import pytest

import harness

MACHINE = '''
def machine_like(name, calls):
    """An object of another class with the methods of a machine."""
    class Other:
        def start(self): calls.append("start")
        def wait_for_shutdown(self): calls.append("wait")
        def is_up(self): return True
        def execute(self, command): calls.append(command); return 0, ""
        def release(self): calls.append("release")
    other = Other()
    other.name = name
    return other
'''


# ---- the run


def test_its_attributes(fake):
    harness.run("""
        from pathlib import Path
        from test_driver.driver import DriverConfiguration
        assert driver.machines == [machine] == machines and driver.machines is machines
        assert driver.machines_qemu == [machine] and driver.machines_nspawn == []
        assert [vlan.nr for vlan in driver.vlans] == [1, 3] and driver.logger is log
        assert driver.out_dir == Path(machine.out_dir) and isinstance(driver.out_dir, Path)
        assert "driver.tests" in driver.tests and driver.keep_machine_state is False
        config = driver.config
        assert isinstance(config, DriverConfiguration) and driver.config is config
        assert list(config.vms) == ["machine"] and config.vms["machine"].start_script.name == "run-machine-vm"
        assert (config.vlans, config.containers, config.enable_ssh_backdoor) == ([1, 3], {}, False)
        assert config.global_timeout.total_seconds() == driver.global_timeout == 300
        assert config.test_script.read_text() == driver.tests
        assert driver.polling_conditions == []
        driver.check_polling_conditions()
        symbols = driver.test_symbols()
        assert symbols["driver"] is driver and symbols["machine"] is machine and symbols["vlan3"] is vlan3
        driver.own_attribute = 5
        assert driver.own_attribute == 5 and driver.t is t
    """, fake, vlans=[1, 3])


def test_polling_conditions_can_be_checked_at_will():
    result = harness.run("""
        from test_driver.polling_condition import PollingConditionError

        @polling_condition(seconds_interval=0, description="it holds")
        def holds():
            return fine

        fine = True
        with holds:
            assert driver.polling_conditions == [holds]
            driver.check_polling_conditions()
            fine = False
            try:
                driver.check_polling_conditions()
            except PollingConditionError as error:
                print(error)
        assert driver.polling_conditions == []
    """)
    assert result.lines == ["Polling condition failed: it holds"]


def test_machines_that_are_appended_are_the_drivers(fake):
    """The appended object may be a machine that the script has made, an instance of a subclass with its own start(), or
    an object with only the methods of a machine."""
    result = harness.run(MACHINE + """
calls = []

class Special(QemuMachine):
    def start(self, allow_reboot=False):
        calls.append("special start")
        super().start(allow_reboot)

    def wait_for_shutdown(self, timeout=None):
        calls.append("special wait")
        super().wait_for_shutdown(timeout)

script = machine.start_command._cmd
created = create_machine(script, name="created")
special = Special(driver.out_dir, machine.tmp_dir, script, log, "special")
driver.machines.append(created)
driver.machines += [special, machine_like("other", calls)]
assert machines[1:3] == [created, special] and driver.test_symbols()["created"] is created
start_all()
assert machine.booted and created.booted and special.booted and calls == ["special start", "start"]
for one in machines[:3]:
    one.succeed("true")
    one.execute("poweroff", check_return=False, check_output=False)
join_all()
assert not driver.race_timer.is_alive()  # join_all() has ended the time limit
assert calls[2:] == ["special start", "special wait", "wait"] and not created.booted and not special.booted
print("pids", created.pid)
created.start()
created.connect()
""", fake)
    assert result.lines == ["pids None"]
    assert "other" not in result.log


def test_what_is_put_into_one_list_of_machines_is_in_the_others(fake):
    """Upstream's drivers of 2026 have a list for each kind of machine, older ones a single list; scripts append to each
    of them."""
    harness.run("""
        script = machine.start_command._cmd
        first, other, third = (create_machine(script, name=name) for name in ("first", "other", "third"))
        driver.machines_qemu.append(other)
        machines_qemu.append(first)
        assert driver.machines == [first, machine, other] and driver.machines is machines
        driver.machines += [third]
        driver.machines_qemu += []
        assert driver.machines_qemu is machines_qemu and set(machines_qemu) == {first, machine, other, third}
        assert driver.machines_nspawn is machines_nspawn == []
        start_all()
        assert all(one.booted for one in (first, machine, other, third)) and driver.test_symbols()["first"] is first

        driver.machines_qemu.remove(first)
        assert first not in driver.machines
        machines.remove(other)
        assert other not in driver.machines_qemu
        driver.machines_qemu = [third]
        assert driver.machines == [third]
        driver.machines = [machine]
        assert driver.machines_qemu == [machine] and "third" not in driver.test_symbols()
        for name in "machines", "machines_qemu", "machines_nspawn":
            try:
                setattr(driver, name, 5)
            except TypeError as error:
                assert str(error) == f"{name} must be a list"
            else:
                raise Exception("accepted")
    """, fake)


def test_conditions_are_watched_beside_objects_that_are_no_machines(fake):
    harness.run(MACHINE + """
calls = []
driver.machines_qemu.append(machine_like("other", calls))
with polling_condition(lambda: calls.append("asked"), interval=0):
    machine.succeed("true")
assert calls == ["asked"]
""", fake)


def test_the_machines_are_synced_and_released_at_the_end(fake):
    result = harness.run(MACHINE + """
import atexit
calls = []
driver.machines.append(machine_like("other", calls))
machine.succeed("true")
atexit.register(lambda: print(calls))
""", fake)
    assert result.lines == ["['sync', 'release']"]


def test_the_limit_of_time_can_be_lifted_and_set_again(fake):
    with harness.Run("""
        timer = driver.race_timer
        assert timer.is_alive() and timer.interval == 2
        timer.cancel()
        assert not driver.race_timer.is_alive()
        import time
        time.sleep(3)
        print("still here")
        driver.race_timer.start()
        assert timer.is_alive()
        time.sleep(60)
    """, fake, global_timeout=2) as run:
        run.wait_for("still here")
        result = run.finish(seconds=20)
    assert result.status == 143 and "timeout reached; test terminating..." in result.log


def test_terminate_test(fake):
    """driver.terminate_test(), from any thread, ends the run as the time limit does, with status 143, whatever
    exceptions the script catches."""
    for call in "driver.terminate_test()", "threading.Thread(target=driver.terminate_test).start(); time.sleep(60)":
        result = harness.run(f"""
            import threading, time
            machine.start()
            try:
                {call}
            except BaseException:
                pass
            print("still here")
        """, fake, status=143)
        assert "timeout reached; test terminating..." in result.log and "kill QemuMachine" in result.log
        assert result.lines == []


# ---- create_machine of every generation


def test_forms_of_create_machine(fake):
    result = harness.run(r"""
        import re
        from pathlib import Path
        script = machine.start_command._cmd

        def error_of(*arguments, **named):
            try:
                create_machine(*arguments, **named)
            except Exception as error:
                return f"{type(error).__name__}: {error}"
            raise Exception("accepted")

        assert create_machine("/x/run-by-script-vm").name == "by-script" and create_machine("qemu -m 1").name == "machine"
        assert create_machine(Path("/x/run-a-vm")).name == "a" and create_machine(start_command="x", name="b").name == "b"
        (machine.tmp_dir / "vm-state-kept").mkdir()
        (machine.tmp_dir / "vm-state-kept/disk").touch()
        for keep in {"keep_vm_state": True}, {"keep_machine_state": True}:
            kept = create_machine(script, name="kept", **keep)
            assert kept.keep_vm_state and kept.keep_machine_state and (kept.state_dir / "disk").exists()
        by_dict = create_machine({"startCommand": script, "name": "kept", "keep_vm_state": True})
        assert by_dict.name == "kept" and (by_dict.state_dir / "disk").exists()
        assert by_dict.succeed("echo up") == "up\n" and by_dict not in machines
        assert not (create_machine(script, name="kept").state_dir / "disk").exists()
        assert error_of(5) == "TypeError: start_command must be a str, not int"
        assert re.match("TypeError: create_machine.* 'name' must be str", error_of(script, name=5))
        assert error_of(script, name="").startswith("ValueError: name")
        assert error_of(script, "positional").startswith("TypeError")
        assert error_of({"name": "x"}) == "TypeError: create_machine(): the dict must have the key startCommand"
        assert error_of({"startCommand": "x"}, name="y") == "TypeError: create_machine(): a dict must be the only argument"
        assert "'qemuFlags'" in error_of({"startCommand": "x", "qemuFlags": "y"})
    """, fake)
    assert result.log.count("create_machine() with a dict is deprecated") == 1


# ---- networks


def test_a_network_is_stopped_once(fake, tmp_path):
    """stop() on a stopped network does not stop another one that is made later, even at the same address in memory."""
    harness.run("""
        VLan = type(vlan1)
        for number in range(10, 30):
            first = VLan(number, DIRECTORY, log)
            first.stop()
            second = VLan(number + 30, DIRECTORY, log)
            first.stop()
            assert second.socket_dir.exists(), number
            second.stop()
            assert not second.socket_dir.exists()
    """.replace("DIRECTORY", repr(str(tmp_path))), fake, vlans=[1])


def test_a_network_of_the_scripts_own(fake, tmp_path):
    result = harness.run("""
        from pathlib import Path
        from test_driver.vlan import VLan
        net = VLan(7, machine.tmp_dir, log)
        assert repr(net) == "<Vlan Nr. 7>" and net.nr == 7 and net.socket_dir == machine.tmp_dir / "vde7.ctl"
        assert (net.socket_dir / "ctl").is_socket() and net.pid == os.getpid() and net.logger is log
        assert net.tap_name == "vde-tap7" and os.environ["QEMU_VDE_SOCKET_7"] == str(net.socket_dir)
        assert machine.succeed("echo $QEMU_VDE_SOCKET_7") == f"{net.socket_dir}\\n"
        net.stop()
        assert not net.socket_dir.exists()
        net.stop()
        left = VLan(nr=8, tmp_dir=str(machine.tmp_dir), logger=log)
        for wrong in dict(nr=-1), dict(nr=5000), dict(nr="x"), dict(tmp_dir=5), dict(logger=5):
            try:
                VLan(**{"nr": 9, "tmp_dir": machine.tmp_dir, "logger": log, **wrong})
            except (TypeError, ValueError) as error:
                assert next(iter(wrong)) in str(error), error
            else:
                raise Exception(f"accepted {wrong}")
        assert vlan1.socket_dir.exists() and vlan1.logger is log

        class Named(VLan):
            def __init__(self, name):
                super().__init__(10, machine.tmp_dir)
                self.name = name

        assert Named("lan").name == "lan"
    """, fake, vlans=[1])
    assert result.log.count("start vlan") == result.log.count("kill vlan") == 4


@pytest.mark.parametrize("name, script, style, warned", [
    ("server", "machine.log('x')", "json", True),
    ("server", "def f():\n    return machine.name\nf()", "json", True),
    ("server", "server.log('machine')", "json", False),
    ("machine", "machine.log('x')", "json", False),
    ("server", "machine.log('x')", "options", False),  # the style of the command line of those drivers
])
def test_alias_of_the_only_machine(fakes, name, script, style, warned):
    result = harness.run(script, fakes(name), style=style)
    assert ("the name `machine` for the only machine is deprecated: call it `server`" in result.log) == warned


def test_attributes_that_a_script_sets(fake):
    """Attributes have the effect that they have upstream; one without an effect keeps the value."""
    result = harness.run("""
        import threading
        from datetime import timedelta
        from pathlib import Path
        driver.tests = "print('another script on', machine.name)"
        assert driver.tests.startswith("print(")
        driver.test_script()
        driver.tests = "a syntax error"
        try:
            driver.test_script()
        except SyntaxError:
            print("told when it runs")
        driver.out_dir = "/tmp"
        assert driver.out_dir == Path("/tmp") and create_machine(machine.start_command._cmd, name="other").out_dir == Path("/tmp")
        value = object()
        driver.config = driver.tmp_dir = driver.vhost_vsock = driver.keep_machine_state = value
        assert driver.config is driver.tmp_dir is driver.vhost_vsock is driver.keep_machine_state is value
        for name in "vlans", "polling_conditions":
            mine = []
            setattr(driver, name, mine)
            assert getattr(driver, name) is mine
            for wrong in None, ():
                try:
                    setattr(driver, name, wrong)
                except TypeError:
                    continue
                raise Exception("accepted")

        @polling_condition
        def holds():
            return True
        with holds:
            assert driver.polling_conditions is mine and mine == [holds]
        driver.global_timeout = timedelta(minutes=5)
        assert driver.global_timeout == 300
        driver.global_timeout = 200
        calls = []
        class Timer:
            def start(self):
                calls.append("start")
            def cancel(self):
                calls.append("cancel")
        driver.race_timer = timer = Timer()
        driver.tests = "print('again')"
        driver.run_tests()
        join_all()
        assert driver.race_timer is timer and calls == ["start", "cancel"]
        before = driver.logger
        driver.logger = None
        assert driver.logger is not None
        driver.logger = before
        driver.race_timer = threading.Timer(1000, driver.terminate_test)
        driver.race_timer.start()
    """, fake)
    lines = result.out.splitlines()
    assert "another script on machine" in lines and "again" in lines and "told when it runs" in lines
    assert "Test will time out and terminate in 200.0 seconds" in result.log and result.seconds < 60
