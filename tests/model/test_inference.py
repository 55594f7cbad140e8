"""onnx's shape inference does not end the process where an operator reads what has no known type."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from nncompress.model.inference import infer
from nncompress.onnx_file.checks.header import checker_complaint


def reading_unknown(op: str, domain: str, where: str, **attributes: object) -> onnx.ModelProto:
    """A node whose input is the result of an operator that nobody knows, in the graph, a branch or a function."""
    value = helper.make_tensor_value_info("y", TensorProto.BOOL, None)
    nodes = [
        helper.make_node("Foo", ["x"], ["u"], domain="my.ops"),
        helper.make_node(op, ["u"], ["y"], domain=domain, **attributes),
    ]
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("my.ops", 1)]
    functions = []
    if where == "function":
        functions = [helper.make_function("my.ops", "F", ["x"], ["y"], nodes, imports)]
        nodes = [helper.make_node("F", ["x"], ["y"], domain="my.ops")]
    elif where == "branch":
        branches = [
            helper.make_graph(
                [
                    helper.make_node("Foo", ["x"], [f"u{name}"], domain="my.ops"),
                    helper.make_node(op, [f"u{name}"], [name], domain=domain),
                ],
                "b", [], [helper.make_tensor_value_info(name, TensorProto.BOOL, None)],
            )
            for name in "vw"
        ]  # fmt: skip
        for branch in branches:
            branch.node[1].attribute.extend(helper.make_attribute(key, item) for key, item in attributes.items())
        nodes = [helper.make_node("If", ["c"], ["y"], then_branch=branches[0], else_branch=branches[1])]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
    ]
    graph = helper.make_graph(nodes, "g", inputs, [value])
    return helper.make_model(graph, opset_imports=imports, ir_version=9, functions=functions)


@pytest.mark.parametrize("where", ["graph", "branch", "function"])
@pytest.mark.parametrize(
    ("op", "domain", "attributes"),
    [("RegexFullMatch", "", {"pattern": "a"}), ("DictVectorizer", "ai.onnx.ml", {"int64_vocabulary": [1]})],
)
def test_an_operator_that_reads_what_has_no_known_type_is_passed_over(op, domain, attributes, where):
    proto = reading_unknown(op, domain, where, **attributes)
    before = proto.SerializeToString(deterministic=True)
    inferred = infer(proto)
    assert [node.op_type for node in inferred.graph.node][:1] == [proto.graph.node[0].op_type]
    checker_complaint(proto)
    assert proto.SerializeToString(deterministic=True) == before


def test_what_is_known_is_inferred():
    inputs = [helper.make_tensor_value_info("t", TensorProto.STRING, [2, 3])]
    nodes = [helper.make_node("RegexFullMatch", ["t"], ["m"], pattern="a"), helper.make_node("Shape", ["t"], ["y"])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.INT64, None)]
    proto = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs), opset_imports=[helper.make_opsetid("", 20)]
    )
    assert [dim.dim_value for dim in infer(proto).graph.output[0].type.tensor_type.shape.dim] == [2]
