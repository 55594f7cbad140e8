"""Small models and feeds for the tests of runtime/ and validate/."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nncompress.feeds.feeds import Feeds, InputSpec, load_feeds
from nncompress.feeds.specs import Array

X = InputSpec("x", np.dtype("float32"), ("batch", 3))


def save(
    path: Path, nodes, outputs, constants=None, inputs=(("x", TensorProto.FLOAT, ["batch", 3]),), opset=17
) -> Path:
    """Write a model of `nodes`; outputs are (name, element type)."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    ir_version = 8 if opset < 19 else 10
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version), path)
    return path


def linear(path: Path, weight: Array, output: str = "y") -> Path:
    """y [batch, n] = x [batch, 3] @ weight [3, n]."""
    node = helper.make_node("MatMul", ["x", "w"], [output])
    return save(path, [node], [(output, TensorProto.FLOAT)], {"w": weight.astype(np.float32)})


def one_op(path: Path, op: str, kind: int = TensorProto.FLOAT, **attributes: object) -> Path:
    """y = op(x)."""
    return save(path, [helper.make_node(op, ["x"], ["y"], **attributes)], [("y", kind)])


def feeds_of(folder: Path, *arrays: Array, labels: Array | None = None) -> Feeds:
    """One feed for each array [batch, 3]."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    for index, array in enumerate(arrays):
        np.savez(data / f"{index:03}.npz", x=np.asarray(array, np.float32))
    if labels is None:
        return load_feeds(data, [X])
    np.savez(folder / "labels.npz", labels=labels)
    return load_feeds(data, [X], folder / "labels.npz")
