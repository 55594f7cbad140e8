"""Channels that can be removed together: which constants hold something for each, and how some of them are left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from nncompress.model.constants import constant_of, constant_tensor, integers_in
from nncompress.model.edit import Draft, Names, drop_if_unread, home_of, insert_before
from nncompress.model.encoding import set_constant
from nncompress.model.lineage import note_thinned
from nncompress.model.model import Model
from nncompress.model.readers import is_read_once


@dataclass(frozen=True)
class Holder:
    """An operand that is a constant: along `axis` it has all channels `outer` times, `run` numbers in a row each."""

    node: ir.Node
    index: int
    axis: int
    run: int = 1
    outer: int = 1

    @property
    def value(self) -> ir.Value:
        value = self.node.inputs[self.index]
        assert value is not None, "a constant is there"
        return value

    def places(self, kept: np.ndarray, channels: int) -> np.ndarray:
        """Those of some channels along the axis."""
        blocks = np.arange(self.outer)[:, None, None] * (channels * self.run)
        places: np.ndarray = (blocks + kept[None, :, None] * self.run + np.arange(self.run)).reshape(-1)
        return places

    def array(self) -> np.ndarray:
        """The constant."""
        tensor = constant_tensor(self.value)
        assert tensor is not None, "a holder is a constant"
        return np.asarray(tensor.numpy())


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that can be removed together."""

    channels: int
    makers: tuple[Holder, ...]  # weights
    readers: tuple[Holder, ...]  # weights
    others: tuple[Holder, ...]
    values: tuple[ir.Value, ...]  # that have the channels
    separate: tuple[ir.Node, ...]  # convolutions with as many groups
    recurrent: tuple[ir.Node, ...]  # of which they are the states
    starts: tuple[Holder, ...]  # that are no constants, and the same number for each channel
    sizes: tuple[Holder, ...]  # shapes with the size of all channels at the place `axis`


def keep_channels(model: Model, group: ChannelGroup, kept: np.ndarray, names: Names) -> None:
    """Removes all channels but those, by number."""
    for holder in (*group.makers, *group.others, *group.readers):
        places = holder.places(kept, group.channels)
        _give(model, holder, np.take(holder.array(), places, axis=holder.axis), names)
    for holder in group.sizes:
        sizes = integers_in(constant_of(holder.value))
        assert sizes is not None, "it has been read before"
        sizes[holder.axis] = len(kept) * holder.run * holder.outer
        _give(model, holder, np.array(sizes, np.int64), names)
    for node in group.separate:
        node.attributes["group"] = ir.AttrInt64("group", len(kept))
    for node in group.recurrent:
        node.attributes["hidden_size"] = ir.AttrInt64("hidden_size", len(kept))
    for holder in group.starts:
        draft = Draft(names)
        ends = [draft.constant(np.array([number]), "kept") for number in (0, len(kept), holder.axis)]
        first = draft.node("Slice", [holder.value, *ends])
        holder.node.replace_input_with(holder.index, first)
        insert_before(model, home_of(holder.node), draft, holder.node)
    for value in group.values:
        note_thinned(value)
        producer = value.producer()
        for result in (value,) if producer is None else producer.outputs:
            result.shape = None


def _give(model: Model, holder: Holder, array: np.ndarray, names: Names) -> None:
    """Another constant to that node alone."""
    value = holder.value
    if is_read_once(value) and constant_tensor(value) is not None:
        set_constant(value, ir.Tensor(array))
        value.shape = ir.Shape(array.shape)
        return
    draft = Draft(names)
    holder.node.replace_input_with(holder.index, draft.constant(array, "kept"))
    insert_before(model, home_of(holder.node), draft, holder.node)
    drop_if_unread(value)
