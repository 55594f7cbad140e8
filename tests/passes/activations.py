"""Models whose products are computed in integers, calibrated on a few feeds, for the tests of that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from nncompress.forms.form import DEFAULT_FORM, Target
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.record import Rewritten, Skipped
from nncompress.runtime.session import ort
from nncompress.workflow.pipeline import Compressed, compress_graph
from tests.calibrate.samples import samples_of
from tests.models import as_model, noise, proto_from

IMAGE, ROWS = "float[2,4,8,8] x", "float[3,16] x"
IMAGES = [{"x": noise(2, 4, 8, 8, seed=seed)} for seed in range(3)]
VECTORS = [{"x": noise(3, 16, seed=seed)} for seed in range(3)]

EIGHT_BITS = QuantizeWeights(min_size=1, only_if_smaller=False)


def in_integers(
    proto: onnx.ModelProto, samples: Sequence[dict[str, np.ndarray]], folder: Path, *, target: Target = "portable",
    form: str = DEFAULT_FORM, weights: QuantizeWeights = EIGHT_BITS, **options: Any,
) -> Compressed:  # fmt: skip
    """All weights as `weights` says, their products as `options` of the other pass say."""
    model = as_model(proto)
    folder.mkdir(exist_ok=True)
    passes = [QuantizeActivations(min_size=1, **options), weights]
    given = samples_of(folder / "samples", model, samples)
    return compress_graph(model, passes, samples=given, target=target, form=form)


def said_of(compressed: Compressed, name: str) -> str:
    """What the pass says of a weight."""
    (outcome,) = [o for o in compressed.outcomes if o.subject == name and o.by == QuantizeActivations.name]
    assert isinstance(outcome, Rewritten | Skipped)
    return outcome.reason if isinstance(outcome, Skipped) else outcome.detail


def kernels_of(compressed: Compressed, folder: Path) -> list[str]:
    """The operators that onnxruntime really runs."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    source = proto_from(compressed.model).SerializeToString()
    ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node]


def sqnr_db(before: np.ndarray, after: np.ndarray) -> float:
    exact, found = before.astype(np.float64), after.astype(np.float64)
    error = ((exact - found) ** 2).sum()
    return float(10 * np.log10((exact**2).sum() / error)) if error else np.inf
