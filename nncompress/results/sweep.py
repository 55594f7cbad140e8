"""The plain result types of a sweep: how each trial ended, as it is saved and read back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter, ValidationError

from nncompress.errors import InputError
from nncompress.results.record import Report

SWEEP_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Ended:
    """A trial that came to an end: a result, a missed gate, or the reason why there is no result."""

    name: str
    model: str
    recipe: str
    key: str  # of everything that bears on the outcome
    exit_code: int  # that the command would have ended with
    message: str
    has_report: bool
    sha256: str  # of the model that it made; "" where there is none
    seconds: float


@dataclass(frozen=True)
class Lost:
    """A trial whose process did not survive; it runs again the next time."""

    name: str
    model: str
    recipe: str
    reason: str


@dataclass(frozen=True)
class SweepResults:
    """All trials of a sweep."""

    reports: tuple[Report, ...]  # of those that made one
    ended: tuple[Ended, ...]
    missing: tuple[str, ...]  # names of trials that have not ended


_ENDED: TypeAdapter[Ended] = TypeAdapter(Ended)


def ended_json(ended: Ended) -> str:
    """What read_ended reads."""
    return json.dumps({"schema_version": SWEEP_SCHEMA_VERSION, **asdict(ended)}, indent=2) + "\n"


def read_ended(text: str) -> Ended:
    """Raises InputError for anything that ended_json did not write."""
    try:
        tree = json.loads(text)
        if not isinstance(tree, dict) or tree.pop("schema_version", None) != SWEEP_SCHEMA_VERSION:
            raise InputError("not the record of a trial that this nncompress reads")
        return _ENDED.validate_python(tree)
    except ValidationError as error:
        raise InputError("the record of a trial is damaged") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"the record of a trial is not JSON: {error}") from error
