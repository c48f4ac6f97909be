"""The configuration of a run under the module name that upstream's newest driver uses; see test_driver.driver.

Only scripts import this module.
"""

from test_driver.driver import DriverConfiguration, MachineConfiguration, NodeConfiguration, load_driver_configuration

__all__ = ["DriverConfiguration", "MachineConfiguration", "NodeConfiguration", "load_driver_configuration"]
