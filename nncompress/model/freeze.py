"""Makes initializers that are also graph inputs, which callers may override since IR version 4, into constants."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from nncompress.model.model import Model

INITIALIZERS_FROM_IR = 4  # before, every initializer had to be a graph input, and none could be overridden


def may_be_overridden(model: Model, value: ir.Value) -> bool:
    """True if a caller may give this initializer other values."""
    return value.is_graph_input() and model.ir.ir_version >= INITIALIZERS_FROM_IR


def freeze_inputs(model: Model) -> int:
    """Takes initializers out of the inputs of the main graph, in place; returns how many. A caller can no longer
    give them other values. Models older than IR version 4 become IR 4, the first that allows it."""
    graph = model.ir.graph
    model.ir.ir_version = max(model.ir.ir_version, INITIALIZERS_FROM_IR)
    frozen = {name for value in graph.inputs if (name := value.name) in graph.initializers}
    if not frozen:
        return 0
    for value in [value for value in graph.inputs if value.name in frozen]:
        graph.inputs.remove(value)
    if model.interface is not None:
        interface = onnx.ModelProto.FromString(model.interface.SerializeToString())
        inputs = [info for info in model.interface.graph.input if info.name not in frozen]
        del interface.graph.input[:]
        interface.graph.input.extend(inputs)
        model.interface = interface
    return len(frozen)
