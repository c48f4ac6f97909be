# The stub of test_driver, which has no names for scripts.
