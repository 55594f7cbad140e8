"""Follows the bytes of every weight from the original file to the result, whatever passes make of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from nncompress.model.constants import find_constants, stored_bytes
from nncompress.model.lineage import Origin, mark_origin, origin_of
from nncompress.model.model import Model
from nncompress.model.others import OtherConstant, largest_others
from nncompress.model.weights import Weight, find_weights
from nncompress.results.record import LedgerLine, Outcome, Rewritten, Skipped

_FACTOR = re.compile(r"(.*)\.[ab]\d+", re.DOTALL)


class Ledger:
    """Opened on the model as loaded; `close` compares it with the model after all passes and `store`."""

    def __init__(self, model: Model) -> None:
        self._closed: set[int] = set()  # ids of models
        self._lines: list[LedgerLine] = []  # of the weights, with nothing about the result yet
        self._origins: list[Origin] = []
        self.originals: dict[int, tuple[Weight, ir.TensorProtocol]] = {}  # by line
        weights = find_weights(model)
        for index, weight in enumerate(weights):
            self.originals[index] = (weight, weight.tensor)
            self._origins.append(mark_origin(weight.value, index, weight.name))
            self._lines.append(_line(weight))
        every = sum(stored_bytes(value, tensor) for value, tensor, _ in find_constants(model))
        every += sum(model.unread.values())
        self._other_before = every - sum(line.bytes_before for line in self._lines)
        self._others = tuple(map(_left, largest_others(model, weights)))

    def sizes_before_store(self, model: Model) -> dict[int, tuple[int, int]]:
        """{id of a value: (its line, its bytes)} of the weights as they are between the passes and `store`."""
        sizes = {}
        for weight in find_weights(model):
            origin = origin_of(weight.value)
            if origin is not None:
                sizes[id(weight.value)] = (origin.line, weight.tensor.nbytes)
        return sizes

    def close(
        self,
        model: Model,
        sizes: dict[int, tuple[int, int]],
        stored: dict[int, tuple[str, int]],
        outcomes: Sequence[Sequence[Outcome]],
        errors: Sequence[float | None],
    ) -> tuple[LedgerLine, ...]:
        """The lines of all weights, and one for all other constants. `stored`: (form, bytes) by id of the old value;
        `outcomes` as `by_line` orders them, `errors` as `chain_errors` does."""
        assert id(model) not in self._closed, "it is stored already: what rode on its weights is gone"
        self._closed.add(id(model))
        after: dict[int, int] = dict.fromkeys(range(len(self._lines)), 0)
        forms: dict[int, list[str]] = {}
        for key, (index, plain) in sizes.items():
            form, size = stored.get(key, ("dense", plain))
            after[index] += size
            forms.setdefault(index, []).append(form)
        lines = []
        for index, line in enumerate(self._lines):
            parts = forms.get(index, ["removed"])
            form = parts[0] if len(parts) == 1 else f"factors ({', '.join(dict.fromkeys(parts))})"
            line = replace(line, bytes_after=after[index], form=form, outcomes=tuple(outcomes[index]))
            lines.append(replace(line, sqnr_db=errors[index], output_sqnr_db=output_error(outcomes[index])))
        others = sum(tensor.nbytes for _, tensor, _ in find_constants(model)) - sum(after.values())
        rest = LedgerLine(
            "(other constants)", "constants", (), (), "", self._other_before, others, "", outcomes=self._others
        )
        return (*lines, rest)

    def by_line(self, outcomes: Sequence[Outcome]) -> list[tuple[Outcome, ...]]:
        """Outcomes of a weight and of its factors, in the order of the passes; for a duplicate, of whom it is one."""
        lines = {origin.known_as: origin.line for origin in self._origins if origin.same_as is None}
        own: list[dict[str, list[Outcome]]] = [{} for _ in self._lines]
        for outcome in outcomes:
            factor = _FACTOR.fullmatch(outcome.subject)
            line = lines.get(outcome.subject, lines.get(factor[1]) if factor else None)
            if line is not None:
                own[line].setdefault(outcome.subject, []).append(outcome)
        for origin in self._origins:
            if origin.same_as is not None:
                merged = Rewritten(
                    origin.known_as, "merge", f"stored once, as {origin.same_as!r} holds the same values"
                )
                own[origin.line][origin.known_as] = [merged]
        return [tuple(outcome for group in by_name.values() for outcome in group) for by_name in own]


def output_error(outcomes: Sequence[Outcome]) -> float | None:
    """Of what a weight computes, as the last pass that measured it left it; None: nobody did."""
    measured = [outcome.output_sqnr_db for outcome in outcomes if outcome.output_sqnr_db is not None]
    return measured[-1] if measured else None


def with_graph_line(lines: tuple[LedgerLine, ...], bytes_before: int, bytes_after: int) -> tuple[LedgerLine, ...]:
    """The lines and one more for nodes, names and headers: then they add up to the files."""
    before, after = (sum(getattr(line, name) for line in lines) for name in ("bytes_before", "bytes_after"))
    return (*lines, LedgerLine("(graph)", "graph", (), (), "", bytes_before - before, bytes_after - after, ""))


def _left(other: OtherConstant) -> Outcome:
    shape, by = "×".join(map(str, other.shape)), ", ".join(other.readers) or "nothing"
    reason = f"{other.dtype} {shape}, {other.size_bytes:,} bytes, read by {by}: {other.reason}"
    return Skipped(other.name, "constants", reason)


def _line(weight: Weight) -> LedgerLine:
    size, dtype = stored_bytes(weight.value, weight.tensor), weight.dtype.name.lower()
    return LedgerLine(weight.given_name, "weight", weight.ops, weight.shape, dtype, size, bytes_after=0, form="")
