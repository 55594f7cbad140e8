"""Brings a finished model to its place: whole or not at all, over an old one only when asked, never over its input.

The files are made in a hidden folder beside the target, looked at there, and renamed at the end. The folder is
locked while its process lives, so that the next run can tell what a killed one left behind and remove it. Runs with the
same target take turns at renaming: a model never comes to stand beside the data file of another.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from nncompress.errors import NoOutputError, UsageError, reason
from nncompress.files.places import check_place, is_special, status_of
from nncompress.model.model import Model
from nncompress.onnx_file.write import write


class OutputFile:
    """`with OutputFile(target, source) as out: out.write(model); ...; out.commit()`: nothing remains without commit."""

    def __init__(self, target: Path, source: Model | None = None, *, force: bool = False) -> None:
        self.target, self._source, self._force = target, source, force
        self._files: list[Path] = []
        check_target(target, source, force=force)

    def __enter__(self) -> OutputFile:
        parent = self.target.parent
        _sweep(parent, self.target.name)
        try:
            self._folder, self._lock = _locked_folder(self.target)
        except OSError as error:
            raise NoOutputError(f"cannot write to {parent}: {reason(error)}") from error
        return self

    @property
    def path(self) -> Path:
        """The model file before it is committed."""
        return self._folder / self.target.name

    def write(self, model: Model, *, external_data: bool = False) -> Path:
        """Writes the model into the hidden folder and returns its path there.

        Raises InputError if the files that the model was loaded from have changed since.
        """
        try:
            self._files = write(model, self.path, external_data=external_data)
        except OSError as error:
            raise NoOutputError(f"cannot write {self.target}: {reason(error)}") from error
        except MemoryError as error:
            raise NoOutputError(f"cannot write {self.target}: not enough memory") from error
        except UnicodeEncodeError as error:  # more than protobuf can hold: the data go to a file of their own
            raise _unnameable(self.target) from error
        for file in model.files:
            file.check_unchanged()
        return self.path

    def commit(self) -> None:
        """Renames the files into place, the model last: from that moment on it is complete."""
        try:
            with turn_at(self.target):
                if not self._force and os.path.lexists(self.target):
                    raise UsageError(f"{self.target} exists by now (--force overwrites it)")
                _move(self._files, self.target.parent)
                with suppress(OSError):  # the model is in its place
                    _flush_folder(self.target.parent)
                    _remove_old_data(self.target, self._source, keep={file.name for file in self._files})
        except OSError as error:
            raise NoOutputError(f"cannot write {self.target}: {reason(error)}") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)


def check_target(target: Path, source: Model | None, *, force: bool, external_data: bool = False) -> None:
    """Raises UsageError or NoOutputError where no model can or may be written."""
    check_place(target)
    if is_special(target) or _lies_in(target, Path("/dev")):  # /dev/stdout may lead to a regular file
        raise UsageError(f"cannot write {target}: it is not a regular file; name another output")
    if external_data and (not target.name.isprintable() or "\\" in target.name):
        raise _unnameable(target)
    if source and any(file.is_same_as(target) for file in source.files):
        raise UsageError(f"{target} is the input itself: inputs are never modified, name another output")
    if os.path.lexists(target) and not force:
        raise UsageError(f"{target} exists (--force overwrites it)")


def _lies_in(target: Path, folder: Path) -> bool:
    parent, status = status_of(target.parent), status_of(folder)
    return parent is not None and status is not None and os.path.samestat(parent, status)


def owner_of_data(name: str) -> str | None:
    """The name of the model that a data file was written for, by its own name; None for other files."""
    match = re.fullmatch(r"(.+)\.[0-9a-f]{8}\.data", name, re.DOTALL)
    return match[1] if match else None


def _unnameable(target: Path) -> UsageError:
    named = "for the model to name its data file, which is named after it"
    return UsageError(f"cannot write {target}: its name must be printable UTF-8 without backslashes, {named}")


def _locked_folder(target: Path) -> tuple[Path, int]:
    """Makes a hidden folder beside `target` and locks it; returns it with the descriptor that holds the lock.

    Until it is locked another run may sweep it away at any moment, and then it is tried again. Never with the same
    name: who sweeps has looked at the old folder, and would remove the new one.
    """
    while True:
        folder = target.with_name(f".{target.name}.nncompress-{secrets.token_hex(6)}")
        folder.mkdir()
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            os.close(lock)
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if _names(folder, lock):
            return folder, lock
        os.close(lock)


@contextmanager
def turn_at(target: Path) -> Iterator[None]:
    """Waits until no other run renames files to this target, and keeps others waiting for as long."""
    path = target.with_name(f".{target.name}.nncompress-lock")
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _names(path, lock):
                break
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)  # the run before has removed it
    try:
        yield
    finally:
        with suppress(OSError):  # where nothing may be removed, the next run takes what is there
            path.unlink()
        os.close(lock)


def _names(path: Path, descriptor: int) -> bool:
    """True if `path` is the file or folder that `descriptor` has open."""
    with suppress(FileNotFoundError):
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    return False


def _move(files: list[Path], folder: Path) -> None:
    """Renames the files into `folder` in their order. Where the last one, the model, does not come to its place, what
    was not there before is removed again."""
    new = [place for file in files if not os.path.lexists(place := folder / file.name)]
    try:
        for file in files:
            file.replace(folder / file.name)
    except BaseException:
        if files[-1].exists():
            for place in new:
                place.unlink(missing_ok=True)
        raise


def _sweep(folder: Path, name: str) -> None:
    """Removes the hidden folders of processes that were killed while they wrote to the same target."""
    ours = re.compile(re.escape(f".{name}.nncompress-") + "[0-9a-f]{12}")
    try:
        left = [entry for entry in folder.iterdir() if ours.fullmatch(entry.name)]
    except OSError as error:
        raise NoOutputError(f"cannot write to {folder}: {reason(error)}") from error
    for entry in left:
        try:
            lock = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # gone already, or not ours
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(entry, ignore_errors=True)
        except BlockingIOError:
            pass  # its process lives
        finally:
            os.close(lock)


def _remove_old_data(target: Path, source: Model | None, keep: set[str]) -> None:
    """Removes data files of earlier results at this target: nothing names them any more, unless the input does."""
    needed = source.files if source else ()
    for entry in target.parent.iterdir():
        if owner_of_data(entry.name) != target.name or entry.name in keep:
            continue
        if not any(file.is_same_as(entry) for file in needed):
            with suppress(OSError):  # what somebody else wrote into a shared folder may be theirs to remove
                entry.unlink()


def remove_model(path: Path) -> None:
    """What was written there, with its data, if there is any."""
    path.unlink(missing_ok=True)
    _remove_old_data(path, None, keep=set())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot flush a folder; the files in it are on the disk already
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_result(result: Model, original: Model) -> None:
    """Raises NoOutputError if the checker or strict shape inference refuse `result` but had nothing against `original`.

    Both were asked when the files were loaded, without reading the large tensors.
    """
    if result.complaint and original.complaint is None:
        raise NoOutputError(f"the result would not be a valid model: {result.complaint}")
