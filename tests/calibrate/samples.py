"""Samples in files, and the passes applied to a model in memory, for the tests of calibration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from nncompress.feeds.fed import input_specs
from nncompress.feeds.feeds import Feeds, load_feeds
from nncompress.forms.form import Storing
from nncompress.model.model import Model
from nncompress.passes.base import Pass
from nncompress.passes.context import Context
from nncompress.workflow.pipeline import Applied, apply_passes
from tests.models import as_model


def samples_of(folder: Path, model: Model, samples: Sequence[dict[str, np.ndarray]]) -> Feeds:
    """One feed for each of `samples`."""
    folder.mkdir(exist_ok=True)
    for index, arrays in enumerate(samples):
        np.savez(folder / f"{index:03}.npz", **arrays)
    return load_feeds(folder, input_specs(model.ir))


def applied(
    proto: onnx.ModelProto, passes: Sequence[Pass], folder: Path, samples: Sequence[dict[str, np.ndarray]]
) -> Applied:
    """The float graph that `passes` make of the model, calibrated on `samples`."""
    model = as_model(proto)
    return apply_passes(model, passes, Context(Storing(model.opset)), samples=samples_of(folder, model, samples))
