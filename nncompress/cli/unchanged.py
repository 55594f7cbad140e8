"""Whether a compression has been done already: --if-changed compares with the report that --json FILE saved then.

The report is the stamp, because a model has to stay as it is to the bit: it names the SHA-256 of both files, the
passes, the version and every option that bears on the result or its verdict.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nncompress.cli.calibration_options import CalibrationOptions
from nncompress.cli.options import LimitOptions, ProofOptions, ReportOptions, StoreOptions
from nncompress.errors import InputError, UsageError
from nncompress.files.opened import data_digest
from nncompress.files.places import MADE_UP
from nncompress.passes.base import Pass
from nncompress.validate.metrics.names import metric_file

if TYPE_CHECKING:
    from nncompress.results.record import Report

_NO_MATTER = {"threads", "force", "dry_run", "if_changed", "save_recipe", "calibration_cache"}  # to the result


def options_used(
    *kinds: ProofOptions | LimitOptions | StoreOptions | CalibrationOptions,
) -> tuple[tuple[str, str], ...]:
    """(name, value) of each option that is not at its default, and the digest of the data."""
    used = []
    for kind in kinds:
        for field in dataclasses.fields(kind):
            value = getattr(kind, field.name)
            if value != field.default and field.name not in _NO_MATTER:
                values = value if isinstance(value, list) else [value]
                used.append((field.name, " ".join(map(str, values))))
                files = map(metric_file, values) if field.name == "metric" else values
                digests = [data_digest(each) for each in files if isinstance(each, Path) and each != MADE_UP]
                if digests:
                    used.append((f"{field.name}_sha256", " ".join(digests)))
    return tuple(sorted(used))


def made_already(
    command: str, source: Path, target: Path, passes: Sequence[Pass], options: tuple[tuple[str, str], ...],
    files: ReportOptions,
) -> Report | None:  # fmt: skip
    """The saved report if `target` is what these options make of `source`; None if it has to be made. What a search has
    added to the `passes` comes before them.

    Raises UsageError without --json FILE.
    """
    from nncompress.files.places import is_file, place_of
    from nncompress.passes.spec import described
    from nncompress.runtime.environment import environment
    from nncompress.workflow.verify import load_report, verify_report

    if files.json is None or str(files.json) == "-":
        raise UsageError("--if-changed needs --json FILE: the saved report says what OUT was made from")
    if not all(map(is_file, (target, *files.paths.values()))):
        return None
    try:
        report, verified = load_report(files.json), verify_report(files.json)
    except InputError:
        return None  # it is no report, or a damaged one: it will be written anew
    asked = tuple(described(step) for step in passes)
    added = len(report.passes) - len(asked) if command == report.command == "auto" else 0
    files_then = (Path(report.comparison.reference.path), Path(report.comparison.candidate.path))
    same = (
        [place_of(path) for path in files_then] == [place_of(source), place_of(target)]
        and all(file.outcome == "same" for file in verified)
        and report.passes[max(added, 0) :] == asked
        and report.options == options
        and report.environment.nncompress == environment().nncompress
        and report.verdict.level != "fail"
    )
    return report if same else None
