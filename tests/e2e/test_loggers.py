"""Loggers written by scripts, and CompositeLogger objects that scripts make."""

from xml.etree import ElementTree

import pytest

import harness

RECORDER = '''
from contextlib import contextmanager
from test_driver.logger import AbstractLogger, CompositeLogger, LogLevel

class Recorder(AbstractLogger):
    def __init__(self):
        self.events = []

    def log(self, message, attributes={}):
        self.events.append(("log", message, dict(attributes)))

    @contextmanager
    def subtest(self, name, attributes={}):
        self.events.append(("subtest", name, dict(attributes)))
        yield
        self.events.append(("end of subtest", name))

    @contextmanager
    def nested(self, message, attributes={}):
        self.events.append(("nested", message, dict(attributes)))
        try:
            yield
            self.events.append(("end", message))
        except Exception:
            self.events.append(("failed", message))
            raise

    def debug(self, *args, **kwargs):
        self.events.append(("debug", *args))

    def info(self, *args, **kwargs):
        self.events.append(("info", *args))

    def warning(self, *args, **kwargs):
        self.events.append(("warning", *args))

    def error(self, *args, **kwargs):
        self.events.append(("error", *args))

    def log_test_error(self, *args, **kwargs):
        self.events.append(("log_test_error", *args))

    def log_serial(self, message, machine):
        self.events.append(("serial", message, machine))

    def print_serial_logs(self, enable):
        self.events.append(("print_serial_logs", enable))

    def set_log_level(self, level):
        self.events.append(("set_log_level", level))

    def taken(self):
        events, self.events = self.events, []
        return events

mine = Recorder()
'''


def run(script, vms=None, **named):
    return harness.run(RECORDER + harness.textwrap.dedent(script), vms, **named)


def test_an_added_logger_is_told_of_everything(fake):
    result = run("""
        log.info("before")
        log.add_logger(mine)
        assert log.logger_list == [mine] and log is driver.logger and machine.logger is log
        log.log("plain", {"image": "x"})
        log.debug("d"); log.info("i"); log.warning("w"); log.log_test_error("e")
        assert mine.taken() == [("log", "plain", {"image": "x"}), ("debug", "d"), ("info", "i"), ("warning", "w"),
                                ("log_test_error", "e")]
        with log.nested("outer"), subtest("part"):
            machine.log("in it")
        assert mine.taken() == [("nested", "outer", {}), ("subtest", "part", {}), ("log", "in it", {"machine": "machine"}),
                                ("end of subtest", "part"), ("end", "outer")]
        try:
            with machine.nested("doomed"):
                raise ValueError
        except ValueError:
            pass
        assert mine.taken() == [("nested", "doomed", {"machine": "machine"}), ("failed", "doomed")]
        machine.succeed("echo hello >&2; echo x")
        events = mine.taken()
        assert ("log", "starting vm", {"machine": "machine"}) in events
        assert events[0] == ("nested", "must succeed: echo hello >&2; echo x", {"machine": "machine"})
        assert events[-1] == ("end", "must succeed: echo hello >&2; echo x")
        machine.wait_for_console_text("hello")
        events += mine.taken()
        assert ("serial", "connecting to host...", "machine") in events and ("serial", "hello", "machine") in events
        machine.log_serial("made up")
        assert mine.taken()[-1] == ("serial", "made up", "machine")
        serial_stdout_off()
        log.set_log_level(LogLevel.ERROR)
        log.info("not on the terminal")
        assert mine.taken() == [("print_serial_logs", False), ("set_log_level", LogLevel.ERROR), ("info", "not on the terminal")]
        log.logger_list.remove(mine)
        log.log("after")
        assert mine.taken() == []
    """, fake)
    assert "plain" in result.log and "after" in result.log and "not on the terminal" not in result.log


def test_a_logger_hears_while_the_script_waits(fake):
    """A logger gets console lines while the script waits: here the command only ends once the logger has its output."""
    run("""
        heard = driver.out_dir / "heard"

        def log_serial(message, name):
            if message == "knock":
                heard.touch()

        mine.log_serial = log_serial
        log.add_logger(mine)
        machine.succeed(f"echo knock >&2; until test -e {heard}; do sleep 0.1; done", timeout=30)
    """, fake)


def test_loggers_that_fail_or_log_themselves(fake):
    result = run("""
        log.add_logger(mine)

        def info(message, attributes={}):
            if message == "first":
                log.info("second")
            mine.events.append(message)
            if message == "first":
                raise ValueError("of the logger")

        mine.info = info
        log.info("first")
        log.info("third")
        assert mine.taken() == ["first", "second", "third"]
        assert machine.succeed("echo works") == "works\\n"
    """, fake)
    assert "ValueError: of the logger" in result.log


def test_loggers_of_two_logs_that_log():
    """While the logger of each log is being told, it logs to a third log. Neither waits for the other one."""
    run("""
        import threading

        class Forwarding(Recorder):
            def log(self, message, attributes={}):
                both_told.wait(60)
                third.log(message)
                self.events.append(message)

        both_told, third = threading.Barrier(2), CompositeLogger([])
        loggers = Forwarding(), Forwarding()
        threads = [threading.Thread(target=CompositeLogger([logger]).log, args=(str(i),), daemon=True)
                   for i, logger in enumerate(loggers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [logger.events for logger in loggers] == [["0"], ["1"]]
    """)


def test_a_logger_is_told_once():
    """However many objects there are for its log, and however often a script looks at the list of loggers."""
    run("""
        import copy
        same = copy.copy(log)
        assert same.logger_list is log.logger_list
        same.add_logger(mine)
        log.log("x"); same.log("y")
        assert mine.taken() == [("log", "x", {}), ("log", "y", {})]
    """)


def test_steps_of_the_same_text_in_each_other_are_told_apart():
    """Of two steps of the same text, the outer one ends first, and fails."""
    run("""
        class Numbering(Recorder):
            count = 0

            @contextmanager
            def nested(self, message, attributes={}):
                self.count += 1
                number = self.count
                try:
                    yield
                    self.events.append((number, "ended"))
                except Exception:
                    self.events.append((number, "failed"))
                    raise

        numbering = Numbering()
        log.add_logger(numbering)
        first, second = log.nested("same"), log.nested("same")
        first.__enter__()
        second.__enter__()
        first.__exit__(ValueError, ValueError(), None)
        second.__exit__(None, None, None)
        assert numbering.events == [(1, "failed"), (2, "ended")], numbering.events
    """)


def test_loggers_of_older_frameworks():
    """Such loggers lack the methods that came later."""
    run("""
        class Older(AbstractLogger):
            log = Recorder.log; subtest = Recorder.subtest; nested = Recorder.nested; info = Recorder.info
            warning = Recorder.warning; error = Recorder.error; log_serial = Recorder.log_serial
            print_serial_logs = Recorder.print_serial_logs

        older = Older()
        older.events = []
        log.add_logger(older)
        log.debug("not told"); log.log_test_error("e"); log.set_log_level("debug")
        assert older.events == [("log", "e", {})]
    """)


def test_a_log_of_ones_own(fake):
    """A machine that is made with a log of the script is logged there, and not in the run's log."""
    result = run("""
        own = CompositeLogger([mine])
        assert own.logger_list == [mine] and isinstance(own, AbstractLogger)
        own.info("to mine")
        with own.subtest("s"):
            own.print_serial_logs(False)
        assert mine.taken() == [("info", "to mine"), ("subtest", "s", {}), ("print_serial_logs", False), ("end of subtest", "s")]
        quiet = QemuMachine(machine.out_dir, machine.tmp_dir, machine.start_command._cmd, own, "quiet")
        assert quiet.logger is own
        quiet.succeed("echo on console >&2")
        quiet.wait_for_console_text("on console")
        assert ("serial", "on console", "quiet") in mine.events
        quiet.log("hidden")
        bare = QemuMachine(machine.out_dir, machine.tmp_dir, machine.start_command._cmd, mine, "bare")
        mine.taken()
        bare.log("message")
        assert mine.taken() == [("log", "message", {"machine": "bare"})] and bare.logger is mine
        silent = CompositeLogger([])
        silent.log("nobody hears")
        silent.add_logger(mine)
        silent.log("x")
        assert mine.taken() == [("log", "x", {})]
        try:
            own.error("that's all")
        finally:
            assert mine.taken()[-1] == ("error", "that's all")
    """, fake, status=1)
    log, _, _ = result.log.partition("the test failed: ")  # below it the state of all machines is told
    assert "quiet" not in log.replace("vm-state-quiet", "") and "hidden" not in log
    assert "nobody hears" not in result.log


def test_the_terminal_as_a_logger():
    result = run("""
        from test_driver.logger import TerminalLogger
        own = CompositeLogger([TerminalLogger()])
        with own.nested("step", {"machine": "m"}):
            own.info("shown"); own.debug("hidden"); own.log_serial("line", "m"); own.log_test_error("bad")
        own.set_log_level(LogLevel.WARNING)
        own.info("not shown"); own.print_serial_logs(False); own.log_serial("no line", "m")
        with own.subtest("part"):
            own.warning("late")
    """)
    shown = result.err[result.err.index("m: \x1b[1m\x1b[32mstep\x1b[0m\n"):]
    assert "\nshown\n\x1b[2mm # line\x1b[0m\n\x1b[31m!!! \x1b[0mbad\nm: (finished: step, in " in shown
    assert "subtest: part" in shown and "\nlate\n" in shown
    assert "hidden" not in shown and "not shown" not in shown and "no line" not in shown


def test_wrong_loggers():
    run(r"""
        import re

        def error_of(function, *arguments):
            try:
                function(*arguments)
            except Exception as error:
                return f"{type(error).__name__}: {error}"
            raise Exception("accepted")

        assert error_of(log.add_logger, 5) == "TypeError: logger must be an AbstractLogger, not int"
        assert re.match("TypeError: CompositeLogger.* 'logger_list' must be list", error_of(CompositeLogger, 5))
        assert re.match("TypeError: level must be", error_of(log.set_log_level, 5))
        assert re.match("ValueError: level must be", error_of(log.set_log_level, "loud"))

        class Early(CompositeLogger):
            def __init__(self):
                pass

        for method in "log", "info", "nested", "subtest", "print_serial_logs":
            assert "__init__() has not been called" in error_of(getattr(Early(), method), "x")
    """)


def files(script, **named):
    """Runs a script that adds loggers which write files in OUT. Returns the root elements of the files."""
    with harness.Run(RECORDER + "from test_driver.logger import JunitXMLLogger, XMLLogger\n" + harness.textwrap.dedent(script),
                     **named) as running:
        result = running.finish()
        return result, {path.name: ElementTree.parse(path).getroot() for path in (running.directory / "out").glob("*.xml")}


def test_loggers_that_write_files():
    _, written = files("""
        log.add_logger(XMLLogger(driver.out_dir / "log.xml"))
        log.add_logger(JunitXMLLogger(driver.out_dir / "junit.xml"))
        log.log("pl\\x1bain <&>", {"machine": "m"}); log.log_serial("line", "m"); log.debug("hidden")
        with subtest("part"), log.nested("inner"):
            log.info("in it")
        with subtest("other"):
            pass
    """)
    nest = written["log.xml"].find("nest")
    assert [(line.get("machine"), line.get("type"), line.text) for line in written["log.xml"].findall("line")][:2] == [
        ("m", None, "plain <&>"), ("m", "serial", "line")]
    assert nest.find("head").text == "subtest: part" and nest.find("nest/line").text == "in it"
    suite = written["junit.xml"].find("testsuite")
    assert [(case.get("name"), case.findtext("system-out")) for case in suite.findall("testcase")] == [
        ("part", "inner\nin it\n"), ("other", None)]
    assert suite.findtext("system-out").startswith("plain <&>\nm # line\ninner\nin it\n")
    assert "hidden" not in suite.findtext("system-out") and suite.get("failures") == "0"
    assert all(0 <= float(case.get("time")) < 60 for case in suite.findall("testcase"))


def test_a_report_of_a_scripts_own_tells_of_failures():
    result, written = files("""
        log.add_logger(JunitXMLLogger(driver.out_dir / "junit.xml"))
        with subtest("good"):
            pass
        try:
            with subtest("bad"):
                raise Exception("reason")
        except Exception:
            pass
        assert 1 == 2
    """)
    assert result.status == 1
    cases = {case.get("name"): case for case in written["junit.xml"].iter("testcase")}
    assert [name for name, case in cases.items() if case.find("failure") is not None] == ["bad"]
    assert "reason" in cases["bad"].findtext("system-err")


def test_a_report_of_a_run_without_subtests():
    _, written = files("""
        mine = JunitXMLLogger(driver.out_dir / "junit.xml")
        mine.log("some text"); mine.error("an error")
        mine.close()
    """)
    (case,) = written["junit.xml"].iter("testcase")
    assert case.get("name") == "main" and case.find("failure").get("message") == "test case failed"


def test_a_slow_logger_does_not_keep_a_flood(fake):
    harness.run(RECORDER + """
import threading, time

class Slow(Recorder):
    def log_serial(self, message, machine):
        go.wait()
        self.events.append(message)

go, slow = threading.Event(), Slow()
machine.connect()
log.add_logger(slow)
flood = threading.Thread(target=machine.execute, args=(
    "(head -c 90000000 /dev/zero | tr '\\\\0' x | fold -w 9000; echo; echo flood is over) >&2",))
flood.start()

def is_over():
    # Standard error is a file here. A line in it has gone to the loggers' queue, too, and so have all lines before it.
    with open("/proc/self/fd/2", "rb") as log:
        log.seek(-min(4096, log.seek(0, os.SEEK_END)), os.SEEK_END)
        return b"# flood is over" in log.read()

while not is_over():
    time.sleep(0.1)
go.set()
flood.join()
machine.succeed("echo last >&2")
while "last" not in slow.events:
    time.sleep(0.1)
notices = [event for event in slow.events if event[0] == "warning" and "console lines are not told" in event[1]]
assert len(notices) == 1 and 6000 < slow.events.count("x" * 9000) < 9000, (notices, len(slow.events))
""", fake, seconds=200)


def test_texts_that_change_what_is_logged():
    """str() of what is logged may run any code of the script."""
    result = run("""
        class Growing:
            def __str__(self):
                attributes.update({f"more{i}": "x" * 100 for i in range(len(attributes), 100_000)})
                return "grown"

        attributes = {f"name{i}": Growing() for i in range(3)}
        log.add_logger(mine)
        log.log("x", attributes)
        assert mine.taken() == [("log", "x", {f"name{i}": "grown" for i in range(3)})]

        class Leaving(Exception):
            def __str__(self):
                part.__exit__(None, None, None)
                return "left"

        part = subtest("part")
        part.__enter__()
        part.__exit__(Leaving, Leaving(), None)
    """)
    assert 'Test "part" failed with error: "left"' in result.log


def test_any_text_can_be_logged(fake):
    """Text may have characters that cannot be encoded, as the name of a file that is not UTF-8 has. They are escaped,
    as Python does on standard error."""
    result = harness.run(r"""
        text = "name \udcff, \ud800 and \0"
        machine.log("1 " + text)
        machine.log_serial("2 " + text)
        log.log("by another", {"machine": "3 " + text})
        with subtest("4 " + text), machine.nested("5 " + text), log.nested("6 " + text), driver.subtest("7 " + text):
            log.info("8 " + text)
    """, fake)
    shown = r"name \udcff, \ud800 and \0"
    for line in ("machine: 1 " + shown, "machine # 2 " + shown, f"3 {shown}: by another", "subtest: 4 " + shown,
                 "machine: 5 " + shown, "6 " + shown, "subtest: 7 " + shown, "8 " + shown):
        assert line in result.log.splitlines()


@pytest.mark.parametrize("statement, line", [
    ("raise ValueError(text)", r"ValueError: bad \udcff"),
    ("assert text == '', text", r"AssertionError: bad \udcff"),
    ("t.fail(text)", r"RequestedAssertionFailed: bad \udcff"),
    ("with subtest('title'): raise Exception(text)", r'Test "title" failed with error: "bad \udcff"'),
])
def test_an_error_of_any_text_is_shown(fake, statement, line):
    result = harness.run(f'text = "bad \\udcff"\n{statement}', fake, status=1)
    assert "line 2, in <module>" in result.log and line in result.log
