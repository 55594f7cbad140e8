"""The planned size is the size that `store` makes."""

from pathlib import Path

import numpy as np
import pytest

from nncompress.forms.choice import FormChoice
from nncompress.forms.planned import planned_bytes
from nncompress.forms.store import store
from nncompress.model.constants import find_constants
from nncompress.model.model import Model
from nncompress.model.normalise import normalise
from nncompress.onnx_file.read import load
from nncompress.passes import Factorize, PruneMagnitude, QuantizeWeights
from nncompress.passes.base import Pass
from nncompress.passes.context import Context
from tests.models import linear, model_of, noise

SAMPLES = sorted((Path(__file__).parents[2] / "sample_models").rglob("*.onnx"))
SMALL_CONSTANTS = 32 + 4 + 8 + 2 * 8 + 8 + 8 * 8  # powers, two, axis, start and end, -1, a shape of rank 8
CHAINS: dict[str, list[Pass]] = {
    "nothing": [],
    "quantize": [QuantizeWeights(min_size=1)],
    "asymmetric": [QuantizeWeights(symmetric=False)],
    "unsigned": [QuantizeWeights(dtype="uint8", granularity="tensor")],
    "prune": [PruneMagnitude(sparsity=0.5)],
    "prune much": [PruneMagnitude(sparsity=0.97)],
    "prune and quantize": [PruneMagnitude(sparsity=0.6), QuantizeWeights()],
    "prune much and quantize": [PruneMagnitude(sparsity=0.97), QuantizeWeights()],
    "factorize": [Factorize(ratio=0.5)],
}


def constant_bytes(model: Model) -> int:
    return sum(tensor.nbytes for _, tensor, _ in find_constants(model))


def check(model: Model, passes: list[Pass], form: FormChoice) -> None:
    for one in passes:
        one.apply(model, Context())
    planned = planned_bytes(model, form)
    stored = store(model, form).values()
    sparse = sum("sparse" in one.form for one in stored)
    assert 0 <= constant_bytes(model) - planned <= sparse * SMALL_CONSTANTS
    assert (planned == constant_bytes(model)) == (sparse == 0)


@pytest.mark.parametrize("form", ["folded", "dequantize"])
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.parent.name + "/" + path.name)
def test_what_is_planned_is_what_store_makes(path: Path, chain: str, form: FormChoice) -> None:
    model = load(path)
    normalise(model)
    check(model, CHAINS[chain], form)


@pytest.mark.parametrize("form", ["folded", "dequantize"])
@pytest.mark.parametrize("opset", [7, 10, 13])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("chain", CHAINS)
def test_so_it_is_for_old_opsets_and_other_types(chain: str, dtype: type, opset: int, form: FormChoice) -> None:
    check(linear(noise(80, 72, dtype=dtype), opset=opset), CHAINS[chain], form)


@pytest.mark.parametrize("form", ["folded", "dequantize"])
def test_so_it_is_for_tables_second_scales_and_rows(form: FormChoice) -> None:
    outliers = noise(80, 80)
    outliers[5] *= 200
    body = """g (int64[3] i, float[3,5,80] z) => (float[3,80] y, float[3,5,70] s) {
        e = Gather(t, i) y = MatMul(e, w) s = MatMul(z, b)
    }"""
    model = model_of(body, t=noise(300, 80), w=outliers, b=noise(3, 80, 70))
    check(model, [QuantizeWeights()], form)


def test_of_plain_weights_it_is_what_they_take() -> None:
    model = model_of(
        "g (float[2,64] x) => (float[2,64] y) { m = MatMul(x, w) y = Add(m, d) }", w=noise(64, 64), d=noise(64)
    )
    assert planned_bytes(model) == 4 * 64 * 64 + 4 * 64
