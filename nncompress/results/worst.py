"""Finds the output, the metric and the weight that suffered most, which is where a reader should look first."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nncompress.results.record import (
    AtSample,
    Fidelity,
    LedgerLine,
    OutputComparison,
    Rewritten,
    Run,
    Samples,
    TaskMetric,
)
from nncompress.results.units import format_counted, format_share


@dataclass(frozen=True)
class Worst:
    """A figure and whose it is."""

    value: float
    name: str
    sample: AtSample | None = None  # where it is the figure of one sample


def worst_cosine(run: Run) -> Worst | None:
    """The lowest cosine as deployed; None where no output has one that counts."""
    return _worst(run, cosine)


def worst_sqnr_db(run: Run) -> Worst | None:
    """The lowest SQNR as deployed; infinite where all is equal; None as above."""
    return _worst(run, sqnr_db)


def worst_sample_cosine(run: Run) -> Worst | None:
    """The lowest cosine of a sample of any output that counts; None where no sample has one."""
    return _worst(run, cosine, lambda samples: samples.worst_cosine)


def worst_sample_sqnr_db(run: Run) -> Worst | None:
    """The lowest SQNR of a sample of any output that counts; infinite where all is equal; None as above."""
    return _worst(run, sqnr_db, lambda samples: samples.worst_sqnr_db)


def _worst(
    run: Run,
    pooled: Callable[[OutputComparison], float | None],
    of_samples: Callable[[Samples], AtSample | None] | None = None,
) -> Worst | None:
    """Of the outputs that count; where all outputs there are equal, whatever they are, there is no better figure."""
    figures = []
    for output in counting(run) or (run.outputs if all_identical(run) else ()):
        value = pooled(output)
        if value is not None and of_samples and output.deployed and not output.deployed.identical:
            at = of_samples(output.deployed.samples) if output.deployed.samples else None
            figures += [Worst(at.value, output.name, at)] if at else []
        elif value is not None:
            figures.append(Worst(value, output.name))
    return _lowest(figures)


def counting(run: Run) -> list[OutputComparison]:
    """Outputs whose figures say something: no integers, nothing random, no constant that simply stayed."""
    return [output for output in run.outputs if not (is_discrete(output) or output.random or is_trivial(output))]


def answers_changed(output: OutputComparison) -> tuple[float, int] | None:
    """The share of answers that are other ones, and how many there are: what a sequence says, the largest elements of
    rows, or all of what is no floats. None for an output that has none."""
    fidelity = output.deployed
    if fidelity is None or output.random or output.state_of is not None:
        return None
    if fidelity.edited is not None:
        return fidelity.edited
    if is_discrete(output) and fidelity.top1_agreement is not None and fidelity.samples is not None:
        return 1 - fidelity.top1_agreement, fidelity.samples.elements
    if fidelity.top1_agreement is None or not fidelity.top1_rows:
        return None
    return 1 - fidelity.top1_agreement, fidelity.top1_rows


def is_trivial(output: OutputComparison) -> bool:
    """True for an output that is the same whatever goes in, in both models."""
    fidelity = output.deployed
    return fidelity is not None and fidelity.identical and fidelity.samples is not None and fidelity.samples.constant


def all_identical(run: Run) -> bool:
    """True where every output is, down to the last bit, and none of them is random."""
    return bool(run.outputs) and all(o.deployed and o.deployed.identical and not o.random for o in run.outputs)


def sample_count(run: Run) -> int | None:
    """How many samples the models were run on; None where that was not counted."""
    return max((o.deployed.samples.count for o in run.outputs if o.deployed and o.deployed.samples), default=None)


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
    """Integers, booleans and strings have no cosine: they are equal or not. Of maps, the values count, not the keys."""
    values = re.sub(r"map\(\w+,", "map(", output.dtype.lower())
    return any(word in values for word in ("int", "bool", "str", "object"))


def format_equal(fidelity: Fidelity) -> str:
    """Of integers, booleans and texts: "97.5 % of 40 elements equal in 20 samples"."""
    share, samples = format_share(fidelity.top1_agreement), fidelity.samples
    if samples is None:
        return f"{share} equal"
    return (
        f"{share} of {format_counted(samples.elements, 'element')} equal in {format_counted(samples.count, 'sample')}"
    )


def largest_drop(metrics: Sequence[TaskMetric]) -> TaskMetric | None:
    """The task metric that lost most; one that is not a number counts as the largest loss of all."""
    return max(metrics, key=lambda m: math.inf if math.isnan(m.drop) else m.drop, default=None)


def worst_weight(ledger: Sequence[LedgerLine]) -> Worst | None:
    """The weight that did most damage; None where none was measured."""
    return _lowest([Worst(db, line.name) for line in ledger if (db := damage_db(line)) is not None])


def is_rewritten(line: LedgerLine) -> bool:
    """True where at least one pass changed this weight."""
    return any(isinstance(outcome, Rewritten) for outcome in line.outcomes)


def damage_db(line: LedgerLine) -> float | None:
    """The SQNR of what a weight computes, where calibration data told it, else of its values over all passes.

    Repair makes values worse and what they compute better: where both are known, the values say little.
    """
    return line.sqnr_db if line.output_sqnr_db is None else line.output_sqnr_db


def _lowest(candidates: list[Worst]) -> Worst | None:
    """NaN is the worst of all; the first name wins a tie."""
    return min(candidates, key=lambda w: -math.inf if math.isnan(w.value) else w.value, default=None)
