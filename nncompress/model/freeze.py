"""Makes initializers that are also graph inputs, which callers may override since IR version 4, into constants."""

from __future__ import annotations

import onnx

from nncompress.model.constants import find_constants
from nncompress.model.model import Model

INITIALIZERS_FROM_IR = 4  # before, every initializer had to be a graph input, and none could be overridden
_LEAST = 256  # elements; for less, the list of inputs that programs read from an old file stays as it is
_LEAST_OTHER = 64  # elements of a constant that is no input, in whose place initializers would come


def lists_constants(model: Model) -> bool:
    """True for an old model whose initializers are among its inputs only because they had to be, and large enough; or
    that has other constants, of which no initializer could be made as things are."""
    if model.ir.ir_version >= INITIALIZERS_FROM_IR:
        return False
    for value, tensor, _ in find_constants(model):
        least = _LEAST if value.is_graph_input() else 0 if value.is_initializer() else _LEAST_OTHER
        if tensor.size >= least:
            return True
    return False


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
