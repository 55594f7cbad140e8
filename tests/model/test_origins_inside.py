"""Weights that functions, loops and stacks hide: the axes that their readers see, and the error that remains."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from nncompress.model.weights import Weight, find_weights
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.pipeline import compress_graph
from tests.models import as_model, dense_constant, model_of, noise, proto_of, run, weight_named


def axes_of(weight: Weight) -> set[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """(operator, channel axes, contraction axes) of its uses."""
    return {(use.op, use.channel_axes, use.contraction_axes) for use in weight.uses}


def uneven(*shape: int, axes: tuple[int, ...]) -> np.ndarray:
    """Noise whose size differs a hundredfold along `axes`: scales along others lose it."""
    sizes = np.random.default_rng(1).uniform(-2, 2, [d if axis in axes else 1 for axis, d in enumerate(shape)])
    return (noise(*shape) * 10**sizes).astype(np.float32)


def worst_relative_error(proto: onnx.ModelProto, **feed: np.ndarray) -> float:
    """Of a column of the result, after quantizing everything."""
    step = QuantizeWeights(min_size=1, only_if_smaller=False, scales="float32")
    compressed = compress_graph(as_model(proto), [step])
    assert compressed.changed
    (before,), (after,) = run(proto, **feed), run(compressed.model, **feed)
    return float((np.linalg.norm(before - after, axis=0) / np.linalg.norm(before, axis=0)).max())


# ------------------------------------------------------------------------------------------------ functions
FUNCTION = '<domain: "local", opset_import: ["" : 17, "local" : 1]> '
INSIDE = {
    "transposed": "F (a, k) => (b) { t = Transpose<perm=[1, 0]>(k) b = MatMul(a, t) }",
    "cast": "F (a, k) => (b) { c = Cast<to=1>(k) i = Identity(c) b = Gemm<transB=1>(a, i) }",
    "returned": "F (a, k) => (b) { t = local.T(k) b = MatMul(a, t) } "
    + FUNCTION
    + "T (k) => (t) { t = Transpose<perm=[1, 0]>(k) }",
    "nested": "F (a, k) => (b) { b = local.G(k, a) } " + FUNCTION + "G (w, x) => (y) { y = Gemm<transB=1>(x, w) }",
    "branches": (
        "F (a, k) => (b) { m = ReduceMax<keepdims=0>(a) yes = Equal(m, m) t = If(yes) <then_branch = p () => (u) "
        "{ u = Transpose<perm=[1, 0]>(k) }, else_branch = q () => (v) { v = Transpose<perm=[1, 0]>(k) }> "
        "b = MatMul(a, t) }"
    ),
}


@pytest.mark.parametrize("inside", INSIDE)
def test_a_weight_is_followed_into_functions(inside: str) -> None:
    body = f"g (float[2,32] x) => (float[2,24] y) {{ y = local.F(x, w) }} {FUNCTION}{INSIDE[inside]}"
    proto = proto_of(body, w=uneven(24, 32, axes=(0,)))
    (weight,) = find_weights(as_model(proto))
    assert {axes for _, *axes in map(tuple, axes_of(weight)) for axes in [tuple(axes)]} == {((0,), (1,))}
    assert [(use.node.op_type, use.index, use.direct) for use in weight.uses] == [("F", 1, False)]
    assert worst_relative_error(proto, x=noise(2, 32, seed=3)) < 0.05


def test_attributes_that_callers_give_decide_what_the_axes_are() -> None:
    body = (
        "g (float[2,32] x) => (float[2,16] y) { a = local.F<turned=1>(x, w) y = local.F(a, v) } "
        f"{FUNCTION} F <turned: int = 0> (a, k) => (b) {{ b = local.G<t: int = @turned>(a, k) }} "
        f"{FUNCTION} G <t> (a, k) => (b) {{ b = Gemm<transB: int = @t>(a, k) }}"
    )
    proto = proto_of(body, w=uneven(24, 32, axes=(0,)), v=uneven(24, 16, axes=(1,)))
    model = as_model(proto)
    assert axes_of(weight_named(model, "w")) == {("Gemm", (0,), (1,))}
    assert axes_of(weight_named(model, "v")) == {("Gemm", (1,), (0,))}
    assert worst_relative_error(proto, x=noise(2, 32, seed=3)) < 0.1


def test_functions_that_call_each_other_a_billion_times_are_not_walked_so_often() -> None:
    levels = " ".join(
        f"{FUNCTION} F{i} (a, k) => (b) {{ c = local.F{i - 1}(a, k) b = local.F{i - 1}(c, k) }}" for i in range(1, 40)
    )
    last = f"{FUNCTION} F0 (a, k) => (b) {{ b = MatMul(a, k) }}"
    body = f"g (float[2,8] x) => (float[2,8] y) {{ y = local.F39(x, w) }} {levels} {last}"
    (weight,) = find_weights(as_model(proto_of(body, w=noise(8, 8))))
    assert axes_of(weight) == {("MatMul", (1,), (0,))}


# ------------------------------------------------------------------------------------------------ loops
def looped(nodes: str, state: str, given: str, **constants: np.ndarray) -> onnx.ModelProto:
    inputs, outputs = f"int64 it, bool c, float[2,16] h{state}", f"bool co, float[2,16] ho{state.replace(' k', ' ko')}"
    ends = "co = Identity(c) " + ("ko = Identity(k)" if state else "")
    more = ", unused" if state else ""
    return proto_of(
        f"g (float[2,16] x) => (float[2,16] y) {{ y{more} = Loop(n, t, x{given}) <body = b ({inputs}) => ({outputs}) "
        f"{{ {ends} {nodes} }}> }}",
        n=np.array(3), t=np.array(True), **constants,
    )  # fmt: skip


def test_a_weight_that_a_loop_carries_is_the_weight_that_its_body_reads() -> None:
    proto = looped("m = MatMul(h, k) ho = Tanh(m)", ", float[16,16] k", ", w", w=uneven(16, 16, axes=(1,)) / 16)
    assert axes_of(weight_named(as_model(proto), "w")) == {("MatMul", (1,), (0,))}
    assert worst_relative_error(proto, x=noise(2, 16, seed=3)) < 0.1


def test_a_value_that_the_body_changes_is_no_weight() -> None:
    proto = looped("ho = MatMul(h, k)", ", float[16,16] k", ", w", w=noise(16, 16))
    body = proto.graph.node[0].attribute[0].g
    body.node[1].op_type = "Tanh"  # in the place of Identity(k)
    assert find_weights(as_model(proto)) == []


PICKS = {
    "loop counter": "s = Gather(w, it)",
    "gather nd": "a = Constant<value_ints=[-1]>() i = Reshape(it, a) s = GatherND(w, i)",
    "sequence": "q = SequenceConstruct(w0, w1, w2) s = SequenceAt(q, it)",
}


@pytest.mark.parametrize("pick", ["loop counter", "gather nd"])
def test_a_stack_has_the_channels_of_the_matrices_that_are_picked_from_it(pick: str) -> None:
    proto = looped(f"{PICKS[pick]} m = MatMul(h, s) ho = Tanh(m)", "", "", w=uneven(3, 16, 16, axes=(0, 2)) / 64)
    inner = proto.graph.node[0].attribute[0].g
    if pick == "gather nd":
        inner.value_info.append(onnx.helper.make_tensor_value_info("i", onnx.TensorProto.INT64, [1]))
    assert weight_named(as_model(proto), "w").channel_axes == (0, 2)
    assert worst_relative_error(proto, x=noise(2, 16, seed=3)) < 0.1


def test_every_weight_of_a_sequence_may_be_the_one() -> None:
    stack = {f"w{i}": noise(16, 16, seed=i) for i in range(3)}
    model = as_model(looped(f"{PICKS['sequence']} ho = MatMul(h, s)", "", "", **stack))
    assert [axes_of(weight_named(model, name)) for name in stack] == [{("MatMul", (1,), (0,))}] * 3


@pytest.mark.parametrize(("axis", "shape"), [(0, (3, 16, 16)), (1, (16, 3, 16)), (-1, (16, 16, 3))])
def test_a_stack_that_is_scanned_has_the_channels_of_its_matrices(axis: int, shape: tuple[int, ...]) -> None:
    stacked, columns = axis % 3, (2 if axis % 3 != 2 else 1)
    weight = uneven(*shape, axes=(stacked, columns)) / 64
    proto = proto_of(
        f"g (float[2,16] x) => (float[2,16] y) {{ y = Scan(x, w) <num_scan_inputs = 1, scan_input_axes = [{axis}], "
        "body = b (float[2,16] h, float[16,16] k) => (float[2,16] ho) { m = MatMul(h, k) ho = Tanh(m) }> }",
        w=weight,
    )
    assert weight_named(as_model(proto), "w").channel_axes == tuple(sorted((stacked, columns)))
    assert worst_relative_error(proto, x=noise(2, 16, seed=3)) < 0.1


# ------------------------------------------------------------------------------------------------ picked and cut
@pytest.mark.parametrize(
    ("nodes", "shape", "expected"),
    [
        ("i = Constant<value_int=1>() s = Gather(w, i) y = MatMul(x, s)", (3, 16, 8), (0, 2)),
        ("i = Constant<value_ints=[1, 0]>() s = Gather(w, i) y = MatMul(x, s)", (3, 16, 8), (0, 2)),
        ("i = Constant<value_ints=[1]>() s = GatherND(w, i) y = MatMul(x, s)", (3, 16, 8), (0, 2)),
        ("i = Constant<value_ints=[1, 2]>() s = GatherND(w, i) y = MatMul(x, s)", (3, 4, 16, 8), (0, 1, 3)),
        ("s = GatherElements<axis=1>(w, n) y = MatMul(x, s)", (16, 8), (1,)),
        ("s = Gather(w, n) y = MatMul(x, s)", (16, 8), (0,)),  # rows are looked up
        ("s = Slice(w, n, n) y = MatMul(x, s)", (16, 8), (1,)),
        ("y = Slice(w, n, n)", (16, 8), (0,)),
        ("y = GatherElements<axis=1>(w, n)", (16, 8), (1,)),
        ('y = Einsum<equation="...ij,jk">(x, w)', (16, 8), (1,)),
        ('y = Einsum<equation="i...j,k...j->ik">(x, w)', (8, 16), (0,)),
        ('y = Einsum<equation="ij,jk,ij->ik">(x, w, x)', (16, 8), (1,)),
    ],
)
def test_channels_are_those_of_the_operator_behind(
    nodes: str, shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    model = model_of(f"g (float[4,16] x, int64[a,b] n) => (float[] y) {{ {nodes} }}", w=noise(*shape))
    assert weight_named(model, "w").channel_axes == expected


def test_weights_of_other_operators_are_found() -> None:
    body = (
        "g (float[4,8] x, int32[1,4] i) => (float[] y, float[] z) "
        "{ y = com.microsoft.MoE(x, r, fc1, , fc2) z = com.microsoft.EmbedLayerNormalization(i, , word, place) }"
    )
    model = model_of(body, r=noise(4, 2), fc1=noise(2, 16, 8), fc2=noise(2, 8, 16), word=noise(9, 8), place=noise(4, 8))
    found = {weight.name: weight.channel_axes for weight in find_weights(model)}
    assert found == {"fc1": (0, 1), "fc2": (0, 1), "word": (0,), "place": (0,)}


def test_a_constant_of_listed_floats_is_a_weight() -> None:
    values = noise(8, 64)
    node = onnx.helper.make_node("Constant", [], ["c"], value_floats=values.reshape(-1).tolist())
    proto = proto_of("g (float[2,8] x) => (float[2,64] y) { w = Reshape(c, s) y = MatMul(x, w) }", s=np.array([8, 64]))
    proto.graph.node.insert(0, node)
    listed = worst_relative_error(proto, x=noise(2, 8, seed=3))
    del proto.graph.node[0]
    proto.graph.node.insert(0, dense_constant("c", values.reshape(-1)))
    assert listed == worst_relative_error(proto, x=noise(2, 8, seed=3)) < 0.2


# ------------------------------------------------------------------------------------------------ element by element
def elementwise(nodes: str, **constants: np.ndarray) -> list[Weight]:
    return find_weights(model_of(f"g (float[1,2048,4] x, uint8[4096] u) => (float[] y) {{ {nodes} }}", **constants))


def test_a_large_constant_of_an_elementwise_operator_is_kept_at_fifty_decibels() -> None:
    grid = (np.arange(4096) // 4 % 128).reshape(1, 1024, 4).astype(np.float32)
    body = "g (float[1,1024,4] x) => (float[1,1024,4] y) { a = Mul(x, fine) y = Add(a, grid) }"
    model = model_of(body, fine=noise(1, 1024, 4), grid=grid)
    compressed = compress_graph(model, [QuantizeWeights()])
    lines = {line.name: line for line in compressed.lines}
    assert lines["grid"].form == "folded"
    assert lines["grid"].sqnr_db is None
    assert lines["fine"].form == "cast"
    assert lines["fine"].sqnr_db is not None
    assert lines["fine"].sqnr_db > 70
    left = compress_graph(model, [QuantizeWeights(elementwise_db=90)])
    assert {line.name: line.form for line in left.lines if line.kind == "weight"} == {"grid": "folded", "fine": "dense"}


@pytest.mark.parametrize(
    "nodes",
    [
        "y = Add(x, small)",
        "a = Add(large, large) y = Add(x, a)",  # computed once
        "c = Cast<to=1>(u) a = Mul(c, large1) y = Add(x, a)",  # a scale of codes
    ],
)
def test_biases_computed_constants_and_scales_are_no_tables(nodes: str) -> None:
    constants = {"small": noise(1, 2048, 1)[:, :1000], "large": noise(1, 2048, 4), "large1": noise(4096)}
    assert elementwise(nodes, **{name: array for name, array in constants.items() if name in nodes}) == []


# ------------------------------------------------------------------------------------------------ what cannot be meant
def test_a_node_of_two_bodies_with_inputs_hides_what_they_read() -> None:
    bodies = [
        onnx.parser.parse_graph(f"b{i} (float[2,16] h, float[16,16] k) => (float[2,16] y{i}) {{ y{i} = MatMul(h, k) }}")
        for i in range(2)
    ]
    proto = proto_of("g (float[2,16] x) => (float[2,16] y) { y = Identity(x) z = MatMul(x, w) }", w=noise(16, 16))
    proto.graph.node[0].CopyFrom(
        onnx.helper.make_node("BeamSearch", ["x", "w"], ["y"], domain="com.microsoft", a=bodies[0], b=bodies[1])
    )
    assert axes_of(weight_named(as_model(proto), "w")) == {("MatMul", (1,), (0,))}


def test_operands_that_the_runtime_will_refuse_have_no_axes() -> None:
    scanned = proto_of(
        "g (float[2,16] x) => (float[2,16] y) { y = Scan(x, v, w) <num_scan_inputs = 2, scan_input_axes = [0], "
        "body = b (float[2,16] h, float[16] l, float[16,16] k) => (float[2,16] ho) { ho = MatMul(h, k) }> }",
        v=noise(3, 16), w=noise(3, 16, 16),
    )  # fmt: skip
    assert weight_named(as_model(scanned), "w").channel_axes == (0, 2)
    nodes = "p = GatherElements(w, i) t = Transpose<perm=[2, 0, 1]>(p) y = MatMul(x, t)"
    body = f"g (float[2,16] x) => (float[] y) {{ {nodes} }}"
    picked = model_of(body, w=noise(16, 8), i=np.zeros((2, 3, 4), np.int64))
    assert [use.channel_axes for use in weight_named(picked, "w").uses if use.op == "MatMul"] == [()]
