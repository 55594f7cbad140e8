"""Writes the result of `check` as JSON and reads it back, with a published schema and the version that it follows.

The object is the record types field by field, after the level and the headline, which are not believed on reading.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import TypeAdapter

from nncompress.report.json_text import NONFINITE_SCHEMA, SCHEMA_ID, dumped, validated, with_nonfinite
from nncompress.results.check import CHECK_SCHEMA_VERSION, CheckReport

_CHECK: TypeAdapter[CheckReport] = TypeAdapter(CheckReport)


def check_json(report: CheckReport) -> str:
    """Indented JSON in plain ASCII: the verdict first; a later check can compare with it."""
    tree = dataclasses.asdict(report)
    top = {"schema_version": tree.pop("schema_version"), "level": report.level, "headline": report.headline}
    return dumped({**top, **tree})


def is_check(tree: Any) -> bool:
    """True if the parsed JSON of a saved report is what `check` saved, whole or damaged."""
    return isinstance(tree, dict) and "models" in tree and "config" in tree


def check_of(tree: Any) -> CheckReport:
    """The report whose JSON was parsed to `tree`. Raises InputError, naming the place, for a damaged one."""
    return validated(_CHECK, tree, CHECK_SCHEMA_VERSION)


def check_schema() -> dict[str, Any]:
    """The JSON Schema of what check_json writes; check.schema.json holds a copy."""
    schema = _CHECK.json_schema(mode="serialization")
    top = {"level": {"enum": ["pass", "warn", "fail"]}, "headline": {"type": "string"}}
    schema["properties"] |= {"schema_version": {"const": CHECK_SCHEMA_VERSION}, **top}
    schema["required"] = ["schema_version", *top, *schema["required"]]
    schema["$defs"] |= NONFINITE_SCHEMA
    allowing: dict[str, Any] = with_nonfinite(schema)
    return {"$schema": SCHEMA_ID, **allowing, "title": "nncompress check"}
