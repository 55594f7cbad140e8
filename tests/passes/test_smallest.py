"""The smallest weights of a model are stored as float16 where that costs next to nothing."""

from __future__ import annotations

from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.record import Rewritten
from nncompress.workflow.pipeline import compress_graph
from tests.models import as_model, noise, proto_of


def test_the_smallest_weights_take_half_precision_where_all_of_them_are_next_to_nothing() -> None:
    """A table of two rows that is added to everything may do more damage than all others, and saves nothing."""
    body = "g (float[N,64] x, int64[N] i) => (float[] y) { t = Gather(table, i) s = Add(x, t) y = MatMul(s, w) }"
    proto = proto_of(body, table=noise(2, 64), w=noise(64, 4000))

    def forms(*before: QuantizeWeights, **options: str) -> dict[str, str]:
        lines = compress_graph(as_model(proto), [*before, QuantizeWeights(**options)]).lines  # type: ignore[arg-type]
        return {line.name: line.form for line in lines if line.name in ("table", "w")}

    assert forms() == {"table": "cast", "w": "folded"}
    assert forms(smallest="same") == {"table": "gather-dequantize", "w": "folded"}
    assert forms(smallest="same", tables="floats") == {"table": "folded", "w": "folded"}
    floats = QuantizeWeights(smallest="same", tables="floats")
    assert forms(floats, smallest="same") == {"table": "gather-dequantize", "w": "folded"}, "what comes last decides"
    lines = compress_graph(as_model(proto), [QuantizeWeights()]).lines
    (detail,) = (o.detail for line in lines for o in line.outcomes if line.name == "table" and isinstance(o, Rewritten))
    assert detail == "float16: one of the smallest (--smallest same)"
    small = compress_graph(as_model(proto), [QuantizeWeights()], form="dequantize").lines
    assert not any("float16" in str(line.outcomes) for line in small)
