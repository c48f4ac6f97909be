"""Driver objects that scripts make themselves, with machines and time limits of their own."""

import json

import pytest

import harness


@pytest.fixture
def configured(tmp_path, fakes):
    """The path of a configuration file with two machines."""
    scripts = fakes("b", "a")
    (tmp_path / "script.py").write_text("a.succeed('echo from the inner script >&2'); print('names', sorted(vlans), a.name)\n")
    (tmp_path / "config.json").write_text(json.dumps({
        "vms": {name: {"name": name, "start_script": path} for name, path in scripts.items()}, "containers": {},
        "vlans": [], "global_timeout": 100, "enable_ssh_backdoor": False, "test_script": str(tmp_path / "script.py")}))
    return str(tmp_path / "config.json")


def test_a_driver_within_a_script(fake, configured):
    result = harness.run("""
        from test_driver.driver import Driver, load_driver_configuration
        machine.start()
        config = load_driver_configuration(CONFIG)
        with Driver(config=config, out_dir=driver.out_dir, logger=driver.logger, interactive=True) as inner:
            assert isinstance(inner, Driver) and inner is not driver and inner.config is config
            assert [one.name for one in inner.machines] == ["a", "b"] and [one.name for one in machines] == ["machine"]
            assert inner.out_dir == driver.out_dir and inner.logger is log and inner.global_timeout == 100
            inner.start_all()
            a, b = inner.machines
            assert a.booted and b.booted
            inner.test_script()
            inner.run_tests()
            assert inner.race_timer.is_alive() and inner.race_timer.interval == 100
            assert inner.test_symbols()["a"] is a and inner.test_symbols()["driver"] is inner
            created = inner.create_machine(machine.start_command._cmd, name="c")
            inner.machines.append(created)
            created.start()
            with inner.subtest("inner part"):
                inner.debug.breakpoint()
                inner.t.assertEqual(1, 1)
            pids = [one.pid for one in inner.machines]
        assert not inner.race_timer.is_alive() and [one.pid for one in inner.machines] == [None] * 3
        assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
        assert machine.succeed("echo outer lives") == "outer lives\\n"
    """.replace("CONFIG", repr(configured)), fake)
    assert result.log.count("from the inner script") == 6  # twice: the text of a step, the step's end, and the console
    assert result.log.count("Test will time out and terminate in 100.0 seconds") == 1
    assert [line for line in result.lines if line.startswith("names")] == ["names [] a"] * 2


def test_a_script_that_replaces_itself_runs_to_its_end(fake):
    """The script is so long that the driver executes it in several parts."""
    result = harness.run("""
        from test_driver.driver import Driver
        text = "driver.tests = 'print(2)'\\nimport gc; gc.collect()\\nassert 1\\n" + "#" * 200_000 + "\\nprint(1)\\nassert 1\\n"
        inner = Driver([], [], text, driver.out_dir, log)
        inner.test_script()
        inner.test_script()
    """, fake, env={"PYTHONMALLOC": "debug"})
    assert [line for line in result.lines if line.isdigit()] == ["1", "2"]


def test_the_limit_of_an_inner_driver(configured):
    result = harness.run("""
        import time
        from test_driver.driver import Driver, load_driver_configuration
        config = load_driver_configuration(CONFIG)
        config.global_timeout = 1
        config.vms = {}
        open(config.test_script, "w").write("import time; time.sleep(60)")
        with Driver(config, driver.out_dir, driver.logger) as inner:
            inner.run_tests()
    """.replace("CONFIG", repr(configured)), status=143)
    assert "timeout reached; test terminating..." in result.log


def test_an_inner_script_that_fails(configured, fake):
    result = harness.run("""
        from test_driver.driver import Driver, load_driver_configuration
        from test_driver.errors import RequestedAssertionFailed
        config = load_driver_configuration(CONFIG)
        open(config.test_script, "w").write("start_all(); a.succeed('exit 3')")
        try:
            with Driver(config, driver.out_dir, driver.logger) as inner:
                inner.test_script()
        except RequestedAssertionFailed as error:
            print(error)
        assert [one.pid for one in inner.machines] == [None, None]
        machine.succeed("true")
    """.replace("CONFIG", repr(configured)), fake)
    assert result.lines[-1] == "command `exit 3` failed (exit code 3)"


def test_drivers_of_older_generations(fakes):
    """Driver() takes the arguments of older generations, start scripts, VLANs and the script's text, by position and by
    name."""
    scripts = [*fakes("one", "two").values()]
    harness.run("""
        from pathlib import Path
        from test_driver.driver import Driver
        scripts = SCRIPTS
        oldest = Driver(scripts, [5, 5], "found.append(one.succeed('echo 1'))", Path(driver.out_dir), log, True, 60)
        assert [one.name for one in oldest.machines] == ["one", "two"] and oldest.keep_machine_state
        assert [vlan.nr for vlan in oldest.vlans] == [5] and os.environ["QEMU_VDE_SOCKET_5"] == str(oldest.vlans[0].socket_dir)
        assert oldest.tests.startswith("found") and oldest.global_timeout == 60
        import builtins
        builtins.found = []
        with oldest:
            oldest.run_tests()
        assert found == ["1\\n"] and not oldest.vlans[0].socket_dir.exists()

        named = Driver(start_scripts=scripts[:1], vlans=[], tests="", out_dir=driver.out_dir, logger=log, keep_vm_state=False)
        assert [one.name for one in named.machines] == ["one"]
        later = Driver(vm_names=["x"], vm_start_scripts=scripts[1:], container_names=[], container_start_scripts=[], vlans=[],
                       tests="", out_dir=driver.out_dir, logger=log, keep_machine_state=True, global_timeout=7)
        assert [one.name for one in later.machines] == ["x"] and later.keep_machine_state and later.global_timeout == 7
        by_position = Driver(None, scripts, None, [], [], "", driver.out_dir, log)
        assert [one.name for one in by_position.machines] == ["one", "two"]
    """.replace("SCRIPTS", repr(scripts)))


def test_wrong_arguments_of_a_driver(configured):
    harness.run(r"""
        import re
        from test_driver.driver import Driver, load_driver_configuration
        config = load_driver_configuration(CONFIG)

        def error_of(*arguments, **named):
            try:
                Driver(*arguments, **named)
            except Exception as error:
                return f"{type(error).__name__}: {error}"
            raise Exception("accepted")

        assert re.match("TypeError: Driver.* 'config' must be", error_of("x", driver.out_dir))
        assert "logger must be" in error_of(config, driver.out_dir, 5)
        assert error_of().startswith("TypeError")
        config.containers = {"a": config.vms["a"]}
        assert error_of(config, driver.out_dir) == "ValueError: two machines are called 'a'"
        config.containers, config.test_script = {}, "/nonexistent"
        assert error_of(config, driver.out_dir).startswith("FileNotFoundError")
    """.replace("CONFIG", repr(configured)))


def test_machines_of_each_list_are_those_of_a_driver(configured):
    harness.run("""
        from test_driver.driver import Driver, load_driver_configuration
        with Driver(load_driver_configuration(CONFIG), driver.out_dir, log) as inner:
            a, b = inner.machines_qemu
            appended = create_machine(a.start_command._cmd, name="appended")
            inner.machines_qemu.append(appended)
            inner.start_all()
            for one in a, b, appended:
                assert one.booted
                one.execute("poweroff", check_return=False, check_output=False)
            inner.join_all()
            assert not appended.booted
            appended.start()
        assert not appended.booted
    """.replace("CONFIG", repr(configured)))
