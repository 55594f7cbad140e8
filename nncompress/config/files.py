"""Where the configuration is: nncompress.toml, or [tool.nncompress] in pyproject.toml, here or in a folder above.

The nearest folder that has one counts, and no other. Of both in one folder, nncompress.toml counts more.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nncompress.errors import InputError, UsageError
from nncompress.files.texts import read_text

CONFIG_NAME = "nncompress.toml"
PYPROJECT = "pyproject.toml"


def settings_files(start: Path) -> list[Path]:
    """The configuration files that hold in `start`, the one that counts most first.

    A pyproject.toml without our table is passed over. What only bears the name of a configuration is one, too: to read
    it raises UsageError, for a limit in it would be lost.
    """
    for folder in _upward(start):
        paths = [folder / name for name in (CONFIG_NAME, PYPROJECT)]
        found = [path for path in paths if os.path.lexists(path) and (path.name == CONFIG_NAME or _is_ours(path))]
        if found:
            return found
    return []


def read_config(path: Path) -> dict[str, Any]:
    """What a configuration file says, of a pyproject.toml our table. Raises UsageError where there is no TOML."""
    content = _read_toml(path)
    return _table(_table(content, "tool"), "nncompress") if path.name == PYPROJECT else content


def _upward(start: Path) -> Iterator[Path]:
    """`start` and the folders above it, up to the root of the file system."""
    yield start
    if start.is_absolute():
        yield from start.parents
        return
    try:
        depth = len(start.resolve().parts) - 1
    except OSError:  # the current folder is gone
        return
    for count in range(1, depth + 1):
        yield start.joinpath(*[os.pardir] * count)


def _is_ours(pyproject: Path) -> bool:
    return "nncompress" in _table(_read_toml(pyproject), "tool")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except InputError as error:
        raise UsageError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error


def _table(content: dict[str, Any], key: str) -> dict[str, Any]:
    table = content.get(key, {})
    return table if isinstance(table, dict) else {}
