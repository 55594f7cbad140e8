"""Writes a report as JSON and reads it back, with a published schema and the version that it follows.

The object is the record types field by field, plus "summary": the derived figures, for people with jq; it is made
anew on every write and not believed on reading. null means "not measured".
"""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import TypeAdapter

from nncompress.report.json_text import NONFINITE_SCHEMA, SCHEMA_ID, dumped, parsed, validated, with_nonfinite
from nncompress.results.record import SCHEMA_VERSION, Report
from nncompress.results.summary import Summary, summarise

_REPORT: TypeAdapter[Report] = TypeAdapter(Report)
_SUMMARY: TypeAdapter[Summary] = TypeAdapter(Summary)


def to_json(report: Report) -> str:
    """Indented JSON in plain ASCII, ending in a newline."""
    return dumped(
        {
            "schema_version": report.schema_version,
            "summary": dataclasses.asdict(summarise(report)),
            **{key: value for key, value in dataclasses.asdict(report).items() if key != "schema_version"},
        }
    )


def from_json(text: str) -> Report:
    """The report that to_json wrote. Raises InputError, naming the place, for anything else."""
    return report_of(parsed(text))


def report_of(tree: Any) -> Report:
    """The report whose JSON was parsed to `tree`. Raises InputError, naming the place, for a damaged one."""
    return validated(_REPORT, tree, SCHEMA_VERSION)


def json_schema() -> dict[str, Any]:
    """The JSON schema of what to_json writes; report.schema.json holds a copy."""
    schema = _REPORT.json_schema(mode="serialization")
    summary = _SUMMARY.json_schema(mode="serialization")
    schema["$defs"] |= {"Summary": summary, **NONFINITE_SCHEMA}
    schema["properties"] = {"summary": {"$ref": "#/$defs/Summary"}, **schema["properties"]}
    schema["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    schema["required"] = ["schema_version", "summary", *schema["required"]]
    allowing: dict[str, Any] = with_nonfinite(schema)
    return {"$schema": SCHEMA_ID, **allowing, "title": "nncompress report"}
