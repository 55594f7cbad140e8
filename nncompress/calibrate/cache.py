"""What activations were like, kept from one run to the next in a file, by hash of the model and of the samples.

It is an .npz of arrays and a header: the form and its version, both hashes, names, and the reasons of values of which
nothing is known. What is kept serves every estimator.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nncompress.calibrate.spreads import Spreads
from nncompress.errors import InputError
from nncompress.feeds.arrays import read_arrays, read_headers
from nncompress.feeds.feeds import Feeds, digest_of_all
from nncompress.files.places import status_of
from nncompress.files.texts import write_whole
from nncompress.model.model import Model
from nncompress.numerics.spread import Spread
from nncompress.onnx_file.write import digest

FORM, VERSION = "nncompress calibration", 1
_HEADER, _FEEDS = "header", "feeds"  # of each value the number of feeds
_BY_FEED = ("lows", "highs")
_ONE_EACH = ("count", "not_finite", "exponent", "zeros", "counts")


class Cache:
    """Of one model on one set of samples. Without a file it lasts as long as the run."""

    def __init__(self, path: Path | None = None, *, writes: bool = True) -> None:
        """Reads the file at `path`, if there is one. Raises InputError for one that is something else."""
        self.notes: list[str] = []
        self._path, self._writes = path, writes
        self._key, self._spreads = ("", {}) if path is None or status_of(path) is None else _read(path)

    def spreads(
        self, model: Model, samples: Feeds, names: Sequence[str], sum_up: Callable[[list[str]], Spreads]
    ) -> Mapping[str, Spread | str]:
        """What these values are like; `sum_up` is asked for those that are not known yet."""
        key = f"{digest(model)} {digest_of_all(samples)}"
        if key != self._key:
            if self._key and self._path is not None:
                self._note(f"{self._path} was made for another model or other samples: it was made anew")
            self._key, self._spreads = key, {}
        lacking = [name for name in names if name not in self._spreads]
        if self._path is not None and len(lacking) < len(names):
            self._note(f"{self._path} told what {len(names) - len(lacking)} of {len(names)} activations are like")
        if lacking:
            self._spreads |= sum_up(lacking)
            if self._path is not None and self._writes:
                write_whole(self._path, _content(self._key, self._spreads))
        return {name: self._spreads[name] for name in names}

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _content(key: str, spreads: Spreads) -> bytes:
    """The file."""
    known = {name: spread.arrays() for name, spread in spreads.items() if isinstance(spread, Spread)}
    reasons = {name: reason for name, reason in spreads.items() if isinstance(reason, str)}
    header = json.dumps({"form": FORM, "version": VERSION, "key": key, "names": list(known), "reasons": reasons})
    columns = {part: [arrays[part] for arrays in known.values()] for part in (*_BY_FEED, *_ONE_EACH)}
    arrays: dict[str, Any] = {part: np.concatenate([*columns[part], np.zeros(0)]) for part in _BY_FEED}
    arrays |= {part: np.array(columns[part], np.int64) for part in _ONE_EACH}
    arrays[_FEEDS] = np.array([len(lows) for lows in columns["lows"]], np.int64)
    arrays[_HEADER] = np.frombuffer(header.encode(), np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def _read(path: Path) -> tuple[str, Spreads]:
    """The key and what is known. A file of another version has no key."""
    refused = f"{path} is no calibration cache: name a new file, or delete this one"
    try:
        if set(read_headers(path)) != {_HEADER, _FEEDS, *_BY_FEED, *_ONE_EACH}:
            raise InputError(refused)
        arrays = read_arrays(path)
        header = json.loads(arrays[_HEADER].tobytes())
        if header["form"] != FORM:
            raise InputError(refused)
        if header["version"] != VERSION:
            return "of another version", {}
        return str(header["key"]), {**_taken_apart(header["names"], arrays), **header["reasons"]}
    except (InputError, ValueError, TypeError, KeyError, IndexError) as error:
        raise InputError(refused) from error


def _taken_apart(names: list[str], arrays: Mapping[str, np.ndarray]) -> dict[str, Spread]:
    """Raises ValueError where the arrays do not fit together."""
    ends = np.cumsum(arrays[_FEEDS])
    columns = {part: np.split(arrays[part], ends[:-1]) for part in _BY_FEED}
    columns |= {part: list(arrays[part]) for part in _ONE_EACH}
    if any(len(columns[part]) != len(names) for part in _ONE_EACH) or len(ends) != len(names):
        raise ValueError("names")
    if any(len(arrays[part]) != (ends[-1] if names else 0) for part in _BY_FEED):
        raise ValueError("ends")
    return {
        name: Spread.of({part: column[place] for part, column in columns.items()}) for place, name in enumerate(names)
    }
