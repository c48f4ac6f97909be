"""Which tests and fixtures use machines, by what they take as arguments and by the names in their code. `isolation`
imports this module."""

import types

from test_driver_pytest.fixtures import RESERVED

# Fixtures through which a test reaches machines that it does not take itself.
INDIRECT = {"machines", "driver", "start_all", "join_all"}


def _is_network(name):
    return name.startswith("vlan") and name[4:].isdigit()


def _codes(function):
    """Yields the code objects of a function and of the functions in it."""
    code = getattr(function, "__code__", None)
    waiting = [code] if code else []
    while waiting:
        code = waiting.pop()
        yield code
        waiting += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]


def _plain(function):
    """The function in a method, in what functools.wraps() has wrapped, or itself."""
    function = getattr(function, "__func__", function)
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


class Usage:
    """crew: the machines.Crew. scripted: whether the global names of scripts are built-in names in this session."""

    def __init__(self, crew, scripted):
        own = {name for name in crew.by_name if name not in RESERVED}
        self.arguments = own | INDIRECT
        self.names = set(crew.by_name) | INDIRECT if scripted else set()

    def learn(self, fixturedef):
        """Takes note that who takes this fixture uses machines, too."""
        self.arguments.add(fixturedef.argname)

    def _names_machines(self, function):
        """Whether a function, or one of its module that it calls, has a script's name for a machine in its code."""
        seen, waiting = set(), [_plain(function)]
        while self.names and waiting:
            function = waiting.pop()
            own = getattr(function, "__globals__", {})
            for name in {name for code in _codes(function) for name in code.co_names}:
                value = own.get(name)
                if name not in own and (name in self.names or _is_network(name)):
                    return True
                if isinstance(value, types.FunctionType) and value not in seen:
                    seen.add(value)
                    waiting.append(value)
        return False

    def of_fixture(self, fixturedef):
        """Whether the fixture is likely to use machines."""
        if any(name in self.arguments or _is_network(name) for name in fixturedef.argnames):
            return True
        # pytest's own fixtures for setup_module() and the like hide these.
        hidden = fixturedef.argname.lstrip("_").startswith(("xunit_", "unittest_"))
        return bool(self.names and hidden) or self._names_machines(fixturedef.func)

    def of_item(self, item):
        """Whether the test or one of its fixtures does."""
        names = getattr(item, "fixturenames", ())
        if any(name in self.arguments or _is_network(name) for name in names):
            return True
        fixtures = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
        functions = [fixture.func for found in fixtures.values() for fixture in found[-1:]]
        return any(map(self._names_machines, [getattr(item, "obj", None), *functions]))
