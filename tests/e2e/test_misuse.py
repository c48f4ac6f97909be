"""Whatever a script does to modules, classes and objects, the driver does not crash: it works on, or raises."""

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
        except Exception:  # what is imported by then is not what it was
            pass
        finally:
            sys.modules.update(everything)
        print(machine.succeed("echo again"), end="")
    """, fake)
    assert result.lines == ["without", "with None", "the same classes", "again"]
