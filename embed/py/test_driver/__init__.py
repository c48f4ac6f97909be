"""The NixOS test driver's Python interface. The objects are implemented in C, in _test_driver."""
