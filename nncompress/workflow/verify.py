"""Says whether the files that a saved report is about are still the ones that it is about, to the bit.

The report holds the SHA-256 of the original, of the result, and of their external data files. A path that is not
absolute is looked for in the current folder, then beside the report.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nncompress.errors import InputError
from nncompress.files.opened import open_regular
from nncompress.report.saved import read_saved
from nncompress.results.check import CheckReport
from nncompress.results.record import FileFacts, Report

LARGEST_REPORT_BYTES = 256 << 20


@dataclass(frozen=True)
class Verified:
    """What became of one file that a report names."""

    path: Path  # where it was looked for
    part: str  # "original", "result", "original's data", "result's data"
    outcome: Literal["same", "differs", "unreadable"]
    detail: str  # "" where it is the same


def load_report(path: Path) -> Report:
    """The report of a run that `--json` wrote. Raises InputError, with the path, where it is unreadable or damaged."""
    saved = load_saved(path)
    if isinstance(saved, CheckReport):
        raise InputError(f"{path}: it is a report of nncompress check; give one of a command that compares two models")
    return saved


def load_saved(path: Path) -> Report | CheckReport:
    """The same for what `check --json` wrote too."""
    file = open_regular(path)
    if file.size_bytes > LARGEST_REPORT_BYTES:
        raise InputError(f"{path}: {file.size_bytes:,} bytes are more than any report has")
    try:
        return read_saved(file.read(0, file.size_bytes).decode())
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: report is not JSON: it is not UTF-8 text") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def verify_report(path: Path, against: Path | None = None) -> list[Verified]:
    """Hashes every file that the report at `path` names. `against`: a folder that holds them, wherever they were."""
    report = load_report(path)
    if against is not None and not against.is_dir():
        raise InputError(f"cannot look into {against}: there is no such folder")
    pairs = (("original", report.comparison.reference), ("result", report.comparison.candidate))
    return [
        _verified(_place(model, name, path.parent, against), part, sha256)
        for who, facts in pairs
        for part, model, name, sha256 in _files_of(who, facts)
    ]


def _files_of(who: str, facts: FileFacts) -> Iterator[tuple[str, Path, str, str]]:
    """(part, path of the model, path of the file beside the model, SHA-256)"""
    model = Path(facts.path)
    yield who, model, model.name, facts.sha256
    for name, sha256 in facts.data_sha256:
        yield f"{who}'s data", model, name, sha256


def _place(model: Path, name: str, beside: Path, against: Path | None) -> Path:
    """The first place at which the file is; where it is nowhere, the first place at which it could have been."""
    places = [model.parent / name, beside / model.parent / name, beside / name]
    if against is not None:
        places = [against / name] if model.is_absolute() else [against / model.parent / name, against / name]
    return next((place for place in places if _is_there(place)), places[0])


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (OSError, ValueError):  # ValueError: a NUL byte or a lone surrogate in a name that nobody wrote by hand
        return False
    return True


def _verified(path: Path, part: str, sha256: str) -> Verified:
    try:
        digest = open_regular(path).sha256()
    except InputError as error:
        return Verified(path, part, "unreadable", str(error))
    if digest == sha256.lower():
        return Verified(path, part, "same", "")
    return Verified(path, part, "differs", f"SHA-256 is {digest}, the report says {sha256}")
