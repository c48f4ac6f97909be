"""The machines of a session: which tests need which, starting them together, and those that have died."""

import threading

from _test_driver import cause_of_death
from test_driver.machine import BaseMachine


class Machines(list):
    """All machines, sorted by name; also by their name: machines["server"]."""

    def __getitem__(self, key):
        if not isinstance(key, str):
            return super().__getitem__(key)
        for machine in self:
            if machine.name == key:
                return machine
        raise KeyError(f"no machine is called {key!r}; there are {', '.join(one.name for one in self) or 'none'}")


class Crew:
    """`by_name`: {name in scripts: machine}."""

    def __init__(self, driver):
        symbols = driver.test_symbols()
        self.by_name = {name: value for name, value in symbols.items() if isinstance(value, BaseMachine)}
        self.all = Machines(driver.machines)
        self.failures = {}  # machine: why it did not start

    def of(self, item):
        """The machines that the test asks for, each once."""
        names = getattr(item, "fixturenames", ())  # of a test that is a function
        if "machines" in names:
            return list(self.all)
        found = []
        for name in names:
            machine = self.by_name.get(name)
            if machine is not None and machine not in found:
                found.append(machine)
        return found

    def start(self, machines):
        """Starts them at the same time. Failures are kept for the tests that need the machine."""
        threads = [threading.Thread(target=self._start_one, args=(one,), daemon=True)
                   for one in machines if not one.booted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _start_one(self, machine):
        self.failures.pop(machine, None)
        try:
            machine.start()
        except Exception as error:
            self.failures[machine] = str(error)

    def dead(self, machines):
        """[(machine, cause)] of those that cannot be used."""
        causes = ((one, cause_of_death(one) or self.failures.get(one)) for one in machines if not one.booted)
        return [(one, cause) for one, cause in causes if cause]
