# The lists of machines by kind, the classes of machines, and the modules to import from.
# vms: b=fake a=fake
# needs: machines_qemu machines_nspawn BaseMachine QemuMachine NspawnMachine

assert [one.name for one in machines_qemu] == ["a", "b"] == [one.name for one in machines]
assert machines_nspawn == [] and isinstance(a, QemuMachine) and isinstance(a, BaseMachine)
assert not isinstance(a, NspawnMachine) and issubclass(NspawnMachine, BaseMachine)
assert driver.machines_qemu == machines_qemu and driver.machines_nspawn == []
from test_driver.driver import Driver, load_driver_configuration
from test_driver.logger import AbstractLogger, CompositeLogger
from test_driver.machine import BaseMachine as same
from test_driver.machine.qmp import QMPAPIError
from test_driver.polling_condition import PollingConditionError
from test_driver.vlan import VLan
assert same is BaseMachine and isinstance(driver, Driver) and issubclass(QMPAPIError, RuntimeError)
assert isinstance(log, (AbstractLogger, CompositeLogger)) and issubclass(PollingConditionError, Exception)
