# A logger that the script adds gets the same events as the driver's own loggers.
# vms: machine=fake

from contextlib import contextmanager

from test_driver.logger import AbstractLogger

told = []


class Own(AbstractLogger):
    def log(self, message, attributes={}):
        told.append(("log", message, attributes.get("machine")))

    debug = info = warning = error = log_test_error = log

    @contextmanager
    def nested(self, message, attributes={}):
        told.append(("begin", message, attributes.get("machine")))
        yield
        told.append(("end", message, attributes.get("machine")))

    @contextmanager
    def subtest(self, name, attributes={}):
        told.append(("subtest", name, None))
        yield

    def log_serial(self, message, machine):
        told.append(("serial", message, machine))

    def print_serial_logs(self, enable):
        told.append(("print", enable, None))

    def set_log_level(self, level):
        pass


log.add_logger(Own())
log.log("a line")
#: a line
with subtest("a title"):
    machine.succeed("echo on the console >&2")
#: subtest: a title
#: machine: must succeed: echo on the console >&2
machine.wait_for_console_text("on the console")
serial_stdout_off()
log.warning("end")
#: end
expected = [("log", "a line", None), ("subtest", "a title", None), ("begin", "must succeed: echo on the console >&2", "machine"),
            ("log", "starting vm", "machine"), ("log", "connected to guest root shell", "machine"),
            ("end", "must succeed: echo on the console >&2", "machine"), ("print", False, None), ("log", "end", None)]
rest = iter(told)
assert all(event in rest for event in expected), told
assert ("serial", "on the console", "machine") in told, told
