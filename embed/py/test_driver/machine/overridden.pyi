# The stub of test_driver.machine.overridden, which has no names for scripts.
