"""Codes with a share of zeros: chosen with them, and stored as a mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nncompress.errors import UsageError
from nncompress.passes.base import Pass
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.share_weights import ShareWeights
from nncompress.results.record import Rewritten
from nncompress.workflow.pipeline import compress_graph
from tests.calibrate.samples import samples_of
from tests.models import as_model, noise, proto_of, run


@pytest.mark.parametrize(
    ("step", "form"),
    [
        (QuantizeWeights(bits=4, sparsity=0.6, smallest="same"), "folded, sparse-mask"),
        (ShareWeights(bits=4, sparsity=0.6), "codebook, sparse-mask"),
    ],
)
def test_zeros_are_made_in_the_same_walk(step: Pass, form: str, tmp_path: Path) -> None:
    weight = noise(64, 512)
    model = as_model(proto_of("g (float[N,64] x) => (float[N,512] y) { y = MatMul(x, w) }", w=weight))
    mixing = np.eye(64, dtype=np.float32) + noise(64, 64, seed=5) / 4
    samples = samples_of(tmp_path, model, [{"x": noise(200, 64, seed=3) @ mixing}])
    x = noise(100, 64, seed=9) @ mixing
    errors = []
    for given in (samples, None):
        made = compress_graph(model, [step], samples=given)
        (line,) = (line for line in made.lines if line.name == "w")
        (outcome,) = line.outcomes
        assert isinstance(outcome, Rewritten)
        assert float(outcome.detail.partition("% zeros")[0].rsplit(" ", 1)[1]) >= 60
        assert line.form == form
        (after,) = run(made.model, x=x)
        errors.append(np.linalg.norm(after - x @ weight) / np.linalg.norm(x @ weight))
    assert errors[0] < 0.8 * errors[1]  # the others make up for them


def test_a_share_of_zeros_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="sparsity must be from 0 to below 1"):
        QuantizeWeights(sparsity=1.0)
    with pytest.raises(UsageError, match="sparsity must be from 0 to below 1"):
        ShareWeights(sparsity=1.0)
    with pytest.raises(UsageError, match="sparsity: only for integers"):
        QuantizeWeights(sparsity=0.5, dtype="float16")
