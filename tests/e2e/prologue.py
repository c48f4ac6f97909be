# Declares the globals of every script for type checkers: test_python_package.py puts it before a script for mypy.
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, Callable, List, Optional
from unittest import TestCase
import os

from test_driver.debug import DebugAbstract, DebugNop
from test_driver.driver import Driver
from test_driver.logger import AbstractLogger, CompositeLogger
from test_driver.machine import BaseMachine, Machine, NspawnMachine, QemuMachine, retry
from test_driver.vlan import VLan


def _a_driver() -> Driver:
    raise Exception("never run")


driver = _a_driver()
debug: DebugAbstract = DebugNop()
log: AbstractLogger = CompositeLogger([])
t = TestCase()
machines: List[BaseMachine] = []
machines_qemu: List[QemuMachine] = []
machines_nspawn: List[NspawnMachine] = []
vlans: List[VLan] = []
start_all: Callable[[], None] = driver.start_all
join_all: Callable[[], None] = driver.join_all
test_script: Callable[[], None] = driver.test_script
run_tests: Callable[[], None] = driver.run_tests
serial_stdout_on: Callable[[], None] = driver.serial_stdout_on
serial_stdout_off: Callable[[], None] = driver.serial_stdout_off
subtest: Callable[[str], AbstractContextManager[None]] = driver.subtest
create_machine = driver.create_machine
polling_condition = driver.polling_condition
dump_machine_ssh = driver.dump_machine_ssh
