"""Machines, the driver, networks, the log and their results behave as ordinary Python objects."""

import harness

MACHINE = "QemuMachine(driver.out_dir, machine.tmp_dir, machine.start_command._cmd, log, {!r})"


def run(script, fake):
    return harness.run(script, fake, vlans=[1])


def test_weak_references(fake):
    run("""
        import gc, weakref
        for one in machine, driver, vlan1, log, t, debug, driver.race_timer, subtest("x"), QemuMachine.succeed:
            assert weakref.ref(one)() is one
            assert one in weakref.WeakSet([one]) and weakref.WeakKeyDictionary({one: 1})[one] == 1
        assert weakref.WeakMethod(machine.succeed)()("echo a") == "a\\n"
        assert weakref.WeakMethod(driver.start_all)() == driver.start_all and weakref.WeakMethod(log.info)() == log.info
        assert weakref.proxy(machine).name == "machine"

        machine.start()
        for one in machine.process, machine.shell, machine.monitor, machine.qmp_client, machine.serial_thread:
            assert weakref.ref(one)() is one
        assert weakref.WeakMethod(machine.qmp_client.send)()("query-status")["return"]

        ended = []
        created = create_machine(machine.start_command._cmd, name="created")
        weakref.finalize(created, ended.append, "created")
        reference = weakref.ref(created, lambda _: ended.append("callback"))
        del created
        assert reference() is None and sorted(ended) == ["callback", "created"]
    """, fake)


def test_objects_that_refer_to_each_other_are_collected(fake):
    run("""
        import gc, weakref

        class Special(QemuMachine):
            pass

        def cycle(one):
            one.itself = one
            return weakref.ref(one)

        references = [cycle(MACHINE), cycle(Special(driver.out_dir, machine.tmp_dir, "x", log, "b"))]
        references += [cycle(subtest("x")), cycle(driver.race_timer)]
        gc.collect()
        assert [reference() for reference in references] == [None] * 4
    """.replace("MACHINE", MACHINE.format("a")), fake)


def test_objects_that_refer_to_themselves_through_a_machine_are_collected(fake):
    run("""
        import gc, weakref
        gc.disable()  # nothing is collected before the end

        class Check:
            def __init__(self, where):
                self.machine = MACHINE
                where(self)
            def holds(self):
                pass

        def callback(self): self.machine.callbacks.append(self.holds)
        def attribute(self): self.machine.check = self
        def start_command(self): self.machine.start_command = self
        def shell(self): self.machine.shell = self
        def method(self): self.machine.succeed = self.holds
        def step(self):
            self.machine.step = self.machine.nested("x")
            self.machine.step.check = self
        Check.cmd = lambda self, *arguments: "true"

        places = [callback, attribute, start_command, shell, method, step]
        references = [(place.__name__, weakref.ref(Check(place))) for place in places]
        assert all(reference() for name, reference in references)
        gc.collect()
        assert [name for name, reference in references if reference()] == []
    """.replace("MACHINE", MACHINE.format("a")), fake)


def test_attributes_of_a_scripts_own(fake):
    run("""
        for one in machine, driver, vlan1, log, t, debug, subtest("x"):
            one.mine = [1]
            assert one.mine == [1] and vars(one)["mine"] is one.mine
            del one.mine
            assert not hasattr(one, "mine")
        QemuMachine.hello = lambda self: f"hello {self.name}"
        assert machine.hello() == "hello machine"
        QemuMachine.succeed.checked = True
        assert machine.succeed.checked
    """, fake)


def test_copies(fake):
    """A copy is another object for the same machine, run, network or log, with attributes of its own."""
    result = run("""
        import copy
        machine.mine = 1
        other = copy.copy(machine)
        other.mine = 2
        assert other is not machine and (machine.mine, other.mine) == (1, 2)
        assert (other.name, other.state_dir, other.callbacks) == ("machine", machine.state_dir, machine.callbacks)
        machine.start()
        assert other.booted and other.pid == machine.pid and other.succeed("echo b") == "b\\n"
        process, other = machine.process, copy.copy(machine)
        assert other.process is process
        del other
        assert machine.succeed("echo a") == "a\\n"

        class Slotted(QemuMachine):
            __slots__ = ("port", "unset")

        slotted = Slotted(driver.out_dir, machine.tmp_dir, machine.start_command._cmd, log, "slotted")
        slotted.port, slotted.note = 5, 6
        other = copy.copy(slotted)
        assert (type(other), other.port, other.note) == (Slotted, 5, 6) and not hasattr(other, "unset")
        slotted.callbacks.append(lambda: print("callback"))
        del slotted
        other.succeed("true")

        for one, name in (driver, "machines"), (vlan1, "socket_dir"), (log, "logger_list"):
            other = copy.copy(one)
            assert other is not one and type(other) is type(one) and getattr(other, name) == getattr(one, name)
        copy.copy(log).info("from a copy")
        assert type(copy.copy(t)).failureException is t.failureException
        for one in machine, driver, log:
            try:
                copy.deepcopy(one)
            except TypeError:
                continue
            raise Exception("a machine cannot be there twice")
    """, fake)
    assert result.lines == ["callback"] and "from a copy" in result.log


def test_a_copy_of_a_driver_of_ones_own(tmp_path):
    run("""
        import copy
        from test_driver.driver import Driver
        own = Driver([], [], "", OUT, log, global_timeout=5)
        own.race_timer.start()
        other = copy.copy(own)
        del own
        assert other.race_timer.is_alive() and other.global_timeout == 5
        other.race_timer.cancel()
    """.replace("OUT", repr(str(tmp_path))), None)


def test_copies_of_objects_before_their_init(fake):
    """__init__() makes such copies independent objects."""
    run("""
        import copy
        from test_driver.driver import Driver
        early = copy.copy(QemuMachine.__new__(QemuMachine))
        early.__init__(driver.out_dir, machine.tmp_dir, machine.start_command._cmd, log, "early")
        early.callbacks.append(lambda: None)
        second = copy.copy(early)
        del early
        assert second.succeed("echo a") == "a\\n"
        inner = copy.copy(Driver.__new__(Driver))
        inner.__init__([], [], "", driver.out_dir, log)
        inner.race_timer.start()
    """, fake)


def test_a_copy_that_is_collected_leaves_the_original_as_it_is(fake):
    result = run("""
        import copy, gc
        from test_driver.driver import Driver
        machine.callbacks.append(lambda: print("callback"))
        own = Driver([], [], "", driver.out_dir, log, global_timeout=5)
        own.race_timer.start()
        for one in machine, own:
            other = copy.copy(one)
            other.itself = other
        del other
        gc.collect()
        machine.succeed("true")
        assert own.race_timer.is_alive()
        own.race_timer.cancel()
    """, fake)
    assert result.lines == ["callback", "callback"]  # for the command, and for `sync` at the end of the run


def test_a_copy_that_is_freed_while_a_command_begins(fake):
    """The command has found out that the copy's callbacks are to be called, and waits for the GIL when the copy is
    freed."""
    harness.run("""
        import copy, threading

        class Command:
            def __str__(self):
                begun.set()
                return "true"

        machine.connect()
        for _ in range(10):
            begun = threading.Event()
            other = copy.copy(machine)
            other.callbacks
            last = [other, *(object() for _ in range(100_000))]  # a long list is cleared from its end, with the GIL
            del other
            thread = threading.Thread(target=machine.execute, args=(Command(),))
            thread.start()
            begun.wait()
            last.clear()
            thread.join()
    """, fake, env={"PYTHONMALLOC": "debug"})


def test_a_class_that_looks_at_a_copy_while_it_is_made(fake):
    result = run("""
        import copy

        class Curious(QemuMachine):
            __slots__ = ("port",)

            def __setattr__(self, name, value):
                print(self.name, name)
                super().__setattr__(name, value)

        curious = Curious(driver.out_dir, machine.tmp_dir, "false", log, "curious")
        curious.port = 1
        assert copy.copy(curious).port == 1
    """, fake)
    assert result.lines == ["curious port"] * 2


def test_methods_are_those_of_a_class(fake):
    run("""
        import functools, inspect, types
        assert inspect.ismethod(machine.succeed) and machine.succeed.__self__ is machine
        assert machine.succeed.__func__ is QemuMachine.succeed and machine.succeed == machine.succeed
        assert types.MethodType(QemuMachine.succeed, machine)("echo a") == "a\\n" == QemuMachine.succeed(machine, "echo a")
        assert QemuMachine.succeed.__name__ == "succeed" and QemuMachine.succeed.__doc__.startswith("Runs commands")
        assert list(inspect.signature(machine.succeed).parameters) == ["commands", "timeout", "stderr"]
        assert list(inspect.signature(QemuMachine.succeed).parameters) == ["self", "commands", "timeout", "stderr"]
        assert "succeed" in dict(inspect.getmembers(machine, inspect.ismethod))
        assert not inspect.iscoroutinefunction(machine.succeed)

        def counted(method):
            @functools.wraps(method)
            def wrapper(*args, **kwargs):
                counts.append(method.__name__)
                return method(*args, **kwargs)
            return wrapper

        counts = []
        QemuMachine.succeed = counted(QemuMachine.succeed)
        machine.fail = counted(machine.fail)
        machine.succeed("true")
        machine.fail("false")
        assert counts == ["succeed", "fail"] and inspect.signature(machine.fail) == inspect.signature(type(machine).fail.__get__(machine))
        try:
            QemuMachine.fail(log, "false")
        except TypeError:
            pass
        else:
            raise Exception("a log is no machine")
    """, fake)


def test_mocks(fake):
    run("""
        from unittest import mock
        with mock.patch.object(QemuMachine, "succeed", autospec=True, return_value="mocked") as mocked:
            assert machine.succeed("x", timeout=5) == "mocked"
            mocked.assert_called_once_with(machine, "x", timeout=5)
        with mock.patch.object(machine, "succeed", autospec=True) as mocked:
            machine.succeed("x")
            mocked.assert_called_once_with("x")
        for target, name in (driver, "start_all"), (log, "info"), (vlan1, "stop"), (debug, "breakpoint"), (t, "assertTrue"):
            with mock.patch.object(target, name) as mocked:
                getattr(target, name)()
                mocked.assert_called_once_with()
        assert not vars(machine) and "succeed" not in vars(QemuMachine) and machine.succeed("echo a") == "a\\n"
        assert isinstance(mock.Mock(spec=machine), QemuMachine)
        for double in mock.create_autospec(machine), mock.create_autospec(QemuMachine, instance=True):
            double.wait_for_unit("x", timeout=5)
            try:
                double.wait_for_unit("x", no_such_argument=5)
            except TypeError:
                continue
            raise Exception("it does not know the signature")
    """, fake)


def test_dataclasses_and_classes(fake):
    run("""
        import dataclasses

        @dataclasses.dataclass(frozen=True)
        class Cluster:
            leader: QemuMachine
            log: object = log
            run: object = driver

        cluster = Cluster(machine)
        assert cluster == Cluster(machine) and {cluster: 1}[Cluster(machine)] == 1
        assert dataclasses.replace(cluster, log=None).leader is machine and "<QemuMachine 'machine'>" in repr(cluster)
        machine.__class__ = type("Renamed", (QemuMachine,), {"shout": lambda self: self.name.upper()})
        assert machine.shout() == "MACHINE" and machine.succeed("echo a") == "a\\n"
    """, fake)


def test_steps_as_decorators_and_context_managers(fake):
    result = run("""
        import contextlib
        for step in subtest("one"), machine.nested("two"), log.nested("three"), log.subtest("four"), driver.subtest("five"):
            assert isinstance(step, contextlib.AbstractContextManager)

            @step
            def function(a, *, b):
                "documented"
                return a + b

            assert [function(1, b=2), function(3, b=4)] == [3, 7]
            assert (function.__name__, function.__doc__) == ("function", "documented")
            with step as value:
                assert value is None
            try:
                step.__exit__(None, None, None)
            except RuntimeError:
                continue
            raise Exception("it was left twice")

        @subtest("failing")
        def fails():
            raise KeyError("k")

        with contextlib.suppress(KeyError):
            fails()
    """, fake)
    lines = result.log.splitlines()
    for title in "subtest: one", "machine: two", "three", "subtest: four", "subtest: five":
        assert lines.count(title) == 3, title
    assert """Test "failing" failed with error: "'k'\"""" in result.log
