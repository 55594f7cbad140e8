"""The two ways to give a weight values: `set_values` plain ones, `attach` an encoding that rides on it.

An encoding rides between the pass that makes it and `store`, which writes it into the graph. Meanwhile the weight holds
the decoded values, computed when somebody asks: the graph is an ordinary float graph that computes what the result
will compute.
"""

from __future__ import annotations

import onnx_ir as ir

from nncompress.model.constants import forget_stored_bytes
from nncompress.model.tensors import lazy
from nncompress.model.weights import Weight
from nncompress.numerics.encoded import Encoded

_KEY, _FORM, _PACKS = "nncompress.encoded", "nncompress.preferred-form", "nncompress.packs"
_FLOATS = "nncompress.as-floats"


def attach(weight: Weight, encoded: Encoded) -> None:
    """From now on the weight has the values that `encoded` decodes to, and will be stored as it."""
    dtype, shape = weight.dtype, weight.shape
    set_values(weight, lazy(lambda: encoded.decode().astype(dtype.numpy(), copy=False), dtype, shape, weight.name))
    weight.value.meta[_KEY] = encoded


def set_values(weight: Weight, tensor: ir.TensorProtocol) -> None:
    """Other values, in the same place and under the same name. An encoding that rode on the weight is dropped: it
    would be stored in their stead."""
    set_constant(weight.value, tensor)


def set_constant(value: ir.Value, tensor: ir.TensorProtocol) -> None:
    """The same for a constant that need not be a weight."""
    value.meta.pop(_KEY, None)
    tensor.name = value.name
    forget_stored_bytes(value)
    producer = value.producer()
    if producer is None:
        value.const_value = tensor
    else:
        producer.attributes.clear()
        producer.attributes["value"] = ir.AttrTensor("value", tensor)


def encoded_of(weight: Weight) -> Encoded | None:
    """What rides on the weight; None for plain values."""
    return riding_on(weight.value)


def riding_on(value: ir.Value) -> Encoded | None:
    """The same for any value."""
    encoded: Encoded | None = value.meta.get(_KEY)
    return encoded


def prefer_form(value: ir.Value, form: str, *, packs: bool = True) -> None:
    """The weight is to be stored in `form` wherever that can hold it, whatever the run asks for. `packs`: in fewer bits
    than kernels read, with other nodes in between."""
    value.meta[_FORM], value.meta[_PACKS] = form, packs


def preferred_form(value: ir.Value) -> str | None:
    """The form that a pass wants for the weight; None: that of the run."""
    form: str | None = value.meta.get(_FORM)
    return form


def is_whole(value: ir.Value) -> bool:
    """True where a pass wants a form for the weight in which kernels read its codes as they lie there."""
    return preferred_form(value) is not None and not value.meta[_PACKS]


def packs_for(value: ir.Value, form: str) -> bool:
    """True where a pass wants `form` for the weight, and lets its codes be packed."""
    return preferred_form(value) == form and bool(value.meta[_PACKS])


def hold_as_floats(value: ir.Value, wanted: bool = True) -> None:
    """Whether a session is to hold the weight as floats, unpacked once, a table that is looked up as well."""
    value.meta[_FLOATS] = wanted


def is_held_as_floats(value: ir.Value) -> bool:
    """True where a pass wants that."""
    return bool(value.meta.get(_FLOATS, False))
