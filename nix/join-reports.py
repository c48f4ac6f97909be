"""Joins the JUnit reports of several runs.

    join-reports.py --name NAME DIRECTORY MEMBER...

Reads DIRECTORY/MEMBER/junit.xml of each member and writes DIRECTORY/junit.xml, which has the suites of all, and
DIRECTORY/summary.txt, a line a member: its name, its result, its number of tests, its time. Prints the latter.
The exit status is 1 when a member failed, 2 when a report cannot be read.
"""

import argparse
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

COUNTS = "tests", "failures", "errors", "skipped"


def suites_of(path):
    root = ElementTree.parse(path).getroot()
    return [root] if root.tag == "testsuite" else root.findall("testsuite")


def counts_of(suite):
    cases = list(suite.iter("testcase"))
    kinds = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    return {"tests": len(cases)} | {
        name: sum(case.find(kind) is not None for case in cases) for name, kind in kinds.items()}


def seconds_of(suite):
    return float(suite.get("time") or sum(float(case.get("time") or 0) for case in suite.iter("testcase")))


def total(suites):
    counts = [counts_of(suite) for suite in suites]
    return {name: sum(count[name] for count in counts) for name in COUNTS}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("directory", type=Path)
    parser.add_argument("members", nargs="+")
    arguments = parser.parse_args()

    joined, lines = ElementTree.Element("testsuites", name=arguments.name), []
    for member in arguments.members:
        path = arguments.directory / member / "junit.xml"
        try:
            suites = suites_of(path)
        except (OSError, ElementTree.ParseError) as error:
            print(f"join-reports: {path}: {error}", file=sys.stderr)
            return 2
        counts, seconds = total(suites), sum(map(seconds_of, suites))
        result = "failed" if counts["failures"] or counts["errors"] else "passed"
        lines.append((member, result, f"{counts['tests']} tests", f"{seconds:.1f} s"))
        for suite in suites:
            suite.set("name", f"{member}: {suite.get('name', '')}".removesuffix(": "))
            joined.append(suite)
    for name, count in total(list(joined)).items():
        joined.set(name, str(count))
    joined.set("time", f"{sum(map(seconds_of, joined)):.3f}")
    ElementTree.ElementTree(joined).write(arguments.directory / "junit.xml", encoding="utf-8", xml_declaration=True)

    widths = [max(map(len, column)) for column in zip(*lines)]
    text = "".join("  ".join(field.ljust(width) for field, width in zip(line, widths)).rstrip() + "\n" for line in lines)
    (arguments.directory / "summary.txt").write_text(text)
    print(text, end="")
    return 1 if any(line[1] == "failed" for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
