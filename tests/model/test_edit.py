"""Rewiring: what is drafted takes the place and the name of a weight, in every kind of graph."""

import numpy as np
import onnx
import pytest

from nncompress.model.edit import Draft, Names, drop_if_unread, insert_before, put_in_place
from nncompress.model.model import Model
from nncompress.model.weights import find_weights
from tests.models import (
    as_model,
    dense_constant,
    linear,
    model_of,
    noise,
    op_types,
    proto_from,
    proto_of,
    run,
)  # fmt: skip

W = noise(4, 3)


def in_main() -> onnx.ModelProto:
    return proto_of("g (bool c, float[2,4] x) => (float[2,3] y) { y = MatMul(x, w) }", w=W)


def in_branches(*, captured: bool) -> onnx.ModelProto:
    proto = proto_of(
        "g (bool c, float[2,4] x) => (float[2,3] y) { y = If(c) <then_branch = t () => (float[2,3] a) "
        "{ a = MatMul(x, w) }, else_branch = e () => (float[2,3] b) { b = MatMul(x, w) }> }"
    )
    if captured:
        proto.graph.initializer.append(onnx.numpy_helper.from_array(W, "w"))
    else:
        for attribute in proto.graph.node[0].attribute:
            attribute.g.initializer.append(onnx.numpy_helper.from_array(W, "w"))
    return proto


def in_function() -> onnx.ModelProto:
    proto = proto_of(
        'g (bool c, float[2,4] x) => (float[2,3] y) { y = local.f(x) } <domain: "local", opset_import: ["" : 17]> '
        "f (a) => (b) { b = MatMul(a, w) }"
    )
    proto.functions[0].node.insert(0, dense_constant("w", W))
    return proto


def as_constant() -> onnx.ModelProto:
    body = "g (bool c, float[2,4] x) => (float[2,3] y) { y = MatMul(x, w) }"
    proto = proto_of(body, opset=8, ir_version=4)
    proto.graph.node.insert(0, dense_constant("w", W))
    return proto


HOMES = {
    "main graph": in_main(),
    "captured": in_branches(captured=True),
    "branches": in_branches(captured=False),
    "function": in_function(),
    "Constant": as_constant(),
}


def doubled(model: Model) -> None:
    """Replaces every weight by itself plus itself, as two new constants and an Add."""
    names = Names(model)
    for weight in find_weights(model):
        draft = Draft(names)
        array = weight.array()
        put_in_place(model, weight, draft, draft.node("Add", [draft.constant(array, "c"), draft.constant(array, "c")]))


@pytest.mark.parametrize("home", HOMES)
def test_drafted_nodes_take_the_place_of_a_weight_in_every_kind_of_graph(home: str) -> None:
    model = as_model(HOMES[home])
    doubled(model)
    proto = proto_from(model)
    onnx.checker.check_model(proto, full_check=True)
    for c in (True, False):
        feed = {"c": np.array(c), "x": noise(2, 4)}
        # twice the weight is twice the product, to the bit
        assert np.array_equal(run(model, **feed)[0], 2 * run(HOMES[home], **feed)[0])


def test_in_functions_which_have_no_initializers_constants_are_nodes() -> None:
    model = as_model(HOMES["function"])
    doubled(model)
    proto = proto_from(model)
    assert op_types(proto.functions[0].node) == ["Constant", "Constant", "Add", "MatMul"]
    assert not proto.graph.initializer


def test_the_result_bears_the_name_of_the_weight() -> None:
    model = linear(W)
    doubled(model)
    add, matmul = proto_from(model).graph.node
    assert list(add.output) == ["w"]
    assert list(matmul.input) == ["x", "w"]
    assert sorted(t.name for t in proto_from(model).graph.initializer) == ["c0", "c1"]


def test_new_names_are_short_and_taken_nowhere() -> None:
    proto = in_branches(captured=False)
    for attribute in proto.graph.node[0].attribute:
        attribute.g.initializer.append(onnx.numpy_helper.from_array(W, f"c{len(attribute.name)}"))
    proto.graph.input[1].name = "c0"
    names = Names(as_model(proto))
    assert [names.new("c") for _ in range(3)] == ["c1", "c2", "c3"]
    assert [names.new("y"), names.new("y")] == ["y0", "y1"]
    assert names.new("c1") == "c10"  # then_branch and else_branch have 11 letters: c11 is taken
    assert names.new("c1") == "c12"


def test_nodes_are_put_right_before_another_or_at_the_end() -> None:
    model = model_of("g (float[2] x) => (float[2] y) { a = Neg(x) y = Abs(a) }")
    names = Names(model)
    for node in (model.ir.graph[1], None):
        draft = Draft(names)
        draft.node("Identity", [model.ir.graph.inputs[0]])
        insert_before(model, model.ir.graph, draft, node)
    assert op_types(proto_from(model).graph.node) == ["Neg", "Identity", "Abs", "Identity"]


def test_a_constant_is_dropped_only_when_nothing_reads_it() -> None:
    model = model_of(
        "g (float[2,4] x, float[3] i) => (float[2,3] y, float[3] o) { y = MatMul(x, w) }", w=W, i=noise(3), o=noise(3)
    )
    graph = model.ir.graph
    assert [drop_if_unread(graph.initializers[name]) for name in "wio"] == [False] * 3
    assert not drop_if_unread(graph.inputs[0])
    graph[0].replace_input_with(1, graph.inputs[1])
    assert drop_if_unread(graph.initializers["w"])
    assert list(graph.initializers) == ["i", "o"]
