"""QuantizeLinear of a constant, wherever it stands, and what stays as it is."""

import numpy as np
import onnx
import pytest

from nncompress.errors import UsageError
from nncompress.model.codes import store_codes
from nncompress.model.model import Model
from nncompress.model.normalise import normalise
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.record import Rewritten
from nncompress.workflow.pipeline import compress_graph
from tests.models import as_model, constants_of, model_of, noise, op_types, proto_from, proto_of, run

SCALE, ZERO = np.full(64, 0.03, np.float32), np.zeros(64, np.int8)
BODY = "g (float[N,32] x) => (float[N,64] y) { %s y = MatMul(x, d) }"
PLAIN = "q = QuantizeLinear<axis=1>(w, s, z) d = DequantizeLinear<axis=1>(q, s, z)"


def operators(model: Model) -> list[str]:
    return [node.op_type for scope in model.scopes() for node in scope]


PLACES = {
    "scales behind Identity": "s1 = Identity(s) z1 = Identity(z) w1 = Identity(w) "
    "q = QuantizeLinear<axis=1>(w1, s1, z1) d = DequantizeLinear<axis=1>(q, s1, z1)",
    "one scale": "s0 = Constant<value: tensor = float {0.03}>() "
    "z0 = Constant<value: tensor = int8 {0}>() q = QuantizeLinear(w, s0, z0) d = DequantizeLinear(q, s0, z0)",
    "no zero point": "q = QuantizeLinear<axis=1>(w, s) d = DequantizeLinear<axis=1>(q, s)",
    "a type without a zero point": "q = QuantizeLinear<axis=1, output_dtype=5>(w, s) "
    "d = DequantizeLinear<axis=1>(q, s)",
    "turned before": "t = Transpose(v) q = QuantizeLinear<axis=1>(t, s, z) d = DequantizeLinear<axis=1>(q, s, z)",
    "turned behind": "q = QuantizeLinear<axis=0>(v, s, z) e = DequantizeLinear<axis=0>(q, s, z) "
    "d = Transpose<perm=[1, 0]>(e)",
    "reshaped before": "f = Constant<value: tensor = int64[2] {32, -1}>() r = Reshape(u, f) "
    "q = QuantizeLinear<axis=1>(r, s, z) d = DequantizeLinear<axis=1>(q, s, z)",
    "twice": PLAIN.replace(" d =", " d1 =") + " q2 = QuantizeLinear<axis=1>(w, s, z) "
    "d2 = DequantizeLinear<axis=1>(q2, s, z) d3 = Max(d1, d2) d = Min(d3, d2)",
}


@pytest.mark.parametrize("place", PLACES)
def test_codes_take_the_place_of_the_floats_and_compute_the_same(place: str) -> None:
    weights = {"w": noise(32, 64), "v": noise(64, 32), "u": noise(2048)}
    constants = {name: array for name, array in weights.items() if f"({name}," in PLACES[place].replace(")", ",")}
    proto = proto_of(BODY % PLACES[place], opset=21, ir_version=10, s=SCALE, z=ZERO, **constants)
    model = as_model(proto)
    normalised = normalise(model)
    assert [outcome.subject for outcome in normalised.rewritten] == list(constants)
    assert "QuantizeLinear" not in operators(model)
    assert np.array_equal(run(proto, x=noise(5, 32))[0], run(model, x=noise(5, 32))[0])
    left = constants_of(proto_from(model))
    assert [array.dtype.itemsize for array in left.values() if array.size == 2048] == [2 if "type" in place else 1]
    for node in proto_from(model).graph.node:
        if node.op_type == "DequantizeLinear":
            assert len(node.input) == 3


def test_in_branches_each_has_its_codes() -> None:
    branch = (
        "g%s () => (float[32,64] %s) { q%s = QuantizeLinear<axis=1>(w, s, z) %s = DequantizeLinear<axis=1>(q%s, s, z) }"
    )
    text = (
        "g (bool c, float[N,32] x) => (float[N,64] y) "
        "{ d = If(c) <then_branch = %s, else_branch = %s> y = MatMul(x, d) }"
    )
    branches = tuple(branch % (i, f"d{i}", i, f"d{i}", i) for i in (1, 2))
    proto = proto_of(text % branches, s=SCALE, z=ZERO, w=noise(32, 64))
    model = as_model(proto)
    assert len(store_codes(model)) == 1
    assert "w" not in model.ir.graph.initializers
    for c in (True, False):
        feed = {"c": np.array(c), "x": noise(3, 32)}
        assert np.array_equal(run(proto, **feed)[0], run(model, **feed)[0])


def test_in_a_function_they_are_a_constant_node() -> None:
    proto = proto_of(
        "g (float[N,4] x) => (float[N,8] y) { y = local.f(x) } "
        '<domain: "local", opset_import: ["" : 17]> f (x) => (y) { '
        "w = Constant<value: tensor = float[4,8] {"
        + ", ".join(f"{v:.4f}" for v in noise(32))
        + "}>() s = Constant<value: tensor = float {0.05}>() z = Constant<value: tensor = uint8 {128}>() "
        "q = QuantizeLinear(w, s, z) d = DequantizeLinear(q, s, z) y = MatMul(x, d) }"
    )
    model = as_model(proto)
    assert [outcome.detail[:5] for outcome in store_codes(model)] == ["uint8"]
    assert np.array_equal(run(proto, x=noise(3, 4))[0], run(model, x=noise(3, 4))[0])


def test_blocks_and_half_precision_scales_become_codes_of_four_bits() -> None:
    scale, zero = np.full((32, 4), 0.3, np.float16), np.zeros((32, 4), np.int8).astype("int8")
    proto = proto_of(
        "g (float16[N,32] x) => (float16[N,64] y) { q = QuantizeLinear<axis=1, block_size=16>(w, s, z) "
        "d = DequantizeLinear<axis=1, block_size=16>(q, s, z) y = MatMul(x, d) }",
        opset=21, ir_version=10, s=scale, w=noise(32, 64, dtype=np.float16),
    )  # fmt: skip
    proto.graph.initializer.append(onnx.helper.make_tensor("z", onnx.TensorProto.INT4, zero.shape, zero.ravel()))
    model = as_model(proto)
    assert [outcome.detail[:4] for outcome in store_codes(model)] == ["int4"]
    assert model.ir.graph.initializers["q0"].const_value.nbytes == 32 * 64 // 2  # type: ignore[union-attr]
    assert np.array_equal(
        run(proto, x=noise(3, 32, dtype=np.float16))[0], run(model, x=noise(3, 32, dtype=np.float16))[0]
    )


KEPT = {
    "read by others": PLAIN + " a = Abs(w) b = ReduceMax<keepdims=0>(a) m = Mul(d, b)",
    "a scale that is computed": "a = Abs(w) r = ReduceMax<axes=[0], keepdims=0>(a) s2 = Div(r, s) "
    "q = QuantizeLinear<axis=1>(w, s2, z) d = DequantizeLinear<axis=1>(q, s2, z)",
    "no number": PLAIN,
}


@pytest.mark.parametrize("why", KEPT)
def test_what_would_add_bytes_or_is_not_known_stays(why: str) -> None:
    weight = noise(32, 64)
    weight[3, 4] = np.nan if why == "no number" else 1
    model = model_of(BODY % KEPT[why], s=SCALE, z=ZERO, w=weight)
    before = proto_from(model).SerializeToString(deterministic=True)
    assert not store_codes(model)
    assert proto_from(model).SerializeToString(deterministic=True) == before


def test_a_scale_that_callers_may_override_is_no_constant() -> None:
    body = f"g (float[N,32] x, float[64] s) => (float[N,64] y) {{ {PLAIN} y = MatMul(x, d) }}"
    assert not store_codes(model_of(body, s=SCALE, z=ZERO, w=noise(32, 64)))


def test_codes_that_are_an_output_stay_computed() -> None:
    body = "g () => (int8[32,64] q) { q = QuantizeLinear<axis=1>(w, s, z) }"
    assert not store_codes(model_of(body, s=SCALE, z=ZERO, w=noise(32, 64)))


def test_options_may_name_a_weight_that_is_stored_already() -> None:
    model = model_of(BODY % PLAIN, s=SCALE, z=ZERO, w=noise(32, 64))
    assert compress_graph(model, [QuantizeWeights(exclude=("w",))]).changed
    with pytest.raises(UsageError, match="'v' matches no weight"):
        compress_graph(model, [QuantizeWeights(exclude=("v",))])


def test_the_ledger_accounts_for_the_weight_and_the_run_counts_as_one_that_changed_something() -> None:
    proto = proto_of(BODY % PLAIN, s=SCALE, z=ZERO, w=noise(32, 64))
    compressed = compress_graph(as_model(proto), [QuantizeWeights()])
    line = compressed.lines[0]
    assert (line.name, line.kind, line.ops, line.dtype, line.form) == (
        "w",
        "weight",
        ("MatMul",),
        "float",
        "dequantize",
    )
    assert (line.bytes_before, line.bytes_after) == (8192, 2048)
    assert line.outcomes == (
        Rewritten("w", "normalise", "int8 codes of its QuantizeLinear, which decode to the same values"),
    )
    assert compressed.changed
    assert op_types(proto_from(compressed.model).graph.node) == ["DequantizeLinear", "MatMul"]
