"""The sample networks as ONNX graphs, node by node in the way that exporters write them.

One function per architecture takes the trained weights, named as in train_networks.py.
"""

import math
from collections.abc import Mapping

import numpy as np
import onnx
from graph_writer import GraphWriter
from onnx import helper

Weights = Mapping[str, np.ndarray]
TRAINED_ON = "Trained on scikit-learn's load_digits (E. Alpaydin, C. Kaynak, UCI, CC BY 4.0). "


def write_mlp(weights: Weights, graph_name: str) -> onnx.ModelProto:
    """Flatten -> Gemm -> Relu -> Gemm -> Relu -> Gemm."""
    writer = GraphWriter(weights)
    x = writer.node("Flatten", "flatten", ["image"], axis=1)
    for layer in ("fc1", "fc2"):
        x = writer.node("Relu", f"{layer}_relu", [gemm(writer, layer, x)])
    gemm(writer, "fc3", x, output="logits")
    return writer.model(graph_name, "image", TRAINED_ON + "A multi-layer perceptron over pixels in 0..1.")


def write_cnn(weights: Weights) -> onnx.ModelProto:
    """Stem, residual block, depthwise and pointwise convolution; BatchNormalization stays a node."""
    writer = GraphWriter(weights)
    stem = relu(writer, "stem", conv_norm(writer, "stem", "image", kernel=3))
    branch = relu(writer, "residual1", conv_norm(writer, "residual1", stem, kernel=3))
    branch = conv_norm(writer, "residual2", branch, kernel=3)
    joined = relu(writer, "residual", writer.node("Add", "residual_add", [stem, branch]))
    channels = weights["depthwise.weight"].shape[0]
    x = relu(writer, "depthwise", conv_norm(writer, "depthwise", joined, kernel=3, stride=2, groups=channels))
    x = relu(writer, "pointwise", conv_norm(writer, "pointwise", x, kernel=1))
    x = writer.node("GlobalAveragePool", "pool", [x])
    x = writer.node("Flatten", "flatten", [x], axis=1)
    gemm(writer, "classifier", x, output="logits")
    return writer.model("digits_cnn", "image", TRAINED_ON + "A residual convolutional network over pixels in 0..1.")


def write_lstm(weights: Weights) -> onnx.ModelProto:
    """The 8 rows as a sequence [8, batch, 8] -> LSTM -> last hidden state -> Gemm."""
    writer = GraphWriter(weights)
    channel_axis = writer.constant("channel_axis", np.array([1], np.int64))
    rows = writer.node("Squeeze", "drop_channel", ["image", channel_axis])
    rows = writer.node("Transpose", "rows_first", [rows], perm=[1, 0, 2])
    biases = np.concatenate([onnx_gates(weights[f"lstm.bias_{part}_l0"]) for part in ("ih", "hh")])
    parameters = [
        writer.constant("lstm.input_weight", onnx_gates(weights["lstm.weight_ih_l0"])[np.newaxis]),
        writer.constant("lstm.recurrent_weight", onnx_gates(weights["lstm.weight_hh_l0"])[np.newaxis]),
        writer.constant("lstm.bias", biases[np.newaxis]),
    ]
    outputs = ["", "lstm_last_hidden"]  # Y is left out; Y_h is [1, batch, hidden]
    hidden_size = weights["lstm.weight_hh_l0"].shape[1]
    writer.nodes.append(helper.make_node("LSTM", [rows, *parameters], outputs, name="lstm", hidden_size=hidden_size))
    direction_axis = writer.constant("direction_axis", np.array([0], np.int64))
    hidden = writer.node("Squeeze", "drop_direction", ["lstm_last_hidden", direction_axis])
    gemm(writer, "classifier", hidden, output="logits")
    return writer.model("digits_lstm", "image", TRAINED_ON + "An LSTM over image rows, pixels in 0..1.")


def write_transformer(weights: Weights, heads: int) -> onnx.ModelProto:
    """Embedding Gather -> pre-norm encoder blocks -> mean over tokens -> Gemm."""
    writer = GraphWriter(weights)
    x = writer.node("Gather", "token_embedding", [writer.weight("token_embedding.weight"), "tokens"], axis=0)
    x = writer.node("Add", "position_embedding", [x, writer.weight("position_embedding")])
    blocks = {name.split(".")[1] for name in weights if name.startswith("blocks.")}
    for block in sorted(blocks, key=int):
        x = attention(writer, f"blocks.{block}", x, heads)
        x = feed_forward(writer, f"blocks.{block}", x)
    x = layer_norm(writer, "final_norm", x)
    x = writer.node("ReduceMean", "mean_pool", [x], axes=[1], keepdims=0)
    gemm(writer, "classifier", x, output="logits")
    return writer.model(
        "digits_transformer", "tokens", TRAINED_ON + "A transformer encoder; a token is a pixel, 0..16."
    )


def gemm(writer: GraphWriter, layer: str, x: str, output: str = "") -> str:
    """x @ weight.T + bias with the weight kept as [out, in]."""
    return writer.node(
        "Gemm", layer, [x, writer.weight(f"{layer}.weight"), writer.weight(f"{layer}.bias")], output, transB=1
    )


def relu(writer: GraphWriter, layer: str, x: str) -> str:
    """Relu after `layer`, any shape."""
    return writer.node("Relu", f"{layer}_relu", [x])


def conv_norm(writer: GraphWriter, layer: str, x: str, kernel: int, stride: int = 1, groups: int = 1) -> str:
    """A bias-free Conv with "same" padding, then BatchNormalization with running statistics."""
    x = writer.node(
        "Conv",
        layer,
        [x, writer.weight(f"{layer}.weight")],
        kernel_shape=[kernel, kernel],
        pads=[kernel // 2] * 4,
        strides=[stride, stride],
        group=groups,
    )
    statistics = [writer.weight(f"{layer}_norm.{name}") for name in ("weight", "bias", "running_mean", "running_var")]
    return writer.node("BatchNormalization", f"{layer}_norm", [x, *statistics], epsilon=1e-5)


def onnx_gates(values: np.ndarray) -> np.ndarray:
    """Reorders stacked LSTM gates [4 * hidden, ...] from torch's i, f, g, o to ONNX's i, o, f, g."""
    i, f, g, o = np.split(values, 4)
    return np.concatenate([i, o, f, g])


def attention(writer: GraphWriter, block: str, x: str, heads: int) -> str:
    """x + project(softmax(q @ k.T / sqrt(head width)) @ v), all on [batch, 64, width] and [batch, heads, 64, ...]."""
    width = writer.weights[f"{block}.query.weight"].shape[0]
    normed = layer_norm(writer, f"{block}.norm1", x)
    query = split_heads(writer, f"{block}.query", linear(writer, f"{block}.query", normed), heads, [0, 2, 1, 3])
    key = split_heads(writer, f"{block}.key", linear(writer, f"{block}.key", normed), heads, [0, 2, 3, 1])
    value = split_heads(writer, f"{block}.value", linear(writer, f"{block}.value", normed), heads, [0, 2, 1, 3])
    scores = writer.node("MatMul", f"{block}.scores", [query, key])
    root = writer.constant("attention.sqrt_head_width", np.array(math.sqrt(width / heads), np.float32))
    scaled = writer.node("Div", f"{block}.scaled_scores", [scores, root])
    shares = writer.node("Softmax", f"{block}.softmax", [scaled], axis=-1)
    mixed = writer.node("MatMul", f"{block}.mix", [shares, value])
    mixed = writer.node("Transpose", f"{block}.heads_last", [mixed], perm=[0, 2, 1, 3])
    merged_shape = writer.constant("attention.merged_shape", np.array([0, 0, width], np.int64))
    merged = writer.node("Reshape", f"{block}.merge_heads", [mixed, merged_shape])
    projected = linear(writer, f"{block}.project", merged)
    return writer.node("Add", f"{block}.attention_residual", [x, projected])


def split_heads(writer: GraphWriter, layer: str, x: str, heads: int, order: list[int]) -> str:
    """[batch, 64, width] -> [batch, 64, heads, width / heads], transposed by `order`."""
    shape = writer.constant("attention.split_shape", np.array([0, 0, heads, -1], np.int64))
    split = writer.node("Reshape", f"{layer}_split_heads", [x, shape])
    return writer.node("Transpose", f"{layer}_transpose", [split], perm=order)


def feed_forward(writer: GraphWriter, block: str, x: str) -> str:
    """x + contract(gelu(expand(norm(x))))."""
    expanded = linear(writer, f"{block}.expand", layer_norm(writer, f"{block}.norm2", x))
    contracted = linear(writer, f"{block}.contract", gelu(writer, block, expanded))
    return writer.node("Add", f"{block}.feed_forward_residual", [x, contracted])


def gelu(writer: GraphWriter, block: str, x: str) -> str:
    """x * (1 + erf(x / sqrt(2))) * 0.5, spelt out because opset 17 has no Gelu."""
    root, one, half = (
        writer.constant(f"gelu.{name}", np.array(value, np.float32))
        for name, value in (("sqrt_two", math.sqrt(2)), ("one", 1.0), ("half", 0.5))
    )
    scaled = writer.node("Div", f"{block}.gelu_div", [x, root])
    shifted = writer.node("Add", f"{block}.gelu_add", [writer.node("Erf", f"{block}.gelu_erf", [scaled]), one])
    product = writer.node("Mul", f"{block}.gelu_mul", [x, shifted])
    return writer.node("Mul", f"{block}.gelu", [product, half])


def linear(writer: GraphWriter, layer: str, x: str) -> str:
    """MatMul and Add on activations [batch, 64, in]; MatMul has no transB, so the weight is stored as [in, out]."""
    weight = writer.constant(f"{layer}.weight", writer.weights[f"{layer}.weight"].T)
    product = writer.node("MatMul", f"{layer}_matmul", [x, weight])
    return writer.node("Add", f"{layer}_add", [product, writer.weight(f"{layer}.bias")])


def layer_norm(writer: GraphWriter, layer: str, x: str) -> str:
    """LayerNormalization over the last axis, with torch's default epsilon."""
    scale_and_bias = [writer.weight(f"{layer}.weight"), writer.weight(f"{layer}.bias")]
    return writer.node("LayerNormalization", layer, [x, *scale_and_bias], axis=-1, epsilon=1e-5)
