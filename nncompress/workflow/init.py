"""Writes a first nncompress.toml: what each model weighs and costs today, plus a margin."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomlkit

from nncompress.errors import InputError
from nncompress.onnx_file.facts import file_facts
from nncompress.onnx_file.read import load
from nncompress.results.record import FileFacts
from nncompress.results.units import format_bytes, format_count

MARGIN = 0.1
_SKIPPED = {"node_modules", "site-packages", "__pycache__", "venv"}
_HEAD = f"""\
# Budgets of the models in this folder; "nncompress check" fails when one is exceeded.
# Each limit is today's figure plus {MARGIN:.0%}. Paths are relative to this file and may be globs ("models/*.onnx").
# Further keys of a budget:
#   level = "warn"           a missed limit only warns
#   optional = true          the path may match nothing
#   reference = "full.onnx"  compare with this model, with one of these limits:
#     min_cosine = 0.999, min_sqnr = "30 dB", max_latency_ratio = 1.1, and on the worst sample
#     min_sample_cosine = 0.9, min_sample_sqnr = "10 dB"
#   data = "eval.npz"        real inputs (and labels) for that, and then also:
#     max_drop = "0.5 %" of the task metric, min_metric = "97 %"
"""


@dataclass(frozen=True)
class Measured:
    """One model and its figures today."""

    path: Path  # relative to the folder of the configuration
    facts: FileFacts


def find_models(folder: Path) -> list[Path]:
    """All *.onnx files below `folder`, sorted; hidden folders, virtual environments and caches are left out."""
    return sorted(_below(folder))


def measure(path: Path, folder: Path) -> Measured:
    """Reads one model. Raises InputError, also for a name that TOML could not hold."""
    if not str(path).isascii() and str(path) != str(path).encode("utf-8", "replace").decode():
        raise InputError(f"{path}: its name is not UTF-8, which a configuration has to be")
    return Measured(Path(os.path.relpath(path, folder)), file_facts(load(path)))


def starter_text(models: Sequence[Measured]) -> str:
    """The configuration, one budget a model."""
    return "\n".join([_HEAD, *map(_budget, models)])


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_skipped(Path(root, name))]
        yield from (Path(root, name) for name in files if name.endswith(".onnx") and not name.startswith("."))


def _is_skipped(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name in _SKIPPED or (folder / "pyvenv.cfg").exists()


# ------------------------------------------------------------------------------------------------ text
def _budget(model: Measured) -> str:
    facts = model.facts
    lines = ["[[budget]]", f"path = {_quoted(glob.escape(model.path.as_posix()))}"]
    lines.append(_line("max_size", _size(facts.file_bytes), format_bytes(facts.file_bytes)))
    if facts.packed_bytes is not None:
        lines.append(_line("max_packed_size", _size(facts.packed_bytes), f"{format_bytes(facts.packed_bytes)} by zstd"))
    lines.append(_line("max_params", _count(facts.parameters), format_count(facts.parameters)))
    if facts.macs is not None:
        lines.append(_line("max_macs", _count(facts.macs), f"{format_count(facts.macs)} multiply-accumulates"))
    return "\n".join(lines) + "\n"


def _line(key: str, value: str, now: str) -> str:
    return f"{f'{key} = {value}':32}  # now {now}"


def _size(size_bytes: int) -> str:
    return f'"{format_bytes(_with_margin(size_bytes))}"'.replace(",", "")


def _count(count: int) -> str:
    """TOML's own way to group digits."""
    return f"{_with_margin(count):_}"


def _with_margin(figure: int) -> int:
    """Rounded up to three digits, which is what a size shows."""
    whole = math.ceil(figure * (1 + MARGIN))
    step = int(10 ** max(0, len(str(whole)) - 3))
    return -(-whole // step) * step


def _quoted(text: str) -> str:
    """A TOML string in which everything can be seen."""
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in tomlkit.string(text).as_string())
