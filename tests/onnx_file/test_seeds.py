"""Generators get seeds by the names of their results, wherever they are, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from nncompress.onnx_file.seeds import seeded
from nncompress.onnx_file.walk import nodes_of


def write(path: Path, *nodes: onnx.NodeProto, functions: tuple[onnx.FunctionProto, ...] = ()) -> Path:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])
    graph = helper.make_graph(list(nodes), "g", [value], [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8), path)
    return path


def seeds(data: bytes) -> dict[str, float]:
    proto = onnx.load_model_from_string(data)
    every = [node for nodes in (proto.graph.node, *(f.node for f in proto.functions)) for node in nodes_of(nodes)]
    return {n.output[0]: a.i or a.f for n in every for a in n.attribute if a.name == "seed"}


def test_equal_names_get_equal_seeds_wherever_the_nodes_stand(tmp_path: Path) -> None:
    noise, copy = helper.make_node("RandomNormalLike", ["x"], ["n"]), helper.make_node("Add", ["x", "n"], ["y"])
    first = seeded(write(tmp_path / "a.onnx", noise, copy), 1)
    second = seeded(write(tmp_path / "b.onnx", helper.make_node("Identity", ["x"], ["z"]), noise, copy), 1)
    assert first.generators == second.generators == {"RandomNormalLike n"}
    assert seeds(first.data) == seeds(second.data)
    assert seeds(seeded(tmp_path / "a.onnx", 2).data) != seeds(first.data)


def test_generators_in_branches_and_functions_get_seeds_and_those_that_have_one_keep_it(tmp_path: Path) -> None:
    inner = helper.make_graph(
        [helper.make_node("Bernoulli", ["x"], ["b"])], "then", [], [helper.make_tensor_value_info("b", 1, None)]
    )
    body = [helper.make_node("RandomUniformLike", ["a"], ["u"]), helper.make_node("Dropout", ["u", "", "t"], ["d"])]
    function = helper.make_function("my", "F", ["a", "t"], ["d"], body, [helper.make_opsetid("", 17)])
    nodes = [
        helper.make_node("If", ["c"], ["i"], then_branch=inner, else_branch=inner),
        helper.make_node("F", ["i", "c"], ["f"], domain="my"),
        helper.make_node("Multinomial", ["f"], ["m"], seed=7.0),
        helper.make_node("Dropout", ["x"], ["y"]),  # no random numbers: it cannot train
    ]
    found = seeded(write(tmp_path / "m.onnx", *nodes, functions=(function,)), 1)
    assert found.generators == {"Bernoulli b", "RandomUniformLike u", "Dropout d", "Multinomial m 7.0"}
    assert set(seeds(found.data)) == {"b", "u", "d", "m"}
    assert seeds(found.data)["m"] == 7.0


@pytest.mark.parametrize("op", ["RandomNormalLike", "Dropout"])
def test_the_file_itself_is_left_alone(tmp_path: Path, op: str) -> None:
    path = write(tmp_path / "m.onnx", helper.make_node(op, ["x"], ["y"]))
    before = path.read_bytes()
    assert (seeded(path, 1).data == before) == (op == "Dropout")
    assert path.read_bytes() == before
