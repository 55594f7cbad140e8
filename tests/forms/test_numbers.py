"""Packed numbers come back as they were, in as many bytes as were foretold, in the graph and in onnx's reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx.reference import ReferenceEvaluator

from nncompress.forms.layouts import Payload, cheapest_layout
from nncompress.model.edit import Draft, Names, insert_before
from nncompress.numerics.held import Plain
from tests.models import file_of, model_of

BODY = "g (float[1] x) => (float[1] y) { y = Identity(x) }"


def sparse(codes: np.ndarray, share: float) -> np.ndarray:
    """The same with zeros."""
    codes[np.random.default_rng(1).random(codes.shape) < share] = 0
    return codes


@pytest.mark.parametrize("zeros", [0.0, 0.7, 0.88, 0.99])
@pytest.mark.parametrize("shape", [(80, 50), (73, 53)])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("bits", range(1, 8))
@pytest.mark.parametrize("opset", [11, 18])
def test_what_was_packed_comes_back(
    bits: int, dtype: type, shape: tuple[int, ...], zeros: float, opset: int, tmp_path: Path
) -> None:
    low = -(2 ** (bits - 1)) if dtype is np.int8 else 0
    codes = sparse(np.random.default_rng(bits).integers(low, low + 2**bits, shape).astype(dtype), zeros)
    payload = Payload(Plain(codes), shape, codes.dtype, int(np.count_nonzero(codes)), bits)
    layout = cheapest_layout(payload, opset)
    model = model_of(BODY, opset=opset)
    before = len(file_of(model, tmp_path / "a").read_bytes())
    draft = Draft(Names(model))
    value = layout.draft(draft)
    assert sum(constant.const_value.nbytes for constant in draft.constants) == layout.size_bytes
    result = draft.node("Cast", [value], {"to": onnx.TensorProto.FLOAT})
    result.name = "codes"
    insert_before(model, model.ir.graph, draft, None)
    model.ir.graph.outputs.append(result)
    path = file_of(model, tmp_path / "b")
    assert path.stat().st_size - before <= layout.cost + 100  # the Cast, the output
    feed = {"x": np.zeros(1, np.float32)}
    for got in (ort.InferenceSession(path).run(["codes"], feed), ReferenceEvaluator(str(path)).run(["codes"], feed)):
        assert np.array_equal(got[0] - layout.offset, codes)


@pytest.mark.parametrize(("zeros", "name"), [(0.0, "bitpacked"), (0.7, "sparse-mask"), (0.99, "sparse-gaps")])
def test_zeros_that_are_left_out_take_no_bits_either(zeros: float, name: str) -> None:
    codes = sparse(np.random.default_rng(0).integers(-8, 8, (300, 300)).astype(np.int8), zeros)
    nonzeros = int(np.count_nonzero(codes))
    layout = cheapest_layout(Payload(Plain(codes), codes.shape, codes.dtype, nonzeros, 4), 17)
    assert layout.name == name
    least = {"bitpacked": 90_000 / 2, "sparse-mask": 90_000 / 8 + nonzeros / 2, "sparse-gaps": 1.5 * nonzeros}[name]
    assert least <= layout.size_bytes <= 1.1 * least + 100


def test_what_has_no_bits_to_spare_or_no_operator_for_it_lies_there_as_it_is() -> None:
    codes = np.arange(64, dtype=np.int8).reshape(8, 8)
    for bits, opset in ((8, 17), (None, 17), (7, 10)):
        layout = cheapest_layout(Payload(Plain(codes), (8, 8), codes.dtype, None, bits), opset)
        assert (layout.name, layout.size_bytes, layout.offset) == ("dense", 64, 0)
