"""Runs the driver on tests in pytest style and reads the reports."""

import json
import re
import xml.etree.ElementTree

import harness


class PytestRun(harness.Run):
    """A run on tests in pytest style. `files`: {name: text}, the files of a directory that is the script; `words`:
    words for pytest."""

    def __init__(self, script="", vms=None, *, files=None, words=(), options=(), **named):
        self.files = files
        after = ["--", *words] if words else []
        super().__init__(script, vms, options=["--junit-xml", "junit.xml", *options, *after], **named)

    def json_arguments(self):
        words = super().json_arguments()
        if self.files is None:
            return words
        tests, config = self.directory / "tests", self.directory / "config.json"
        tests.mkdir(exist_ok=True)
        for name, text in self.files.items():
            (tests / name).write_text(text)
        config.write_text(json.dumps({**json.loads(config.read_text()), "test_script": str(tests)}))
        return words

    def finish(self, *arguments, **named):
        result = super().finish(*arguments, **named)
        out = self.directory / "out"
        result.cases = read_junit(out / "junit.xml")
        result.junit = (out / "junit.xml").read_text() if (out / "junit.xml").exists() else ""
        result.outcomes = outcomes(result.out)
        result.kept = sorted(str(path.relative_to(out / "failure")) for path in (out / "failure").glob("*/*"))
        result.text = {path.name: path.read_text(errors="replace") for path in (out / "failure").glob("*/*/*.txt")}
        return result


def read_junit(path):
    """Returns {title: element of a test case}; none for the empty file of a run that did not begin."""
    text = path.read_text() if path.exists() else ""
    return {case.get("name"): case for case in xml.etree.ElementTree.fromstring(text).iter("testcase")} if text else {}


def outcomes(text):
    """{test: outcome}, as pytest's option -v shows it."""
    found = {}
    for name, word in re.findall(r"^\S*?::(.+?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS|RERUN)\b", text, re.M):
        found[name] = f"{found[name]} {word}" if name in found else word
    return found


def run(script="", vms=None, *, status=0, **named):
    """Does a whole run, which must end with this exit status (None: any), and returns it."""
    with PytestRun(script, vms, **named) as running:
        result = running.finish()
        if status is not None and result.status != status:
            running.fail(f"exit status {result.status}, expected {status}")
        return result
