# The types of test_driver.config for type checkers; the module documents the names.

from test_driver.driver import (
    DriverConfiguration as DriverConfiguration,
    MachineConfiguration as MachineConfiguration,
    NodeConfiguration as NodeConfiguration,
    load_driver_configuration as load_driver_configuration,
)
