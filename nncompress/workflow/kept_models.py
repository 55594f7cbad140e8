"""Models that a search has built, kept in a folder with their accounts: another search need not build them again."""

from __future__ import annotations

import os
import secrets
import shutil
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from tempfile import mkdtemp

from nncompress.errors import InputError, NoOutputError, reason
from nncompress.files.places import is_folder
from nncompress.files.texts import read_text, write_whole
from nncompress.onnx_file.read import load
from nncompress.onnx_file.write import write
from nncompress.results.account import Account, Kept, kept_json, read_kept
from nncompress.workflow.pipeline import Compressed

MOST = 16  # models; of more, those go that were not asked for the longest
_MODEL, _ACCOUNT = "model.onnx", "account.json"


class KeptModels:
    """By a key of all that bears on them. None is held in memory."""

    def __init__(self, folder: Path | None = None) -> None:
        """None: they are kept as long as this object is, in a temporary one."""
        self._given = self._folder = folder

    def has(self, key: str) -> bool:
        """True if there is nothing to build."""
        return self._folder is not None and is_folder(self._folder / key)

    def of(self, key: str, build: Callable[[], Compressed]) -> Compressed:
        """The model that is kept under `key`, or else what `build` makes, which is kept from now on. Raises InputError
        for one that was changed since, NoOutputError where the folder cannot be written to."""
        if self._folder is not None and self.has(key):
            made = _read(self._folder / key)
            with suppress(OSError):  # of somebody else: it will be taken for older than it is
                os.utime(self._folder / key)
            return made
        made = build()
        try:
            folder = self._folder = self._folder or self._temporary()
            _write(made, folder / key)
            _tidy(folder)
        except OSError as error:
            where, hint = (self._given, "") if self._given else ("the temporary folder", " (TMPDIR names another)")
            raise NoOutputError(f"cannot write to {where}: {reason(error)}{hint}") from error
        return made

    def _temporary(self) -> Path:
        folder = Path(mkdtemp(prefix="nncompress-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder


def _tidy(folder: Path) -> None:
    kept = sorted(filter(is_folder, folder.iterdir()), key=lambda entry: entry.stat().st_mtime)
    for entry in kept[:-MOST]:
        shutil.rmtree(entry)


def _write(made: Compressed, place: Path) -> None:
    """All of it, or nothing."""
    place.parent.mkdir(exist_ok=True)
    unfinished = place.with_name(f".{secrets.token_hex(8)}")
    unfinished.mkdir()
    try:
        write(made.model, unfinished / _MODEL, lasting=False)
        digests = tuple(file.sha256() for file in load(unfinished / _MODEL).files)
        account = Account(**{field.name: getattr(made, field.name) for field in fields(Account)})
        write_whole(unfinished / _ACCOUNT, kept_json(Kept(account, digests)))
        try:
            unfinished.rename(place)
        except OSError:
            if not is_folder(place):  # which another search has built meanwhile
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _read(place: Path) -> Compressed:
    try:
        kept, model = read_kept(read_text(place / _ACCOUNT)), load(place / _MODEL)
        if tuple(file.sha256() for file in model.files) != kept.sha256:
            raise InputError(f"{place / _MODEL} was changed")
    except InputError as error:
        raise InputError(f"cannot resume from {place}: {error}; delete this folder") from error
    return Compressed(**vars(kept.account), model=model)
