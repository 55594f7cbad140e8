"""Renders the result of `check`: plain text, JSON, Markdown."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from pydantic import TypeAdapter

from nncompress.errors import printable
from nncompress.report.check_record import CHECK_SCHEMA_VERSION, CheckedModel, CheckReport
from nncompress.report.json_report import NONFINITE_SCHEMA, SCHEMA_ID, encoded, with_nonfinite
from nncompress.report.markdown import MARKS, MOST_BYTES, ROOMS, Room, inert, markdown_table
from nncompress.report.tables import Table, table_of_rules
from nncompress.report.text import aligned


def check_text(report: CheckReport) -> str:
    """Plain lines: the verdict, and a table for each model."""
    lines = [f"{report.level.upper()}  {check_headline(report)}"]
    for table in _tables(report):
        lines += ["", table.title, *aligned(table)]
    lines += ["", *map(printable, report.notes)] if report.notes else []
    return "\n".join(lines) + "\n"


def check_json(report: CheckReport) -> str:
    """Indented JSON in plain ASCII: the record field by field, the verdict first; a later check can compare with it."""
    tree = dataclasses.asdict(report)
    top = {"schema_version": tree.pop("schema_version"), "level": report.level, "headline": check_headline(report)}
    return json.dumps(encoded({**top, **tree}), indent=2, allow_nan=False) + "\n"


def check_schema() -> dict[str, Any]:
    """The JSON Schema of what check_json writes; check.schema.json holds a copy."""
    schema = TypeAdapter(CheckReport).json_schema(mode="serialization")
    top = {"level": {"enum": ["pass", "warn", "fail"]}, "headline": {"type": "string"}}
    schema["properties"] |= {"schema_version": {"const": CHECK_SCHEMA_VERSION}, **top}
    schema["required"] = ["schema_version", *top, *schema["required"]]
    schema["$defs"] |= NONFINITE_SCHEMA
    allowing: dict[str, Any] = with_nonfinite(schema)
    return {"$schema": SCHEMA_ID, **allowing, "title": "nncompress check"}


def check_markdown(report: CheckReport) -> str:
    """Models that missed a limit first, the others folded; cut where it gets too long."""
    for room in ROOMS:
        text = "\n\n".join(_markdown_parts(report, room)) + "\n"
        if len(text.encode()) < MOST_BYTES:
            break
    return text


def check_headline(report: CheckReport) -> str:
    """Such as "2 of 9 checks failed (1 of 3 models)"."""
    rules, models = report.rules, report.models
    failed = sum(rule.level == "fail" for rule in rules)
    warned = sum(rule.level == "warn" for rule in rules)
    if not rules:
        return "nothing to check"
    if failed:
        missed = sum(model.level == "fail" for model in models)
        return f"{failed} of {_counted(len(rules), 'check')} failed ({missed} of {_counted(len(models), 'model')})"
    warnings = f", {_counted(warned, 'warning')}" if warned else ""
    return f"{_counted(len(rules), 'check')} on {_counted(len(models), 'model')}{warnings}"


def failure_lines(report: CheckReport) -> list[str]:
    """One line for each failed rule, safe to print."""
    return [
        printable(f"{model.path}: {rule.rule} failed: {rule.figure}, limit {rule.limit}. {rule.advice}")
        for model in report.models
        for rule in model.rules
        if rule.level == "fail"
    ]


def _tables(report: CheckReport) -> list[Table]:
    return [table_of_rules(printable(model.path), model.rules) for model in report.models]


def _markdown_parts(report: CheckReport, room: Room) -> list[str]:
    missed = [model for model in report.models if model.level != "pass"]
    kept = [model for model in report.models if model.level == "pass"]
    parts = [f"## {MARKS[report.level]} {report.level.upper()}: {check_headline(report)}"]
    parts += [_section(model, room) for model in missed[: room.table_lines]]
    parts += _left_out(len(missed) - room.table_lines)
    parts += [f"- {inert(note, room)}" for note in report.notes[: room.table_lines]]
    if kept:
        sections = [_section(model, room) for model in kept[: room.table_lines]]
        inside = "\n\n".join([*sections, *_left_out(len(kept) - room.table_lines)])
        summary = f"{_counted(len(kept), 'model')} within budget"
        parts.append(f"<details><summary>{summary}</summary>\n\n{inside}\n\n</details>")
    return parts


def _section(model: CheckedModel, room: Room) -> str:
    table = markdown_table(table_of_rules("", model.rules), room)
    return f"### {MARKS[model.level]} {inert(model.path, room)}\n\n{table}"


def _left_out(count: int) -> list[str]:
    return [f"... {_counted(count, 'more model')}"] if count > 0 else []


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
