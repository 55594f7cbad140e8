"""Models whose inputs and outputs are maps, sequences, optional values or texts: kept, run and compared like others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.models import noise, saved, session
from tests.support import nncompress, one_line

F, I64, TEXT = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
N = helper.make_node
TENSOR = helper.make_tensor_type_proto(F, ["N", 64])
SEQUENCE, OPTIONAL = helper.make_sequence_type_proto(TENSOR), helper.make_optional_type_proto(TENSOR)
WORDS = {"keys_strings": ["red", "green"], "values_floats": [0.5, 2.0], "default_float": 0.0}


def map_type(key: int, value: int = F) -> onnx.TypeProto:
    return helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, []))


def model(nodes: list[onnx.NodeProto], inputs: dict[str, Any], outputs: dict[str, Any]) -> onnx.ModelProto:
    """Of nodes that read the weight w [64, 64]; a type, or the shape of a float tensor, for each input and output."""
    ports = [
        [
            helper.make_tensor_value_info(name, F, kind) if kind is None or isinstance(kind, list)
            else helper.make_value_info(name, kind)
            for name, kind in side.items()
        ]
        for side in (inputs, outputs)
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "g", *ports, [numpy_helper.from_array(noise(64, 64) / 8, "w")])
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def classifier(key: int = I64) -> onnx.ModelProto:
    texts = {"classlabels_strings": list(map(chr, range(64)))}
    labels = {"classlabels_int64s": list(range(64))} if key == I64 else texts
    zipped = N("ZipMap", ["s"], ["y"], domain="ai.onnx.ml", **labels)
    nodes = [N("MatMul", ["x", "w"], ["p"]), N("Softmax", ["p"], ["s"]), zipped]
    return model(nodes, {"x": ["N", 64]}, {"y": helper.make_sequence_type_proto(map_type(key))})


X, Y = {"x": ["N", 64]}, {"y": None}
MODELS: dict[str, tuple[onnx.ModelProto, str]] = {
    "map with int64 keys": (classifier(I64), "sequence(map(int64, float32))"),
    "map with text keys": (classifier(TEXT), "sequence(map(string, float32))"),
    "sequence": (
        model([N("MatMul", ["x", "w"], ["t"]), N("SequenceConstruct", ["t", "x"], ["y"])], X, {"y": SEQUENCE}),
        "sequence(float32)",
    ),
    "optional": (
        model([N("MatMul", ["x", "w"], ["t"]), N("Optional", ["t"], ["y"])], X, {"y": OPTIONAL}), "optional(float32)"
    ),
    "sequence that is fed": (
        model([N("ConcatFromSequence", ["s"], ["t"], axis=0), N("MatMul", ["t", "w"], ["y"])], {"s": SEQUENCE}, Y),
        "sequence(float32)",
    ),
    "optional that is fed": (
        model([N("OptionalGetElement", ["o"], ["t"]), N("MatMul", ["t", "w"], ["y"])], {"o": OPTIONAL}, Y),
        "optional(float32)",
    ),
    "map that is fed": (
        model(
            [
                N("DictVectorizer", ["m"], ["t"], domain="ai.onnx.ml", int64_vocabulary=list(range(64))),
                N("MatMul", ["t", "w"], ["y"]),
            ],
            {"m": map_type(I64)}, Y,
        ),
        "map(int64, float32)",
    ),
    "texts": (
        model(
            [N("LabelEncoder", ["t"], ["f"], domain="ai.onnx.ml", **WORDS), N("MatMul", ["f", "w"], ["y"])],
            {"t": helper.make_tensor_type_proto(TEXT, ["N", 64])}, Y,
        ),
        "string",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_it_is_compressed_compared_and_kept(name: str, tmp_path: Path) -> None:
    proto, kind = MODELS[name]
    path, out, report = saved(proto, tmp_path / "m.onnx"), tmp_path / "o.onnx", tmp_path / "o.json"
    ended = nncompress("quantize", path, "-o", out, "--seconds", 0, "--json", report)
    assert ended.exit_code == 0, ended.stderr
    result = onnx.load(out)
    assert (list(result.graph.input), list(result.graph.output)) == (list(proto.graph.input), list(proto.graph.output))
    (compared,) = json.loads(report.read_text())["comparison"]["run"]["outputs"]
    assert compared["problem"] is None
    assert compared["deployed"]["cosine"] > 0.999
    assert not compared["deployed"]["identical"]
    assert compared["dtype"] == {"tensor(float)": "float32"}.get(stated := session(proto).get_outputs()[0].type, stated)
    assert kind in nncompress("inspect", path).stdout
    assert "outputs identical" in nncompress("compare", path, path, "--seconds", 0, "-q").stdout


def test_probabilities_of_named_classes_agree_row_by_row(tmp_path: Path) -> None:
    """Not number by number: the best class of each sample can be counted, and scored against labels."""
    path, out, report = saved(classifier(), tmp_path / "m.onnx"), tmp_path / "o.onnx", tmp_path / "o.json"
    x = noise(40, 64)
    best = np.argmax(x @ (noise(64, 64) / 8), axis=1)
    np.savez(tmp_path / "data.npz", x=x, labels=best)
    ended = nncompress(
        "quantize", path, "-o", out, "--seconds", 0, "--data", tmp_path / "data.npz", "--json", report, "-q"
    )
    assert ended.exit_code == 0, ended.stderr
    run = json.loads(report.read_text())["comparison"]["run"]
    assert run["outputs"][0]["deployed"]["top1_agreement"] > 0.9
    assert (run["metrics"][0]["name"], run["metrics"][0]["reference"]) == ("top-1", 1.0)


@pytest.mark.parametrize("key", [I64, TEXT])
def test_maps_are_judged_by_their_values_and_have_a_sample_a_row(key: int, tmp_path: Path) -> None:
    path, report = saved(classifier(key), tmp_path / "m.onnx"), tmp_path / "o.json"
    np.save(tmp_path / "x.npy", noise(40, 64))
    nncompress("quantize", path, "--seconds", 0, "--data", tmp_path / "x.npy", "--json", report, "-q")
    told = json.loads(report.read_text())
    rules = {rule["rule"]: rule for rule in told["verdict"]["rules"]}
    assert rules["fidelity"]["value"] > 0.999
    assert "integers" not in rules
    assert told["comparison"]["run"]["outputs"][0]["deployed"]["samples"]["count"] == 40


def test_other_keys_are_a_difference_that_is_named(tmp_path: Path) -> None:
    paths = [saved(classifier(), tmp_path / "a.onnx"), tmp_path / "b.onnx"]
    other = classifier()
    other.graph.node[2].attribute[0].ints[3] = 99
    saved(other, paths[1])
    ended = nncompress("compare", *paths, "--seconds", 0)
    assert ended.exit_code == 1
    assert "its map has no 3 and also has 99" in ended.stdout


def write_values(folder: Path, *messages: Any) -> Path:
    for number, message in enumerate(messages):
        (folder / f"test_data_set_{number}").mkdir(parents=True)
        (folder / f"test_data_set_{number}" / "input_0.pb").write_bytes(message.SerializeToString())
    return folder


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sequence that is fed", numpy_helper.from_list([noise(2, 64), noise(3, 64)])),
        ("optional that is fed", numpy_helper.from_optional(noise(2, 64))),
        ("map that is fed", numpy_helper.from_dict({3: np.float32(1.5), 7: np.float32(-2)})),
    ],
)
def test_values_that_are_no_tensors_can_be_given(name: str, value: Any, tmp_path: Path) -> None:
    path = saved(MODELS[name][0], tmp_path / "m.onnx")
    data = write_values(tmp_path / "data", value)
    ended = nncompress("quantize", path, "-o", tmp_path / "o.onnx", "--seconds", 0, "--data", data, "-q")
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert "synthetic" not in ended.stdout
    wrong = write_values(tmp_path / "wrong", numpy_helper.from_list([noise(2, 65)]))
    ended = nncompress("quantize", path, "-o", tmp_path / "p.onnx", "--data", wrong)
    assert ended.exit_code == 3
    assert "input" in one_line(ended.stderr)


def test_an_optional_value_is_an_array_of_a_npz_or_not_there(tmp_path: Path) -> None:
    factor = [N("OptionalHasElement", ["o"], ["h"]), N("Cast", ["h"], ["c"], to=F)]
    nodes = [*factor, N("MatMul", ["x", "w"], ["t"]), N("Mul", ["t", "c"], ["y"])]
    proto = model(nodes, {"o": OPTIONAL, "x": [2, 64]}, Y)
    path = saved(proto, tmp_path / "m.onnx")
    for name, feed in (("with", {"o": noise(2, 64), "x": noise(2, 64)}), ("without", {"x": noise(2, 64)})):
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "0.npz", **feed)
        ended = nncompress("compare", path, path, "--seconds", 0, "-q", "--data", tmp_path / name)
        assert (ended.exit_code, ended.stderr) == (0, "")


def test_what_cannot_be_fed_says_what_can_be_done(tmp_path: Path) -> None:
    path = saved(MODELS["sequence that is fed"][0], tmp_path / "m.onnx")
    np.savez(tmp_path / "s.npz", s=noise(2, 64))
    ended = nncompress("compare", path, path, "--data", tmp_path / "s.npz")
    assert ended.exit_code == 3
    assert one_line(ended.stderr).endswith(
        "input 's' is sequence(float32), which no .npz holds: give test_data_set_* folders"
    )
    calibrated = nncompress("quantize", path, "-o", tmp_path / "o.onnx", "--calibration", tmp_path / "s.npz")
    assert calibrated.exit_code == 3
    assert "calibration needs inputs that are tensors" in one_line(calibrated.stderr)
    vectorizer = N("DictVectorizer", ["m"], ["t"], domain="ai.onnx.ml", string_vocabulary=list(map(chr, range(64))))
    nodes = [vectorizer, N("Cast", ["t"], ["f"], to=F), N("MatMul", ["f", "w"], ["y"])]
    path = saved(model(nodes, {"m": map_type(TEXT, I64)}, Y), tmp_path / "i.onnx")
    ended = nncompress("quantize", path, "-o", tmp_path / "o.onnx")
    assert ended.exit_code == 3
    assert "input 'm' is map(string, int64), which cannot be given to onnxruntime" in one_line(ended.stderr)
    assert nncompress("quantize", path, "-o", tmp_path / "o.onnx", "--no-validate").exit_code == 0
