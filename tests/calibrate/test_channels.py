"""Channels of activations: ranges and mean squares of all rows, or the reason why they are not known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from nncompress.calibrate.walk import CalibrationRun
from nncompress.model.multiplied import Data
from nncompress.numerics.migration import Channels
from nncompress.runtime import child
from tests.calibrate.samples import samples_of
from tests.models import as_model, noise, proto_of

BODY = (
    "g (float[N,T,3] x, float[N] e) => (float[N,T,3] y, float[N] f) { r = Relu(x) c = Exp(k) y = Mul(r, c) f = Neg(e) }"
)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_in_process", True)


def data_in(*names: str, axis: int = -1) -> list[Data]:
    """Values of that name, wherever they are."""
    return [Data(ir.Value(name=name), axis) for name in names]


def test_they_are_those_of_all_rows(tmp_path: Path) -> None:
    model = as_model(proto_of(BODY, k=noise(3)))
    feeds = [{"x": noise(2, length, 3, seed=length), "e": np.zeros(2, np.float32)} for length in (1, 4)]
    run = CalibrationRun(model, samples_of(tmp_path, model, feeds))
    of_x, of_r, of_k, of_c, none = run.channels(model, data_in("x", "r", "k", "c", "nowhere"))
    rows = np.concatenate([feed["x"].reshape(-1, 3) for feed in feeds])
    for known, seen in ((of_x, rows), (of_r, np.maximum(rows, 0))):
        assert isinstance(known, Channels)
        assert known.low == pytest.approx(seen.min(axis=0))
        assert known.high == pytest.approx(seen.max(axis=0))
        assert known.density == pytest.approx((seen != 0).mean(axis=0))
        assert known.squares == pytest.approx(np.square(seen).mean(axis=0), rel=1e-5)
    (across,) = run.channels(model, data_in("x", axis=0))
    assert isinstance(across, Channels)
    assert across.high == pytest.approx(np.max([feed["x"].max(axis=(1, 2)) for feed in feeds], axis=0))
    assert (of_k, of_c) == ("it is the same for all inputs",) * 2
    assert none == "there is no value of that name"


@pytest.mark.parametrize(
    ("value", "reason"), [(np.inf, "it is not finite for every feed"), (None, "it is empty for every feed")]
)
def test_what_is_not_finite_or_empty_is_not_known(value: float | None, reason: str, tmp_path: Path) -> None:
    model = as_model(proto_of(BODY, k=noise(3)))
    x = np.full((2, 1, 3), value, np.float32) if value is not None else np.zeros((2, 0, 3), np.float32)
    run = CalibrationRun(model, samples_of(tmp_path, model, [{"x": x, "e": np.zeros(2, np.float32)}]))
    assert run.channels(model, data_in("x", "r")) == [reason] * 2
