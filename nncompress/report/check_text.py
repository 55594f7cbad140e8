"""Renders the result of `check`: plain text and Markdown."""

from __future__ import annotations

from nncompress.errors import printable
from nncompress.report.layout import Section, plain
from nncompress.report.markdown import MARKS, MOST_BYTES, ROOMS, Room, inert, markdown_table
from nncompress.report.rules_table import table_of_rules
from nncompress.results.check import CheckedModel, CheckReport
from nncompress.results.units import format_counted, format_time


def check_sections(report: CheckReport) -> list[Section]:
    """A table for each model, and the verdict."""
    tables = [table_of_rules(printable(model.path), model.rules) for model in report.models]
    notes = [*map(printable, report.notes), f"made {format_time(report.environment.made_at)}"]
    return [*tables, notes, [verdict_line(report)]]


def check_text(report: CheckReport) -> str:
    """The same as plain lines."""
    return plain(check_sections(report))


def verdict_line(report: CheckReport) -> str:
    """The level, and what was counted."""
    return f"{report.level.upper()}  {report.headline}"


def check_markdown(report: CheckReport) -> str:
    """Models that missed a limit first, the others folded; cut where it gets too long."""
    for room in ROOMS:
        text = "\n\n".join(_markdown_parts(report, room)) + "\n"
        if len(text.encode()) < MOST_BYTES:
            break
    return text


def failure_lines(report: CheckReport) -> list[str]:
    """One line for each failed rule, safe to print."""
    return [
        printable(f"{model.path}: {rule.rule} failed: {rule.told}")
        for model in report.models
        for rule in model.rules
        if rule.level == "fail"
    ]


def _markdown_parts(report: CheckReport, room: Room) -> list[str]:
    missed = [model for model in report.models if model.level != "pass"]
    kept = [model for model in report.models if model.level == "pass"]
    parts = [f"## {MARKS[report.level]} {report.level.upper()}: {report.headline}"]
    parts += [_section(model, room) for model in missed[: room.table_lines]]
    parts += _left_out(len(missed) - room.table_lines)
    parts += [f"- {inert(note, room)}" for note in report.notes[: room.table_lines]]
    parts.append(f"Made {format_time(report.environment.made_at)}.")
    if kept:
        sections = [_section(model, room) for model in kept[: room.table_lines]]
        inside = "\n\n".join([*sections, *_left_out(len(kept) - room.table_lines)])
        summary = f"{format_counted(len(kept), 'model')} within budget"
        parts.append(f"<details><summary>{summary}</summary>\n\n{inside}\n\n</details>")
    return parts


def _section(model: CheckedModel, room: Room) -> str:
    table = markdown_table(table_of_rules("", model.rules), room)
    return f"### {MARKS[model.level]} {inert(model.path, room)}\n\n{table}"


def _left_out(count: int) -> list[str]:
    return [f"... {format_counted(count, 'more model')}"] if count > 0 else []
