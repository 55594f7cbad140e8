"""Says whether a file that we wrote is a valid model, as far as its original was one."""

from __future__ import annotations

from nncompress.errors import NoOutputError
from nncompress.model.model import Model


def check_result(result: Model, original: Model) -> None:
    """Raises NoOutputError if the checker or strict shape inference refuse `result` but had nothing against `original`.

    Both were asked when the files were loaded, without reading the large tensors.
    """
    if result.complaint and original.complaint is None:
        raise NoOutputError(f"the result would not be a valid model: {result.complaint}")
