"""The bytes that are counted before are the bytes that `store` makes, and the cheapest form is taken."""

from pathlib import Path

import numpy as np
import pytest

from nncompress.forms import ALL_FORMS, form_names
from nncompress.forms.choice import constant_bytes
from nncompress.forms.form import Storing
from nncompress.forms.store import store
from nncompress.model.constants import find_constants
from nncompress.model.model import Model
from nncompress.model.normalise import normalise
from nncompress.onnx_file.read import load
from nncompress.passes import Factorize, PruneMagnitude, QuantizeWeights
from nncompress.passes.base import Pass
from tests.models import context_for, linear, model_of, noise

SAMPLES = sorted((Path(__file__).parents[2] / "sample_models").rglob("*.onnx"))
CHAINS: dict[str, list[Pass]] = {
    "nothing": [],
    "quantize": [QuantizeWeights(min_size=1)],
    "asymmetric": [QuantizeWeights(symmetric=False)],
    "unsigned": [QuantizeWeights(dtype="uint8", granularity="tensor")],
    "prune": [PruneMagnitude(sparsity=0.5)],
    "prune much": [PruneMagnitude(sparsity=0.97)],
    "prune and quantize": [PruneMagnitude(sparsity=0.6), QuantizeWeights()],
    "prune much and quantize": [PruneMagnitude(sparsity=0.97), QuantizeWeights()],
    "halves": [QuantizeWeights(dtype="float16")],
    "sparse halves": [PruneMagnitude(sparsity=0.7), QuantizeWeights(dtype="bfloat16")],
    "factorize": [Factorize(ratio=0.5)],
}


def check(model: Model, passes: list[Pass], form: str) -> None:
    for current in passes:
        current.apply(model, context_for(model))
    counted = constant_bytes(model, Storing(model.opset, form))
    store(model, Storing(model.opset, form))
    assert counted == sum(tensor.nbytes for _, tensor, _ in find_constants(model))


@pytest.mark.parametrize("form", ["folded", "dequantize"])
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.parent.name + "/" + path.name)
def test_what_is_planned_is_what_store_makes(path: Path, chain: str, form: str) -> None:
    model = load(path)
    normalise(model)
    check(model, CHAINS[chain], form)


@pytest.mark.parametrize("form", ["folded", "dequantize"])
@pytest.mark.parametrize("opset", [7, 10, 13])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("chain", CHAINS)
def test_so_it_is_for_old_opsets_and_other_types(chain: str, dtype: type, opset: int, form: str) -> None:
    check(linear(noise(80, 72, dtype=dtype), opset=opset), CHAINS[chain], form)


@pytest.mark.parametrize("form", ["folded", "dequantize"])
def test_so_it_is_for_tables_second_scales_and_rows(form: str) -> None:
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
    assert constant_bytes(model, Storing(17)) == 4 * 64 * 64 + 4 * 64


def test_forms_have_names_of_their_own_and_the_default_is_one() -> None:
    assert len({form.name for form in ALL_FORMS}) == len(ALL_FORMS)
    assert form_names() == ["folded", "dequantize", "integer"]
