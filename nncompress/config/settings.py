"""What a recipe or a configuration file may set besides passes and budgets: the options that commands share.

`seed`, `seconds`, `threads`, `bench_threads`, `form`, `target`, `aim`, `external_data`, `register_library`,
`keep_opset`, `keep_metadata` and `strip` stand at the top, the data in a table `[data]` (path, labels, calibration,
calibration_cache, dims, metric, metric_output), and the limits in `[limits]`. Paths are relative to the folder of the
file.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictBool, StrictStr, TypeAdapter, ValidationError, WithJsonSchema

from nncompress.errors import UsageError, explained, nearest
from nncompress.files.places import MADE_UP
from nncompress.forms import check_form, form_names
from nncompress.forms.form import Target
from nncompress.results.limits import Aim, Limits, limits_in, names_of
from nncompress.validate.metrics.names import check_metric, metric_for, metric_from

_Whole = Annotated[int, Field(strict=True, ge=0)]
_AtLeastOne = Annotated[int, Field(strict=True, ge=1)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(lambda v: str(v) if v is True else v)]


def _metrics(value: Any) -> Any:
    """One name of a metric, or a list of names."""
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{value!r} is neither the name of a metric nor a list of names")
    for name in names:
        try:
            check_metric(name)
        except UsageError as error:
            raise ValueError(str(error)) from error
    return tuple(names)


Metrics = Annotated[
    tuple[str, ...],
    BeforeValidator(_metrics),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


def _form(value: Any) -> Any:
    try:
        return None if value is None else check_form(value)
    except UsageError as error:
        raise ValueError(str(error)) from error


_FormName = Annotated[str, BeforeValidator(_form), WithJsonSchema({"enum": form_names(), "type": "string"})]


@dataclass(frozen=True)
class DataSettings:
    """What both models are run on, and what is calibrated on."""

    path: StrictStr | None = None
    labels: StrictStr | None = None
    calibration: StrictStr | None = None  # made up where it is MADE_UP
    calibration_cache: StrictStr | None = None
    dims: dict[str, _AtLeastOne] | None = None  # of made-up inputs
    metric: Metrics | None = None
    metric_output: StrictStr | None = None


@dataclass(frozen=True)
class Settings:
    """None: not set here."""

    seed: _Whole | None = None
    seconds: _Seconds | None = None
    bench_threads: _AtLeastOne | None = None
    threads: _Whole | None = None
    form: _FormName | None = None
    target: Target | None = None
    aim: Aim | None = None
    external_data: StrictBool | None = None
    register_library: list[StrictStr] | None = None  # files
    keep_opset: StrictBool | None = None
    keep_metadata: StrictBool | None = None
    strip: StrictBool | None = None
    data: DataSettings = DataSettings()
    limits: Limits = Limits()


KEYS = tuple(field.name for field in dataclasses.fields(Settings))
_TABLES: dict[str, type] = {"data": DataSettings, "limits": Limits}
_LIMITS = limits_in(Limits)
_PATHS = {"path": "data", **{key: key for key in ("labels", "calibration", "calibration_cache")}}
"""{key in [data]: option}"""
_SETTINGS: TypeAdapter[Settings] = TypeAdapter(Settings)


def settings_problems(table: Mapping[str, Any]) -> list[str]:
    """Everything wrong with the settings in `table`; other keys are not looked at."""
    problems = []
    values = {key: value for key, value in table.items() if key in KEYS}
    for key, kind in _TABLES.items():
        if isinstance(values.get(key), dict):
            known = [field.name for field in dataclasses.fields(kind)]
            problems += [
                f"{key}: unknown key {name!r}{nearest(name, known, 1)}" for name in values[key] if name not in known
            ]
            values[key] = {name: value for name, value in values[key].items() if name in known}
    try:
        _SETTINGS.validate_python(values)
    except ValidationError as error:
        problems += [explained(each) for each in error.errors()]
    return problems


def option_values(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """{name of an option: its value} of a table without problems."""
    settings = _SETTINGS.validate_python({key: value for key, value in table.items() if key in KEYS})
    values = {key: getattr(settings, key) for key in KEYS if key not in _TABLES}
    for name, value in table.get("limits", {}).items():  # with a unit as typed: the options read it themselves
        values[name] = str(value) if _LIMITS[name].metavar else getattr(settings.limits, name)
    data = settings.data
    values["register_library"] = [folder / path for path in settings.register_library or ()] or None
    values |= {name: _at(folder, path) for key, name in _PATHS.items() if (path := getattr(data, key))}
    values["metric"] = [metric_from(folder, name) for name in data.metric] if data.metric else None
    values["metric_output"] = data.metric_output
    values["dim"] = [f"{name}={size}" for name, size in data.dims.items()] if data.dims else None
    return {name: value for name, value in values.items() if value is not None}


def _at(folder: Path, path: str) -> Path:
    return MADE_UP if path == str(MADE_UP) else folder / path


def settings_table(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The table that option_values reads as `values`, for a file in `folder`."""
    limits = {name: values[name] for name in names_of(Limits) if name in values}
    data: dict[str, Any] = {}
    for key, name in _PATHS.items():
        if name in values:
            path = values[name]
            data[key] = str(path) if path == MADE_UP else Path(os.path.relpath(path, folder)).as_posix()
    if values.get("dim"):
        data["dims"] = {text.rpartition("=")[0]: int(text.rpartition("=")[2]) for text in values["dim"]}
    if values.get("metric"):
        data["metric"] = [metric_for(folder, name) for name in values["metric"]]
    if "metric_output" in values:
        data["metric_output"] = values["metric_output"]
    top = {key: values[key] for key in KEYS if key in values and key not in _TABLES}
    if "register_library" in top:
        top["register_library"] = [Path(os.path.relpath(path, folder)).as_posix() for path in top["register_library"]]
    return {**top, **({"data": data} if data else {}), **({"limits": limits} if limits else {})}


def key_of(option: str) -> str:
    """Where a file sets an option, such as "data.path", "limits.max_drop" or "seed"."""
    if option in _LIMITS:
        return f"limits.{option}"
    in_data = {"dim": "dims", **{name: key for key, name in _PATHS.items()}}
    key = in_data.get(option, option)
    return f"data.{key}" if key in (field.name for field in dataclasses.fields(DataSettings)) else key
