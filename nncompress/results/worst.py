"""Finds the output, the metric and the weight that suffered most, which is where a reader should look first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nncompress.results.record import LedgerLine, OutputComparison, Run, TaskMetric


@dataclass(frozen=True)
class Worst:
    """A figure and whose it is."""

    value: float
    name: str


def worst_cosine(run: Run) -> Worst | None:
    """The lowest cosine as deployed; identical outputs count as 1; None where no output has one."""
    return _lowest([Worst(c, output.name) for output in run.outputs if (c := cosine(output)) is not None])


def worst_sqnr_db(run: Run) -> Worst | None:
    """The lowest SQNR as deployed; identical outputs count as infinite; None where no output has one."""
    return _lowest([Worst(db, output.name) for output in run.outputs if (db := sqnr_db(output)) is not None])


def cosine(output: OutputComparison) -> float | None:
    """The cosine of one output as deployed; 1 where every element is equal; None where none of them is finite."""
    if output.deployed is None or output.deployed.nothing_finite:
        return None
    return 1.0 if output.deployed.identical else output.deployed.cosine


def sqnr_db(output: OutputComparison) -> float | None:
    """The SQNR of one output as deployed; infinite where all is equal, or too close to tell; None as above."""
    if output.deployed is None or output.deployed.nothing_finite:
        return None
    exact = output.deployed.identical or output.deployed.relative_error == 0
    return math.inf if exact else output.deployed.sqnr_db


def nothing_finite(output: OutputComparison) -> bool:
    """True where NaN and infinity left nothing to compare: equal or not, such outputs prove nothing."""
    return output.deployed is not None and output.deployed.nothing_finite


def is_discrete(output: OutputComparison) -> bool:
    """Integers, booleans and strings have no cosine: they are equal or not."""
    return any(word in output.dtype.lower() for word in ("int", "bool", "str", "object"))


def largest_drop(metrics: Sequence[TaskMetric]) -> TaskMetric | None:
    """The task metric that lost most; one that is not a number counts as the largest loss of all."""
    return max(metrics, key=lambda m: math.inf if math.isnan(m.drop) else m.drop, default=None)


def worst_weight(ledger: Sequence[LedgerLine]) -> Worst | None:
    """The weight that did most damage; None where none was measured."""
    return _lowest([Worst(db, line.name) for line in ledger if (db := damage_db(line)) is not None])


def damage_db(line: LedgerLine) -> float | None:
    """The SQNR of what a weight computes, where calibration data told it, else of its values over all passes.

    Repair makes values worse and what they compute better: where both are known, the values say little.
    """
    return line.sqnr_db if line.output_sqnr_db is None else line.output_sqnr_db


def _lowest(candidates: list[Worst]) -> Worst | None:
    """NaN is the worst of all; the first name wins a tie."""
    return min(candidates, key=lambda w: -math.inf if math.isnan(w.value) else w.value, default=None)
