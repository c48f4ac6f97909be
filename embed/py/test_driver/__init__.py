"""The Python interface of the NixOS test driver, for test scripts and type checkers.

Most classes are implemented in C, in the built-in module `_test_driver`; the modules of this package re-export
them and add what is easier in Python. The driver imports each module when it first needs it. Unless a module says
otherwise, its code runs on the script's thread that calls it, never on the loop thread.
"""
