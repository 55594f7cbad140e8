"""The error of all passes together is that between the values in the original and those in the result."""

import numpy as np
import pytest

from nncompress.model.model import Model
from nncompress.passes import Factorize, PruneMagnitude, QuantizeWeights
from nncompress.passes.base import Pass
from nncompress.results.record import LedgerLine
from nncompress.workflow.pipeline import compress_graph
from tests.models import linear, model_of, noise, session

LOW_RANK = (noise(96, 8) @ noise(8, 80, seed=3) + 0.05 * noise(96, 80, seed=4)).astype(np.float32)


def weight_line(model: Model, passes: list[Pass]) -> tuple[LedgerLine, Model]:
    compressed = compress_graph(model, passes)
    (line,) = (line for line in compressed.lines if line.kind == "weight")
    return line, compressed.model


def db_between(before: np.ndarray, after: np.ndarray) -> float:
    before, after = before.astype(np.float64), after.astype(np.float64)
    return float(10 * np.log10(np.sum(before**2) / np.sum((before - after) ** 2)))


@pytest.mark.parametrize(
    "passes",
    [
        [QuantizeWeights()],
        [PruneMagnitude(sparsity=0.5)],
        [PruneMagnitude(sparsity=0.5), QuantizeWeights()],
        [PruneMagnitude(sparsity=0.3), PruneMagnitude(sparsity=0.6), QuantizeWeights(dtype="float16")],
        [Factorize(rank=8)],
        [Factorize(rank=8), QuantizeWeights()],
    ],
    ids=lambda passes: "+".join(one.name for one in passes),
)
@pytest.mark.parametrize("reader", ["MatMul(x, w)", "Gemm<transB=1>(x, w)", "Conv(x, w)"])
def test_it_is_measured_over_the_whole_chain(reader: str, passes: list[Pass]) -> None:
    weight = LOW_RANK if reader.startswith("MatMul") else np.ascontiguousarray(LOW_RANK.T)
    ones = "" if "Conv" not in reader else ",1,1"
    x = np.eye(96, dtype=np.float32).reshape(96, 96, *([1, 1] if ones else []))
    body = f"g (float[96,96{ones}] x) => (float[96,80{ones}] y) {{ y = {reader} }}"
    line, result = weight_line(model_of(body, w=weight.reshape(*weight.shape, *([1, 1] if ones else []))), passes)
    handed_out = session(result).run(None, {"x": x})[0].reshape(96, 80)  # the rows of the identity pick those of w
    assert line.sqnr_db == pytest.approx(db_between(LOW_RANK, handed_out), abs=0.02)


def test_nothing_lost_has_no_error() -> None:
    sparse = np.where(np.arange(64 * 64).reshape(64, 64) % 3 == 0, 1.0, 0.0).astype(np.float32)
    line, _ = weight_line(linear(sparse), [QuantizeWeights()])
    assert line.sqnr_db is None
