"""Ranges of activations: what the model computes on all samples, feed by feed, and a reason where nothing is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nncompress.calibrate.walk import CalibrationRun
from nncompress.numerics.estimators import Estimator
from nncompress.passes.statistics import ActivationRange
from nncompress.runtime import child
from tests.calibrate.samples import samples_of
from tests.calibrate.test_walk import results, x_samples
from tests.models import as_model, noise, proto_of

W = noise(8, 8)
BODY = (
    "g (float[N,8] x) => (float[N,8] y, int64[K] i) { a = MatMul(x, w) r = Relu(a) i = Shape(r) y = Neg(r) "
    "t = Transpose(w) }"
)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models run in this process, which saves a second each time."""
    monkeypatch.setattr(child, "_in_process", True)


@pytest.mark.usefixtures("here")
def test_minmax_is_what_the_whole_model_computes(tmp_path: Path) -> None:
    model, samples = as_model(proto_of(BODY, w=W)), x_samples()
    run = CalibrationRun(model, samples_of(tmp_path / "x", model, samples))
    known = run.ranges(model, ["x", "a", "r", "y", "i", "t", "w", "nobody"], Estimator("minmax"))
    for name in ("x", "a", "r", "y"):
        values = np.stack([sample["x"] for sample in samples] if name == "x" else results(model, name, samples))
        ends = float(values.min()), float(values.max())
        kept = min(ends[0], 0.0), max(ends[1], 0.0)
        assert known[name] == ActivationRange(*kept, *ends, values.size, 0, len(samples))
    assert [known[name] for name in ("i", "t", "w", "nobody")] == [
        "it is int64, no float", "it is the same for all inputs", "it is the same for all inputs",
        "there is no value of that name",
    ]  # fmt: skip
