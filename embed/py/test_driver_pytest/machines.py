"""The machines of a pytest session: which tests use them, their start, and their death. `run` imports this module."""

import threading

from _test_driver import cause_of_death
from test_driver.machine import BaseMachine


class Machines(list):
    """The fixture `machines`: a list of all machines, sorted by name. An index may also be a name,
    machines["server"]; KeyError for an unknown one."""

    def __getitem__(self, key):
        if not isinstance(key, str):
            return super().__getitem__(key)
        for machine in self:
            if machine.name == key:
                return machine
        raise KeyError(f"no machine is called {key!r}; there are {', '.join(one.name for one in self) or 'none'}")


class Crew:
    """The machines of a run.

    driver: the run's Driver. Attributes: `by_name`, {name in scripts: machine}; `all`, a Machines; `failures`,
    {machine: why its last start failed}.
    """

    def __init__(self, driver):
        symbols = driver.test_symbols()
        self.by_name = {name: value for name, value in symbols.items() if isinstance(value, BaseMachine)}
        self.all = Machines(driver.machines)
        self.failures = {}

    def of(self, item):
        """Returns a list of the machines that test `item` takes as fixtures."""
        names = getattr(item, "fixturenames", ())  # only tests that are functions have the attribute
        if "machines" in names:
            return list(self.all)
        found = []
        for name in names:
            machine = self.by_name.get(name)
            if machine is not None and machine not in found:
                found.append(machine)
        return found

    def start(self, machines):
        """Starts the machines that do not run, at the same time, each on a thread of its own. `failures` keeps the
        reason of a failure for the tests that use the machine."""
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
        """Returns [(machine, cause)] of those of `machines` that have died or could not be started."""
        causes = ((one, cause_of_death(one) or self.failures.get(one)) for one in machines if not one.booted)
        return [(one, cause) for one, cause in causes if cause]
