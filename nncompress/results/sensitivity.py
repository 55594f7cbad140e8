"""The plain result types of `sensitivity`: what compressing each weight alone, and all but it, does to the outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from pydantic import TypeAdapter, ValidationError

from nncompress.errors import InputError
from nncompress.results.record import Environment, FeedFacts

SENSITIVITY_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Effect:
    """How close a result is. None: not measured, or for the SQNR that every output is equal."""

    sqnr_db: float | None  # of the worst output
    cosine: float | None
    identical: bool
    metric_drop: float | None  # of the task metric that lost most: of a share its difference, else the relative change


@dataclass(frozen=True)
class SensitiveWeight:
    """One weight that the passes rewrite."""

    name: str
    ops: tuple[str, ...]  # operators that read it
    bytes_before: int
    bytes_after: int
    alone: Effect  # this weight alone is compressed
    without: Effect  # all but this one are


@dataclass(frozen=True)
class Spared:
    """What is left as it is so that a bound holds, and what is reached then."""

    bound: str  # "SQNR >= 40 dB, drop <= 1 %"
    names: tuple[str, ...]
    effect: Effect
    recipe: str  # its file


@dataclass(frozen=True)
class SensitivityReport:
    """Everything one `sensitivity` found out; the most sensitive weight comes first."""

    path: str
    passes: tuple[str, ...]
    weights: tuple[SensitiveWeight, ...]
    everything: Effect  # all are compressed
    metric: str | None  # the task metric that lost most
    metric_is_share: bool
    feeds: FeedFacts
    environment: Environment
    spared: Spared | None = None
    notes: tuple[str, ...] = ()
    schema_version: int = field(default=SENSITIVITY_SCHEMA_VERSION)


_EFFECTS: TypeAdapter[dict[str, Effect]] = TypeAdapter(dict[str, Effect])


def effects_json(effects: Mapping[str, Effect]) -> str:
    """What read_effects reads."""
    tree = {key: asdict(effect) for key, effect in effects.items()}
    return json.dumps({"schema_version": SENSITIVITY_SCHEMA_VERSION, "effects": tree}, indent=1) + "\n"


def read_effects(text: str) -> dict[str, Effect]:
    """{key: effect}. Raises InputError for anything that effects_json did not write."""
    try:
        tree = json.loads(text)
        if not isinstance(tree, dict) or tree.get("schema_version") != SENSITIVITY_SCHEMA_VERSION:
            raise InputError("no effects that this nncompress has measured")
        return _EFFECTS.validate_python(tree.get("effects"))
    except ValidationError as error:
        raise InputError("effects that were measured are damaged") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}") from error
