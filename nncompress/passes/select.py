"""Which weights a pass works on: names of weights and nodes, glob patterns on them, types of operators.

A pattern that is a name as it stands means that name: names such as `layers[0].kernel` look like patterns.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from nncompress.errors import UsageError, nearest
from nncompress.model.weights import Weight


def names_of(weight: Weight) -> set[str]:
    """What a glob may match: the weight's name and those of the nodes that read it."""
    return {weight.given_name, *(use.node.name for use in weight.uses if use.node.name)}


def matches(weight: Weight, globs: Iterable[str]) -> bool:
    """True if one of the globs matches a name of the weight."""
    return any(_fits(name, glob) for glob in globs for name in names_of(weight))


def check_globs(globs: Iterable[str], weights: list[Weight], others: Iterable[str] = ()) -> None:
    """Raises UsageError for the first glob that matches no weight and none of the `others`, with the nearest names."""
    known = sorted({name for weight in weights for name in names_of(weight)}.union(others))
    for glob in globs:
        if not any(_fits(name, glob) for name in known):
            raise UsageError(f"{glob!r} matches no weight and no node that reads one{nearest(glob.strip('*?'), known)}")


def check_op_types(op_types: Iterable[str], weights: list[Weight]) -> None:
    """Raises UsageError for the first operator that reads no weight, with those that do."""
    known = sorted({op for weight in weights for op in weight.ops})
    for op in op_types:
        if op not in known:
            there = f"those that read one are {', '.join(known)}" if known else "the model has none"
            raise UsageError(f"no operator of type {op!r} reads a weight{nearest(op, known, 1)}: {there}")


def _fits(name: str, glob: str) -> bool:
    return name == glob or fnmatch.fnmatchcase(name, glob)
