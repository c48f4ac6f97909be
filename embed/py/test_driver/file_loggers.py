"""Loggers that write files, for scripts that want more files than LOGFILE and --junit-xml, which C code writes:

    log.add_logger(XMLLogger(path))

A file is complete after close(), which is called at the end of the run at the latest.

test_driver.logger imports this module when a script uses one of the classes. The methods run on the threads that
deliver events to loggers, one at a time; see embed/log.
"""

import atexit
import re
import time
import unicodedata
from contextlib import contextmanager
from xml.etree import ElementTree
from xml.sax.saxutils import XMLGenerator

from test_driver.logger import LogWriter


class XMLLogger(LogWriter):
    """Writes lines as elements <line> and steps as <nest>, with the attributes of each.

    outfile: the path of the file, which is replaced. OSError if it cannot be written.
    """

    def __init__(self, outfile):
        super().__init__()
        self.logfile_handle = open(outfile, "wb")  # noqa: SIM115, closed by close()
        self.xml = XMLGenerator(self.logfile_handle, encoding="utf-8")
        self.xml.startDocument()
        self.xml.startElement("logfile", {})
        atexit.register(self.close)

    def close(self):
        """Completes and closes the file; further events are ignored."""
        if not self.logfile_handle.closed:
            self.xml.endElement("logfile")
            self.xml.endDocument()
            self.logfile_handle.close()

    @staticmethod
    def sanitise(message):
        """Returns the text without control characters, which XML does not allow."""
        return "".join(char for char in message if unicodedata.category(char)[0] != "C")

    def _write(self, element, message, attributes):
        self.xml.startElement(element, {name: self.sanitise(value) for name, value in attributes.items()})
        self.xml.characters(self.sanitise(message))
        self.xml.endElement(element)

    def log_line(self, message, attributes):
        """Writes an element <line>."""
        if not self.logfile_handle.closed:
            self._write("line", message, attributes)

    def log(self, message, attributes={}):
        self.log_line(message, attributes)

    def _write_serial(self, message, machine):
        self.log_line(message, {"machine": machine, "type": "serial"})

    @contextmanager
    def nested(self, message, attributes={}):
        self.xml.startElement("nest", {})
        self._write("head", message, attributes)
        began = time.monotonic()
        try:
            yield
            self.log(f"(finished: {message}, in {time.monotonic() - began:.2f} seconds)")
        finally:
            if not self.logfile_handle.closed:
                self.xml.endElement("nest")


class JunitXMLLogger(LogWriter):
    """Writes a JUnit report with a test case for each title of a subtest.

    A case `main` stands for everything outside subtests, if there are no subtests or if it has failed. The output of
    the suite has all that was logged. The time of a case excludes the time of subtests inside it.

    outfile: the path of the file, which close() writes.
    """

    class TestCaseState:
        """The output, outcome and time of a test case."""

        def __init__(self):
            self.stdout = self.stderr = ""
            self.failure = False
            self.seconds = 0.0

    def __init__(self, outfile):
        super().__init__()
        self.outfile = outfile
        self.tests = {}
        self.testsuite, self._rest = self.TestCaseState(), self.TestCaseState()
        self._rest.seconds -= time.monotonic()
        self._current = [self._rest]
        self._written = False
        atexit.register(self.close)

    def log(self, message, attributes={}):
        for state in self.testsuite, self._current[-1]:
            state.stdout += f"{message}\n"

    def error(self, message, attributes={}):
        for state in self.testsuite, self._current[-1]:
            state.stderr += f"{message}\n"
            state.failure = True

    def log_test_error(self, message, attributes={}):
        self.error(message, attributes)

    def _write_serial(self, message, machine):
        self.log(f"{machine} # {message}")

    @contextmanager
    def nested(self, message, attributes={}):
        self.log(message)
        yield

    @contextmanager
    def subtest(self, name, attributes={}):
        state = self.tests.setdefault(name, self.TestCaseState())
        began = time.monotonic()
        self._current.append(state)
        try:
            yield
        finally:
            passed = time.monotonic() - began
            self._current.remove(state)
            self._current[-1].seconds -= passed
            state.seconds += passed

    def close(self):
        """Writes the file once; OSError if that fails."""
        if self._written:
            return
        self._written = True
        self._rest.seconds += time.monotonic()
        cases = dict(self.tests) if self.tests and not self._rest.failure else {**self.tests, "main": self._rest}
        failures = sum(state.failure for state in cases.values())
        counts = {"tests": str(len(cases)), "failures": str(failures), "errors": "0", "disabled": "0"}
        root = ElementTree.Element("testsuites", counts)
        suite = ElementTree.SubElement(root, "testsuite", counts, name="NixOS integration test", skipped="0")
        for name, state in cases.items():
            case = ElementTree.SubElement(suite, "testcase", name=_plain(name), time=f"{state.seconds:.3f}")
            if state.failure:
                ElementTree.SubElement(case, "failure", type="failure", message="test case failed")
            _add_output(case, state)
        _add_output(suite, self.testsuite)
        ElementTree.ElementTree(root).write(self.outfile, encoding="utf-8", xml_declaration=True)


def _plain(text):
    """The text without characters that XML does not allow."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)


def _add_output(element, state):
    for name, text in ("system-out", state.stdout), ("system-err", state.stderr):
        if text:
            ElementTree.SubElement(element, name).text = _plain(text)


__all__ = ["JunitXMLLogger", "XMLLogger"]
