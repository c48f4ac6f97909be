"""Reads files of --events: checks that they are what driver/report/events.schema.json says, and that a timeline of the
run can be built from them."""

import collections
import functools
import json

import jsonschema

import harness

SCHEMA = harness.ROOT / "driver/report/events.schema.json"
BEGINS, ENDS = ("nest-begin", "subtest-begin"), ("nest-end", "subtest-end")
# The table of driver/machine/state.c, without its events.
NEXT = {
    "down": {"starting"},
    "starting": {"up", "stopping", "down"},
    "up": {"connected", "stopping", "dead"},
    "connected": {"up", "stopping", "dead"},
    "stopping": {"down"},
    "dead": {"starting", "down"},
}


@functools.cache
def validator():
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


class Step:
    """A step of the run; `inside` has the steps and the other events in it, in order. `end` is None when it has none."""

    def __init__(self, begin):
        self.begin, self.end, self.inside = begin, None, []
        self.kind, self.text, self.machine = begin["step"], begin["text"], begin["machine"]

    def __repr__(self):
        return f"{self.kind} {self.text!r}"

    def steps(self, kind=None):
        return [one for one in self.inside if isinstance(one, Step) and kind in (None, one.kind)]

    def events(self, kind):
        return [one for one in self.inside if isinstance(one, dict) and one["kind"] == kind]


class Timeline:
    """`events`: all but the first line. `steps`: {id: step}. `top`: what is in no step. `states`: {machine: its states}."""

    def __init__(self, path, *, whole=True):
        """Of a run that is `whole` all steps have ended."""
        text = path.read_text()
        assert text.endswith("\n")
        self.lines = [json.loads(line) for line in text.splitlines()]
        self.validate()
        assert [line["kind"] for line in self.lines].count("format") == 1
        assert self.lines[0]["kind"] == "format"
        self.events = self.lines[1:]
        self.steps, self.top, self.states, self.last_id = {}, [], {}, 0
        for event in self.events:
            self.add(event)
        if whole:
            assert self.events[-1]["kind"] == "run-end"
            assert [step for step in self.steps.values() if not step.end] == []

    def validate(self):
        """A flood of lines that differ in their values only is checked by its first ones."""
        seen = collections.Counter()
        for line in self.lines:
            shape = line["kind"], *[(key, type(value)) for key, value in line.items()]
            seen[shape] += 1
            if seen[shape] > 200:
                continue
            errors = [error.message for error in validator().iter_errors(line)]
            assert errors == [], line

    def add(self, event):
        if event["kind"] in ENDS:
            return self.end(event)
        assert event["id"] == self.last_id + 1, event
        self.last_id = event["id"]
        one = self.steps[event["id"]] = Step(event) if event["kind"] in BEGINS else None
        if one is None:
            del self.steps[event["id"]]
        parent = self.parent(event)
        (parent.inside if parent else self.top).append(one or event)
        if event["kind"] == "state":
            self.change(event)

    def parent(self, event):
        """The step that it is in, which has begun, has not ended, and is the innermost of the event's thread."""
        own = [step for step in self.steps.values()
               if step.begin["thread"] == event["thread"] and step.begin is not event and not step.end]
        expected = own[-1].begin["id"] if own and event["kind"] != "serial" else None
        assert event["parent"] == expected, event
        return self.steps.get(event["parent"])

    def end(self, event):
        step = self.steps[event["id"]]
        begin = step.begin
        assert not step.end, event
        assert event["kind"] == begin["kind"].replace("begin", "end")
        for key in "parent", "step", "machine", "text":
            assert event[key] == begin[key], (key, event)
        step.end = event

    def change(self, event):
        states = self.states.setdefault(event["machine"], ["down"])
        assert event["from"] == states[-1] and event["to"] in NEXT[event["from"]], event
        assert event["text"] == event["to"]
        states.append(event["to"])

    def find(self, kind, text):
        """The only step of that kind that begins with the text."""
        found = [step for step in self.steps.values() if step.kind == kind and step.text.startswith(text)]
        assert len(found) == 1, (kind, text, found, list(self.steps.values()))
        return found[0]

    def of_kind(self, kind):
        return [event for event in self.events if event["kind"] == kind]

    def details(self, detail):
        return [event for event in self.of_kind("detail") if event["detail"] == detail]
