"""Reads what test_driver.run_record has written: metadata.json of runs and the ledger, each checked by the schema."""

import functools
import json

import jsonschema

import harness

SCHEMA = harness.ROOT / "embed/py/test_driver/run-record.schema.json"


@functools.cache
def validator(definition):
    """The validator of a definition of the schema: "run" or "line"."""
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator({**schema, "$ref": f"#/$defs/{definition}"})


def metadata_of(out_dir):
    """The metadata of the runs whose directories are in OUT/vm-runs, in the order of their begins."""
    result = []
    for path in (out_dir / "vm-runs").iterdir():
        metadata = json.loads((path / "metadata.json").read_text())
        validator("run").validate(metadata)
        assert metadata["run"] == path.name and metadata["directory"] == str(path)
        result.append(metadata)
    return sorted(result, key=lambda metadata: (metadata["start"], len(metadata["run"]), metadata["run"]))


def read_ledger(path):
    """The lines of a ledger. Each must be that of a run, whose metadata has the same."""
    assert path.read_bytes().endswith(b"\n")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        validator("line").validate(line)
        with open(line["metadata"]) as file:
            assert {**line, "metadata": None} == {**json.load(file), "metadata": None}
    return lines
