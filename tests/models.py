"""Small models for the tests of the core, as ONNX text and arrays, and onnxruntime to run them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from nncompress.forms.form import Storing
from nncompress.model.model import Model
from nncompress.model.weights import Weight, find_weights
from nncompress.onnx_file.write import write
from nncompress.passes.context import Context
from nncompress.runtime.session import ort

FLOAT = TensorProto.FLOAT


def proto_of(body: str, *, opset: int = 17, ir_version: int = 8, **constants: np.ndarray) -> onnx.ModelProto:
    """A model from ONNX text without its header; `constants` become initializers of the main graph."""
    domains = f'["" : {opset}, "local" : 1]' if '"local"' in body or "local." in body else f'["" : {opset}]'
    proto = onnx.parser.parse_model(f"<ir_version: {ir_version}, opset_import: {domains}> {body}")
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    return proto


def model_of(body: str, *, opset: int = 17, ir_version: int = 8, **constants: np.ndarray) -> Model:
    """The same as a Model in memory."""
    return as_model(proto_of(body, opset=opset, ir_version=ir_version, **constants))


def as_model(proto: onnx.ModelProto) -> Model:
    """Shares nothing with `proto`."""
    return Model(ir.from_proto(onnx.ModelProto.FromString(proto.SerializeToString())))


def linear(weight: np.ndarray, *, opset: int = 17) -> Model:
    """y [N, n] = x [N, k] @ w [k, n], of the type of `weight`."""
    kind = {"float32": "float", "float16": "float16", "float64": "double", "bfloat16": "bfloat16"}[weight.dtype.name]
    k, n = weight.shape
    return model_of(f"g ({kind}[N,{k}] x) => ({kind}[N,{n}] y) {{ y = MatMul(x, w) }}", opset=opset, w=weight)


def saved(proto: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(proto.SerializeToString(deterministic=True))
    return path


def proto_from(model: Model) -> onnx.ModelProto:
    """The model as a message, its encodings decoded."""
    return ir.to_proto(model.ir)


def only_weight(model: Model) -> Weight:
    (weight,) = find_weights(model)
    return weight


def weight_named(model: Model, name: str) -> Weight:
    (weight,) = [weight for weight in find_weights(model) if weight.name == name]
    return weight


def noise(*shape: int, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    """Normal values."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def session(
    model: Model | onnx.ModelProto | Path, *, optimised: Path | None = None, exact: bool = False
) -> ort.InferenceSession:
    """Default options on one thread. `optimised`: where onnxruntime shall write what it made of the graph;
    `exact`: nothing rewritten, and so no integer arithmetic behind DequantizeLinear."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if exact:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if optimised is not None:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(optimised)
    source: str | bytes
    if isinstance(model, Path):
        source = str(model)
    else:
        source = (proto_from(model) if isinstance(model, Model) else model).SerializeToString()
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def run(model: Model | onnx.ModelProto | Path, **feed: np.ndarray) -> list[np.ndarray]:
    """All outputs."""
    return list(session(model).run(None, feed))


def file_of(model: Model, path: Path) -> Path:
    """Written as the product writes it."""
    write(model, path)
    return path


def dense_constant(name: str, array: np.ndarray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array))


def op_types(nodes: Iterable[onnx.NodeProto]) -> list[str]:
    return [node.op_type for node in nodes]


def constants_of(proto: onnx.ModelProto) -> Mapping[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


def context_for(model: Model) -> Context:
    """What a run with no special wishes lends to its passes."""
    return Context(Storing(model.opset))


CONTEXT = Context(Storing(opset=17))
