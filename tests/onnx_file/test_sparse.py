"""Sparse tensors of a file become dense ones with the same values, and those that lie are refused."""

import re
from pathlib import Path

import numpy as np
import pytest
from onnx import helper, numpy_helper

from nncompress.errors import InputError
from nncompress.model.inventory import take_inventory
from nncompress.model.weights import find_weights
from nncompress.onnx_file.facts import file_bytes
from nncompress.onnx_file.read import load
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow.ledger import with_graph_line
from nncompress.workflow.pipeline import compress_graph
from tests.models import dense_constant, file_of, noise, proto_of, run, saved


@pytest.mark.parametrize("linear", [True, False])
def test_sparse_initializers_become_dense(tmp_path: Path, linear: bool) -> None:
    dense = np.zeros((4, 5), np.float32)
    dense[[0, 2, 3], [4, 0, 4]] = 1.5, -2, 7
    places = np.flatnonzero(dense) if linear else np.argwhere(dense)
    proto = proto_of("g (float[N,4] x) => (float[N,5] y) { y = MatMul(x, w) }")
    proto.graph.sparse_initializer.add(
        values=numpy_helper.from_array(dense[dense != 0], "w"), dims=[4, 5],
        indices=numpy_helper.from_array(places.astype(np.int64), "i"),
    )  # fmt: skip
    path = saved(proto, tmp_path / "m.onnx")
    model = load(path)
    (weight,) = find_weights(model)
    assert np.array_equal(weight.array(), dense)
    assert model.notes == ("1 sparse tensors were read as dense ones",)
    assert np.array_equal(run(path, x=noise(2, 4))[0], run(file_of(model, tmp_path / "o"), x=noise(2, 4))[0])


def test_a_sparse_constant_becomes_a_dense_one(tmp_path: Path) -> None:
    proto = proto_of("g (float[N,4] x) => (float[N,4] y) { y = Add(x, c) }")
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.float32([3])), numpy_helper.from_array(np.int64([2])), [4]
    )
    proto.graph.node.insert(0, helper.make_node("Constant", [], ["c"], sparse_value=sparse))
    model = load(saved(proto, tmp_path / "m.onnx"))
    assert run(model, x=np.zeros((1, 4), np.float32))[0].tolist() == [[0, 0, 3, 0]]


@pytest.mark.parametrize(
    ("dims", "values", "indices", "message"),
    [
        ([4], [1, 2], [0], "2 values with indices of shape [1]"),
        ([4], [1], [4], "its indices leave shape [4] or name a place twice"),
        ([4], [1], [-1], "its indices leave shape [4] or name a place twice"),
        ([4], [1, 2], [3, 3], "its indices leave shape [4] or name a place twice"),
        ([2, 2], [1], [[0, 2]], "an index lies outside of shape [2, 2]"),
        ([2, 2], [1], [[-1, 1]], "an index lies outside of shape [2, 2]"),
        ([1 << 20, 1 << 20], [1], [0], "shape [1048576, 1048576] is too large to store densely"),
        ([-4], [1], [0], "shape [-4] is too large to store densely"),
        ([4], [[1]], [0], "values must have 1 dimension and indices 1 or 2"),
    ],
)
def test_a_sparse_tensor_that_lies_is_refused(
    tmp_path: Path, dims: list[int], values: object, indices: object, message: str
) -> None:
    proto = proto_of("g (float[4] x) => (float[4] y) { y = Add(x, w) }")
    proto.graph.sparse_initializer.add(
        values=numpy_helper.from_array(np.float32(values), "w"), dims=dims,
        indices=numpy_helper.from_array(np.int64(indices), "i"),
    )  # fmt: skip
    with pytest.raises(InputError, match=re.escape(f"m.onnx: sparse tensor 'w': {message}")):
        load(saved(proto, tmp_path / "m.onnx"))


def test_the_ledger_counts_a_sparse_weight_as_it_lies_in_the_file(tmp_path: Path) -> None:
    proto = proto_of("g (float[3,64] x) => (float[3,256] y) { h = MatMul(x, w) y = MatMul(h, v) }", v=noise(64, 256))
    values = numpy_helper.from_array(np.float32([1, 2, 3]), "w")
    places = numpy_helper.from_array(np.int64([0, 17, 100]), "i")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [64, 64]))
    model = load(saved(proto, tmp_path / "m.onnx"))
    compressed = compress_graph(model, [QuantizeWeights()])
    sparse = next(line for line in compressed.lines if line.name == "w")
    assert sparse.bytes_before == 3 * (4 + 8)
    result = load(file_of(compressed.model, tmp_path / "o.onnx"))
    lines = with_graph_line(compressed.lines, file_bytes(model), file_bytes(result))
    assert 0 < lines[-1].bytes_before < 400  # nodes, names and headers
    assert take_inventory(model).constant_bytes == 3 * (4 + 8) + 64 * 256 * 4


def test_a_dense_constant_of_the_same_name_elsewhere_keeps_its_size(tmp_path: Path) -> None:
    body = (
        "g (float[3,64] x) => (float[3,64] y) { h = MatMul(x, w) y = local.f(h) } "
        '<domain: "local", opset_import: ["" : 17]> f (a) => (b) { b = MatMul(a, w) }'
    )
    proto = proto_of(body)
    values, places = numpy_helper.from_array(np.float32([1, 2]), "w"), numpy_helper.from_array(np.int64([0, 9]), "i")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [64, 64]))
    proto.functions[0].node.insert(0, dense_constant("w", noise(64, 32)))
    proto.functions[0].node[1].input[1] = "w"
    model = load(saved(proto, tmp_path / "m.onnx"))
    assert take_inventory(model).constant_bytes == 2 * (4 + 8) + 64 * 32 * 4
