"""Rules: the first that matches a weight decides on its options, or keeps it; and what is wrong with one is said."""

from __future__ import annotations

from pathlib import Path

import pytest

import nncompress
from nncompress.config.recipe import load_recipe, recipe_text
from nncompress.errors import UsageError
from nncompress.passes.base import Pass
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.rules import Rule
from nncompress.passes.share_weights import ShareWeights
from nncompress.passes.spec import described, make_pass, parse_step
from nncompress.results.record import Rewritten, Skipped
from tests.models import context_for, model_of, noise, proto_from

TEXT = """
[[steps]]
pass = "quantize-weights"
bits = 4
smallest = "same"

[[steps.rules]]
match = "head"
keep = true

[[steps.rules]]
match = "body1"
bits = 8

[[steps.rules]]
match = "body*"
bits = 2
block = 16
"""


def details(step: Pass) -> dict[str, str]:
    model = model_of(
        "agraph (float[n,64] x) => (float[n,64] y)"
        "{ a = MatMul(x, head) b = MatMul(a, body1) c = MatMul(b, body2) y = MatMul(c, tail) }",
        **{name: noise(64, 64, seed=i) for i, name in enumerate(("head", "body1", "body2", "tail"))},
    )
    outcomes = step.apply(model, context_for(model))
    assert all(isinstance(outcome, Rewritten | Skipped) for outcome in outcomes)
    return {one.subject: one.detail if isinstance(one, Rewritten) else one.reason for one in outcomes}


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_first_rule_that_matches_decides(tmp_path: Path) -> None:
    (step,) = load_recipe(written(tmp_path / "r.toml", TEXT)).steps
    assert details(step) == {
        "head": "a rule keeps it as it is (head)",
        "body1": "int8, symmetric, per channel (axis 1)",
        "body2": "2 bits, symmetric, per block of 16",
        "tail": "4 bits, symmetric, per channel (axis 1)",
    }


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_rules_are_written_as_they_are_read_in_recipes_and_in_text(suffix: str, tmp_path: Path) -> None:
    (step,) = steps = load_recipe(written(tmp_path / "r.toml", TEXT)).steps
    again = written(tmp_path / f"again{suffix}", recipe_text(steps, {}, tmp_path / f"again{suffix}"))
    assert load_recipe(again).steps == steps
    typed = ["head keep", "body1 bits=8", "body* bits=2 block=16"]
    assert make_pass("quantize-weights", {"bits": 4, "smallest": "same", "rules": typed}) == step
    assert parse_step(described(step)) == step


def test_a_name_with_spaces_is_quoted() -> None:
    step = make_pass("share-weights", {"rules": ["'layer one/*' bits=2"]})
    assert getattr(step, "rules") == (Rule("layer one/*", options=(("bits", 2),)),)  # noqa: B009
    assert parse_step(described(step)) == step


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("* bits=9", "rule '*': bits must be"),
        ("* bit=4", "rule '*': unknown option 'bit' (did you mean 'bits'?)"),
        ("* smallest=same", "rule '*': smallest is of the whole step"),
        ("* exclude=a", "rule '*': exclude is of the whole step"),
        ("* block=1", "rule '*': block must be at least 2"),
        ("*", "needs options such as bits = 4, or keep = true"),
        ("* keep bits=4", "needs options such as bits = 4, or keep = true"),
        ("", 'it needs match = "GLOB"'),
        ({"bits": 4}, 'it needs match = "GLOB"'),
        ("'* bits=4", "a name with quotes, backslashes or spaces is written in quotes"),
        ("* bits=4 bits=2", "an option is given twice"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(rule: object, problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        make_pass("quantize-weights", {"rules": [rule]})
    assert problem in str(refused.value)


def test_a_rule_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"'tial' matches no weight and no node that reads one \(did you mean 'tail'"):
        details(QuantizeWeights(rules=("tial bits=4",)))  # type: ignore[arg-type]


def test_a_weight_with_a_rule_is_none_of_the_smallest() -> None:
    plain, ruled = QuantizeWeights(bits=4), QuantizeWeights(bits=4, rules=("head bits=3",))  # type: ignore[arg-type]
    assert "head" in details(plain)
    assert details(ruled)["head"] == "3 bits, symmetric, per channel (axis 1)"


def test_the_opset_is_the_largest_that_a_rule_needs() -> None:
    plain, half = QuantizeWeights(), QuantizeWeights(rules=("* dtype=bfloat16",))  # type: ignore[arg-type]
    assert (plain.needed_opset("folded")[0], half.needed_opset("folded")[0]) == (7, 13)


@pytest.mark.parametrize("name", ["it's", "a\\b", "'x'", '"q"', "a\tb", "a b", "body*", "w[0]"])
def test_any_name_but_one_with_commas_comes_back_from_text(name: str) -> None:
    step = QuantizeWeights(rules=({"match": name, "bits": 2},))  # type: ignore[arg-type]
    assert parse_step(described(step)) == step


def test_a_rule_does_not_inherit_what_does_not_go_with_it() -> None:
    step = QuantizeWeights(bits=4, block=32, rules=("head dtype=float16", "tail granularity=tensor"))  # type: ignore[arg-type]
    assert details(step)["head"] == "float16"
    assert details(step)["tail"].endswith("per tensor")


def test_a_rule_says_whether_more_bytes_are_taken() -> None:
    model = model_of("agraph (float[n,10] x) => (float[n,10] y) { y = MatMul(x, w) }", w=noise(10, 10))
    for rule, kind in (("w only_if_smaller=false", Rewritten), ("w only_if_smaller=true", Skipped)):
        (outcome,) = ShareWeights(rules=(rule,)).apply(model, context_for(model))  # type: ignore[arg-type]
        assert isinstance(outcome, kind)


@pytest.mark.parametrize("rule", ["w keep", "w dtype=float16"])
@pytest.mark.parametrize("activations", ["static", "dynamic"])
def test_data_are_not_rounded_for_a_weight_that_stays_in_floating_point(activations: str, rule: str) -> None:
    model = model_of(
        "agraph (float[n,64] x) => (float[n,64] y) { a = MatMul(x, w) b = Relu(a) y = MatMul(b, v) }",
        w=noise(64, 64), v=noise(64, 64, seed=1),
    )  # fmt: skip
    steps = [
        parse_step(f"quantize-activations:activations={activations}"),
        parse_step(f"quantize-weights:rules={rule}"),
    ]
    made = nncompress.compress(model, steps, calibration="synthetic")
    readers = [node for node in proto_from(made).graph.node if "Quantize" in node.op_type]
    assert "x" not in [name for node in readers for name in node.input]
    assert len(readers) > 0
