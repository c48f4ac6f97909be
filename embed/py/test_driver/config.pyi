from test_driver.driver import (
    DriverConfiguration as DriverConfiguration,
    MachineConfiguration as MachineConfiguration,
    load_driver_configuration as load_driver_configuration,
)
