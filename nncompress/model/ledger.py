"""Follows the bytes of every weight from the original file to the result, whatever passes make of it."""

from __future__ import annotations

import onnx_ir as ir

from nncompress.model.model import Model
from nncompress.model.origins import constant_tensor
from nncompress.model.weights import Weight, find_weights
from nncompress.report.record import LedgerLine, Outcome

_ORIGIN = "nncompress.origin"


class Ledger:
    """Opened on the model as loaded; `close` compares it with the model after all passes and `store`."""

    def __init__(self, model: Model) -> None:
        self._lines: list[dict[str, object]] = []
        for index, weight in enumerate(find_weights(model)):
            weight.value.meta[_ORIGIN] = index
            self._lines.append(_facts(weight))
        self._other_before = _constant_bytes(model) - sum(int(line["bytes_before"]) for line in self._lines)  # type: ignore[call-overload]

    def sizes_before_store(self, model: Model) -> dict[int, tuple[int, int]]:
        """{id of a value: (its line, its bytes)} of the weights as they are between the passes and `store`."""
        found = {}
        for weight in find_weights(model):
            index = weight.value.meta.get(_ORIGIN)
            if index is not None:
                found[id(weight.value)] = (int(index), weight.tensor.nbytes)
        return found

    def close(
        self,
        model: Model,
        sizes: dict[int, tuple[int, int]],
        stored: dict[int, tuple[str, int]],
        outcomes: list[Outcome],
    ) -> tuple[LedgerLine, ...]:
        """The lines of all weights, and one for all other constants. `stored`: (form, bytes) by id of the old value."""
        after: dict[int, int] = dict.fromkeys(range(len(self._lines)), 0)
        forms: dict[int, list[str]] = {}
        for key, (index, plain) in sizes.items():
            form, size = stored.get(key, ("dense", plain))
            after[index] += size
            forms.setdefault(index, []).append(form)
        by_weight: dict[str, list[Outcome]] = {}
        for outcome in outcomes:
            by_weight.setdefault(outcome.weight, []).append(outcome)
        originals = {str(facts["name"]) for facts in self._lines}
        lines = []
        for index, facts in enumerate(self._lines):
            name = str(facts["name"])
            made = forms.get(index, ["removed"])
            form = made[0] if len(made) == 1 else f"factors ({', '.join(dict.fromkeys(made))})"
            keys = [key for key in by_weight if key == name or (key not in originals and _is_factor(key, name))]
            own = [outcome for key in keys for outcome in by_weight[key]]
            lines.append(LedgerLine(**facts, kind="weight", bytes_after=after[index], form=form, outcomes=tuple(own)))  # type: ignore[arg-type]
        others = _constant_bytes(model) - sum(after.values())
        rest = LedgerLine("(other constants)", "constants", (), (), "", self._other_before, others, "")
        return (*lines, rest)


def with_graph_line(lines: tuple[LedgerLine, ...], bytes_before: int, bytes_after: int) -> tuple[LedgerLine, ...]:
    """The lines and one more for nodes, names and headers: then they add up to the files."""
    before, after = (sum(getattr(line, name) for line in lines) for name in ("bytes_before", "bytes_after"))
    return (*lines, LedgerLine("(graph)", "graph", (), (), "", bytes_before - before, bytes_after - after, ""))


def inherit_origin(value: ir.Value, from_: ir.Value) -> None:
    """Counts a new constant on the line of the weight that it was made from."""
    if _ORIGIN in from_.meta:
        value.meta[_ORIGIN] = from_.meta[_ORIGIN]


def _is_factor(key: str, name: str) -> bool:
    return key.startswith((f"{name}.a", f"{name}.b")) and key[len(name) + 2 :].isdigit()


def _facts(weight: Weight) -> dict[str, object]:
    return {
        "name": weight.name, "ops": weight.ops, "shape": weight.shape, "dtype": weight.dtype.name.lower(),
        "bytes_before": weight.tensor.nbytes,
    }  # fmt: skip


def _constant_bytes(model: Model) -> int:
    total = 0
    for scope in model.scopes():
        for value in getattr(scope, "initializers", {}).values():
            total += value.const_value.nbytes if value.const_value is not None else 0
        for node in scope:
            tensor = constant_tensor(node.outputs[0]) if node.op_type == "Constant" else None
            total += tensor.nbytes if tensor is not None else 0
    return total
