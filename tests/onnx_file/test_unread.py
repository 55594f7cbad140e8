"""Constants that nothing reads stay in the file; whatever is read in any way is loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nncompress.errors import InputError
from nncompress.model.inventory import take_inventory
from nncompress.onnx_file.read import load
from nncompress.workflow.ledger import Ledger
from tests.models import noise, proto_of, saved

BODY = "g (bool c, float[N,8] x, float[8] given) => (float[N,8] y, float[2] out) { a = MatMul(x, w) y = Identity(a) }"


def test_what_is_read_anywhere_or_seen_from_outside_is_loaded_and_the_rest_is_counted(tmp_path: Path) -> None:
    read = {"w": noise(8, 8), "given": noise(8), "out": noise(2), "inner": noise(8)}
    proto = proto_of(BODY, **read, unread=noise(100), unread_code=np.zeros(7, np.int8))
    outcome = helper.make_tensor_value_info("q", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Neg", ["inner"], ["q"])], "t", [], [outcome])
    proto.graph.node.append(helper.make_node("If", ["c"], ["chosen"], then_branch=branch, else_branch=branch))
    note = proto.graph.quantization_annotation.add(tensor_name="a")
    note.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="scale")
    proto.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "scale"))
    model = load(saved(proto, tmp_path / "m.onnx"))
    assert set(model.ir.graph.initializers) == {*read, "scale"}
    assert model.unread == {"float": 400, "int8": 7}
    assert model.clone().unread == model.unread
    inventory = take_inventory(model)
    unused = 407 + sum(array.nbytes for name, array in read.items() if name in ("given", "out")) + 4
    assert dict(inventory.bytes_by_op)["(unused)"] == unused
    assert inventory.constant_bytes == 407 + 4 + sum(array.nbytes for array in read.values())


def test_they_are_counted_in_the_ledger_as_before(tmp_path: Path) -> None:
    body = "g (float[N,64] x) => (float[N,64] y) { y = MatMul(x, w) }"
    model = load(saved(proto_of(body, w=noise(64, 64), unread=noise(100)), tmp_path / "m.onnx"))
    ledger = Ledger(model)
    assert ledger.close(model, {}, {}, [()], [None])[-1].bytes_before == 400


def test_they_are_checked_all_the_same(tmp_path: Path) -> None:
    proto = proto_of("g (float[1] x) => (float[1] y) { y = Identity(x) }", unread=noise(3))
    proto.graph.initializer[0].raw_data += b"more"
    with pytest.raises(InputError, match="tensor 'unread': 16 bytes of data, but shape"):
        load(saved(proto, tmp_path / "m.onnx"))


def test_their_data_files_belong_to_the_model(tmp_path: Path) -> None:
    proto = proto_of("g (float[1] x) => (float[1] y) { y = Identity(x) }", unread=noise(300))
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    model = load(tmp_path / "m.onnx")
    assert [file.path.name for file in model.files] == ["m.onnx", "w.bin"]
    assert model.unread == {"float": 1200}
