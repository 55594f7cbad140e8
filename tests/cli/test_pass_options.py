"""Options of commands are the fields of their passes, those of several passes in one command too."""

from __future__ import annotations

import json
import typing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from nncompress.cli.pass_commands import PASS_COMMANDS, PassCommand
from nncompress.cli.pass_options import options_of, pass_options, passes_of
from nncompress.errors import UsageError
from nncompress.passes import pass_named
from nncompress.passes.base import Pass, WeightPass
from nncompress.passes.document import step_schema
from nncompress.passes.quantize_weights import QuantizeWeights
from tests.support import MLP, nncompress, one_line


@dataclass(frozen=True)
class RoundWeights(WeightPass):
    """Rounds."""

    digits: int = 3
    """digits that are kept"""
    share: float | None = None
    """share of the weights"""
    mode: Literal["up", "down"] = field(default="up", metadata={"option": "--towards"})
    """where to round"""
    careful: bool = False
    """look twice"""

    name: ClassVar[str] = "round-weights"


@dataclass(frozen=True)
class MoveBiases(WeightPass):
    """Moves."""

    share: float | None = None
    """share of the biases"""
    min_size: int = 7
    """leave weights with fewer elements alone"""
    whole: bool = field(default=True, metadata={"option": "--whole/--in-part"})
    """all at once"""

    name: ClassVar[str] = "move-biases"


def options(*kinds: type[Pass]) -> dict[str, tuple[Any, Any]]:
    """{field: (its type, what typer is told)}"""
    made = options_of({kind.name: without_name(step_schema(kind)["properties"]) for kind in kinds})
    hints = typing.get_type_hints(made, include_extras=True)
    return {name: typing.get_args(hint) for name, hint in hints.items()}


def without_name(properties: dict[str, Any]) -> dict[str, Any]:
    return {name: schema for name, schema in properties.items() if name != "pass"}


def test_each_field_becomes_an_option_of_its_type_with_its_text_and_default() -> None:
    shown = {name: (kind, told.default, told.help) for name, (kind, told) in options(RoundWeights).items()}
    assert shown["digits"] == (int | None, "--digits", "Digits that are kept. [default: 3]")
    assert shown["share"] == (float | None, "--share", "Share of the weights.")
    assert shown["mode"] == (str | None, "--towards", "Where to round. [default: up]")
    assert shown["careful"] == (bool | None, "--careful/--no-careful", "Look twice. [default: no-careful]")
    assert shown["include"][0] == list[str] | None
    assert options(RoundWeights)["mode"][1].metavar == "up|down"


def test_passes_share_the_options_of_the_same_name_and_each_default_is_said() -> None:
    both = options(RoundWeights, MoveBiases)
    assert list(both) == [
        "digits", "share", "mode", "careful", "whole", "include", "exclude", "op_types", "min_size",
    ]  # fmt: skip
    texts = {name: told.help for name, (_, told) in both.items()}
    assert texts["share"] == "Round-weights: share of the weights; move-biases: share of the biases."
    assert texts["whole"] == "All at once. [default: whole]"
    assert "[default: round-weights: 64; move-biases: 7]" in texts["min_size"]
    groups = {name: told.rich_help_panel for name, (_, told) in both.items()}
    assert groups["digits"] == "Round weights"
    assert groups["whole"] == "Move biases"
    assert {groups[name] for name in ("include", "exclude", "min_size")} == {"Weights"}


@pytest.mark.parametrize("command", PASS_COMMANDS, ids=lambda command: command.name)
def test_a_command_has_the_fields_of_its_passes_and_makes_them_with_their_defaults(command: PassCommand) -> None:
    kinds = [pass_named(name) for name in command.passes]
    made = pass_options(command.passes)
    assert {one.name for one in fields(made)} == {one.name for kind in kinds for one in fields(kind)}
    assert passes_of(command.passes, made()) == [kind() for kind in kinds]


def test_what_is_given_becomes_fields_of_every_pass_that_has_them() -> None:
    names = ("quantize-weights", "prune-magnitude")
    given = pass_options(names)(min_size=3, include=["a", "b"], symmetric=False, sparsity=0.25, exclude=[])
    first, second = passes_of(names, given)
    assert first == QuantizeWeights(min_size=3, include=("a", "b"), symmetric=False, sparsity=0.25)
    assert second == pass_named("prune-magnitude")(min_size=3, include=("a", "b"), sparsity=0.25)  # type: ignore[call-arg]


def test_what_a_pass_refuses_is_wrong_usage() -> None:
    with pytest.raises(
        UsageError,
        match="quantize-weights: dtype must be 'int8', 'uint8', 'float16' or 'bfloat16', not 'int7'",
    ):
        passes_of(["quantize-weights"], pass_options(["quantize-weights"])(dtype="int7"))


@pytest.mark.parametrize(
    "given",
    [
        ["prune", "--sparsity", "50%", "--op-types", "Gemm"],
        ["prune", "--sparsity", "50 %", "--op-types", "Gemm,Gemm"],
        ["run", "-p", "prune-magnitude:sparsity=50 %,op_types=Gemm"],
        ["run", "recipe.toml"],
        ["run", "recipe.toml", "--set", "steps.0.sparsity=50 %"],
        ["run", "recipe.toml", "--set", "steps.0.sparsity=0.5"],
    ],
)
def test_shares_are_taken_in_percent_and_types_of_operators_with_commas(
    given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sparsity = "30%" if "--set" in given else "50%"
    Path("recipe.toml").write_text(
        f'[[steps]]\npass = "prune-magnitude"\nsparsity = "{sparsity}"\nop_types = ["Gemm"]\n'
    )
    ended = nncompress(*given, MLP, "--dry-run", "--no-validate", "--json", "-")
    assert ended.exit_code == 0, ended.stderr
    (step,) = json.loads(ended.stdout)["passes"]
    assert step.replace("op_types=Gemm,op_types=Gemm", "op_types=Gemm") in (
        "prune-magnitude:op_types=Gemm,sparsity=0.5", "prune-magnitude:sparsity=0.5,op_types=Gemm"
    )  # fmt: skip


def test_an_option_that_had_none_before_reaches_the_pass() -> None:
    ended = nncompress(
        "quantize", MLP, "--dry-run", "--no-validate", "--no-equalise", "--per", "tensor", "--bits", 8, "-v"
    )
    assert (ended.exit_code, "quantize-weights:granularity=tensor,equalise=False" in ended.stdout) == (0, True)
    refused = nncompress("quantize", MLP, "--dry-run", "--bits", 9)
    assert (refused.exit_code, "bits must be 2, 3, 4, 5, 6, 7 or 8, not 9" in one_line(refused.stderr)) == (2, True)
