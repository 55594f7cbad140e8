"""Loading: what a file holds arrives to the letter; what cannot be believed is refused with its path, on one line."""

import gzip
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nncompress.errors import EXIT_INPUT, InputError
from nncompress.model.tensors import FileTensor, raw_blocks
from nncompress.model.weights import find_weights
from nncompress.onnx_file.read import load
from tests.models import as_model, dense_constant, file_of, noise, proto_of, run, saved

BODY = "g (float[N,64] x) => (float[N,32] y) { y = MatMul(x, w) }"


def refused(path: Path, message: str) -> None:
    """load(path) fails with one line that names the path and says `message`."""
    with pytest.raises(InputError) as caught:
        load(path)
    text = str(caught.value)
    assert message in text
    assert str(path) in text
    assert text.isprintable()
    assert caught.value.exit_code == EXIT_INPUT


def external(tmp_path: Path, size: int = 64 * 32 * 4, **entries: str) -> Path:
    """A model whose weight lies in w.bin of `size` bytes."""
    proto = proto_of(BODY)
    tensor = TensorProto(name="w", data_type=1, dims=[64, 32], data_location=TensorProto.EXTERNAL)
    for key, value in ({"location": "w.bin"} | entries).items():
        tensor.external_data.add(key=key, value=value)
    proto.graph.initializer.append(tensor)
    (tmp_path / "w.bin").write_bytes(noise(size // 4).tobytes())
    return saved(proto, tmp_path / "m.onnx")


# ------------------------------------------------------------------------------------------------ what arrives
@pytest.mark.parametrize("shape", [(64, 32), (3, 5)], ids=["large", "small"])
def test_weights_arrive_bit_for_bit_and_large_ones_stay_in_the_file(tmp_path: Path, shape: tuple[int, int]) -> None:
    array = noise(*shape)
    array[0, :2] = np.nan, -np.inf
    body = f"g (float[N,{shape[0]}] x) => (float[N,{shape[1]}] y) {{ y = MatMul(x, w) }}"
    model = load(saved(proto_of(body, w=array), tmp_path / "m.onnx"))
    (weight,) = find_weights(model)
    assert weight.array().tobytes() == array.tobytes()
    assert b"".join(bytes(block) for block in raw_blocks(weight.tensor)) == array.tobytes()
    assert isinstance(weight.tensor, FileTensor) is (array.nbytes >= 4096)


def test_the_facts_of_a_loaded_model_are_those_of_the_file(tmp_path: Path) -> None:
    path = saved(proto_of(BODY, opset=13, ir_version=7, w=noise(64, 32)), tmp_path / "m.onnx")
    model = load(str(path))
    assert (model.path, model.opset, model.ir.ir_version, model.complaint, model.notes) == (path, 13, 7, None, ())
    assert [file.path for file in model.files] == [path]
    assert model.interface is not None
    assert model.interface.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


def test_a_model_that_the_checker_dislikes_is_loaded_with_its_complaint(tmp_path: Path) -> None:
    proto = proto_of("g (float[1] x) => (float[1] y) { y = Neg(z) z = Abs(x) }")
    assert "topologically sorted" in str(load(saved(proto, tmp_path / "m.onnx")).complaint)


def test_large_tensors_in_attributes_subgraphs_and_functions_stay_in_the_file(tmp_path: Path) -> None:
    proto = proto_of(
        "g (bool c, float[N,64] x) => (float[N,64] y) { "
        "b = If (c) <then_branch = t () => (float[N,64] p) { p = Identity(x) }, "
        "else_branch = e () => (float[N,64] q) { q = MatMul(x, v) }> y = local.f(b) } "
        '<domain: "local", opset_import: ["" : 17]> f (a) => (r) { r = MatMul(a, k) }'
    )
    tensors = {name: noise(64, 64, seed=seed) for seed, name in enumerate("vk")}
    proto.graph.node[0].attribute[1].g.node.insert(0, dense_constant("v", tensors["v"]))
    proto.functions[0].node.insert(0, dense_constant("k", tensors["k"]))
    path = saved(proto, tmp_path / "m.onnx")
    weights = {weight.name: weight for weight in find_weights(load(path))}
    assert set(weights) == set("vk")
    assert all(isinstance(weight.tensor, FileTensor) for weight in weights.values())
    assert all(np.array_equal(weights[name].array(), array) for name, array in tensors.items())
    feed = {"x": noise(2, 64), "c": np.array(False)}
    again = file_of(load(path), tmp_path / "again.onnx")
    assert np.array_equal(run(again, **feed)[0], run(path, **feed)[0])


def test_one_data_file_in_several_spellings_is_one_file(tmp_path: Path) -> None:
    path = external(tmp_path, 4096 * 4)
    proto = onnx.load(path, load_external_data=False)
    again = proto.graph.initializer.add()
    again.CopyFrom(proto.graph.initializer[0])
    again.name, again.external_data[0].value = "w2", "./w.bin"
    model = load(saved(proto, path))
    assert [file.path.name for file in model.files] == ["m.onnx", "w.bin"]


def test_external_data_are_read_at_their_offset(tmp_path: Path) -> None:
    path = external(tmp_path, 4096 * 4, offset="4096", length=str(64 * 32 * 4))
    model = load(path)
    (weight,) = find_weights(model)
    assert np.array_equal(weight.array().reshape(-1), noise(4096)[1024 : 1024 + 2048])
    assert [file.path.name for file in model.files] == ["m.onnx", "w.bin"]


def test_a_model_in_a_hugging_face_cache_is_loaded(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    external(tmp_path)
    for name in ("m.onnx", "w.bin"):
        (tmp_path / name).rename(blobs / f"hash-{name}")
        (snapshot / name).symlink_to(f"../../blobs/hash-{name}")
    (weight,) = find_weights(load(snapshot / "m.onnx"))
    assert np.array_equal(weight.array().reshape(-1), noise(2048))


# ------------------------------------------------------------------------------------------------ refused
def test_files_that_are_something_else_are_told_by_name(tmp_path: Path) -> None:
    blob = proto_of(BODY, w=noise(64, 32)).SerializeToString()
    path = tmp_path / "m.onnx"
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("m.onnx", blob)
    for content, kind in (
        (gzip.compress(blob), "it is a gzip file, not an ONNX model"),
        ((tmp_path / "zip").read_bytes(), "it is a zip archive, not an ONNX model"),
        (json.dumps({"model": 1}).encode(), "it is JSON text, not an ONNX model"),
        (bytes(range(200, 250)), "it is not an ONNX model, or it is damaged"),
        (blob[: len(blob) // 2], "it is not an ONNX model, or it is damaged"),
        (b"\n", "it is not an ONNX model, or it is damaged"),
    ):
        path.write_bytes(content)
        refused(path, kind)


def test_every_truncation_of_a_model_is_refused_or_complete(tmp_path: Path) -> None:
    blob = proto_of(BODY, w=noise(64, 32)).SerializeToString()
    path = tmp_path / "m.onnx"
    for size in (0, 1, 2, 30, 300, 5000, len(blob) - 300, len(blob) - 20, len(blob) - 1):
        path.write_bytes(blob[:size])
        refused(path, "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.ClearField("graph"), "it is not an ONNX model: it holds no graph"),
        (lambda p: p.graph.ClearField("node"), "its graph has no nodes"),
        (lambda p: p.ClearField("opset_import"), "it names no IR version or opset (IR 8)"),
        (lambda p: p.ClearField("ir_version"), "it names no IR version or opset (IR 0)"),
        (lambda p: setattr(p, "ir_version", 99), f"IR version 99 is newer than {onnx.IR_VERSION}"),
        (lambda p: setattr(p.opset_import[0], "version", 999), "opset 999 is not between 1 and"),
        (lambda p: setattr(p.opset_import[0], "version", 0), "opset 0 is not between 1 and"),
        (
            lambda p: p.opset_import.add(version=13),
            "the model imports operators of 'ai.onnx' in two versions, 17 and 13",
        ),
        (
            lambda p: p.opset_import.add(domain="ai.onnx", version=13),
            "the model imports operators of 'ai.onnx' in two versions, 17 and 13",
        ),
        (
            lambda p: p.functions.add(
                domain="d", name="f", opset_import=[onnx.helper.make_opsetid("d", v) for v in (1, 2)]
            ),
            "function 'f' imports operators of 'd' in two versions, 1 and 2",
        ),
        (lambda p: p.training_info.add(), "it holds training_info, which would be lost"),
        (lambda p: p.graph.initializer.add(name="n", dims=[2], data_type=1), "tensor 'n': no data for shape [2]"),
        (lambda p: p.graph.initializer.append(p.graph.initializer[0]), "graph 'g' has two initializers called 'w'"),
    ],
)
def test_a_model_that_cannot_be_believed_is_refused(tmp_path: Path, change: object, message: str) -> None:
    proto = proto_of(BODY, w=noise(64, 32))
    change(proto)  # type: ignore[operator]
    refused(saved(proto, tmp_path / "m.onnx"), message)


def test_an_empty_file_a_folder_and_a_missing_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    refused(tmp_path / "empty.onnx", "it is empty")
    refused(tmp_path, "it is a folder")
    refused(tmp_path / "none.onnx", "no such file")


def test_a_file_beyond_protobufs_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.touch()
    os.truncate(path, 1 << 31)  # sparse on the disk
    refused(path, "2,147,483,648 bytes are more than the 2 GiB that an ONNX file can have")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"location": "../w.bin"}, "external data of 'w': location '../w.bin' leaves the model's folder"),
        ({"location": "/etc/passwd"}, "location '/etc/passwd' is not a relative path"),
        ({"location": "none.bin"}, "no such file"),
        ({"location": ""}, "location '' is not a relative path"),
        ({"offset": "4"}, "tensor 'w' needs bytes 4 to 8196 of 'w.bin', which has 8192"),
        ({"offset": "999999999999"}, "tensor 'w' needs bytes 999999999999 to 1000000008191 of 'w.bin'"),
        ({"offset": "-1"}, "the offset of its external data is '-1'"),
        ({"length": "8"}, "external data of 8 bytes, but shape [64, 32] needs 8192"),
    ],
)
def test_external_data_that_lead_astray_are_refused(tmp_path: Path, entries: dict[str, str], message: str) -> None:
    refused(external(tmp_path, **entries), message)


def test_a_data_file_that_is_too_short_is_refused(tmp_path: Path) -> None:
    refused(external(tmp_path, 8188), "tensor 'w' needs bytes 0 to 8192 of 'w.bin', which has 8188")


def test_a_guessed_mark_reads_nothing_from_the_model(tmp_path: Path) -> None:
    refused(external(tmp_path, location="cut-" + "0" * 24), "no such file")


def test_a_data_file_that_shrinks_after_loading_is_an_error_and_no_garbage(tmp_path: Path) -> None:
    model = load(external(tmp_path))
    os.truncate(tmp_path / "w.bin", 100)
    with pytest.raises(InputError, match=r"w\.bin changed while it was being read"):
        find_weights(model)[0].array()


def test_a_graph_that_cannot_be_built_is_refused_and_no_crash(tmp_path: Path) -> None:
    proto = proto_of("g (float[1] x) => (float[1] y) { y = Neg(x) }")
    proto.graph.node.append(helper.make_node("Abs", ["x"], ["x"]))
    refused(saved(proto, tmp_path / "m.onnx"), "graph 'g' has 'x' both as a node output and as an input")
    del proto.graph.node[1]
    proto.graph.input[0].type.tensor_type.elem_type = 77
    refused(saved(proto, tmp_path / "m.onnx"), "its graph cannot be understood: 77 is not a valid DataType")


def test_a_clone_shares_tensors_and_not_the_graph(tmp_path: Path) -> None:
    model = load(saved(proto_of(BODY, w=noise(64, 32)), tmp_path / "m.onnx"))
    copy = model.clone()
    copy.ir.graph.remove(copy.ir.graph[0])
    assert len(model.ir.graph) == 1
    assert copy.files == model.files
    assert as_model(proto_of(BODY, w=noise(64, 32))).files == ()


@pytest.mark.parametrize("rows", [1, 4000])  # small data stay in the message, large ones are cut out of it
def test_a_tensor_with_data_inside_and_outside_is_refused(tmp_path: Path, rows: int) -> None:
    proto = proto_of(f"g (float[2,{rows}] x) => (float[2,8] y) {{ y = MatMul(x, w) }}", w=noise(rows, 8))
    (tensor,) = proto.graph.initializer
    (tmp_path / "w.bin").write_bytes(bytes(len(tensor.raw_data)))
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "w.bin"
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(InputError, match=r"tensor 'w': its data are given twice, as raw_data and as external data"):
        load(tmp_path / "m.onnx")
