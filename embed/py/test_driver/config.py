"""The configuration of a run, where the newest drivers have it."""

from test_driver.driver import DriverConfiguration, MachineConfiguration, NodeConfiguration, load_driver_configuration

__all__ = ["DriverConfiguration", "MachineConfiguration", "NodeConfiguration", "load_driver_configuration"]
