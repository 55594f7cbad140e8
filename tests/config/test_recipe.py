"""Passes from text and files, what is wrong with them in words, and back to text."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from nncompress.config.recipe import load_recipe, recipe_text
from nncompress.errors import UsageError
from nncompress.passes import Factorize, PruneMagnitude, QuantizeWeights
from nncompress.passes.base import Pass
from nncompress.passes.spec import described, make_pass, parse_step

GOOD_STEPS = [
    ("quantize-weights", QuantizeWeights()),
    ("quantize-weights:", QuantizeWeights()),
    ("quantize-weights:dtype=uint8,symmetric=false", QuantizeWeights(dtype="uint8", symmetric=False)),
    ("quantize-weights:bits=8,range=minmax", QuantizeWeights(range="minmax")),
    ("quantize-weights:include=a*,include=b?,exclude=[c]", QuantizeWeights(include=("a*", "b?"), exclude=("[c]",))),
    ("quantize-weights:include=layer.0/weight:0", QuantizeWeights(include=("layer.0/weight:0",))),
    ("quantize-weights:include=a=b", QuantizeWeights(include=("a=b",))),
    ("prune-magnitude:sparsity=0.75", PruneMagnitude(sparsity=0.75)),
    ("prune-magnitude:threshold=1e-3,min_size=10", PruneMagnitude(threshold=1e-3, min_size=10)),
    ("factorize:rank=4", Factorize(rank=4)),
]
BAD_STEPS = [
    ("", "unknown pass ''; there are: slim-channels, "),
    ("prun-magnitude", "unknown pass 'prun-magnitude' (did you mean 'prune-magnitude'?)"),
    ("Factorize", "unknown pass 'Factorize' (did you mean 'factorize'?)"),
    ("quantize-weights:dtyp=int8", "quantize-weights: unknown option 'dtyp' (did you mean 'dtype'?)"),
    ("quantize-weights:dtype", "'quantize-weights:dtype': 'dtype' is not option=value"),
    ("quantize-weights:dtype=int8,dtype=uint8", "dtype is given twice"),
    ("quantize-weights:dtype=int7", "dtype must be 'int8', 'uint8', 'float16' or 'bfloat16', not 'int7'"),
    ("quantize-weights:symmetric=perhaps", "symmetric must be true or false, not 'perhaps'"),
    ("quantize-weights:min_size=many", "min_size must be a whole number, not 'many'"),
    ("quantize-weights:name=other", "unknown option 'name'"),
    ("quantize-weights:stage=1", "unknown option 'stage'"),
    ("prune-magnitude:sparsity=1.5", "sparsity must lie between 0 and 1, not at 1.5"),
    ("prune-magnitude:sparsity=nan", "sparsity must lie between 0 and 1, not at nan"),
    ("prune-magnitude:sparsity=0.5,threshold=1", "give a sparsity or a threshold, not both"),
    ("factorize:rank=0", "rank must be at least 1, not 0"),
    ("factorize:rank=2,energy=0.9", "give one of rank, energy, ratio and keep, not rank and energy"),
    ("factorize:energy=99", "energy must lie between 0 and 1, not at 99"),
]
GOOD_RECIPE = """
[[steps]]
pass = "prune-magnitude"
sparsity = 0.6
include = ["fc*"]

[[steps]]
pass = "quantize-weights"
"""
TWO_PASSES = [PruneMagnitude(sparsity=0.6, include=("fc*",)), QuantizeWeights()]
BAD_RECIPES = [
    ("", 'it needs [[steps]] with pass = "NAME"'),
    ("steps = []", 'it needs [[steps]] with pass = "NAME"'),
    ("steps = 3", 'it needs [[steps]] with pass = "NAME"'),
    ("steps = ['quantize-weights']", 'it needs [[steps]] with pass = "NAME"'),
    ("[[step]]\npass = 'factorize'", "unknown key 'step' (did you mean 'steps' or 'strip'?)"),
    ("[[steps]]\nrank = 3", "step 1: unknown pass ''"),
    ("[[steps]]\npass = 'factorise'", "step 1: unknown pass 'factorise' (did you mean 'factorize'?)"),
    ("[[steps]]\npass = 'factorize'\nrnk = 3", "step 1: factorize: unknown option 'rnk' (did you mean 'rank'?)"),
    (
        "[[steps]]\npass = 'factorize'\n[[steps]]\npass = 'factorize'\nrank = 'x'",
        "step 2: factorize: rank must be a whole number, not 'x'",
    ),
    ("[[steps]\n", "is no TOML"),
]


@pytest.mark.parametrize(("text", "expected"), GOOD_STEPS)
def test_a_step_becomes_the_pass_with_these_options(text: str, expected: Pass) -> None:
    assert parse_step(text) == expected


@pytest.mark.parametrize(("text", "message"), BAD_STEPS)
def test_a_bad_step_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_step(text)
    assert message in str(refusal.value)


def test_everything_wrong_with_a_step_is_said_at_once() -> None:
    with pytest.raises(UsageError) as refusal:
        parse_step("quantize-weights:dtype=int7,bits=9,granularty=channel")
    for part in ("not 'int7'", "not 9", "unknown option 'granularty' (did you mean 'granularity'?)"):
        assert part in str(refusal.value)


def test_a_toml_recipe_becomes_its_passes_in_order(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(GOOD_RECIPE)
    assert load_recipe(path).steps == tuple(TWO_PASSES)


def test_a_json_recipe_becomes_its_passes_in_order(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(
        '{"steps": [{"pass": "prune-magnitude", "sparsity": 0.6, "include": ["fc*"]}, {"pass": "quantize-weights"}]}'
    )
    assert load_recipe(path).steps == tuple(TWO_PASSES)


@pytest.mark.parametrize(("content", "message"), BAD_RECIPES)
def test_a_bad_recipe_is_refused_in_words_with_its_path(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(content)
    with pytest.raises(UsageError) as refusal:
        load_recipe(path)
    assert str(refusal.value).startswith(str(path))
    assert message in str(refusal.value)


@pytest.mark.parametrize(("content", "message"), [("{", "is no JSON"), ("[]", "unknown key '(no table)'")])
def test_a_bad_json_recipe_is_refused_in_words(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(content)
    with pytest.raises(UsageError) as refusal:
        load_recipe(path)
    assert message in str(refusal.value)


def test_a_recipe_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"recipe: cannot read .*missing\.toml"):
        load_recipe(tmp_path / "missing.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"recipe: cannot read .*binary\.toml: it is not UTF-8 text"):
        load_recipe(binary)


def test_only_options_that_differ_from_their_defaults_are_described() -> None:
    assert described(QuantizeWeights()) == "quantize-weights"
    assert described(QuantizeWeights(dtype="uint8", include=("a", "b"))) == (
        "quantize-weights:include=a,include=b,dtype=uint8"
    )


WHOLE = """\
seed = 3
seconds = 0.0
external_data = true
keep_metadata = true

[data]
path = "feeds/a.npz"
dims = {batch = 2, "x y" = 3}
metric = ["f1", "mse"]

[limits]
min_cosine = 1e-05
max_drop = "1 %"

[[steps]]
pass = "prune-magnitude"
include = ["fc*", "q\\"\\\\\\u007fé"]
sparsity = 0.5

[[steps]]
pass = "quantize-weights"
symmetric = false
"""


def test_a_recipe_is_written_as_people_write_it(tmp_path: Path) -> None:
    steps = [PruneMagnitude(sparsity=0.5, include=("fc*", 'q"\\\x7fé')), QuantizeWeights(symmetric=False)]
    options = {
        "seed": 3, "seconds": 0.0, "external_data": True, "keep_metadata": True, "data": tmp_path / "feeds/a.npz",
        "dim": ["batch=2", "x y=3"], "metric": ["f1", "mse"], "min_cosine": 1e-5, "max_drop": "1 %",
    }  # fmt: skip
    path = tmp_path / "recipe.toml"
    path.write_text(recipe_text(steps, options, path))
    assert path.read_text() == WHOLE
    recipe = load_recipe(path)
    assert (recipe.steps, recipe.options) == (tuple(steps), options)


GLOBS = st.lists(st.text("abc.*?/[]:=", min_size=1, max_size=8), max_size=3).map(tuple)
SHARES = st.floats(0, 1, exclude_min=True, exclude_max=True)
PASSES = st.one_of(
    st.builds(
        QuantizeWeights,
        include=GLOBS,
        exclude=GLOBS,
        min_size=st.integers(0, 10**6),
        dtype=st.sampled_from(["int8", "uint8"]),
        symmetric=st.booleans(),
        granularity=st.sampled_from(["channel", "tensor"]),
        range=st.sampled_from(["mse", "minmax", "half-quadratic"]),
        only_if_smaller=st.booleans(),
    ),
    st.builds(PruneMagnitude, sparsity=SHARES, scope=st.sampled_from(["weight", "global"]), include=GLOBS),
    st.builds(PruneMagnitude, threshold=st.floats(1e-6, 1e6)),
    st.builds(Factorize, rank=st.integers(1, 4096), exclude=GLOBS),
    st.builds(Factorize, energy=SHARES),
    st.builds(Factorize, ratio=SHARES),
)


@given(PASSES)
def test_what_describes_a_pass_makes_it_again(one: Pass) -> None:
    assert parse_step(described(one)) == one


@given(st.lists(PASSES, min_size=1, max_size=3), st.text(max_size=20))
def test_a_written_recipe_holds_the_same_steps_and_texts(steps: list[Pass], name: str) -> None:
    text = recipe_text(steps, {"dim": [f"{name}=3"], "metric_output": name}, Path("recipe.toml"))
    content = tomllib.loads(text)
    assert [make_pass(str(step.pop("pass")), step) for step in content["steps"]] == steps
    assert content["data"] == {"dims": {name: 3}, "metric_output": name}
