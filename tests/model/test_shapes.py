"""When the shapes of a feed are those that are taken for one sample."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from nncompress.model.model import Model
from nncompress.model.shapes import are_of_one_sample, infer_shapes

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
two (float[N, 4] x, float s) => (float[N, 3] y) <float[4, 3] w = {1,2,3,4,5,6,7,8,9,10,11,12}> {
    p = MatMul(x, w)
    y = Mul(p, s)
}
"""


@pytest.mark.parametrize(
    ("inputs", "are"),
    [
        ({"x": (1, 4), "s": ()}, True),
        ({"x": (1, 4)}, True),
        ({"x": (2, 4), "s": ()}, False),
        ({"x": (1, 5), "s": ()}, False),
        ({"x": (1, 4, 1), "s": ()}, False),
    ],
)
def test_one_sample_has_a_free_first_dimension_of_one(inputs: dict[str, tuple[int, ...]], are: bool) -> None:
    model = Model(ir.from_onnx_text(TEXT))
    assert are_of_one_sample(model, inputs) is are
    if are:
        assert infer_shapes(model, inputs) == infer_shapes(model)


def test_free_dimensions_behind_the_first_are_of_no_known_sample() -> None:
    model = Model(ir.from_onnx_text(TEXT.replace("float[N, 4] x", "float[N, M] x")))
    assert not are_of_one_sample(model, {"x": (1, 4), "s": ()})
