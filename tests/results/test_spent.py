"""How much of the limits a result spends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nncompress.results.limits import Limits
from nncompress.results.record import Run
from nncompress.results.spent import Losses
from tests.sample_report import fidelity, labelled_run, output


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
