"""The values of a codebook belong to a weight that is stored already: no pass makes another weight of them."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.model.model import Model
from nncompress.model.weights import find_weights
from nncompress.passes.base import Pass
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.share_weights import ShareWeights
from nncompress.results.record import Skipped
from nncompress.workflow.pipeline import compress_graph
from tests.models import context_for, linear, model_of, noise

REASON = "it holds the values of a weight that is stored in few bits already (codebook)"
CODEBOOKS: dict[str, list[Pass]] = {
    "16 values": [ShareWeights(bits=4)],
    "256 values": [ShareWeights(bits=8)],
    "with scales": [ShareWeights(bits=4, granularity="channel")],
    "in blocks": [ShareWeights(scheme="normal-float", block=16)],
    "with a mask": [PruneMagnitude(sparsity=0.7), ShareWeights(bits=4)],
    "with distances": [PruneMagnitude(sparsity=0.98), ShareWeights(bits=4)],
}


@pytest.mark.parametrize("opset", [13, 21])
@pytest.mark.parametrize("name", CODEBOOKS)
def test_a_second_quantize_says_that_a_codebook_is_stored_already(name: str, opset: int) -> None:
    shared = compress_graph(linear(noise(200, 150), opset=opset), CODEBOOKS[name]).model
    (outcome,) = QuantizeWeights().apply(shared, context_for(shared))
    assert isinstance(outcome, Skipped)
    assert outcome.reason == REASON


def gathering(nodes: str, **constants: np.ndarray) -> Model:
    return model_of(f"g (float[N,8] x, int64[8,8] ids) => (float[N,8] y) {{ {nodes} y = MatMul(x, w) }}", **constants)


CODES = np.arange(64, dtype=np.uint8).reshape(8, 8) % 16
CAST = "i = Cast<to=6>(q) w = Gather(table, i)"
SPARSE = compress_graph(linear(noise(20, 40)), [PruneMagnitude(sparsity=0.7, min_size=1)]).model
NO_CODEBOOKS = {
    "looked up by a caller": gathering("w = Gather(table, ids)", table=noise(16)),
    "rows of a matrix": gathering(
        "i = Cast<to=6>(q) w = Gather(table, i)", table=noise(16, 8), q=np.arange(8, dtype=np.uint8)
    ),
    "more values than codes have": gathering(CAST, table=noise(300), q=CODES),
    "values of a sparse weight": SPARSE,
}  # fmt: skip


@pytest.mark.parametrize("name", NO_CODEBOOKS)
def test_other_tables_are_weights(name: str) -> None:
    (weight,) = find_weights(NO_CODEBOOKS[name])
    assert ("Gather" in weight.ops or name != "values of a sparse weight", weight.barrier) == (True, None)


def test_a_codebook_that_others_wrote_is_known() -> None:
    assert [weight.barrier for weight in find_weights(gathering(CAST, table=noise(16), q=CODES))] == [REASON]
