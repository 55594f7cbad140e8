"""The names of task metrics: those that are built in, and how one's own are named."""

from __future__ import annotations

import os
import re
from pathlib import Path

from nncompress.errors import UsageError, nearest

LOWER_IS_BETTER = {"mse", "token-error-rate", "ctc-error-rate"}
WITH_NUMBER = re.compile(r"(top-|recall@)([1-9][0-9]{0,3})")
KNOWN = "top-K, f1, mse, recall@K, token-error-rate, ctc-error-rate"
_NAMES = ("top-1", "top-5", "f1", "mse", "recall@10", "token-error-rate", "ctc-error-rate")


def check_metric(name: str) -> None:
    """Raises UsageError for a metric that there is not; nothing of the user's is run."""
    if ":" in name:
        _check_own(name)
    elif name not in _NAMES and not WITH_NUMBER.fullmatch(name):
        known = f"{KNOWN}, or your own as module:function"
        raise UsageError(f"unknown metric {name!r}{nearest(name, _NAMES)}: there are {known}")


def does_without_labels(name: str) -> bool:
    """True for a metric that compares both models, or that looks for labels itself."""
    return ":" in name or name.startswith("recall@")


def require_metric(name: str) -> None:
    """The same, and the file of a metric of one's own has to be there."""
    check_metric(name)
    file = metric_file(name)
    if file is not None and not os.path.isfile(file):  # noqa: PTH113 - Path.is_file raises for some names
        raise UsageError(f"metric {name!r}: there is no file {file}")


def metric_file(name: str) -> Path | None:
    """The file of a metric that is named as file.py:function."""
    place = name.rpartition(":")[0]
    return Path(place) if place.endswith(".py") else None


def metric_from(folder: Path, name: str) -> str:
    """`name` as a file in `folder` means it: the path of a .py file is relative to that folder."""
    place, colon, function = name.rpartition(":")
    return f"{folder / place}{colon}{function}" if place.endswith(".py") else name


def metric_for(folder: Path, name: str) -> str:
    """What `metric_from` reads as `name`."""
    place, colon, function = name.rpartition(":")
    return f"{Path(os.path.relpath(place, folder)).as_posix()}{colon}{function}" if place.endswith(".py") else name


def _check_own(name: str) -> None:
    place, _, function = name.rpartition(":")
    if not place or not function.isidentifier():
        raise UsageError(f"metric {name!r} is not module:function, such as scores:accuracy or scores.py:accuracy")
