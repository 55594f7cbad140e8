"""Form `dense`: pruned values as they are, in whatever layout is smallest; unpacked at load."""

from __future__ import annotations

from typing import ClassVar

from nncompress.forms.form import PORTABLE, Storing, Target
from nncompress.forms.layouts import Layout, Payload
from nncompress.model.edit import Editor, put_in_place
from nncompress.model.encoding import set_values
from nncompress.model.weights import Weight
from nncompress.numerics.sparse import Pruned


class Dense:
    """See the module."""

    name: ClassVar[str] = "dense"
    holds: ClassVar[type] = Pruned
    on_request: ClassVar[bool] = False
    least_opset: ClassVar[int] = 7
    targets: ClassVar[frozenset[Target]] = PORTABLE
    decoded_at_load: ClassVar[bool] = False

    def obstacle(self, weight: Weight, pruned: Pruned, storing: Storing) -> str | None:
        return None

    def payload(self, weight: Weight, pruned: Pruned) -> Payload:
        return Payload(pruned.values, pruned.shape, weight.dtype.numpy(), pruned.nonzeros)

    def size_bytes(self, weight: Weight, pruned: Pruned, layout: Layout, opset: int) -> int:
        return layout.size_bytes

    def node_bytes(self, pruned: Pruned, opset: int) -> int:
        return 0

    def write(self, editor: Editor, weight: Weight, pruned: Pruned, layout: Layout) -> None:
        if layout.name == "dense":
            set_values(weight, weight.tensor)
            return
        draft = editor.draft()
        put_in_place(editor.model, weight, draft, layout.draft(draft))
