"""A small layer over onnx.helper: collects nodes and initializers and closes them into a model."""

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Both are pinned: onnx's defaults are newer than onnxruntime accepts.
OPSET = 17
IR_VERSION = 8

INPUTS = {
    "image": (TensorProto.FLOAT, ["batch", 1, 8, 8]),
    "tokens": (TensorProto.INT64, ["batch", 64]),
}


class GraphWriter:
    """Writes one graph from trained `weights` (parameter name to array).

    A node's first output is named `<node name>_output`; `output` renames it.
    """

    def __init__(self, weights: Mapping[str, np.ndarray]):
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def weight(self, name: str) -> str:
        """Makes the trained parameter `name` an initializer of the same name."""
        return self.constant(name, self.weights[name])

    def constant(self, name: str, values: np.ndarray) -> str:
        """Adds an initializer (once: a second use of the name shares the first) and returns its name."""
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def node(self, op_type: str, name: str, inputs: list[str], output: str = "", **attributes) -> str:
        """Adds a node with one output and returns the output's name."""
        output = output or f"{name}_output"
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=name, **attributes))
        return output

    def model(self, graph_name: str, input_name: str, description: str) -> onnx.ModelProto:
        """The finished model, checked with shape inference; its input is one of INPUTS, its output `logits`."""
        element_type, shape = INPUTS[input_name]
        graph = helper.make_graph(
            self.nodes,
            graph_name,
            [helper.make_tensor_value_info(input_name, element_type, shape)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
            list(self.initializers.values()),
            doc_string=description,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="nncompress sample_models",
        )
        onnx.checker.check_model(model, full_check=True)
        return model
