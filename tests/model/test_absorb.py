"""Batch normalisation in front of which a weight stands is part of it afterwards; anything else stays."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.model.absorb import absorb_scales
from nncompress.model.constants import find_constants
from nncompress.model.model import op_name
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.pipeline import compress_graph
from tests.models import as_model, noise, proto_of, run

CHANNELS = 6
NORM = {
    "s": noise(CHANNELS, seed=1), "t": noise(CHANNELS, seed=2), "m": noise(CHANNELS, seed=3),
    "v": np.abs(noise(CHANNELS, seed=4)) + 0.1,
}  # fmt: skip
LINEARS = {
    "Conv": ("float[2,4,5,5] x", "Conv(x, w, b)", noise(CHANNELS, 4, 3, 3)),
    "grouped Conv": ("float[2,4,5,5] x", "Conv<group=2>(x, w)", noise(CHANNELS, 2, 3, 3)),
    "ConvTranspose": ("float[2,4,5,5] x", "ConvTranspose(x, w, b)", noise(4, CHANNELS, 3, 3)),
    "Gemm": ("float[2,4] x", "Gemm<alpha=0.5>(x, w, b)", noise(4, CHANNELS)),
    "turned Gemm": ("float[2,4] x", "Gemm<transB=1>(x, w, b)", noise(CHANNELS, 4)),
}
FEEDS = {"float[2,4,5,5] x": noise(2, 4, 5, 5, seed=7), "float[2,4] x": noise(2, 4, seed=7)}


@pytest.mark.parametrize("linear", LINEARS)
def test_it_becomes_part_of_the_weight_and_the_bias(linear: str) -> None:
    head, call, weight = LINEARS[linear]
    constants = {"w": weight, **NORM} | ({"b": noise(CHANNELS, seed=5)} if "b)" in call else {})
    proto = proto_of(
        f"g ({head}) => (float[] y) {{ c = {call} y = BatchNormalization<epsilon=0.01>(c, s, t, m, v) }}", **constants
    )
    model = as_model(proto)
    assert absorb_scales(model) == 1
    assert [op_name(node) for node in model.ir.graph] == [linear.rpartition(" ")[2]]
    (before,), (after,) = run(proto, x=FEEDS[head]), run(model, x=FEEDS[head])
    assert np.abs(before - after).max() < 1e-5 * np.abs(before).max()
    assert sum(tensor.nbytes for _, tensor, _ in find_constants(model)) == weight.nbytes + 4 * CHANNELS
    compressed = compress_graph(as_model(proto), [QuantizeWeights(min_size=1, only_if_smaller=False)])
    everything = sum(array.nbytes for array in constants.values())
    assert sum(line.bytes_before for line in compressed.lines) == everything
    assert [line.name for line in compressed.lines if line.kind == "weight"] == ["w"]


@pytest.mark.parametrize(
    "nodes",
    [
        "c = Conv(x, w) y = BatchNormalization(c, s, t, m, v) z = Relu(c)",  # the result is read by others
        "c = Conv(x, w) d = Conv(x, w) y = BatchNormalization(c, s, t, m, v) z = Relu(d)",  # as is the weight
        "c = Relu(x) y = BatchNormalization(c, s4, t4, m4, v4) z = Conv(y, w)",
        "c = Conv(x, w) y, rm, rv = BatchNormalization<training_mode=1>(c, s, t, m, v) z = Relu(y)",
        "c = Conv(x, w) h = Abs(s) y = BatchNormalization(c, h, t, m, v) z = Relu(y)",
        "c = Conv(x, w) y = BatchNormalization(c, s, t, m, zero) z = Relu(y)",  # no number
    ],
)
def test_what_is_not_alone_or_not_constant_stays(nodes: str) -> None:
    every = {
        "w": noise(CHANNELS, 4, 3, 3), **NORM, "zero": np.full(CHANNELS, -1, np.float32),
        **{f"{name}4": np.abs(array[:4]) for name, array in NORM.items()},
    }  # fmt: skip
    constants = {name: array for name, array in every.items() if f"{name}," in nodes or f"{name})" in nodes}
    model = as_model(proto_of(f"g (float[2,4,5,5] x) => (float[] y, float[] z) {{ {nodes} }}", **constants))
    assert absorb_scales(model) == 0


def test_one_constant_may_be_scale_and_shift() -> None:
    body = "g (float[2,4,5,5] x) => (float[] y) { c = Conv(x, w, s) y = BatchNormalization(c, s, s, m, v) }"
    proto = proto_of(body, w=noise(CHANNELS, 4, 3, 3), **{name: NORM[name] for name in "smv"})
    model = as_model(proto)
    assert absorb_scales(model) == 1
    before, after = (run(each, x=FEEDS["float[2,4,5,5] x"])[0] for each in (proto, model))
    assert np.abs(before - after).max() < 1e-5 * np.abs(before).max()
    assert len(list(find_constants(model))) == 2


def test_a_result_that_would_overflow_half_precision_stays() -> None:
    body = "g (float16[2,4,5,5] x) => (float16[] y) { c = Conv(x, w) y = BatchNormalization(c, s, t, m, v) }"
    half = {name: array.astype(np.float16) for name, array in NORM.items()}
    half["s"][2] = 60_000
    weight = np.full((CHANNELS, 4, 3, 3), 2, np.float16)
    assert absorb_scales(as_model(proto_of(body, w=weight, **half))) == 0
