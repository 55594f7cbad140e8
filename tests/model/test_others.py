"""Constants that are no weights are named, with their readers and the reason."""

from __future__ import annotations

import numpy as np

from nncompress.model.others import largest_others
from nncompress.model.weights import find_weights
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.report.ledger_table import describe_outcomes
from nncompress.workflow.pipeline import compress_graph
from tests.models import model_of, noise

BODY = (
    "g (float[2,400] x) => (float[2,400] y, float[1] z) "
    "{ a = MatMul(x, w) b = Add(a, bias) y = Mul(b, bias) s = Gather(big, i) z = Resize(x, , , sizes) }"
)


def test_the_largest_are_named_with_their_readers_and_the_reason() -> None:
    model = model_of(
        BODY, w=noise(400, 400), bias=noise(400), big=np.arange(2000), i=np.array([1]), sizes=np.arange(300)
    )  # fmt: skip
    found = {other.name: other for other in largest_others(model, find_weights(model))}
    assert list(found) == ["big", "sizes", "bias"]
    assert (found["big"].readers, found["big"].size_bytes) == (("Gather",), 16_000)
    assert found["big"].reason == "its values are no floats"
    assert found["bias"].readers == ("Add", "Mul")
    assert "fewer than 4096 elements" in found["bias"].reason
    lines = [line for line in compress_graph(model, [QuantizeWeights()]).lines if line.kind == "constants"]
    cast = [("bias", "cast"), ("big", "cast")]
    assert [(line.name, line.form) for line in lines] == [*cast, ("(other constants)", "")]
    text = describe_outcomes(lines[-1])
    assert text == "largest: sizes (int64 300, 2,400 bytes, read by Resize: its values are no floats)"


def test_constants_used_as_they_are_are_never_pruned() -> None:
    model = model_of("g (float[1,64,64] x) => (float[1,64,64] y) { y = Add(x, grid) }", grid=noise(1, 64, 64))
    compressed = compress_graph(model, [PruneMagnitude()])
    assert not compressed.changed
    assert "Add uses its values one by one" in compressed.outcomes[0].reason  # type: ignore[union-attr]
