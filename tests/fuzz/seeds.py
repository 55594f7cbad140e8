"""The models that fuzzing starts from: small, and between them every way in which a weight can lie in a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.models import dense_constant, noise, proto_of
from tests.support import SAMPLES


@dataclass(frozen=True)
class Seed:
    """A valid model and its external data files by name."""

    name: str
    proto: onnx.ModelProto
    data: dict[str, bytes] = field(default_factory=dict)


def perceptron() -> onnx.ModelProto:
    body = "g (float[N,16] x) => (float[N,10] y) { h = Gemm<transB=1>(x, w, b) r = Relu(h) y = MatMul(r, v) }"
    return proto_of(body, w=noise(24, 16), b=noise(24), v=noise(24, 10))


def convolutions() -> onnx.ModelProto:
    body = (
        "g (float[N,3,8,8] x) => (float[N,4,8,8] y) { a = Conv<pads=[1,1,1,1]>(x, w)"
        " n = BatchNormalization(a, s, b, m, q) r = Relu(n) c = Conv(r, v) d = Conv<group=8, pads=[1,1,1,1]>(r, g0)"
        " e = ConvTranspose(d, t) y = Add(c, e) }"
    )
    return proto_of(
        body, w=noise(8, 3, 3, 3), v=noise(4, 8, 1, 1), g0=noise(8, 1, 3, 3), t=noise(8, 4, 1, 1),
        s=np.ones(8, np.float32), b=noise(8), m=noise(8), q=np.ones(8, np.float32),
    )  # fmt: skip


def recurrent() -> onnx.ModelProto:
    body = "g (float[5,N,8] x) => (float[5,1,N,6] y) { y = LSTM<hidden_size=6>(x, w, r, b) }"
    return proto_of(body, w=noise(1, 24, 8), r=noise(1, 24, 6), b=noise(1, 48))


def attention() -> onnx.ModelProto:
    body = (
        "g (int64[N,7] tokens) => (float[N,7,30] y) { e = Gather(table, tokens) q = MatMul(e, wq) k = MatMul(e, wk)"
        " t = Transpose<perm=[0,2,1]>(k) s = MatMul(q, t) p = Softmax<axis=-1>(s) o = MatMul(p, e)"
        " z = Einsum<equation=\"abc,cd->abd\">(o, we) back = Transpose(table) y = MatMul(z, back) }"
    )  # fmt: skip
    return proto_of(body, table=noise(30, 12), wq=noise(12, 12), wk=noise(12, 12), we=noise(12, 12))


def branches() -> onnx.ModelProto:
    body = (
        "g (bool c, float[2,8] x) => (float[2,m] y) { y = If(c) <"
        "then_branch = t () => (float[2,m] a) { a = MatMul(x, v) }, "
        "else_branch = e () => (float[2,m] b) { b = MatMul(x, outer) }> }"
    )
    proto = proto_of(body, outer=noise(8, 12))
    proto.graph.node[0].attribute[0].g.node.insert(0, dense_constant("v", noise(8, 12, seed=1)))
    return proto


def functions() -> onnx.ModelProto:
    text = (
        '<ir_version: 8, opset_import: ["" : 17, "local" : 1]> g (float[N,8] x) => (float[N,8] y)'
        ' { a = local.layer(x, w) y = local.layer(a, w) } <domain: "local", opset_import: ["" : 17]>'
        " layer (x, w) => (y) { h = MatMul(x, w) y = Relu(h) }"
    )
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(numpy_helper.from_array(noise(8, 8), "w"))
    proto.functions[0].node.insert(0, dense_constant("inner", noise(8, 8, seed=2)))
    proto.functions[0].node.append(helper.make_node("MatMul", ["h", "inner"], ["unused"]))
    return proto


def constants() -> onnx.ModelProto:
    """Weights in Constant nodes, behind nodes that rearrange them, in typed fields and as half floats."""
    body = (
        "g (float16[N,8] x) => (float16[N,6] y) { t = Transpose(c) a = MatMul(x, t) k = Concat<axis=1>(p, q)"
        " f = Cast<to=10>(k) s = Reshape(f, shape) y = Gemm(a, s) }"
    )
    shape = np.array([8, 6], np.int64)
    proto = proto_of(body, p=noise(8, 3), q=noise(8, 3, seed=1), shape=shape)
    proto.graph.node.insert(0, dense_constant("c", noise(8, 8, dtype=np.float16)))
    proto.graph.initializer[0].CopyFrom(helper.make_tensor("p", TensorProto.FLOAT, [8, 3], noise(24).tolist()))
    return proto


def overridable() -> onnx.ModelProto:
    body = "g (float[N,9] x, float[9,9] w) => (float[N,9] y) { a = MatMul(x, w) y = MatMul(a, v) }"
    proto = proto_of(body, opset=8, ir_version=3, w=noise(9, 9), v=noise(9, 9))
    proto.graph.input.append(helper.make_tensor_value_info("v", TensorProto.FLOAT, [9, 9]))
    return proto


def quantized() -> onnx.ModelProto:
    body = "g (float[N,8] x) => (float[N,8] y) { w = DequantizeLinear(c, s, z) a = MatMul(x, w) y = MatMul(a, v) }"
    codes = np.arange(64, dtype=np.int8).reshape(8, 8)
    return proto_of(body, c=codes, s=np.float32(0.1), z=np.int8(0), v=noise(8, 8))


def sparse() -> onnx.ModelProto:
    proto = proto_of("g (float[N,8] x) => (float[N,8] y) { y = MatMul(x, w) }")
    values = numpy_helper.from_array(noise(5), "w")
    indices = numpy_helper.from_array(np.array([1, 9, 20, 40, 63], np.int64), "places")
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [8, 8]))
    return proto


def loop() -> onnx.ModelProto:
    info = helper.make_tensor_value_info
    inputs = [info("i", TensorProto.INT64, []), info("on", TensorProto.BOOL, []), info("a0", TensorProto.FLOAT, [2, 8])]
    outputs = [info("go", TensorProto.BOOL, []), info("a1", TensorProto.FLOAT, [2, 8])]
    nodes = [helper.make_node("MatMul", ["a0", "w"], ["a1"]), helper.make_node("Identity", ["on"], ["go"])]
    body = helper.make_graph(nodes, "body", inputs, outputs, [numpy_helper.from_array(noise(8, 8), "w")])
    proto = proto_of("g (int64 count, float[2,8] x) => (float[2,8] y) { z = Relu(x) }")
    proto.graph.node.append(helper.make_node("Loop", ["count", "", "z"], ["y"], body=body))
    return proto


def sample(name: str) -> Callable[[], onnx.ModelProto]:
    return lambda: onnx.load(SAMPLES / name, load_external_data=False)


SMALL = (
    perceptron, convolutions, recurrent, attention, branches, functions, constants, overridable, quantized, sparse,
    loop,
)  # fmt: skip
LARGE = ("digits_mlp.onnx", "digits_cnn.onnx", "digits_lstm.onnx", "digits_transformer.onnx")


@cache
def small_seeds() -> tuple[Seed, ...]:
    """Each small model as it is, and two once more with external data."""
    made = [Seed(one.__name__, one()) for one in SMALL]
    return (*made, *(_with_data_file(seed) for seed in made if seed.name in ("perceptron", "branches")))


@cache
def sample_seeds() -> tuple[Seed, ...]:
    """The trained sample models, whole."""
    made = [Seed(name, sample(name)()) for name in LARGE]
    return (*made, Seed("digits_wide", sample("digits_wide/model.onnx")(), _wide_data()))


def _wide_data() -> dict[str, bytes]:
    return {"model.onnx.data": (SAMPLES / "digits_wide/model.onnx.data").read_bytes()}


def _with_data_file(seed: Seed) -> Seed:
    proto = onnx.ModelProto()
    proto.CopyFrom(seed.proto)
    data = b""
    for tensor in proto.graph.initializer:
        raw = tensor.raw_data
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "weights.bin"), ("offset", str(len(data))), ("length", str(len(raw)))):
            tensor.external_data.add(key=key, value=value)
        data += raw
    return Seed(f"{seed.name}, external", proto, {"weights.bin": data})
