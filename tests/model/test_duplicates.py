"""What is there twice is stored once: copies that are transposed."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.model.duplicates import merge_transposed
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.pipeline import compress_graph
from tests.models import as_model, noise, proto_of, run

BODY = "g (float[2,24] x) => (float[2,24] y) { a = MatMul(x, w) y = MatMul(a, t) }"


def test_a_transposed_copy_is_stored_once() -> None:
    weight = noise(24, 40)
    proto = proto_of(BODY, w=weight, t=np.ascontiguousarray(weight.T))
    model = as_model(proto)
    assert merge_transposed(model) == 1
    assert run(model, x=noise(2, 24))[0] == pytest.approx(run(proto, x=noise(2, 24))[0], rel=1e-5, abs=1e-4)
    lines = {line.name: line for line in compress_graph(as_model(proto), [QuantizeWeights()]).lines}
    assert lines["t"].bytes_after == 0
    assert "'w' holds the same values" in lines["t"].outcomes[0].detail  # type: ignore[union-attr]


@pytest.mark.parametrize("place", [(0, 0), (5, 7), (39, 23)])
def test_one_other_value_makes_another_matrix(place: tuple[int, int]) -> None:
    weight = noise(24, 40)
    other = np.ascontiguousarray(weight.T)
    other[place] += 1
    assert merge_transposed(as_model(proto_of(BODY, w=weight, t=other))) == 0


def test_a_symmetric_matrix_is_no_copy_of_itself() -> None:
    weight = noise(24, 24)
    symmetric = weight + weight.T
    assert merge_transposed(as_model(proto_of(BODY, w=symmetric, t=noise(24, 24)))) == 0
