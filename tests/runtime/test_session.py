import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper

from nncompress.errors import InputError, NoOutputError
from nncompress.runtime.session import first_line, open_exact_session, open_session
from tests.runtime.models import one_op, save


def test_names_and_types_are_known_in_order(tmp_path):
    session = open_session(one_op(tmp_path / "m.onnx", "Neg"), "original")
    assert (dict(session.inputs), dict(session.outputs)) == ({"x": "tensor(float)"}, {"y": "tensor(float)"})


def test_bfloat16_goes_in_and_comes_out_as_float32(tmp_path):
    inputs = [("x", TensorProto.BFLOAT16, [2])]
    path = save(
        tmp_path / "m.onnx", [helper.make_node("Identity", ["x"], ["y"])], [("y", TensorProto.BFLOAT16)], inputs=inputs
    )
    (output,) = open_session(path, "original").run({"x": np.array([1.5, -3.0], ml_dtypes.bfloat16)})
    assert (output.dtype, output.tolist()) == (np.float32, [1.5, -3.0])


def test_texts_go_in_and_come_out(tmp_path):
    inputs = [("x", TensorProto.STRING, [2])]
    path = save(
        tmp_path / "m.onnx", [helper.make_node("Identity", ["x"], ["y"])], [("y", TensorProto.STRING)], inputs=inputs
    )
    (output,) = open_session(path, "original").run({"x": np.array(["a", "é"])})
    assert output.tolist() == ["a", "é"]


@pytest.mark.parametrize("opener", [open_session, open_exact_session])
def test_the_error_depends_on_the_part_that_the_model_plays(tmp_path, opener):
    path = one_op(tmp_path / "m.onnx", "Neg")
    with pytest.raises(InputError, match=r"cannot load the original .*none\.onnx"):
        opener(tmp_path / "none.onnx", "original")
    with pytest.raises(InputError, match=r"cannot run the original .*m\.onnx: .*Unexpected input data type"):
        opener(path, "original").run({"x": np.zeros((1, 3))})
    with pytest.raises(
        NoOutputError, match=r"cannot run the result .*m\.onnx: Required inputs \(\['x'\]\) are missing"
    ):
        opener(path, "result").run({})


def test_a_file_whose_name_is_not_utf8_has_to_be_renamed(tmp_path):
    path = one_op(tmp_path / "m.onnx", "Neg").rename(tmp_path / "m\udcff.onnx")
    with pytest.raises(InputError, match=r"cannot open the original .*m\\udcff\.onnx: its name is not UTF-8; rename"):
        open_session(path, "original")
    with pytest.raises(NoOutputError, match=r"cannot open the result .*: its name is not UTF-8; rename"):
        open_exact_session(path, "result")


def test_messages_lose_their_codes_and_stacks():
    assert first_line(RuntimeError("[ONNXRuntimeError] : 1 : FAIL : bad : node\nstack")) == "bad : node"
    assert first_line(RuntimeError("std::bad_alloc")) == "out of memory"
    assert first_line(ValueError("")) == "ValueError"
