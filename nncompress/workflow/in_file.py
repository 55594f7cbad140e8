"""A model in memory as a file for a while, for what runs files only."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nncompress.errors import NoOutputError, reason
from nncompress.model.model import Model
from nncompress.onnx_file.write import write


@contextmanager
def in_file(model: Model, name: str) -> Iterator[Path]:
    """The file, until the block ends. Raises NoOutputError where it cannot be written."""
    with tempfile.TemporaryDirectory(prefix="nncompress-") as folder:
        path = Path(folder) / name
        try:
            write(model, path, lasting=False)
        except OSError as error:
            raise NoOutputError(
                f"cannot write to the temporary folder: {reason(error)} (TMPDIR names another)"
            ) from error
        yield path
