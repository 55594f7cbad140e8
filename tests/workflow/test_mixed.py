"""Chosen by measurement: what is chosen is no slower and close enough, and the ledger says why."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from nncompress.errors import UsageError
from nncompress.passes.base import Pass
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.limits import Limits
from nncompress.results.record import Report, Rewritten, Skipped
from nncompress.results.searched import Loss
from nncompress.runtime import child
from nncompress.workflow import mix_runs
from nncompress.workflow.calibration import Calibrating
from nncompress.workflow.compress import Writing, compress_file
from nncompress.workflow.mixes import BALANCED, FASTEST, Tried
from nncompress.workflow.proof import Proof
from tests.models import noise, proto_of, saved
from tests.support import SAMPLE_DATA, SAMPLES

MIXED: list[Pass] = [QuantizeActivations(activations="mixed", min_size=1), QuantizeWeights(min_size=1)]


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)
    for name in ("_PROFILE_S", "_TRIAL_S"):  # how well it chooses is not tested here
        monkeypatch.setattr(mix_runs, name, 0.01)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A network of two matrices, and samples beside it."""
    body = "g (float[N,64] x) => (float[N,32] y) { a = Gemm(x, w, b) r = Relu(a) y = MatMul(r, v) }"
    for split, seed in (("calibration", 1), ("evaluation", 2)):
        np.savez(tmp_path / f"{split}.npz", x=noise(24, 64, seed=seed))
    path = tmp_path / "m.onnx"
    return saved(proto_of(body, w=noise(64, 256) / 8, b=noise(256), v=noise(256, 32) / 16), path)


def compressed(model: Path, limits: Limits = Limits(), passes: Sequence[Pass] = MIXED, **proof: object) -> Report:
    made = {"data": model.with_name("evaluation.npz"), "seconds": 0.0, **proof}
    return compress_file(
        model, model.with_name("out.onnx"), passes, command="quantize", limits=limits,
        proof=Proof(**made), writing=Writing(force=True, keep_failed=True, aim="speed"),  # type: ignore[arg-type]
        calibrating=Calibrating(model.with_name("calibration.npz")),
    )  # fmt: skip


def said(report: Report) -> dict[str, str]:
    """{weight: what is said of its activations}."""
    outcomes = [(line.name, o) for line in report.ledger for o in line.outcomes if o.by == QuantizeActivations.name]
    return {
        n: o.reason if isinstance(o, Skipped) else o.detail for n, o in outcomes if isinstance(o, Skipped | Rewritten)
    }


@pytest.mark.slow
def test_each_weight_says_what_was_chosen_and_what_each_way_takes(small: Path) -> None:
    report = compressed(small)
    (note,) = [note for note in report.notes if note.startswith("in integers: ")]
    assert re.search(r"of 2 products with weights.* of \d+ models tried", note)
    assert note == report.notes[0]
    assert report.verdict.level != "fail"
    with np.load(small.with_name("calibration.npz")) as arrays:  # the same samples in other feeds
        np.savez(small.with_name("evaluation.npz"), x=arrays["x"][::-1])
    for name, text in said(report).items():
        way, alone = re.fullmatch(
            r"(?:.*; )?(float|static|dynamic) \(float \d+ us(?:, dynamic \d+ us)?(?:, static \d+ us)? an inference"
            r"(?:; alone ([\d.]+) dB)?\)", text,
        ).groups()  # type: ignore[union-attr]  # fmt: skip
        assert (alone is None) == (way == "float")
        if alone is not None:
            assert float(alone) == pytest.approx(sqnr_alone(small, name, way), abs=0.1)


def sqnr_alone(model: Path, name: str, way: Literal["static", "dynamic"]) -> float:
    """Of the outputs, where no other weight is touched."""
    passes = [QuantizeActivations(activations=way, min_size=1, include=(name,)), QuantizeWeights(include=(name,))]
    report = compressed(model, passes=passes)
    (output,) = report.comparison.run.outputs if report.comparison.run else ()
    assert output.deployed is not None
    assert output.deployed.sqnr_db is not None
    return output.deployed.sqnr_db


def test_a_bound_that_no_integers_meet_leaves_everything_in_floating_point(small: Path) -> None:
    many = {"x": noise(600, 64, seed=3), "labels": np.zeros(600, np.int64)}  # of which some are tried, without labels
    np.savez(small.with_name("calibration.npz"), **many)
    report = compressed(small, Limits(min_sqnr=200.0))
    assert [text.startswith("float (") for text in said(report).values()] == [True, True]
    assert any("in integers: none of 2 products with weights" in note for note in report.notes)


@pytest.mark.slow
def test_a_share_of_changed_answers_stands_for_a_metric_where_there_are_no_labels(small: Path) -> None:
    for allowed, level in ((0.9, "pass"), (0.0, "warn")):
        rules = [rule for rule in compressed(small, Limits(max_drop=allowed)).verdict.rules if rule.rule == "drop"]
        assert len(rules) == 1
        figure, changed = rules[0].figure, rules[0].value
        assert re.fullmatch(r"no labels: [\d.]+ % of answers changed", figure)
        assert changed is not None
        assert rules[0].level == (level if changed > 0 else "pass")


def test_without_runs_there_is_nothing_to_choose_by(small: Path) -> None:
    with pytest.raises(UsageError, match="leave out --no-validate"):
        compressed(small, validate=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE_DATA)
def test_sample_models_lose_nothing_that_counts(name: str, tmp_path: Path) -> None:
    data = SAMPLE_DATA[name]
    report = compress_file(
        SAMPLES / name, tmp_path / "out.onnx", MIXED, command="quantize", limits=Limits(max_drop=0.01),
        proof=Proof(data=data, seconds=0.3), writing=Writing(aim="speed", target="ort"),
        calibrating=Calibrating(data.with_name(data.name.replace("evaluation", "calibration"))),
    )  # fmt: skip
    assert report.written
    assert report.verdict.level != "fail"
    assert any(re.search(r"of \d+ models tried", note) for note in report.notes)


def test_what_a_decibel_is_worth_decides_between_a_close_mix_and_a_fast_one() -> None:
    close, fast, as_fast = (
        Tried({}, ratio, Loss(db, 1.0, None)) for ratio, db in ((0.7, 40.0), (0.6, 24.0), (0.596, 20.0))
    )
    assert close.worth(BALANCED) > fast.worth(BALANCED) > as_fast.worth(BALANCED)
    assert fast.worth(FASTEST) > as_fast.worth(FASTEST) > close.worth(FASTEST), "what is lost in noise is not faster"
