"""What GitHub Actions reads: annotations, one line a missed rule, and the file that is the summary of the job.

Workflow commands: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from nncompress.errors import UsageError, printable
from nncompress.results.verdict import RuleResult

SUMMARY = "GITHUB_STEP_SUMMARY"
COMMAND_MARK = "##["  # of the old syntax, which the runner still obeys anywhere in a line
_COMMAND_START = re.compile(r"(^|[\r\n])(\s*)::")  # the runner trims the line first
_COMMANDS = {"fail": "error", "warn": "warning"}


def in_actions() -> bool:
    """True in a step of a GitHub Actions job."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def summary_path() -> Path:
    """The file that --github-summary appends to. Raises UsageError outside of GitHub Actions."""
    path = os.environ.get(SUMMARY)
    if not path:
        raise UsageError(f"--github-summary needs the variable {SUMMARY}, which GitHub Actions sets")
    return Path(path)


def annotation_lines(rules: Iterable[RuleResult], about: str) -> Iterator[str]:
    """`::error` for each failed rule, `::warning` for each that warns; the runner shows them on the pull request."""
    for rule in rules:
        if rule.level in _COMMANDS:
            title = _property(f"nncompress: {about}: {rule.rule}")
            yield f"::{_COMMANDS[rule.level]} title={title}::{_data(rule.told)}"


def error_line(title: str, text: str) -> str:
    """`::error` about something that is no rule."""
    return f"::error title={_property(f'nncompress: {title}')}::{_data(text)}"


def without_commands(text: str) -> str:
    """`text` in which the runner finds no command: one character of what would make it a command is spelled out."""
    return _COMMAND_START.sub(r"\1\2\\x3a:", text).replace(COMMAND_MARK, r"#\x23[")


def _data(text: str) -> str:
    """Escaped as the runner decodes it. A name cannot end the line, and so cannot start a command of its own."""
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
