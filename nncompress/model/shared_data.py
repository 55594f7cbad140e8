"""Data by which several weights are multiplied, and how their channels are scaled so that the products stay the same.

    what is in front (see scales_before.py)      / s
    x                                            Mul(x, 1 / s), for the products alone
    inputs of the weights                        * s

The Mul where something else reads x, such as a residual connection, or nothing in front scales it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.edit import Draft, Names, insert_behind
from nncompress.model.encoding import set_values
from nncompress.model.lineage import note_scaled
from nncompress.model.model import INSIDE, Model
from nncompress.model.multiplied import Data, data_of, spread
from nncompress.model.node_attributes import int_of
from nncompress.model.scales_before import Place, divide, places_before
from nncompress.model.weights import Weight

_NO_OPERAND = "it is not only the second operand of Conv, MatMul and Gemm"


@dataclass(frozen=True)
class SharedData:
    """A value and the weights that it is multiplied by, which nothing else is."""

    data: Data  # axis 1 (Conv) or -1
    weights: tuple[Weight, ...]
    places: tuple[Place, ...]  # what can be divided in front of it; (): nothing

    @property
    def channels(self) -> int:
        return _channels(self.weights[0])

    @property
    def takes_mul(self) -> bool:
        """True where nothing but a Mul behind it can divide it."""
        return not self.places

    def by_group(self) -> list[np.ndarray]:
        """The weights as [groups, channels of a group, positions, outputs of a group]."""
        return [_by_group(weight) for weight in self.weights]


def find_shared_data(model: Model, weights: Sequence[Weight]) -> tuple[list[SharedData], dict[str, str]]:
    """Those of `weights`, and the reasons why others have none, by name."""
    groups: dict[Data, list[Weight]] = {}
    reasons: dict[str, str] = {}
    for weight in weights:
        data = _data_of(model, weight)
        if isinstance(data, str):
            reasons[weight.name] = data
        else:
            groups.setdefault(data, []).append(weight)
    return [_shared(data, members) for data, members in groups.items()], reasons


def move_scales(model: Model, shared: SharedData, factor: np.ndarray, names: Names) -> None:
    """Divides the channels of the data by `factor`, float32 [channels], and multiplies inputs of the weights by it."""
    for place in shared.places:
        divide(model, place, factor, names)
    if shared.takes_mul:
        _divide_behind(model, shared, factor, names)
    for weight in shared.weights:
        along = spread(factor, weight, weight.uses[0])
        assert along is not None, "the channels are those of the weight"
        set_values(weight, ir.Tensor((weight.array() * along).astype(np.float32)))
        note_scaled(weight.value, along)


def _data_of(model: Model, weight: Weight) -> Data | str:
    """What alone it is multiplied by; or why that cannot be scaled."""
    if weight.dtype != ir.DataType.FLOAT:
        return "it is no float32"
    if len(weight.value.uses()) != len(weight.uses) or not all(use.direct and use.index == 1 for use in weight.uses):
        return _NO_OPERAND
    if any(use.node.graph is not model.ir.graph for use in weight.uses):
        return f"{INSIDE}: calibration does not go there"
    found = {_ahead(data_of(use)) for use in weight.uses}
    if len(found) > 1 or len({use.contraction_axes for use in weight.uses}) > 1:
        return "it is multiplied by several values"
    (data,), use = found, weight.uses[0]
    turned = use.op == "Gemm" and int_of(use.node, "transA", 0) != 0
    matrix = len(weight.shape) == 2 and use.op in ("MatMul", "Gemm") and not turned
    if data is None or not (matrix or use.op == "Conv"):
        return _NO_OPERAND
    return data if spread(np.ones(_channels(weight)), weight, use) is not None else _NO_OPERAND


def _ahead(data: Data | None) -> Data | None:
    """The same with its last axis counted alike for Gemm and MatMul."""
    if data is None:
        return None
    of_gemm = {use.node.op_type for use in data.value.uses()} & {"Gemm"}
    return Data(data.value, -1) if data.axis == 1 and of_gemm else data


def _channels(weight: Weight) -> int:
    use = weight.uses[0]
    if use.op == "Conv":
        return weight.shape[1] * (int_of(use.node, "group", 1) or 1)
    return weight.shape[use.contraction_axes[0]]


def _by_group(weight: Weight) -> np.ndarray:
    use, array = weight.uses[0], weight.array()
    if use.op != "Conv":
        rows = np.moveaxis(array, use.contraction_axes[0], 0)
        return rows[None, :, None, :]
    groups = int_of(use.node, "group", 1) or 1
    outputs, inputs = weight.shape[:2]
    return array.reshape(groups, outputs // groups, inputs, -1).transpose(0, 2, 3, 1)


def _shared(data: Data, weights: list[Weight]) -> SharedData:
    readers = {id(use.node) for weight in weights for use in weight.uses}
    value = data.value
    alone = all(id(use.node) in readers and use.idx == 0 for use in value.uses()) and not value.is_graph_output()
    places = places_before(value, data.axis, _channels(weights[0])) if alone else ()
    return SharedData(data, tuple(weights), places)


def _divide_behind(model: Model, shared: SharedData, factor: np.ndarray, names: Names) -> None:
    """The data by `factor`, for the products alone."""
    value, draft = shared.data.value, Draft(names)
    divided = draft.node("Mul", [value, draft.constant(1 / factor, "scale")])
    divided.type, divided.shape = value.type, value.shape
    insert_behind(model, model.ir.graph, draft, value)
    for node in dict.fromkeys(use.node for weight in shared.weights for use in weight.uses):
        node.replace_input_with(0, divided)
