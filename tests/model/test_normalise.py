"""Normalising lifts, merges and drops constants, and the model computes the same bits as before."""

import numpy as np
import onnx
import pytest

from nncompress.model.model import Model
from nncompress.model.normalise import (
    drop_dead_constants,
    lift_constants,
    merge_duplicates,
    normalise,
    set_names_apart,
)
from nncompress.model.weights import find_weights
from nncompress.onnx_file.read import load
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.select import matches
from nncompress.workflow.pipeline import compress_graph
from tests.models import (
    FLOAT,
    as_model,
    constants_of,
    dense_constant,
    noise,
    op_types,
    proto_from,
    proto_of,
    run,
    saved,
)

IF = (
    "g (bool c, float[2,4] x) => (float[2,m] y) { y = If(c) <"
    "then_branch = t () => (float[2,m] a) { a = MatMul(x, v) }, "
    "else_branch = e () => (float[2,m] b) { b = MatMul(x, w) }> }"
)


def branches(proto: onnx.ModelProto) -> list[onnx.GraphProto]:
    return [attribute.g for attribute in proto.graph.node[0].attribute]


def nested(one: np.ndarray, other: np.ndarray) -> onnx.ModelProto:
    """An If whose branches hold a Constant node each."""
    proto = proto_of(IF)
    for graph, name, array in zip(branches(proto), "vw", (one, other), strict=True):
        graph.node.insert(0, dense_constant(name, array))
    return proto


def held(model: Model) -> dict[str, list[str]]:
    """{graph: names of its initializers}"""
    return {scope.name or "": sorted(getattr(scope, "initializers", ())) for scope in model.scopes()}


def check_same_outputs(proto: onnx.ModelProto, model: Model, **feed: np.ndarray) -> None:
    onnx.checker.check_model(proto_from(model), full_check=True)
    for before, after in zip(run(proto, **feed), run(model, **feed), strict=True):
        assert before.tobytes() == after.tobytes()


# ------------------------------------------------------------------------------------------------ lift
def test_constant_nodes_become_initializers_of_their_own_graph() -> None:
    proto = nested(noise(4, 3), noise(4, 3, seed=1))
    model = as_model(proto)
    assert lift_constants(model) == 2
    assert held(model) == {"g": [], "t": ["v"], "e": ["w"]}
    assert all(op_types(graph.node) == ["MatMul"] for graph in branches(proto_from(model)))
    for c in (True, False):
        check_same_outputs(proto, model, c=np.array(c), x=noise(2, 4))


def test_constants_that_are_outputs_or_no_tensors_stay_nodes() -> None:
    proto = proto_of("g (float[2] x) => (float[2] y, float[2] k) { f = Constant<value_float=2.0>() y = Mul(x, f) }")
    proto.graph.node.insert(0, dense_constant("k", noise(2)))
    model = as_model(proto)
    assert lift_constants(model) == 0
    check_same_outputs(proto, model, x=noise(2))


def test_constants_in_functions_stay_nodes() -> None:
    proto = proto_of(
        'g (float[2,4] x) => (float[2,m] y) { y = local.f(x) } <domain: "local", opset_import: ["" : 17]> '
        "f (a) => (b) { b = MatMul(a, k) }"
    )
    proto.functions[0].node.insert(0, dense_constant("k", noise(4, 4)))
    model = as_model(proto)
    normalise(model)
    assert list(map(onnx.printer.to_text, proto_from(model).functions)) == list(
        map(onnx.printer.to_text, proto.functions)
    )
    check_same_outputs(proto, model, x=noise(2, 4))


def test_a_lifted_constant_keeps_its_name_and_is_a_weight() -> None:
    proto = proto_of("g (float[2,4] x) => (float[2,3] y) { y = MatMul(x, fc) }")
    proto.graph.node.insert(0, dense_constant("fc", noise(4, 3)))
    model = as_model(proto)
    normalise(model)
    (weight,) = find_weights(model)
    assert weight.name == "fc"
    assert weight.value.is_initializer()


# ------------------------------------------------------------------------------------------------ drop
def test_what_nothing_reads_is_dropped() -> None:
    proto = proto_of("g (float[2,4] x) => (float[2,3] y) { y = MatMul(x, w) }", w=noise(4, 3), dead=noise(100))
    proto.graph.node.insert(0, dense_constant("late", noise(3)))
    model = as_model(proto)
    assert drop_dead_constants(model) == 2
    assert held(model) == {"g": ["w"]}
    check_same_outputs(proto, model, x=noise(2, 4))


def test_what_a_quantization_annotation_names_is_not_dead() -> None:
    scales = {"s": np.array(0.5, np.float32), "z": np.array(3, np.uint8), "unread": noise(4)}
    proto = proto_of("g (float[2,4] x) => (float[2,4] y) { a = MatMul(x, w) y = Relu(a) }", w=noise(4, 4), **scales)
    annotation = proto.graph.quantization_annotation.add(tensor_name="a")
    for key, name in (("SCALE_TENSOR", "s"), ("ZERO_POINT_TENSOR", "z")):
        annotation.quant_parameter_tensor_names.add(key=key, value=name)
    model = as_model(proto)
    normalise(model)
    assert held(model) == {"g": ["s", "w", "z"]}
    assert proto_from(model).graph.quantization_annotation[0] == annotation


def test_outputs_and_inputs_that_may_be_overridden_are_not_dead() -> None:
    proto = proto_of("g (float[2] x, float[2] d) => (float[2] y, float[3] k) { y = Neg(x) }", d=noise(2), k=noise(3))
    model = as_model(proto)
    assert drop_dead_constants(model) == 0
    assert held(model) == {"g": ["d", "k"]}


# ------------------------------------------------------------------------------------------------ merge
def test_equal_constants_of_one_graph_become_one() -> None:
    body = "g (float[2,8] x) => (float[2,m] y) { a = MatMul(x, u) b = MatMul(a, v) y = MatMul(b, w) }"
    proto = proto_of(body, u=noise(8, 8), v=noise(8, 8), w=noise(8, 8, seed=1))
    model = as_model(proto)
    assert merge_duplicates(model) == 1
    assert held(model) == {"g": ["u", "w"]}
    assert [len(weight.uses) for weight in find_weights(model)] == [2, 1]
    check_same_outputs(proto, model, x=noise(2, 8))


def test_equal_constants_of_two_branches_move_to_the_main_graph() -> None:
    proto = nested(noise(4, 8), noise(4, 8))
    model = as_model(proto)
    normalise(model)
    assert held(model) == {"g": ["shared0"], "t": [], "e": []}
    for c in (True, False):
        check_same_outputs(proto, model, c=np.array(c), x=noise(2, 4))


def test_equal_constants_of_two_branches_that_are_no_weights_stay_where_they_are() -> None:
    """onnxruntime looks for the operands of DequantizeLinear in its own graph only."""
    codes = np.random.default_rng(0).integers(-127, 128, (32, 32)).astype(np.int8)
    scale, zero = np.full(32, 0.1, np.float32), np.zeros(32, np.int8)
    inside = "d = DequantizeLinear<axis=1>(q, s, z) h = MatMul(x, d)"
    body = (
        "g (bool c, float[2,32] x) => (float[2,64] y) { y = If(c) <"
        f"then_branch = t () => (float[2,64] a) {{ {inside} a = MatMul(h, w) }}, "
        f"else_branch = e () => (float[2,64] b) {{ {inside} b = MatMul(h, w) }}> }}"
    )
    proto = proto_of(body, opset=21, ir_version=10, w=noise(32, 64))
    for graph in branches(proto):
        for name, array in (("q", codes), ("s", scale), ("z", zero)):
            graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    model = as_model(proto)
    normalise(model)
    assert [len(names) for names in held(model).values()] == [1, 3, 3]
    check_same_outputs(proto, model, c=np.array(True), x=noise(2, 32))


def test_a_branch_uses_the_equal_constant_of_the_main_graph() -> None:
    proto = nested(noise(4, 8), noise(4, 8, seed=1))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(noise(4, 8), "main"))
    proto.graph.node.extend(proto_of("g (float[2,4] x) => (float[2,m] z) { z = MatMul(x, main) }").graph.node)
    proto.graph.output.extend([onnx.helper.make_tensor_value_info("z", 1, [2, 8])])
    model = as_model(proto)
    normalise(model)
    assert held(model) == {"g": ["main"], "t": [], "e": ["w"]}
    check_same_outputs(proto, model, c=np.array(True), x=noise(2, 4))


def test_a_name_that_two_branches_share_does_not_hide_another_constant() -> None:
    """Both branches call theirs w, with different values, and each has an equal elsewhere."""
    proto = nested(noise(4, 8), noise(4, 8, seed=1))
    for graph, other in zip(branches(proto), (noise(4, 8, seed=1), noise(4, 8)), strict=True):
        node = graph.node[0]
        graph.node[1].input[1] = node.output[0] = "w"
        graph.initializer.append(onnx.numpy_helper.from_array(other, "u"))
        graph.node.append(onnx.helper.make_node("MatMul", ["x", "u"], [f"m{graph.name}"]))
        graph.node.append(onnx.helper.make_node("Add", [graph.output[0].name, f"m{graph.name}"], [f"s{graph.name}"]))
        graph.output[0].name = f"s{graph.name}"
    model = as_model(proto)
    normalise(model)
    assert len(held(model)["g"]) == 2
    for c in (True, False):
        check_same_outputs(proto, model, c=np.array(c), x=noise(2, 4))


# ------------------------------------------------------------------------------------------------ names
def hiding(kind: str) -> onnx.ModelProto:
    """An inner graph calls something else w, which is the name of a weight around it, and has an equal one, v."""
    node, value, bools = onnx.helper.make_node, onnx.helper.make_tensor_value_info, onnx.TensorProto.BOOL
    equal, other = (
        onnx.numpy_helper.from_array(noise(8, 8), "v"),
        onnx.numpy_helper.from_array(noise(8, 8, seed=2), "w"),
    )
    if kind == "initializer":
        nodes = [node("MatMul", ["x", "w"], ["p"]), node("MatMul", ["p", "v"], ["q"])]
        inner = onnx.helper.make_graph(nodes, "t", [], [value("q", FLOAT, None)], [equal, other])
        plain = onnx.helper.make_graph([node("Neg", ["x"], ["n"])], "e", [], [value("n", FLOAT, None)])
        outer = node("If", ["c"], ["a"], then_branch=inner, else_branch=plain)
    else:
        nodes = [node("MatMul", ["w", "v"], ["q"]), node("Identity", ["on"], ["go"])]
        given = [value("i", onnx.TensorProto.INT64, []), value("on", bools, []), value("w", FLOAT, [None, 8])]
        results = [value("go", bools, []), value("q", FLOAT, [None, 8])]
        inner = onnx.helper.make_graph(nodes, "t", given, results, [equal])
        outer = node("Loop", ["two", "c", "x"], ["a"], body=inner)
    graph = onnx.helper.make_graph(
        [outer, node("MatMul", ["a", "w"], ["y"])], "g", [value("x", FLOAT, [2, 8]), value("c", bools, [])],
        [value("y", FLOAT, [2, 8])],
        [onnx.numpy_helper.from_array(noise(8, 8), "w"), onnx.numpy_helper.from_array(np.array(2), "two")],
    )  # fmt: skip
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("kind", ["initializer", "input of a loop"])
def test_a_name_that_hides_a_constant_around_it_gives_way(kind: str) -> None:
    proto = hiding(kind)
    onnx.checker.check_model(proto, full_check=True)
    model = as_model(proto)
    assert set_names_apart(model) == 1
    assert merge_duplicates(model) == 1
    assert "v" not in held(model)["t"]
    onnx.checker.check_model(proto_from(model), full_check=True)
    for c in (True, False):
        check_same_outputs(proto, model, c=np.array(c), x=noise(2, 8))


def test_weights_with_one_name_get_names_of_their_own_and_answer_to_the_old_one() -> None:
    proto = nested(noise(4, 8), noise(4, 8, seed=1))
    for graph in branches(proto):
        (node,) = [node for node in graph.node if node.op_type == "Constant"]
        (reader,) = [n for n in graph.node if node.output[0] in n.input]
        reader.input[1] = node.output[0] = "same"
    model = as_model(proto)
    before = proto_from(model).SerializeToString(deterministic=True)
    copy = model.clone()
    normalise(copy)
    weights = find_weights(copy)
    assert [weight.name for weight in weights] == ["same", "same_0"]
    assert [weight.given_name for weight in weights] == ["same", "same"]
    assert all(matches(weight, ["same"]) for weight in weights)
    assert proto_from(model).SerializeToString(deterministic=True) == before
    for c in (True, False):
        check_same_outputs(proto, copy, c=np.array(c), x=noise(2, 4))


def test_a_bias_that_equals_a_weight_is_not_compressed_with_it() -> None:
    body = "g (float[8,8] x) => (float[8,8] y) { a = MatMul(x, w) y = Add(a, bias) }"
    model = as_model(proto_of(body, w=noise(8, 8), bias=noise(8, 8)))
    compressed = compress_graph(model, [QuantizeWeights(min_size=1, only_if_smaller=False, small_constants="keep")])
    assert compressed.changed
    assert np.array_equal(constants_of(proto_from(compressed.model))["bias"], noise(8, 8))


@pytest.mark.parametrize(
    "other",
    [
        noise(8, 8) * np.float32(1 + 1e-7),  # another last bit
        noise(64),  # another shape
        noise(8, 8).view(np.int32),  # another type
    ],
)
def test_constants_that_differ_in_anything_stay_two(other: np.ndarray) -> None:
    proto = proto_of(
        "g (float[2] x) => (float[2,m] y, t z) { y = Identity(u) z = Identity(v) }".replace("t z", "float[2,m] z")
    )
    proto.graph.initializer.extend(
        [onnx.numpy_helper.from_array(noise(8, 8), "u"), onnx.numpy_helper.from_array(other, "v")]
    )
    assert merge_duplicates(as_model(proto)) == 0


def test_negative_zero_and_nan_are_compared_by_their_bits() -> None:
    zeros, nans = np.zeros((8, 8), np.float32), np.full((8, 8), np.nan, np.float32)
    body = (
        "g (float[2,8] x) => (float[2,m] y) { "
        + "a = MatMul(x, p) b = MatMul(a, q) c = MatMul(b, r) y = MatMul(c, s) }"
    )
    model = as_model(proto_of(body, p=zeros, q=-zeros, r=nans, s=nans.copy()))
    assert merge_duplicates(model) == 1
    assert held(model) == {"g": ["p", "q", "r"]}


def test_inputs_outputs_and_tiny_constants_are_not_merged() -> None:
    w = noise(8, 8)
    nodes = "a = MatMul(x, u) b = MatMul(a, v) y = Add(b, s)"
    body = f"g (float[2,8] x, float[8,8] u) => (float[2,m] y, float[8,8] v) {{ {nodes} }}"
    model = as_model(proto_of(body, u=w, v=w, s=noise(8), t=noise(8)))
    assert merge_duplicates(model) == 0


def test_large_equal_constants_are_found_in_the_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    different = noise(64, 64)
    different[32, 32] += 1  # ends are equal, the middle is not
    body = "g (float[2,64] x) => (float[2,m] y) { a = MatMul(x, u) b = MatMul(a, v) y = MatMul(b, w) }"
    path = saved(proto_of(body, u=noise(64, 64), v=different, w=noise(64, 64)), tmp_path / "m.onnx")
    model = load(path)
    normalise(model)
    assert held(model) == {"g": ["u", "v"]}
    assert np.array_equal(run(path, x=noise(2, 64))[0], run(model, x=noise(2, 64))[0])


def test_normalising_twice_changes_nothing_more() -> None:
    model = as_model(nested(noise(4, 8), noise(4, 8)))
    normalise(model)
    once = proto_from(model)
    normalise(model)
    assert proto_from(model) == once
