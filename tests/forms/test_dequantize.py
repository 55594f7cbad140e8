"""DequantizeLinear before nodes that only move values: right in onnxruntime as it is deployed, the oldest included.

Some versions have re-quantized such values as uint8, so that negative ones became 0 (microsoft/onnxruntime#27845,
#28491, #28716), where no zero point was given.
"""

import numpy as np
import pytest

from nncompress.passes import QuantizeWeights
from nncompress.workflow.pipeline import compress_graph
from tests.models import model_of, noise, proto_from, run, session

LINE, IMAGE = "float[N,64] x", "float[N,8,6,6] x"


def whole(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


MOVED: dict[str, tuple[str, str, dict[str, np.ndarray]]] = {
    "Reshape": (LINE, "t = Reshape(w, n) y = MatMul(x, t)", {"w": noise(16, 4, 48), "n": whole(64, 48)}),
    "Reshape, Conv": (IMAGE, "t = Reshape(w, n) y = Conv(x, t)", {"w": noise(32, 72), "n": whole(32, 8, 3, 3)}),
    "Transpose": (LINE, "t = Transpose<perm=[1,0]>(w) y = MatMul(x, t)", {"w": noise(48, 64)}),
    "Transpose, Conv": (IMAGE, "t = Transpose<perm=[3,2,0,1]>(w) y = Conv(x, t)", {"w": noise(3, 3, 8, 32)}),
    "Unsqueeze, Conv": ("float[N,64,5] x", "t = Unsqueeze(w, n) y = Conv(x, t)", {"w": noise(32, 64), "n": whole(2)}),
    "Squeeze": (LINE, "t = Squeeze(w, n) y = MatMul(x, t)", {"w": noise(1, 64, 48), "n": whole(0)}),
    "Slice": (LINE, "t = Slice(w, s, e, n) y = MatMul(x, t)",
              {"w": noise(64, 96), "s": whole(16), "e": whole(64), "n": whole(1)}),
    "Flatten, Gemm": (LINE, "t = Flatten<axis=1>(w) y = Gemm<transB=1>(x, t)", {"w": noise(48, 16, 4)}),
    "Concat": (LINE, "t = Concat<axis=1>(w, v) y = MatMul(x, t)", {"w": noise(64, 24), "v": noise(64, 24, seed=1)}),
    "Identity": (LINE, "t = Identity(w) y = MatMul(x, t)", {"w": noise(64, 48)}),
    "ConvTranspose in groups": ("float[N,32,6,6] x", "y = ConvTranspose<group=32>(x, w)", {"w": noise(32, 2, 3, 3)}),
    "LSTM": ("float[4,N,24] x", "y = LSTM<hidden_size=16>(x, w, v)",
             {"w": noise(1, 64, 24), "v": noise(1, 64, 16, seed=1)}),
}  # fmt: skip


@pytest.mark.parametrize("opset", [13, 17, 21])
@pytest.mark.parametrize("name", MOVED)
def test_values_that_are_moved_after_dequantize_linear_stay_right(name: str, opset: int) -> None:
    given, nodes, constants = MOVED[name]
    scaled = {key: array / 8 if array.dtype == np.float32 else array for key, array in constants.items()}
    model = model_of(
        f"g ({given}) => (float y) {{ {nodes} }}", opset=opset, ir_version=8 if opset < 21 else 10, **scaled
    )
    model.ir.graph.outputs[0].shape = None
    small = compress_graph(model, [QuantizeWeights(min_size=1)], form="dequantize").model
    decoders = [node for node in proto_from(small).graph.node if node.op_type == "DequantizeLinear"]
    assert decoders
    assert all(len(node.input) == 3 and node.input[2] for node in decoders)
    shape = [size if isinstance(size, int) else 2 for size in model.ir.graph.inputs[0].shape or ()]
    x = noise(*shape, seed=2)
    (before,), (after,) = run(model, x=x), run(small, x=x)
    (exact,) = session(small, exact=True).run(None, {"x": x})
    for found, least_db in ((exact, 35), (after, 30)):  # 8 bits; as deployed the inputs of a MatMul are rounded too
        assert 10 * np.log10((before**2).sum() / ((before - found) ** 2).sum()) > least_db
