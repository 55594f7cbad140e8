"""Names: each is defined once in sight, and nothing reads what nothing defines."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from nncompress.errors import InputError
from nncompress.onnx_file.checks.names import check_scopes


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
