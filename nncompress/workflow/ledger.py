"""Follows the bytes of every weight from the original file to the result, whatever passes make of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from nncompress.model.constants import find_constants, stored_bytes
from nncompress.model.lineage import Origin, form_of, mark_origin, origin_of
from nncompress.model.model import Model, op_name
from nncompress.model.others import OtherConstant, largest_others
from nncompress.model.weights import Weight, find_weights
from nncompress.results.record import LedgerLine, Outcome, Rewritten, Skipped

OTHER_CONSTANTS, GRAPH = "(other constants)", "(graph)"
LEAST_OTHER_BYTES = 256  # of a constant that is no weight and has a line of its own, if anything is done to it
_FACTOR = re.compile(r"(.*)\.[ab]\d+", re.DOTALL)


class Ledger:
    """Opened on the model as loaded; `close` compares it with the model after all passes and `store`."""

    def __init__(self, model: Model) -> None:
        self._closed: set[int] = set()  # ids of models
        self._lines: list[LedgerLine] = []  # with nothing about the result yet: weights, then other constants
        self._origins: list[Origin] = []
        self.originals: dict[int, tuple[Weight, ir.TensorProtocol]] = {}  # of weights, by line
        weights, constants = find_weights(model), list(find_constants(model))
        for index, weight in enumerate(weights):
            self.originals[index] = (weight, weight.tensor)
            self._open(weight.value, weight.name, _line(weight))
        for value, tensor, scope in constants:
            if origin_of(value) is None and tensor.nbytes >= LEAST_OTHER_BYTES:
                ops = tuple(sorted({op_name(use.node) for use in value.uses()}))
                line = replace(_line(Weight(value, scope, ())), kind="constants", ops=ops)
                self._open(value, value.name or "", line)
        self._before = sum(stored_bytes(value, tensor) for value, tensor, _ in constants)
        self._before += sum(model.unread.values())
        self._others = tuple(map(_left, largest_others(model, weights)))

    def _open(self, value: ir.Value, name: str, line: LedgerLine) -> None:
        self._origins.append(mark_origin(value, len(self._lines), name))
        self._lines.append(line)

    def sizes_before_store(self, model: Model) -> dict[int, tuple[int, int, str]]:
        """{id of a value: (its line, its bytes, its form)} of constants as they are between the passes and `store`."""
        return {
            id(value): (origin.line, tensor.nbytes, form_of(value))
            for value, tensor, _ in find_constants(model)
            if (origin := origin_of(value)) is not None
        }

    def close(
        self,
        model: Model,
        sizes: dict[int, tuple[int, int, str]],
        stored: dict[int, tuple[str, int]],
        outcomes: Sequence[Sequence[Outcome]],
        errors: Sequence[float | None],
        others_outcomes: tuple[Outcome, ...] = (),
    ) -> tuple[LedgerLine, ...]:
        """The lines of all weights and of other constants to which anything was done, and one for all the rest.

        `stored`: (form, bytes) by id of the old value; `outcomes` as `by_line` orders them, `errors` as `chain_errors`
        does, `others_outcomes` about all the rest.
        """
        assert id(model) not in self._closed, "it is stored already: what rode on its weights is gone"
        self._closed.add(id(model))
        after: dict[int, int] = dict.fromkeys(range(len(self._lines)), 0)
        forms: dict[int, list[str]] = {}
        for key, (index, plain, form) in sizes.items():
            form, size = stored.get(key, (form, plain))
            after[index] += size
            forms.setdefault(index, []).append(form)
        lines = []
        for index, line in enumerate(self._lines):
            if line.kind == "weight" or outcomes[index]:
                line = replace(line, bytes_after=after[index], form=_form(forms.get(index, ["removed"])))
                line = replace(line, outcomes=tuple(outcomes[index]), sqnr_db=errors[index])
                lines.append(replace(line, output_sqnr_db=output_error(outcomes[index])))
        return (*lines, self._rest(model, lines, others_outcomes))

    def _rest(self, model: Model, lines: list[LedgerLine], outcomes: tuple[Outcome, ...]) -> LedgerLine:
        """The line for all constants that have none of their own, with the largest that are left."""
        before = self._before - sum(line.bytes_before for line in lines)
        after = sum(tensor.nbytes for _, tensor, _ in find_constants(model)) - sum(line.bytes_after for line in lines)
        shown = {line.name for line in lines if line.kind == "constants"}
        left = tuple(other for other in self._others if other.subject not in shown)
        return LedgerLine(OTHER_CONSTANTS, "constants", (), (), "", before, after, "", outcomes=(*outcomes, *left))

    def by_line(self, outcomes: Sequence[Outcome]) -> list[tuple[Outcome, ...]]:
        """Outcomes of a weight and of its factors, in the order of the passes; for a duplicate, of whom it is one."""
        lines = {origin.known_as: origin.line for origin in reversed(self._origins) if origin.same_as is None}
        own: list[dict[str, list[Outcome]]] = [{} for _ in self._lines]
        for outcome in outcomes:
            factor = _FACTOR.fullmatch(outcome.subject)
            line = lines.get(outcome.subject, lines.get(factor[1]) if factor else None)
            if line is not None:
                own[line].setdefault(outcome.subject, []).append(outcome)
        for origin in self._origins:
            if origin.same_as is not None and self._lines[origin.line].kind == "weight":
                merged = Rewritten(
                    origin.known_as, "merge", f"stored once, as {origin.same_as!r} holds the same values"
                )
                own[origin.line][origin.known_as] = [merged]
        return [tuple(outcome for group in by_name.values() for outcome in group) for by_name in own]


def output_error(outcomes: Sequence[Outcome]) -> float | None:
    """Of what a weight computes, as the last pass that measured it left it; None: nobody did."""
    measured = [outcome.output_sqnr_db for outcome in outcomes if outcome.output_sqnr_db is not None]
    return measured[-1] if measured else None


def with_graph_line(
    lines: tuple[LedgerLine, ...], bytes_before: int, bytes_after: int, outcomes: Sequence[Outcome] = ()
) -> tuple[LedgerLine, ...]:
    """The lines and one more for nodes, names and headers: then they add up to the files."""
    before, after = (sum(getattr(line, name) for line in lines) for name in ("bytes_before", "bytes_after"))
    done = tuple(outcome for outcome in outcomes if outcome.subject == GRAPH)
    return (*lines, LedgerLine(GRAPH, "graph", (), (), "", bytes_before - before, bytes_after - after, "", done))


def _form(parts: list[str]) -> str:
    """Of one constant, or of the several that have come of it."""
    different = list(dict.fromkeys(parts))
    if len(parts) == 1 or different == ["dequantize"]:  # a copy of the codes for each graph that reads them
        return different[0]
    return f"factors ({', '.join(different)})"


def _left(other: OtherConstant) -> Outcome:
    shape, by = "×".join(map(str, other.shape)), ", ".join(other.readers) or "nothing"
    reason = f"{other.dtype} {shape}, {other.size_bytes:,} bytes, read by {by}: {other.reason}"
    return Skipped(other.name, "constants", reason)


def _line(weight: Weight) -> LedgerLine:
    size, dtype = stored_bytes(weight.value, weight.tensor), weight.dtype.name.lower()
    return LedgerLine(weight.given_name, "weight", weight.ops, weight.shape, dtype, size, bytes_after=0, form="")
