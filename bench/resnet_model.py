"""Writes a model with the shape of ResNet-50 and 3,200 classes: 30 million random weights, and 64 samples for it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # width, blocks, stride
CLASSES, SAMPLES, SIDE = 3200, 64, 224


class _Builder:
    """Collects nodes and weights."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(0)

    def constant(self, values: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def node(self, op: str, *inputs: str, **attributes: object) -> str:
        name = f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x: str, channels_in: int, channels: int, kernel: int, stride: int = 1) -> str:
        inputs = channels_in * kernel**2
        weight = self._random.standard_normal((channels, channels_in, kernel, kernel)) * np.sqrt(1.5 / inputs)
        names = self.constant(weight), self.constant(self._random.standard_normal(channels) / 10)
        return self.node("Conv", x, *names, strides=[stride] * 2, pads=[kernel // 2] * 4)

    def block(self, x: str, channels: int, width: int, stride: int) -> str:
        thin = self.node("Relu", self.conv(x, channels, width, 1))
        thin = self.node("Relu", self.conv(thin, width, width, 3, stride))
        wide = self.conv(thin, width, 4 * width, 1)
        around = x if channels == 4 * width else self.conv(x, channels, 4 * width, 1, stride)
        half = self.constant(np.array(0.8))  # the sum of both keeps its size
        return self.node("Relu", self.node("Mul", self.node("Add", wide, around), half))

    def model(self) -> onnx.ModelProto:
        x = self.node("Relu", self.conv("x", 3, 64, 7, 2))
        x, channels = self.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), 64
        for width, blocks, stride in STAGES:
            for number in range(blocks):
                x = self.block(x, channels, width, 1 if number else stride)
                channels = 4 * width
        x = self.node("Flatten", self.node("GlobalAveragePool", x))
        weight = self.constant(self._random.standard_normal((channels, CLASSES)) / np.sqrt(channels))
        self.nodes.append(helper.make_node("MatMul", [x, weight], ["y"]))
        image, classes = ["N", 3, SIDE, SIDE], ["N", CLASSES]
        graph = helper.make_graph(
            self.nodes, "resnet", [helper.make_tensor_value_info("x", TensorProto.FLOAT, image)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, classes)], self.weights,
        )  # fmt: skip
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def sample(number: int) -> np.ndarray:
    """An image of patches with noise."""
    random = np.random.default_rng([1, number])
    patches = np.kron(random.standard_normal((3, 14, 14)), np.ones((1, 16, 16)))
    return (patches + 0.3 * random.standard_normal((3, SIDE, SIDE))).astype(np.float32)


if __name__ == "__main__":
    path, folder = map(Path, sys.argv[1:])
    onnx.save(_Builder().model(), path)
    folder.mkdir()
    for place in range(SAMPLES):
        np.savez(folder / f"{place:03d}.npz", x=sample(place)[None])
