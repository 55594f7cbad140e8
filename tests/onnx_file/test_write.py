"""A written file holds the model to the letter, with every weight bit for bit, and is the same bytes every time."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from nncompress.model.message import marked_proto
from nncompress.model.model import Model
from nncompress.model.tensors import lazy
from nncompress.model.weights import find_weights
from nncompress.onnx_file import write as write_module
from nncompress.onnx_file.read import load
from nncompress.onnx_file.walk import all_tensors
from nncompress.onnx_file.write import write
from tests.models import as_model, ir, linear, noise, only_weight, proto_from, proto_of, run, saved

SAMPLES = sorted((Path(__file__).parents[2] / "sample_models").rglob("*.onnx"))


def contents(path: Path) -> onnx.ModelProto:
    """The model with all data inside, and typed data as raw data."""
    proto = onnx.load(path)
    for tensor in all_tensors(proto):
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    return proto


# ------------------------------------------------------------------------------------------------ round trip
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.parent.name + "/" + path.name)
@pytest.mark.parametrize("external_data", [False, True])
def test_sample_models_survive_a_round_trip(tmp_path: Path, path: Path, external_data: bool) -> None:
    files = write(load(path), tmp_path / "o.onnx", external_data=external_data)
    assert len(files) == 1 + external_data
    before, after = contents(path), contents(tmp_path / "o.onnx")
    for part in ("initializer", "value_info"):  # their order has no meaning
        for graph in (before.graph, after.graph):
            items = sorted(getattr(graph, part), key=lambda item: item.name)
            del getattr(graph, part)[:]
            getattr(graph, part).extend(items)
    assert after == before


@pytest.mark.parametrize("external_data", [False, True])
def test_the_same_model_gives_the_same_bytes(tmp_path: Path, external_data: bool) -> None:
    made = []
    for name in "ab":
        (tmp_path / name).mkdir()
        files = write(load(SAMPLES[0]), tmp_path / name / "o.onnx", external_data=external_data)
        made.append([(file.name, file.read_bytes()) for file in files])
    assert made[0] == made[1]


def test_writing_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = load(SAMPLES[0])
    before = proto_from(model).SerializeToString()
    write(model, tmp_path / "a.onnx")
    write(model, tmp_path / "b.onnx", external_data=True)
    marked_proto(model, "mark")
    assert proto_from(model).SerializeToString() == before


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.parent.name + "/" + path.name)
def test_a_model_that_nobody_changed_does_not_grow(tmp_path: Path, path: Path) -> None:
    files = write(load(path), tmp_path / "o.onnx")
    before = [path, *path.parent.glob(f"{path.name}.data")]
    assert sum(file.stat().st_size for file in files) <= sum(file.stat().st_size for file in before)


def test_inputs_and_outputs_are_stated_as_before_to_the_letter(tmp_path: Path) -> None:
    proto = proto_of("g (float[N,64] x) => (float[N,32] y) { y = MatMul(x, w) }", w=noise(64, 32))
    proto.graph.input[0].doc_string = "said by the exporter"
    proto.graph.input[0].type.denotation = "TENSOR"
    proto.graph.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    proto.graph.output[0].metadata_props.add(key="k", value="v")
    proto.producer_name, proto.doc_string = "exporter", "about the model"
    proto.metadata_props.add(key="author", value="me")
    path = saved(proto, tmp_path / "m.onnx")
    write(load(path), tmp_path / "o.onnx")
    after = onnx.load(tmp_path / "o.onnx")
    assert after.graph.input == proto.graph.input
    assert after.graph.output == proto.graph.output
    assert (after.producer_name, after.doc_string) == ("exporter", "about the model")
    assert after.metadata_props == proto.metadata_props
    assert after.ir_version == proto.ir_version


def test_tensors_of_every_type_come_back_bit_for_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    proto = proto_of("g (float[1] x) => (float[1] y) { y = Identity(x) }", opset=25, ir_version=13)
    whole = ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "INT8", "UINT64", "BOOL", "COMPLEX64", "FLOAT8E5M2")
    packed = {"INT4": 0.5, "UINT4": 0.5, "INT2": 0.25, "UINT2": 0.25}
    for name in (*whole, *packed):
        for size in (3, 40_001):  # small and cut; odd, so that types of less than a byte need a padded one
            raw = rng.integers(0, 2 if name == "BOOL" else 16, size * 16, np.uint8).tobytes()
            kind = TensorProto.DataType.Value(name)
            width = {**packed, "COMPLEX64": 8}.get(name) or onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize
            raw = raw[: -int(-size * width // 1)]
            raw = raw[:-1] + b"\x01" if name in packed else raw
            proto.graph.initializer.add(name=f"{name}{size}", data_type=kind, dims=[size], raw_data=raw)
    proto.graph.initializer.append(onnx.helper.make_tensor("s", TensorProto.STRING, [2], [b"a", b"\xff" * 9000]))
    names = [tensor.name for tensor in proto.graph.initializer]
    proto.graph.node.extend(onnx.helper.make_node("Identity", [name], [f"{name}_read"]) for name in names)
    write(load(saved(proto, tmp_path / "m.onnx")), tmp_path / "o.onnx")
    after = {tensor.name: tensor for tensor in onnx.load(tmp_path / "o.onnx").graph.initializer}
    for tensor in proto.graph.initializer:
        assert after[tensor.name].raw_data == tensor.raw_data, tensor.name
        assert list(after[tensor.name].string_data) == list(tensor.string_data)


# ------------------------------------------------------------------------------------------------ external data
def many_tensors() -> Model:
    body = "g (float[N,64] x) => (float[N,64] y) { a = MatMul(x, v) b = MatMul(a, w) y = Add(b, c) }"
    proto = proto_of(body, v=noise(64, 64), w=noise(64, 64, seed=1), c=noise(64))
    return as_model(proto)


def test_large_tensors_go_to_a_data_file_named_by_its_content(tmp_path: Path) -> None:
    data, path = write(many_tensors(), tmp_path / "o.onnx", external_data=True)
    assert data.name.startswith("o.onnx.")
    assert data.name.endswith(".data")
    assert len(data.name) == len("o.onnx.01234567.data")
    tensors = {t.name: t for t in onnx.load(path, load_external_data=False).graph.initializer}
    assert tensors["c"].raw_data == noise(64).tobytes()
    places = {name: {e.key: e.value for e in tensors[name].external_data} for name in "vw"}
    assert {place["location"] for place in places.values()} == {data.name}
    assert [int(places[name]["offset"]) % 64 for name in "vw"] == [0, 0]
    feed = noise(2, 64)
    assert np.array_equal(run(path, x=feed)[0], run(many_tensors(), x=feed)[0])


def test_megabytes_start_at_a_page(tmp_path: Path) -> None:
    weights = {name: noise(512, 513, seed=i) for i, name in enumerate("vw")}
    body = "g (float[N,512] x) => (float[N,513] y) { a = MatMul(x, v) b = MatMul(x, w) y = Add(a, b) }"
    _, path = write(as_model(proto_of(body, **weights)), tmp_path / "o.onnx", external_data=True)
    for tensor in onnx.load(path, load_external_data=False).graph.initializer:
        assert int({e.key: e.value for e in tensor.external_data}["offset"]) % 4096 == 0
    assert {w.name: w.array().tobytes() for w in find_weights(load(path))} == {
        n: a.tobytes() for n, a in weights.items()
    }


def test_weights_that_protobuf_cannot_hold_go_to_a_data_file_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    total = 2 * 64 * 64 * 4
    monkeypatch.setattr(write_module, "EXTERNAL_FROM_BYTES", total)
    assert len(write(many_tensors(), tmp_path / "a.onnx")) == 1
    monkeypatch.setattr(write_module, "EXTERNAL_FROM_BYTES", total - 1)
    data, path = write(many_tensors(), tmp_path / "b.onnx")
    assert data.stat().st_size == total
    assert [file.path for file in load(path).files] == [path, data]


def test_without_large_tensors_there_is_no_data_file(tmp_path: Path) -> None:
    assert write(linear(noise(4, 4)), tmp_path / "o.onnx", external_data=True) == [tmp_path / "o.onnx"]


def test_an_existing_file_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "o.onnx").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        write(linear(noise(4, 4)), tmp_path / "o.onnx")
    assert (tmp_path / "o.onnx").read_bytes() == b"old"


def test_a_lazy_tensor_is_computed_when_it_is_written(tmp_path: Path) -> None:
    model = linear(noise(64, 32))
    asked = []

    def compute() -> np.ndarray:
        asked.append(1)
        return np.full((64, 32), 3, np.float32)

    only_weight(model).value.const_value = lazy(compute, ir.DataType.FLOAT, (64, 32), "w")
    assert not asked
    write(model, tmp_path / "o.onnx")
    assert len(asked) == 1
    assert np.all(only_weight(load(tmp_path / "o.onnx")).array() == 3)


def test_a_model_message_for_looking_at_holds_no_large_tensor() -> None:
    proto = marked_proto(linear(noise(500, 400)), "mark")
    assert proto.ByteSize() < 1000
    assert list(proto.graph.initializer[0].dims) == [500, 400]
