"""Names: each is defined once in sight, and nothing reads what nothing defines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nncompress.errors import InputError
from nncompress.onnx_file.checks.names import check_names, check_scopes
from tests.models import noise, proto_of


def with_branch(inner: str, *, kind: str):  # type: ignore[no-untyped-def]
    """If(c) whose branches define `inner` as an initializer or a node output, in a graph that has w."""
    constant = numpy_helper.from_array(np.ones(2, np.float32), "w")
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    own = numpy_helper.from_array(np.zeros(2, np.float32), inner)
    nodes = [helper.make_node("Neg", ["x"], [inner])] if kind == "output" else []
    branch = helper.make_graph(
        [*nodes, helper.make_node("Add", ["x", inner], ["b"])], "branch", [],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, [2])], [own] if kind == "initializer" else [],
    )  # fmt: skip
    other = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["e"])], "other", [],
        [helper.make_tensor_value_info("e", TensorProto.FLOAT, [2])],
    )  # fmt: skip
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=other)
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
    ]
    return helper.make_model(helper.make_graph([node], "g", inputs, [value], [constant]))


@pytest.mark.parametrize("kind", ["initializer", "output"])
def test_a_name_of_a_graph_around_cannot_be_defined_again(kind: str) -> None:
    check_scopes(with_branch("v", kind=kind))
    for taken in ("w", "x", "y"):
        with pytest.raises(InputError, match=f"graph 'branch' defines '{taken}' again, which a graph around it has"):
            check_scopes(with_branch(taken, kind=kind))


ADD = "g (float[1] x) => (float[1] y) { y = Add(x, w) }"
FUNCTION = (
    'g (float[1] x) => (float[1] y) { y = local.f (x) } <domain: "local", opset_import: ["" : 17]> '
    "f (a) => (b) { b = Neg(a) }"
)
Change = Callable[[onnx.ModelProto], object]
TWICE: dict[str, Change] = {
    "graph 'g' has two initializers called 'w'": lambda p: p.graph.initializer.append(p.graph.initializer[0]),
    "graph 'g' has two initializers called 'w' ": lambda p: p.graph.sparse_initializer.add(
        values=p.graph.initializer[0], indices=numpy_helper.from_array(np.zeros(1, np.int64)), dims=[1]
    ),
    "graph 'g' has two inputs called 'x'": lambda p: p.graph.input.append(p.graph.input[0]),
    "graph 'g' has two node outputs called 'y'": lambda p: p.graph.node.append(p.graph.node[0]),
    "graph 'g' has two outputs called 'y'": lambda p: p.graph.output.append(p.graph.output[0]),
    "graph 'g' has 'w' both as a node output and as an initializer": lambda p: p.graph.node.add(
        op_type="Neg", input=["x"], output=["w"]
    ),
    "graph 'g' has 'x' both as a node output and as an input": lambda p: p.graph.node.add(
        op_type="Neg", input=["w"], output=["x"]
    ),
}
TWICE_IN_FUNCTION: dict[str, Change] = {
    "function 'f' has two inputs called 'a'": lambda p: p.functions[0].input.append("a"),
    "function 'f' has two outputs called 'b'": lambda p: p.functions[0].output.append("b"),
    "function 'f' has two node outputs called 'b'": lambda p: p.functions[0].node.append(p.functions[0].node[0]),
    "function 'f' has two attributes called 'k'": lambda p: p.functions[0].attribute.extend(["k", "k"]),
    "function 'f' has 'a' both as a node output and as an input": lambda p: p.functions[0].node.add(
        op_type="Neg", input=["b"], output=["a"]
    ),
}


@pytest.mark.parametrize("message", [*TWICE, *TWICE_IN_FUNCTION])
def test_a_name_of_two_things_is_refused(message: str) -> None:
    in_function = message in TWICE_IN_FUNCTION
    proto = proto_of(FUNCTION) if in_function else proto_of(ADD, w=noise(1))
    check_names(proto)
    (TWICE_IN_FUNCTION if in_function else TWICE)[message](proto)
    with pytest.raises(InputError) as error:
        check_names(proto)
    assert str(error.value) == message.strip()


def test_what_names_may_share_is_accepted() -> None:
    check_names(proto_of('g (float[4] x) => (float[2] y) { y, "", "" = Any(x) z, "", "" = Any(x) }'))
    check_names(proto_of("g (float[1] x, float[1] w) => (float[1] y) { y = Add(x, w) }", w=noise(1)))  # a default
    branch = "{ %s = Neg(x) }"
    check_names(
        proto_of(
            "g (bool c, float[1] x) => (float[1] y, float[1] z) { y, z = If (c) "
            f"<then_branch = b () => (float[1] t, float[1] t) {branch % 't'}, "
            f"else_branch = b () => (float[1] e, float[1] e) {branch % 'e'}> }}"
        )
    )
