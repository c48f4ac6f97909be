from test_driver.driver import Driver

HISTORY: str

def start(driver: Driver) -> None: ...
