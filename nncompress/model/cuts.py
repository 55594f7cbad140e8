"""How the data of a weight becomes rows, and the weight a matrix that they are multiplied by.

    operator         matrix [groups, outputs, inputs]        a row of the data
    Conv             [g, M/g, C/g k...]                      the patch under the kernel at one result
    ConvTranspose    [g, M/g, C/g k...]                      the same with zeros between positions, taps turned round
    Gemm, MatMul     [1, N, K]                               a row or column
    LSTM GRU RNN     [1, D gates H, I], input weights        the input of one step
                     [D, gates H, H], recurrent weights      the states before a step, which are results of the node

The result at a place is matrix @ row, but for the bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nncompress.model.multiplied import Data, data_of
from nncompress.model.node_attributes import int_of, ints_of, text_of
from nncompress.model.weights import Use, Weight
from nncompress.numerics.rows import AlongAxis, Cut, InBlocks, Patches, StatesBefore

_RECURRENT = 2  # operand of the recurrent weights
_REVERSE = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


@dataclass(frozen=True)
class MatrixView:
    """A weight reshaped to `split`, its axes in `order`, as [groups, outputs, inputs]."""

    split: tuple[int, ...]
    order: tuple[int, ...]
    shape: tuple[int, int, int]

    def of(self, array: np.ndarray) -> np.ndarray:
        """An array that broadcasts against nothing else: of as many elements as the weight."""
        return np.ascontiguousarray(array.reshape(self.split).transpose(self.order)).reshape(self.shape)

    def in_blocks(self, axis: int, blocks: int) -> MatrixView:
        """Of one group the same with blocks of inputs as groups: `axis` of `split` is the first along which inputs are
        numbered."""
        split = (*self.split[:axis], blocks, self.split[axis] // blocks, *self.split[axis + 1 :])
        moved = [other + (other > axis) for other in self.order]
        order = (axis, *(other + (other == axis) for other in moved))
        _, outputs, inputs = self.shape
        return MatrixView(split, order, (blocks, outputs, inputs // blocks))

    def undone(self, matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The weight of that shape again."""
        moved = matrix.reshape([self.split[axis] for axis in self.order])
        return np.ascontiguousarray(moved.transpose(np.argsort(self.order))).reshape(shape)


@dataclass(frozen=True)
class Product:
    """Where a weight is multiplied by data, row by row."""

    data: Data
    cut: Cut
    view: MatrixView

    @property
    def recurs(self) -> bool:
        """True where the data are results of the node that reads the weight."""
        return isinstance(self.cut, StatesBefore)


def product_of(weight: Weight, use: Use, most_inputs: int | None = None) -> Product | str:
    """How the node multiplies; or why that cannot be said. With more inputs than `most_inputs`, blocks of them are a
    group each: what those have to do with each other is left out."""
    product = _product(weight, use)
    if isinstance(product, str) or most_inputs is None or product.view.shape[2] <= most_inputs:
        return product
    view, axis = product.view, 1 if use.op in ("Conv", "ConvTranspose") else use.contraction_axes[0]
    length, inputs = view.split[axis], view.shape[2]
    blocks = next((n for n in range(2, length + 1) if length % n == 0 and inputs // n <= most_inputs), None)
    if view.shape[0] != 1 or blocks is None:
        return f"it has {inputs} inputs, which is too many"
    return Product(product.data, InBlocks(product.cut, blocks), view.in_blocks(axis, blocks))


def _product(weight: Weight, use: Use) -> Product | str:
    if use.kind == "recurrent" and use.index == _RECURRENT:
        return _recurrent(weight, use)
    data = data_of(use)
    if data is None:
        if use.kind == "table":
            return "it is looked up"
        return f"{use.op} multiplies it by nothing that can be looked at"
    if use.op in ("Conv", "ConvTranspose"):
        return _convolved(weight, use, data)
    if len(use.contraction_axes) != 1:
        return f"{use.op} sums over more than one axis of it"
    axis = use.contraction_axes[0]
    shape = weight.shape
    if use.op == "MatMul" and len(shape) > 2:
        return "it is a stack of matrices, each for data of its own"
    rest = [other for other in range(len(shape)) if other != axis]
    view = MatrixView(shape, (*rest, axis), (1, math.prod(shape[other] for other in rest), shape[axis]))
    return Product(data, AlongAxis(data.axis), view)


def _recurrent(weight: Weight, use: Use) -> Product | str:
    node, states = use.node, use.node.outputs[0]
    turned = _REVERSE.get(text_of(node, "direction") or "forward")
    if not use.direct or turned is None or int_of(node, "layout", 0) != 0 or len(weight.shape) != 3:
        return "its recurrence is not known in full"
    if not states.name:
        return f"the states of the {use.op} have no name"
    if use.op == "GRU" and not int_of(node, "linear_before_reset", 0):
        return "the reset gate changes the states before they are multiplied by it"
    return Product(Data(states, -1), StatesBefore(turned), MatrixView(weight.shape, (0, 1, 2), weight.shape))


def _convolved(weight: Weight, use: Use, data: Data) -> Product | str:
    node, shape = use.node, weight.shape
    rank = len(shape) - 2
    groups, kind = int_of(node, "group", 1), text_of(node, "auto_pad")
    lists = [ints_of(node, name) for name in ("strides", "dilations", "pads", "output_padding", "output_shape")]
    if not use.direct or rank < 1 or groups is None or kind is None or any(each is None for each in lists):
        return "its convolution is not known in full"
    strides, dilations, pads, more, wanted = (tuple(each or ()) for each in lists)
    strides, dilations, pads = strides or (1,) * rank, dilations or (1,) * rank, pads or (0,) * 2 * rank
    kernel = shape[2:]
    if {len(strides), len(dilations), len(pads) // 2} != {rank} or shape[0] % groups:
        return "its convolution is not known in full"
    around = tuple(zip(pads[:rank], pads[rank:], strict=True))
    taps = math.prod(kernel)
    if use.op == "Conv":
        same = kind in ("SAME_UPPER", "SAME_LOWER")
        around = ((0, 0),) * rank if kind == "VALID" else around
        cut = Patches(kernel, strides, dilations, None if same else around, kind == "SAME_LOWER", groups)
        inputs = shape[1] * taps
        return Product(data, cut, MatrixView(shape, tuple(range(rank + 2)), (groups, shape[0] // groups, inputs)))
    if kind not in ("", "NOTSET") or wanted:
        return "how far its transposed convolution reaches is computed"
    more = more or (0,) * rank
    reach = [(k - 1) * step for k, step in zip(kernel, dilations, strict=True)]
    turned = tuple(
        (far - first, far - last + behind) for far, (first, last), behind in zip(reach, around, more, strict=True)
    )
    cut = Patches(kernel, (1,) * rank, dilations, turned, False, groups, strides, flipped=True)
    split = (groups, shape[0] // groups, shape[1], taps)
    return Product(data, cut, MatrixView(split, (0, 2, 1, 3), (groups, shape[1], shape[0] // groups * taps)))
