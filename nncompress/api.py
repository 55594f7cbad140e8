"""What `import nncompress` offers: load, compress, save and compare, without the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nncompress.compression import compress_graph
from nncompress.forms.store import FormChoice
from nncompress.model.check import check_result
from nncompress.model.io import load
from nncompress.model.model import Model
from nncompress.model.output import Output
from nncompress.passes.base import Pass
from nncompress.passes.factorize import Factorize
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.report.record import Report
from nncompress.workflow import Proof, compare_files

__all__ = [
    "Factorize", "Model", "PruneMagnitude", "QuantizeWeights", "Report", "compare", "compress", "load", "save",
]  # fmt: skip


def compress(
    model: Model,
    passes: Sequence[Pass],
    *,
    form: FormChoice = "folded",
    threads: int = 1,
    freeze_inputs: bool = False,
) -> Model:
    """A compressed copy of `model`, whose `ledger` says what was done to each weight.

    Where no pass finds anything to do, the copy is the model as it was. `freeze_inputs`: initializers that are also
    graph inputs become constants and are compressed as well. Raises UsageError for impossible options.
    """
    compressed = compress_graph(model, passes, form=form, threads=threads, freeze=freeze_inputs)
    result = compressed.model if compressed.changed or freeze_inputs else model.clone()
    result.ledger = compressed.lines
    return result


def save(model: Model, path: str | Path, *, force: bool = False, external_data: bool = False) -> None:
    """Writes `model` to `path`, whole or not at all. Raises UsageError if it exists (without `force`) or is the
    model's own file, NoOutputError if it cannot be written or would not be a valid model."""
    with Output(Path(path), model, force=force) as out:
        check_result(load(out.write(model, external_data=external_data)), model)
        out.commit()


def compare(reference: str | Path, candidate: str | Path, *, data: str | Path | None = None) -> Report:
    """Runs both models side by side in onnxruntime, on `data` or on synthetic inputs."""
    return compare_files(Path(reference), Path(candidate), proof=Proof(data=Path(data) if data else None))
