"""Writes a model with the shape of BERT-base: 12 layers, width 768, 30,522 tokens, 434 MB of random weights."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH, INNER, HEADS, TOKENS, POSITIONS = 768, 3072, 12, 30522, 512


class _Builder:
    """Collects nodes and weights."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(0)

    def weight(self, name: str, *shape: int) -> str:
        values = self._random.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
        return self.constant(name, values)

    def constant(self, name: str, values: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def linear(self, x: str, name: str, size_in: int, size_out: int) -> str:
        product = self.node("MatMul", [x, self.weight(f"{name}.weight", size_in, size_out)], f"{name}.product")
        return self.node("Add", [product, self.weight(f"{name}.bias", size_out)], name)

    def norm(self, x: str, name: str) -> str:
        scale = self.constant(f"{name}.scale", np.ones(WIDTH, np.float32))
        return self.node("LayerNormalization", [x, scale, self.weight(f"{name}.bias", WIDTH)], name)


def write_bert(path: Path, *, layers: int) -> None:
    """Writes the model: input `tokens` int64 [batch, length], output `hidden` [batch, length, 768]."""
    b = _Builder()
    b.constant("split", np.array([0, 0, HEADS, WIDTH // HEADS], np.int64))
    b.constant("merge", np.array([0, 0, WIDTH], np.int64))
    b.constant("root", np.array(np.sqrt(WIDTH / HEADS), np.float32))
    words = b.node("Gather", [b.weight("words", TOKENS, WIDTH), "tokens"], "word_rows")
    b.constant("first", np.array([0], np.int64))
    b.constant("axis", np.array([0], np.int64))
    b.node("Shape", ["tokens"], "length", start=1)
    places = b.node("Slice", [b.weight("positions", POSITIONS, WIDTH), "first", "length", "axis"], "places")
    x = b.norm(b.node("Add", [words, places], "embedded"), "embedding_norm")
    for number in range(layers):
        x = _layer(b, x, f"layer{number}")
    b.node("Identity", [x], "hidden")
    tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["batch", "length"])
    hidden = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", "length", WIDTH])
    graph = helper.make_graph(b.nodes, "bert", [tokens], [hidden], b.weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


def _layer(b: _Builder, x: str, name: str) -> str:
    parts = []
    for part, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
        rows = b.linear(x, f"{name}.{part}", WIDTH, WIDTH)
        split = b.node("Reshape", [rows, "split"], f"{name}.{part}.split")
        parts.append(b.node("Transpose", [split], f"{name}.{part}.heads", perm=order))
    scores = b.node("Div", [b.node("MatMul", parts[:2], f"{name}.scores"), "root"], f"{name}.scaled")
    shares = b.node("Softmax", [scores], f"{name}.shares", axis=-1)
    mixed = b.node("MatMul", [shares, parts[2]], f"{name}.mixed")
    merged = b.node(
        "Reshape", [b.node("Transpose", [mixed], f"{name}.back", perm=[0, 2, 1, 3]), "merge"], f"{name}.merged"
    )
    attended = b.linear(merged, f"{name}.attended", WIDTH, WIDTH)
    x = b.norm(b.node("Add", [x, attended], f"{name}.residual1"), f"{name}.norm1")
    inner = b.linear(x, f"{name}.inner", WIDTH, INNER)
    active = b.node("Relu", [inner], f"{name}.active")
    outer = b.linear(active, f"{name}.outer", INNER, WIDTH)
    return b.norm(b.node("Add", [x, outer], f"{name}.residual2"), f"{name}.norm2")


if __name__ == "__main__":
    write_bert(Path(sys.argv[1]), layers=int(sys.argv[2]))
