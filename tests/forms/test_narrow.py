"""Numbers in narrow types are exactly what they were, as onnxruntime computes them, and cost what is said."""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest

from nncompress.forms.narrow import Narrow, narrowest
from nncompress.model.edit import Draft, Names, put_in_place
from tests.models import file_of, model_of, noise, only_weight, op_types, run, session

RNG = np.random.default_rng(0)
NUMBERS: dict[str, np.ndarray] = {
    "float32": noise(300),
    "int8": RNG.integers(-128, 128, 300).astype(np.float32),
    "uint8": RNG.integers(0, 256, 300).astype(np.float32),
    "float16": noise(300).astype(np.float16).astype(np.float32),
    "bfloat16": (noise(300) * 1e-20).astype(ml_dtypes.bfloat16).astype(np.float32),
    "multiples": np.append(RNG.integers(0, 256, 299), 255).astype(np.float32) * np.float32(3 * 2**-9),
}


@pytest.mark.parametrize("opset", [7, 13, 21])
@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_are_handed_out_to_the_bit_and_computed_at_load(tmp_path: Path, kind: str, opset: int) -> None:
    numbers = NUMBERS[kind].reshape(20, 15)
    narrow = narrowest(numbers, opset)
    expected = {"multiples": "uint8", "bfloat16": "float32" if opset < 13 else "bfloat16"}.get(kind, kind)
    assert (narrow.values.dtype.name, narrow.unit is not None) == (expected, kind == "multiples")
    model = model_of("g (float[20,20] x) => (float[20,15] y) { y = MatMul(x, w) }", opset=opset, w=numbers)
    before = file_of(model, tmp_path / "a.onnx").stat().st_size - numbers.nbytes
    draft = Draft(Names(model))
    put_in_place(model, only_weight(model), draft, narrow.draft(draft, "s"))
    assert np.array_equal(run(model, x=np.eye(20, dtype=np.float32))[0], numbers)
    path = file_of(model, tmp_path / "b.onnx")
    grown = path.stat().st_size - before
    assert narrow.size_bytes <= grown <= narrow.size_bytes + narrow.node_bytes
    session(path, optimised=tmp_path / "o.onnx")
    assert op_types(onnx.load(tmp_path / "o.onnx").graph.node) == ["MatMul"]


def test_nodes_that_cost_more_than_they_save_are_not_made() -> None:
    assert narrowest(np.arange(12), 17).values.dtype == np.float32
    assert narrowest(np.arange(40), 17).values.dtype == np.int8
    assert Narrow(np.zeros(3, np.float32)).node_bytes == 0


def test_numbers_that_some_runtimes_read_as_zero_stay_float32() -> None:
    tiny = np.full(300, 2.0**-20, np.float32)  # float16 has it, below its normal numbers
    assert narrowest(tiny, 7).values.dtype == np.uint8
    assert narrowest(np.append(tiny, np.float32(-(2.0**-20))), 7).values.dtype == np.float32
    assert narrowest(np.full(300, 1e-39, np.float32), 17).values.dtype == np.float32


def test_zeros_and_nothing_at_all_are_numbers_as_well() -> None:
    assert narrowest(np.zeros(300, np.int32), 17).values.dtype == np.int8
    assert narrowest(np.zeros((1, 0), np.float32), 17).size_bytes == 0
