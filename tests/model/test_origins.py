"""Who reads a constant, behind which nodes, and what is no weight at all."""

import numpy as np
import onnx_ir as ir
import pytest

from nncompress.model.origins import Origins
from nncompress.model.weights import find_weights
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.pipeline import compress_graph
from tests.models import as_model, dense_constant, model_of, noise, only_weight, proto_of, run, weight_named

HEAD = "g (float[2,4] x) => (float[] y)"


def found(nodes: str, **constants: np.ndarray) -> dict[str, tuple[tuple[int, ...], bool]]:
    """{name: (channel axes, is every reader direct)} of the weights."""
    weights = find_weights(model_of(f"{HEAD} {{ {nodes} }}", **constants))
    return {w.name: (w.channel_axes, all(use.direct for use in w.uses)) for w in weights}


# ------------------------------------------------------------------------------------------------ uses
def test_a_tied_embedding_is_one_weight_with_two_uses() -> None:
    body = "g (int64[3] i) => (float[] y) { e = Gather(w, i) t = Transpose(w) y = MatMul(e, t) }"
    weight = only_weight(model_of(body, w=noise(10, 4)))
    assert [(use.op, use.kind, use.direct) for use in weight.uses] == [
        ("Gather", "table", True),
        ("MatMul", "linear", False),
    ]
    assert [use.contraction_axes for use in weight.uses] == [(), (1,)]
    assert weight.channel_axes == (0,)
    assert weight.ops == ("Gather", "MatMul")
    assert not weight.lookups


def test_a_weight_read_many_times_is_one_with_many_uses() -> None:
    weight = only_weight(model_of(f"{HEAD} {{ a = Gemm(x, w) b = Gemm(a, w) y = Gemm(b, w) }}", w=noise(4, 4)))
    assert [use.node.outputs[0].name for use in weight.uses] == ["a", "b", "y"]


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ("a = Gather(w, i) y = Add(a, a)", True),
        ("a = Gather(w, i) y = Gather(w, i)", True),
        ("a = Gather(w, i) y = Gather<axis=1>(w, i)", False),
        ("a = Gather(w, i) y = Add(a, w)", False),
        ("a = Identity(w) y = Gather(a, i)", False),
        ("a = Gather(w, i) y = MatMul(a, w)", False),
    ],
)
def test_lookups_are_those_of_a_table_that_every_reader_looks_up_along_one_axis(nodes: str, expected: bool) -> None:
    model = model_of(f"g (int64[4] i) => (float[] y) {{ {nodes} }}", w=noise(4, 4))
    assert bool(weight_named(model, "w").lookups) is expected


def test_the_same_name_in_two_branches_is_two_weights() -> None:
    proto = proto_of(
        "g (bool c, float[2,4] x) => (float[] y) { y = If(c) <then_branch = t () => (float[] a) { a = MatMul(x, w) }, "
        "else_branch = e () => (float[] b) { b = MatMul(x, w) }> }"
    )
    for index, attribute in enumerate(proto.graph.node[0].attribute):
        attribute.g.node.insert(0, dense_constant("w", noise(4, 3, seed=index)))
    weights = find_weights(as_model(proto))
    assert [weight.name for weight in weights] == ["w", "w"]
    assert not np.array_equal(weights[0].array(), weights[1].array())
    assert weights[0].scope is not weights[1].scope


def test_constants_inside_a_function_are_weights_of_the_function() -> None:
    proto = proto_of(
        f'{HEAD} {{ a = local.f(x) y = local.f(a) }} <domain: "local", opset_import: ["" : 17]> '
        "f (a) => (b) { b = MatMul(a, k) }"
    )
    proto.functions[0].node.insert(0, dense_constant("k", noise(4, 4)))
    weight = only_weight(as_model(proto))
    assert isinstance(weight.scope, ir.Function)
    assert (weight.name, weight.channel_axes, len(weight.uses)) == ("k", (1,), 1)


def test_a_weight_handed_to_a_function_is_read_by_each_call() -> None:
    weight = only_weight(
        model_of(
            f'{HEAD} {{ a = local.f(x, w) y = local.f(a, w) }} <domain: "local", opset_import: ["" : 17]> '
            "f (a, k) => (b) { b = Gemm<transB=1>(a, k) }",
            w=noise(4, 4),
        )
    )
    assert [(use.op, use.node.op_type, use.direct, use.channel_axes) for use in weight.uses] == [
        ("Gemm", "f", False, (0,)),
        ("Gemm", "f", False, (0,)),
    ]


# ------------------------------------------------------------------------------------------------ chains
def test_both_parts_of_a_concatenation_are_weights() -> None:
    nodes = "t = Concat<axis=1>(v, w) y = MatMul(x, t)"
    assert found(nodes, v=noise(4, 3), w=noise(4, 5)) == {"v": ((1,), False), "w": ((1,), False)}


@pytest.mark.parametrize("node", ["t = Mul(w, s)", "t = Mul(s, w)", "t = Div(w, s)"])
def test_of_a_product_the_larger_constant_is_the_weight(node: str) -> None:
    assert found(f"{node} y = MatMul(x, t)", w=noise(4, 3), s=noise(1, 3)) == {"w": ((1,), False)}


def test_a_product_with_anything_but_float_constants_is_no_weight() -> None:
    """Such as a scale times codes: that is a weight which is stored as integers already."""
    decoded = "c = Cast<to=1>(q) t = Mul(c, s) y = MatMul(x, t)"
    assert found(decoded, q=np.ones((4, 3), np.int8), s=noise(3)) == {}
    computed = "r = Sqrt(s) t = Mul(w, r) y = MatMul(x, t)"
    assert found(computed, w=noise(4, 3), s=noise(3) ** 2) == {}


def test_an_axis_that_a_reshape_mixes_is_no_channel() -> None:
    shape = np.array([4, 6])
    nodes = "t = Reshape(w, n) y = MatMul(x, t)"
    assert found(nodes, w=noise(4, 2, 3), n=shape) == {"w": ((), False)}
    assert found(nodes, w=noise(2, 2, 6), n=shape) == {"w": ((2,), False)}
    assert found(nodes, w=noise(4, 6, 1), n=np.array([0, -1])) == {"w": ((1,), False)}


def test_behind_nodes_of_unknown_effect_a_weight_has_no_channels() -> None:
    nodes = "s = Shape(x) t = Expand(w, s) m = Transpose(t) y = MatMul(x, m)"
    assert found(nodes, w=noise(1, 4)) == {"w": ((), False)}


def test_a_squeeze_along_axes_that_are_not_known_leaves_the_axes_unknown() -> None:
    nodes = "s = Shape(x) o = Sub(s, s) a = Slice(o, z, e) t = Squeeze(w, a) y = MatMul(x, t)"
    assert found(nodes, w=noise(1, 4, 3), z=np.array([0]), e=np.array([1])) == {"w": ((), False)}


@pytest.mark.parametrize(
    "nodes",
    [
        "t = Add(w, w) y = MatMul(x, t)",
        "t = Relu(w) y = MatMul(x, t)",
        "t = Mul(w, x) y = MatMul(x, t)",
        "c = Cast<to=6>(w) d = Cast<to=1>(c) y = MatMul(x, d)",
        "t = Concat<axis=0>(w, x) y = MatMul(x, t)",
        "y = Gemm(x, x, w)",
        "y = Add(x, w)",
        "t = other.Identity(w) y = MatMul(x, t)",
    ],
)
def test_what_is_computed_from_more_than_a_constant_is_no_weight(nodes: str) -> None:
    assert found(nodes, w=noise(4, 4)) == {}


def test_integer_tables_and_matrices_are_no_weights() -> None:
    body = "g (int64[3] i) => (int64[] y) { y = Gather(w, i) }"
    assert find_weights(model_of(body, w=np.arange(10))) == []


def test_a_chain_without_end_is_given_up_and_not_followed() -> None:
    chain = "a0 = Identity(w) " + " ".join(f"a{i + 1} = Identity(a{i})" for i in range(120))
    assert found(f"{chain} y = MatMul(x, a120)", w=noise(4, 4)) == {}
    wide = " ".join(f"b{i + 1} = Concat<axis=0>(b{i}, b{i})" for i in range(10))
    nodes = f"b0 = Identity(w) {wide} t = Transpose(b10) y = MatMul(x, t)"
    assert found(nodes, w=noise(1, 4)) == {"w": ((0,), False)}


@pytest.mark.parametrize("rank", [0, 1])
def test_a_weight_of_the_wrong_rank_is_left_to_the_runtime_to_refuse(rank: int) -> None:
    assert found("y = Gemm(x, w)", w=noise(*(4,) * rank)) == {}


def test_an_operand_that_is_missing_has_no_origin() -> None:
    model = model_of("g (float[2] x) => (float[2] y) { y = Abs(x) }")
    assert Origins(model).of(None, None) == []
    assert Origins(model).of(ir.Value(name="input"), None) == []


# ------------------------------------------------------------------------------------------------ barriers
def test_an_input_that_may_be_overridden_and_an_output_are_barred() -> None:
    body = "g (float[2,4] x, float[4,4] w) => (float[2,4] y, float[4,4] v) { a = MatMul(x, w) y = MatMul(a, v) }"
    model = model_of(body, w=noise(4, 4), v=noise(4, 4))
    assert weight_named(model, "w").barrier is not None
    assert "also an input of the graph" in str(weight_named(model, "w").barrier)
    assert weight_named(model, "v").barrier == "it is an output of the graph"


def test_values_come_as_float32_or_float64() -> None:
    for dtype, expected in ((np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64)):
        array = noise(4, 4, dtype=dtype)
        kind = {2: "float16", 4: "float", 8: "double"}[array.itemsize]
        weight = only_weight(model_of(f"g ({kind}[2,4] x) => ({kind} y) {{ y = MatMul(x, w) }}", w=array))
        assert weight.array().dtype == expected
        assert np.array_equal(weight.array(), array)


@pytest.mark.parametrize(
    ("split", "opset", "sizes"),
    [
        ("q, k, v = Split<axis=1, split=[16, 16, 16]>(w)", 11, None),
        ("q, k, v = Split<axis=-1>(w)", 11, None),
        ("q, k, v = Split<axis=1>(w, n)", 17, [16, 8, 24]),
        ("q, k, v = Split<axis=1>(w)", 17, None),
        ("q, k, v = Split<axis=-1, num_outputs=3>(w)", 18, None),
    ],
)
def test_a_weight_that_is_cut_by_split_is_read_by_all_that_read_its_parts(
    split: str, opset: int, sizes: list[int] | None
) -> None:
    body = f"g (float[2,12] x) => (float[2,a] y, float[2,b] z) {{ {split} y = MatMul(x, q) z = MatMul(x, v) }}"
    constants = {"w": noise(12, 48)} | ({"n": np.array(sizes)} if sizes else {})
    weight = weight_named(model_of(body, opset=opset, **constants), "w")
    assert (weight.channel_axes, weight.ops, len(weight.uses)) == ((1,), ("MatMul",), 2)
    compressed = compress_graph(model_of(body, opset=opset, **constants), [QuantizeWeights(min_size=1)])
    x = noise(2, 12, seed=4)
    for before, after in zip(
        run(model_of(body, opset=opset, **constants), x=x), run(compressed.model, x=x), strict=True
    ):
        assert np.linalg.norm(before - after) < 0.02 * np.linalg.norm(before)
    assert compressed.changed


@pytest.mark.parametrize("split", ["Split<axis=2>(w)", "Split<axis=1, split=[16, 16]>(w)", "Split<axis=1>(w, x)"])
def test_a_split_that_cannot_be_followed_has_no_axes(split: str) -> None:
    body = f"g (float[2,12] x) => (float[2,a] y) {{ q, k, v = {split} y = MatMul(x, q) }}"
    uses = weight_named(model_of(body, opset=13, w=noise(12, 48)), "w").uses
    assert [(use.channel_axes, use.direct) for use in uses] == [((), False)]
