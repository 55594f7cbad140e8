"""What was asked for and came to nothing is a warning; what was met is no rule, but for the share of a form."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nncompress.results.record import LedgerLine, Rewritten, Skipped
from nncompress.results.rules.on_requests import KeptOpset, Requests, request_rules

CHANGED = LedgerLine(
    "w", "weight", ("MatMul",), (8, 8), "float", 256, 96, "folded", (Rewritten("w", "quantize-weights", "int8"),)
)
LEFT = replace(CHANGED, form="dense", outcomes=(Skipped("w", "quantize-weights", "excluded"),))
KEPT = KeptOpset(8, 11, "zeros cannot be stored small before opset 11", "--keep-opset")


def test_without_a_request_there_is_no_rule() -> None:
    assert request_rules(Requests(), [CHANGED, LEFT]) == []


def test_a_step_that_changed_nothing_warns_with_its_reason() -> None:
    (rule,) = request_rules(Requests(idle=(("factorize", "full rank"), ("prune-magnitude", "excluded"))), [CHANGED])
    assert (rule.rule, rule.level) == ("steps", "warn")
    assert rule.figure == "factorize changed nothing, prune-magnitude changed nothing"
    assert rule.advice == (
        "leave factorize out, or see why: full rank; leave prune-magnitude out, or see why: excluded"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("forms", "level", "figure"),
    [
        (["dequantize", "gather-dequantize"], "pass", "1 of 2 weights as dequantize"),
        (["factors (dequantize, folded)"], "pass", "1 of 1 weights as dequantize"),
        (["gather-dequantize", "folded, sparse-mask"], "warn", "0 of 2 weights as dequantize"),
    ],
)
def test_a_form_warns_where_no_changed_weight_has_it(forms: list[str], level: str, figure: str) -> None:
    lines = [replace(CHANGED, form=form) for form in forms]
    (rule,) = request_rules(Requests("dequantize"), [*lines, LEFT])
    assert (rule.rule, rule.level, rule.figure) == ("form", level, figure)


def test_where_nothing_changed_the_form_is_not_to_blame() -> None:
    assert request_rules(Requests("dequantize"), [LEFT]) == []


def test_an_opset_that_was_kept_warns_and_says_what_needs_which() -> None:
    (rule,) = request_rules(Requests(kept_opset=KEPT), [CHANGED])
    assert (rule.rule, rule.level, rule.figure, rule.limit) == ("opset", "warn", "8", ">= 11")
    assert rule.advice == (
        "zeros cannot be stored small before opset 11, and the model stays at opset 8 (--keep-opset)"
    )  # fmt: skip
