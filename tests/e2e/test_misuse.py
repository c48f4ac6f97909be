"""Whatever a script does to modules, classes and objects, the driver does not crash: it goes on working, or raises."""

import harness


def test_modules_that_are_removed_and_loaded_again(fake):
    result = harness.run("""
        import importlib, sys
        first = sys.modules.pop("_test_driver")
        print(machine.succeed("echo without"), end="")
        import _test_driver
        assert _test_driver is not first and _test_driver.QemuMachine is QemuMachine
        assert _test_driver.current_driver() is driver
        importlib.reload(_test_driver)
        sys.modules["_test_driver"] = None
        print(machine.succeed("echo with None"), end="")
        for name in [name for name in sys.modules if "test_driver" in name]:
            del sys.modules[name]
        from test_driver.errors import RequestedAssertionFailed
        try:
            machine.succeed("false")
        except RequestedAssertionFailed:
            print("the same classes")
        everything = dict(sys.modules)
        sys.modules.clear()
        try:
            machine.succeed("true")
        except Exception:  # modules that are imported now are other objects than before
            pass
        finally:
            sys.modules.update(everything)
        print(machine.succeed("echo again"), end="")
    """, fake)
    assert result.lines == ["without", "with None", "the same classes", "again"]


CLASSES = """
import _test_driver, copy, gc, pickle, sys
classes = [one for one in vars(_test_driver).values() if isinstance(one, type) and one.__name__ != "BuiltinImporter"
           and not issubclass(one, BaseException)]
objects = [machine, driver, log, vlan1, t, debug, driver.race_timer, subtest("x"), machine.succeed, QemuMachine.succeed]
# Methods that would wait without end, or end the run.
LEFT_OUT = {"start_all", "join_all", "test_script", "run_tests", "terminate_test", "reload", "breakpoint", "post_mortem",
            "interact", "shell_interact", "console_interact", "start", "add_logger", "recv", "recv_into", "read"}

def attempt(function, *arguments):
    try:
        return function(*arguments)
    except (Exception, SystemExit) as error:
        return error

def methods(one):
    return [name for name in dir(one) if name not in LEFT_OUT and not name.startswith(("wait", "__"))]

"""


def test_objects_without_init(fake):
    result = harness.run(CLASSES + """
raw = []
for one in classes:
    for make in (lambda: object.__new__(one), lambda: one.__new__(one), lambda: type("Sub", (one,), {"__init__": id})(),
                 lambda: type("Slots", (one,), {"__slots__": ()}).__new__(one)):
        made = attempt(make)
        if not isinstance(made, Exception):
            raw.append(made)
assert len(raw) >= 5
for one in raw:
    for name in methods(type(one)) + ["__enter__", "__exit__", "__init__", "__call__", "__copy__", "__repr__", "__hash__"]:
        for arguments in (), (None,), (one,), ("x", "y"), (None, None, None):
            attempt(lambda: getattr(one, name)(*arguments))
    for function in copy.copy, copy.deepcopy, pickle.dumps, repr, list, len, bool:
        attempt(function, one)
raw.clear()
gc.collect()
print(machine.succeed("echo alive"), end="")
""", fake, vlans=[1], seconds=120)
    assert result.lines[-1] == "alive"


def test_methods_of_other_objects(fake):
    result = harness.run(CLASSES + """
for one in classes:
    for name, member in list(vars(one).items()):
        for other in [*objects, None, 1, object(), one]:
            if isinstance(other, one) or name in LEFT_OUT or name.startswith(("wait", "__")):
                continue
            if callable(member):
                for arguments in (), (None,), ("x", "y"):
                    attempt(member, other, *arguments)
            elif hasattr(member, "__set__"):
                attempt(member.__get__, other)
                attempt(member.__set__, other, 1)
for one in objects:
    for other in objects:
        attempt(setattr, one, "__class__", type(other))
print(machine.succeed("echo alive"), end="")
""", fake, vlans=[1], seconds=120)
    assert result.lines[-1] == "alive"


def test_classes_that_are_taken_apart(fake):
    """Little works without the classes' attributes, but the run ends, and the machine ends with it."""
    result = harness.run(CLASSES + """
machine.connect()
for one in objects:
    for name in methods(type(one)):
        attempt(setattr, one, name, object())
        attempt(delattr, one, name)
        attempt(getattr, one, name)
for one in classes:
    for name in list(vars(one)):
        attempt(setattr, one, name, 1)
        attempt(delattr, one, name)
    attempt(setattr, one, "__bases__", (object,))
for name in list(vars(_test_driver)):
    delattr(_test_driver, name)
gc.collect()
os.write(1, b"apart\\n")
""", fake, vlans=[1], status=None, seconds=120)
    assert "apart" in result.out
    assert result.status in (0, 1) and "SystemError" not in result.err


def test_step_that_cannot_be_left(fake):
    result = harness.run("type(subtest('x')).__exit__ = lambda *_: 1 / 0", fake, status=1)
    assert "ZeroDivisionError" in result.err and "SystemError" not in result.err


def test_objects_that_come_back_to_life(fake):
    result = harness.run("""
        import gc
        kept = []

        class Machine(QemuMachine):
            def __del__(self):
                kept.append(self)

        class Network(type(vlan1)):
            def __del__(self):
                kept.append(self)

        for one in Machine(driver.out_dir, machine.tmp_dir, "false", log, "another"), Network(2, ".", log):
            del one
        gc.collect()
        another, = [one for one in kept if isinstance(one, Machine)]
        print(another.name, another.booted, machine.succeed("echo alive"), end="")
    """, fake, vlans=[1])
    assert result.lines == ["another False alive"]


def test_use_after_the_run(fake):
    """The driver may be used after the script by atexit functions, finalizers, generators and threads."""
    result = harness.run("""
        import atexit, os, threading
        machine.connect()

        def use(where):
            for call in lambda: machine.succeed("true"), machine.start, lambda: vlan1.stop(), start_all:
                try:
                    call()
                except Exception as error:
                    os.write(1, f"{where} {type(error).__name__}\\n".encode())
            log.info("logged by " + where)

        def generate():
            try:
                yield
            finally:
                use("generator")

        class Last:
            def __del__(self):
                use("finalizer")

        def work():
            while True:
                try:
                    machine.succeed("true")
                except Exception:
                    pass

        atexit.register(use, "function")
        last, generator = Last(), generate()
        next(generator)
        import sys
        sys.kept_until_the_end = generator
        for _ in range(3):
            threading.Thread(target=work, daemon=True).start()
    """, fake, vlans=[1])
    for where in "function", "generator":
        assert f"{where} MachineDied" in result.out or f"{where} MachineError" in result.out, result.out
        assert f"logged by {where}" in result.log


def test_functions_for_pytest_in_another_run(fake):
    result = harness.run("""
        import _test_driver
        for name, arguments in ("begin_test", ["x"]), ("end_test", [True, None, None]), ("recall", [0, None]), ("spent", []):
            try:
                getattr(_test_driver, name)(*arguments)
            except RuntimeError as error:
                print(error)
    """, fake)
    assert result.lines == ["no tests in pytest style are run"] * 4


def test_log_that_fails_at_the_end_of_an_inner_driver(fake):
    result = harness.run("""
        from test_driver.driver import Driver

        class Log(type(log)):
            def nested(self, message, attributes={}):
                raise LookupError(message)

        inner = Driver([machine.start_command._cmd], [], "", driver.out_dir, Log([]))
        started = inner.machines[0]
        started.start()
        try:
            inner.__exit__(None, None, None)
        except LookupError as error:
            print(error, started.booted)
    """, fake)
    assert result.lines == ["cleanup False"]


def test_list_of_machines_that_changes_while_it_is_sorted(fake):
    harness.run("""
        class Other:
            name = "a"

        class Odd:
            @property
            def name(self):
                machines.clear()
                return "z"

        machines = driver.machines
        machines.append(Odd())
        driver.machines_qemu.append(Other())
        driver.machines
        machines.clear()
    """, fake)
