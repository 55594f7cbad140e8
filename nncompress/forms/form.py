"""What a form is: how an encoding is stored in a graph, for which readers, and in how many bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol, TypeVar

from nncompress.forms.layouts import Layout, Payload
from nncompress.model.edit import Editor
from nncompress.model.encoding import preferred_form
from nncompress.model.weights import Weight

Target = Literal["portable", "ort"]
PORTABLE: frozenset[Target] = frozenset({"portable", "ort"})
DEFAULT_FORM = "folded"


@dataclass(frozen=True)
class Storing:
    """What a run asks of how its result is stored."""

    opset: int  # of the model
    form: str = DEFAULT_FORM  # taken wherever it can hold a weight
    target: Target = "portable"  # ort: operators of com.microsoft are allowed
    keep_metadata: bool = False  # what exporters wrote for debugging, however large

    def of(self, weight: Weight) -> Storing:
        """What is asked of how this weight is stored: a pass may prefer a form for it."""
        form = preferred_form(weight.value)
        return self if form is None else replace(self, form=form)

    @property
    def takes_plain_scales(self) -> bool:
        """True where the form that is asked for has no place for zero points and scales of other types: TensorRT and
        others take no zero points of weights either."""
        return self.form in ("dequantize", "integer")

    @property
    def takes_input_scales(self) -> bool:
        """False where a second scale would have to be multiplied into activations."""
        return self.form != "integer"


E = TypeVar("E", contravariant=True)


class Form(Protocol[E]):
    """One way to store an encoding of type E, which is what it `holds`."""

    name: ClassVar[str]
    holds: ClassVar[type]
    on_request: ClassVar[bool]  # only where a run asks for it by name; otherwise wherever it is the cheapest
    least_opset: ClassVar[int]
    targets: ClassVar[frozenset[Target]]  # for which its operators are allowed
    decoded_at_load: ClassVar[bool]  # onnxruntime computes the floats once, when a session is made

    def obstacle(self, weight: Weight, encoded: E, storing: Storing) -> str | None:
        """Why it cannot hold the weight; None if it can."""
        ...

    def payload(self, weight: Weight, encoded: E) -> Payload:
        """The large array, for which the cheapest layout is looked for."""
        ...

    def size_bytes(self, weight: Weight, encoded: E, layout: Layout, opset: int) -> int:
        """Bytes of tensor data of everything that `write` adds, exactly."""
        ...

    def node_bytes(self, encoded: E, opset: int) -> int:
        """Nodes, names and headers besides tensor data and the layout's; measured, rounded up."""
        ...

    def write(self, editor: Editor, weight: Weight, encoded: E, layout: Layout) -> None:
        """Puts constants and nodes in the place of the weight."""
        ...
