"""How much of the limits a result spends."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from nncompress.results.limits import Limits
from nncompress.results.record import Run
from nncompress.results.spent import Losses
from tests.sample_report import fidelity, labelled_run, output, samples


def unlabelled(**changes: object) -> Run:
    """An SQNR of 30 dB, and no answers."""
    quiet = replace(fidelity(), sqnr_db=30.0, top1_agreement=None, top1_rows=0, samples=None)
    return labelled_run(outputs=(output(deployed=quiet, **changes),), metrics=(), latency=None)


def test_without_a_task_a_twentieth_is_allowed() -> None:
    losses = Losses.of(unlabelled())
    assert losses.error == pytest.approx(10**-1.5)
    assert losses.carried == losses.error
    assert losses.of_drop(0.005) == pytest.approx(10**-1.5 / 0.05)


def test_a_state_is_wrong_before_its_next_step_begins() -> None:
    """By as much as this step adds to it."""
    losses = Losses.of(unlabelled(state_of="state"))
    assert losses.error == pytest.approx(10**-1.5)
    assert losses.of_drop(0.005) == pytest.approx(2 * 10**-1.5 / 0.05)
    assert losses.spent(Limits(min_sqnr=30)) == pytest.approx(1.0)  # which is of a step alone


def test_the_largest_element_of_a_state_is_no_answer() -> None:
    answers = replace(fidelity(), top1_agreement=0.99, top1_rows=400)
    for state, changed in ((None, pytest.approx(5 / 402)), ("state", None)):
        outputs = (output(deployed=answers, state_of=state),)
        assert Losses.of(labelled_run(outputs=outputs, metrics=(), latency=None)).changed == changed


def test_a_drop_as_large_as_is_allowed_is_allowed() -> None:
    """In floating point, 0.985 - 0.98 is a little more than 0.005."""
    known = Losses.of(unlabelled())
    assert replace(known, drop=0.985 - 0.98).spent(Limits(max_drop=0.005)) <= 1
    assert replace(known, drop=0.0052).spent(Limits(max_drop=0.005)) > 1
    assert replace(known, drop=math.nan).spent(Limits(max_drop=0)) == math.inf


def test_what_is_no_floats_is_judged_by_its_elements() -> None:
    none = {"cosine": None, "sqnr_db": None, "relative_error": None, "top1_rows": None}
    numbers = replace(fidelity(), top1_agreement=0.99, samples=samples(count=40), **none)
    losses = Losses.of(labelled_run(outputs=(output(dtype="int64", deployed=numbers),), metrics=(), latency=None))
    assert math.isnan(losses.error)
    assert losses.changed == pytest.approx(5 / 402)
    assert losses.of_drop(0.02) == pytest.approx(5 / 402 / 0.02)
    assert losses.spent(Limits(min_sqnr=30)) == math.inf


def test_where_nothing_can_be_compared_nothing_is_allowed() -> None:
    blind = replace(
        fidelity(), cosine=None, sqnr_db=None, relative_error=None, top1_agreement=None, nothing_finite=True
    )
    losses = Losses.of(labelled_run(outputs=(output(deployed=blind),), metrics=(), latency=None))
    assert losses.spent(Limits(max_drop=0.5)) == math.inf
