"""Reads budgets: what models may weigh and cost, from `[[budget]]` tables in nncompress.toml or pyproject.toml.

In pyproject.toml the tables are `[[tool.nncompress.budget]]`. Paths are relative to the folder of the file.
"""

from __future__ import annotations

import dataclasses
import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import StrictBool, StrictStr, TypeAdapter, ValidationError

from nncompress.config.files import CONFIG_NAME, PYPROJECT, read_config, settings_files
from nncompress.config.settings import KEYS, Metrics, option_values, settings_problems
from nncompress.errors import UsageError, explained, nearest
from nncompress.results.limits import BudgetLimits, MetricLimits, RunLimits, are_set, names_of
from nncompress.validate.metrics.names import LOWER_IS_BETTER, metric_from, require_metric

_ON_LABELS = ("max_drop", *names_of(MetricLimits))


@dataclass(frozen=True, kw_only=True)
class Budget(BudgetLimits):
    """Limits on the models that `path` matches."""

    path: StrictStr  # glob
    reference: StrictStr | None = None  # the model that RunLimits compare with
    data: StrictStr | None = None
    labels: StrictStr | None = None
    metric: Metrics | None = None
    metric_output: StrictStr | None = None
    level: Literal["error", "warn"] = "error"  # of a missed limit
    optional: StrictBool = False  # a glob that matches nothing is fine

    @property
    def runs(self) -> bool:
        """True if a limit needs the model to be run."""
        return bool(are_set(RunLimits, self) or are_set(MetricLimits, self))


@dataclass(frozen=True)
class Config:
    """A configuration file with everything that is wrong in it; with problems, no budgets can be relied on."""

    path: Path
    budgets: tuple[Budget, ...]
    problems: tuple[str, ...]

    @property
    def folder(self) -> Path:
        return self.path.parent

    def models(self, budget: Budget) -> list[Path]:
        """The files that its glob matches, relative to the folder, sorted."""
        names = glob.glob(budget.path, root_dir=self.folder, recursive=True)  # noqa: PTH207 - Path.glob finds hidden files
        return [Path(name) for name in sorted(set(names)) if (self.folder / name).is_file()]


def find_config(folder: Path) -> Path:
    """The configuration that counts most in `folder`. Raises UsageError where there is none."""
    for path in settings_files(folder):
        return path
    raise UsageError(
        f"there is no {CONFIG_NAME} here or in a folder above, and no [tool.nncompress] in a {PYPROJECT}: "
        "try nncompress init"
    )


def load_config(path: Path) -> Config:
    """All budgets of a file. Raises UsageError only where there is no TOML to look into."""
    content = read_config(path)
    problems = _unknown_keys(content) + settings_problems(content)
    tables = content.get("budget")
    key = "tool.nncompress.budget" if path.name == PYPROJECT else "budget"
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        return Config(path, (), (*problems, f'it needs [[{key}]] with path = "MODEL.onnx" and a limit'))
    budgets = []
    for number, table in enumerate(tables, 1):
        budget, wrong = _budget(table)
        name = table.get("path")
        where = f"budget {number} ({name})" if isinstance(name, str) and name else f"budget {number}"
        problems += [f"{where}: {problem}" for problem in wrong]
        budgets += [budget] if budget is not None else []
    config = Config(path, tuple(budgets), ())
    return dataclasses.replace(config, problems=(*problems, *_missing_files(config)))


def load_settings(path: Path) -> dict[str, Any]:
    """{option: value} of what a configuration file sets for all commands. Raises UsageError that lists all problems."""
    content = read_config(path)
    problems = _unknown_keys(content) + settings_problems(content)
    if problems:
        raise UsageError(f"{path}: {'; '.join(problems)}")
    return option_values(content, path.parent)


def _unknown_keys(content: dict[str, Any]) -> list[str]:
    known = ("budget", *KEYS)
    return [f"unknown key {key!r}{nearest(key, known)}" for key in content if key not in known]


# ------------------------------------------------------------------------------------------------ one budget
def _budget(table: dict[str, Any]) -> tuple[Budget | None, list[str]]:
    """The budget as far as it can be understood, and what is wrong with it."""
    known = [field.name for field in dataclasses.fields(Budget)]
    problems = [f"unknown key {key!r}{nearest(key, known, 1)}" for key in table if key not in known]
    try:
        budget = TypeAdapter(Budget).validate_python({key: value for key, value in table.items() if key in known})
    except ValidationError as error:
        return None, problems + [explained(each, name=_key(each)) for each in error.errors()]
    return budget, problems + _contradictions(budget, guessing=bool(problems))


def _key(details: Any) -> str:
    return str(details["loc"][0]) if details["loc"] else "path"


def _contradictions(budget: Budget, *, guessing: bool) -> list[str]:
    """Limits that could never be checked, and keys that no limit uses. `guessing`: an unknown key may be the limit."""
    compared = are_set(RunLimits, budget)
    problems = []
    if not budget.path:
        problems.append("path is empty")
    if compared and budget.reference is None:
        need = "needs" if len(compared) == 1 else "need"
        problems.append(f"{', '.join(compared)} {need} a reference model to compare with")
    if budget.data is None:
        problems += [f"{name} needs labelled data" for name in _ON_LABELS if getattr(budget, name) is not None]
    if budget.metric and budget.min_metric is not None and LOWER_IS_BETTER.issuperset(budget.metric):
        names = " and ".join(budget.metric)
        problems.append(f"min_metric: {names} is better when it is lower, so limit it with max_metric")
    if budget.labels is not None and budget.data is None:
        problems.append("labels need data: they belong to samples")
    if (budget.metric or budget.metric_output) and budget.data is None:
        problems.append("metric needs data: a task is done on real samples")
    if guessing:
        return problems
    if budget.reference is not None and not compared:
        problems.append(f"no limit uses the reference: give one of {', '.join(names_of(RunLimits))}")
    elif budget.data is not None and not budget.runs:
        problems.append("no limit uses the data")
    if not are_set(BudgetLimits, budget):
        problems.append("it has no limit: give one such as max_size")
    return problems


def _missing_files(config: Config) -> Sequence[str]:
    """Globs that match nothing, and references and data that do not exist."""
    problems = []
    for budget in config.budgets:
        models = config.models(budget)
        if budget.path and not models and not budget.optional:
            problems.append(f"path {budget.path!r} matches no file (optional = true allows that)")
        for key in ("reference", "data", "labels"):
            name = getattr(budget, key)
            if name is not None and (models or not budget.optional) and not (config.folder / name).exists():
                problems.append(f"{key} {name!r} does not exist (paths are relative to {config.path.name})")
        problems += _missing_metrics(config.folder, budget)
    return list(dict.fromkeys(problems))


def _missing_metrics(folder: Path, budget: Budget) -> list[str]:
    problems = []
    for name in budget.metric or ():
        try:
            require_metric(metric_from(folder, name))
        except UsageError as error:
            problems.append(str(error))
    return problems
