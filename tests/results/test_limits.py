"""Each limit is declared once, and everything that takes limits takes that one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from nncompress.cli.from_options import limits_of
from nncompress.cli.options import LimitOptions
from nncompress.config.budget import Budget
from nncompress.config.recipe import recipe_schema
from nncompress.config.settings import option_values, settings_problems, settings_table
from nncompress.errors import UsageError
from nncompress.results.limits import BudgetLimits, Limit, Limits, RunLimits, are_set, limits_in, names_of
from tests.support import ROOT, nncompress

GOOD = {
    "min_cosine": ("0.99", 0.99), "min_sqnr": ("30", 30.0), "max_drop": ("0.5 %", 0.005), "min_ratio": ("2", 2.0),
    "max_latency_ratio": ("1.1", 1.1), "max_size": ("4 MB", 4_000_000), "min_metric": ("97 %", 0.97),
    "max_metric": ("20", 20.0), "max_packed_size": ("1 kB", 1000), "max_params": ("1.2 M", 1_200_000),
    "max_macs": ("5k", 5000), "min_sample_cosine": ("0.9", 0.9), "min_sample_sqnr": ("6", 6.0),
}  # fmt: skip
BAD = {name: "-9" if name.endswith("cosine") else "much" for name in GOOD}
LIMITS = limits_in(Limits) | limits_in(BudgetLimits)


def typed(name: str, text: str) -> Any:
    """As the option of a limit has it: text where there is a unit, else a number."""
    return text if LIMITS[name].metavar else float(text)


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_reads_what_people_type_and_refuses_the_rest(name: str) -> None:
    text, value = GOOD[name]
    assert LIMITS[name].read(text) == value
    for wrong in (BAD[name], True, None, [1]):
        with pytest.raises(UsageError):
            LIMITS[name].read(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", limits_in(Limits))
def test_it_is_an_option_a_setting_and_a_key_of_recipes(name: str, tmp_path: Path) -> None:
    text, value = GOOD[name]
    assert LIMITS[name].text in " ".join(nncompress("compare", "-h").stdout.split())
    assert getattr(limits_of(LimitOptions(**{name: typed(name, text)})), name) == value
    table = {"limits": {name: text}}
    assert settings_problems(table) == []
    options = option_values(table, tmp_path)
    assert options == {name: typed(name, text)}
    assert settings_table(options, tmp_path) == {"limits": options}
    assert recipe_schema()["$defs"]["Limits"]["properties"][name]["description"] == LIMITS[name].text


@pytest.mark.parametrize("name", limits_in(Limits))
def test_the_same_is_wrong_with_it_on_the_command_line_and_in_a_file(name: str) -> None:
    (in_file,) = settings_problems({"limits": {name: BAD[name]}})
    said = in_file.removeprefix(f"limits.{name}: ")
    if LIMITS[name].metavar or name == "min_cosine":
        with pytest.raises(UsageError) as refusal:
            limits_of(LimitOptions(**{name: BAD[name]}))
        assert str(refusal.value) == f"--{name.replace('_', '-')}: {said}"


@pytest.mark.parametrize("name", limits_in(BudgetLimits))
def test_it_is_a_key_of_budgets_that_the_guide_names(name: str) -> None:
    text, value = GOOD[name]
    read: Callable[[Any], Budget] = TypeAdapter(Budget).validate_python
    assert getattr(read({"path": "m.onnx", name: text}), name) == value
    assert are_set(BudgetLimits, read({"path": "m.onnx", name: text})) == [name]
    with pytest.raises(ValidationError):
        read({"path": "m.onnx", name: BAD[name]})
    assert f"`{name}`" in (ROOT / "docs/ci-budgets.md").read_text()


def test_every_field_says_what_it_limits() -> None:
    assert {field.name for kind in (Limits, BudgetLimits) for field in fields(kind)} == set(GOOD)
    for limit in LIMITS.values():
        assert isinstance(limit, Limit)
        assert limit.text.endswith(".")
    assert set(names_of(RunLimits)) <= set(names_of(Limits)) & set(names_of(BudgetLimits))
