"""Types in words, and those that onnx-ir cannot read: set aside while it reads, and back in what is written."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from nncompress.model.value_types import type_of, type_text, unreadable_types_set_aside
from nncompress.onnx_file.read import load
from nncompress.onnx_file.write import write

FLOAT = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
MAP = helper.make_map_type_proto(TensorProto.STRING, FLOAT)
KINDS = {
    "float32": FLOAT,
    "string": helper.make_tensor_type_proto(TensorProto.STRING, None),
    "sparse(float64)": helper.make_sparse_tensor_type_proto(TensorProto.DOUBLE, [2]),
    "sequence(float32)": helper.make_sequence_type_proto(FLOAT),
    "optional(sequence(float32))": helper.make_optional_type_proto(helper.make_sequence_type_proto(FLOAT)),
    "map(string, float32)": MAP,
    "sequence(map(string, float32))": helper.make_sequence_type_proto(MAP),
    "map(int64, map(string, float32))": helper.make_map_type_proto(TensorProto.INT64, MAP),
    "sequence(?)": onnx.TypeProto(sequence_type=onnx.TypeProto.Sequence()),
    "map(?, ?)": onnx.TypeProto(map_type=onnx.TypeProto.Map()),
    "?": onnx.TypeProto(),
}


@pytest.mark.parametrize("text", KINDS)
def test_a_type_is_said_kept_and_written_again(text: str, tmp_path: Path) -> None:
    assert type_text(KINDS[text]) == text
    info = helper.make_value_info("x", KINDS[text])
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "g", [info], [helper.make_value_info("y", KINDS[text])]
    )
    imports = [helper.make_opsetid("", 17)]
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString())
    model = load(path)
    assert [type_text(type_of(value)) for value in (*model.ir.graph.inputs, *model.ir.graph.outputs)] == [text, text]
    for written in (model, model.clone()):
        (tmp_path / "o.onnx").unlink(missing_ok=True)
        write(written, tmp_path / "o.onnx")
        assert onnx.load(tmp_path / "o.onnx").graph == graph


def test_types_inside_are_set_aside_for_a_while_only() -> None:
    branch = helper.make_graph([], "b", [], [helper.make_value_info("m", MAP)])
    branch.value_info.append(helper.make_value_info("v", helper.make_sequence_type_proto(MAP)))
    before = branch.SerializeToString()
    with unreadable_types_set_aside([branch]):
        assert not branch.output[0].HasField("type")
        assert not branch.value_info[0].HasField("type")
    assert branch.SerializeToString() == before
