"""What a file is that is no ONNX model is told by its content, and the answer says what to run."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nncompress.errors import InputError
from nncompress.files.kinds import FOLDERS, KINDS, ONNX_MODEL, advice, is_model, kind_at
from nncompress.onnx_file.read import load
from tests.support import MLP


def zipped(*members: str) -> bytes:
    """An archive with these members."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name in members:
            archive.writestr(name, b"content " * 40)
    return made.getvalue()


def tarred() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.onnx"), io.BytesIO())
    return made.getvalue()


def arrays(**named: np.ndarray) -> bytes:
    made = io.BytesIO()
    np.savez(made, **named)
    return made.getvalue()


def message(*fields: tuple[int, bytes]) -> bytes:
    """Length-delimited protobuf fields of fewer than 128 bytes."""
    return b"".join(bytes([number << 3 | 2, len(content)]) + content for number, content in fields)


SAFETENSORS = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
META_GRAPH = message((1, message((4, b"serve"), (5, b"2.15.0"))))
NODE = message((1, message((1, b"input"), (2, b"Placeholder"))))
DESCRIPTION = message((1, message((1, b"image"), (3, b"\x2a\x00"))))
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
OPTIMUM, TORCH, TF = "optimum-cli export onnx --model", "torch.onnx.export(", "python -m tf2onnx.convert"

FILES: list[tuple[str, bytes, str, str]] = [
    # name, content, what it is, what to do
    ("m.pt", zipped("archive/data.pkl", "archive/data/0"), "a PyTorch file", f"{TORCH}model, inputs"),
    ("pytorch_model.bin", zipped("pytorch_model/data.pkl"), "a PyTorch file", f"{OPTIMUM} NAME FOLDER"),
    ("m.onnx", zipped("m/data.pkl", "m/code/__torch__.py", "m/constants.pkl"), "TorchScript", "torch.jit.load("),
    ("m.pth", pickle.dumps(0x1950A86A20F9469CFC6C, 2), "a PyTorch file", TORCH),
    ("m.pkl", pickle.dumps({"coef": 1}, 4), "a Python pickle", "skl2onnx"),
    ("m.keras", zipped("metadata.json", "config.json", "model.weights.h5"), "a Keras model", 'format="onnx"'),
    ("m.h5", b"\x89HDF\r\n\x1a\n" + bytes(64), "an HDF5 file", f"{TF} --keras"),
    ("m.tflite", b"\x1c\0\0\0TFL3" + bytes(64), "a TensorFlow Lite model", f"{TF} --tflite"),
    ("saved_model.pb", b"\x08\x01" + message((2, META_GRAPH)), "a TensorFlow SavedModel", f"{TF} --saved-model"),
    ("frozen.pb", NODE + NODE, "a frozen TensorFlow graph", f"{TF} --graphdef"),
    ("m.ort", b"\x1c\0\0\0ORTM" + bytes(64), "an onnxruntime model (.ort)", "the .onnx that it was made from"),
    ("m.safetensors", struct.pack("<Q", len(SAFETENSORS)) + SAFETENSORS + bytes(4), "a safetensors file", OPTIMUM),
    ("m.gguf", b"GGUF\x03\0\0\0" + bytes(64), "a GGUF file", OPTIMUM),
    ("m.mlmodel", b"\x08\x04" + message((2, DESCRIPTION)), "a Core ML model", TORCH[:-1]),
    ("m.xml", b'<?xml version="1.0"?>\n<net name="m" version="11">\n', "an OpenVINO model", TORCH[:-1]),
    ("m.bin", np.ones(64, np.float32).tobytes(), "weights without a graph, such as OpenVINO's", TORCH[:-1]),
    ("m.onnx_data", np.ones(64, np.float32).tobytes(), "the weights of a model", "name the .onnx beside it"),
    ("m.onnx", b"\n\n<!DOCTYPE html>\n<html>404</html>", "a web page", "/resolve/main/"),
    ("m.onnx", LFS, "a Git LFS pointer", "git lfs pull fetches it"),
    ("m.onnx", gzip.compress(b"content"), "a gzip file", "gunzip"),
    ("m.tar.gz", gzip.compress(b"content"), "a packed tar archive", "tar -xf"),
    ("m.onnx", bz2.compress(b"content"), "a bzip2 file", "bunzip2"),
    ("m.onnx", lzma.compress(b"content"), "an xz file", "unxz"),
    ("m.onnx", tarred(), "a tar archive", "tar -xf"),
    ("m.onnx", zipped("m.onnx"), "a zip archive", "unzip"),
    ("x.npz", arrays(x=np.zeros(3)), "NumPy arrays", "samples are given with --data"),
    ("x.npy", arrays(x=np.zeros(3))[0:0] + b"\x93NUMPY\x01\0" + bytes(64), "NumPy arrays", "given with --data"),
    ("config.json", b'{\n "model_type": "bert"}', "JSON text", ""),
    ("r.json", b'{"steps": [{"pass": "factorize"}]}', "a recipe", "it stands before the model"),
    ("r.toml", b"[[steps]]\npass = 1\n", "a recipe", "nncompress run "),
    ("r.toml", b'# mine\n[[steps]]\npass = "quantize-weights"\n', "a recipe", "it stands before the model"),
    ("x.png", b"\x89PNG\r\n\x1a\n" + bytes(64), "a PNG image", ""),
    ("x.jpg", b"\xff\xd8\xff\xe0" + bytes(64), "a JPEG image", ""),
    ("x.csv", b"1.0,2.0\n3.0,4.0\n", "CSV text", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "what", "run"), FILES, ids=[f"{f[0]}-{f[2][-20:]}" for f in FILES])
def test_a_file_that_is_no_model_is_named_with_what_to_run(
    name: str, content: bytes, what: str, run: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: it is {what}")
    assert ", not an ONNX model" in said
    assert run in said


def filled(folder: Path, *names: str) -> Path:
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    return folder


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["saved_model.pb", "variables/variables.index"],
            "it is a TensorFlow SavedModel: python -m tf2onnx.convert --sa",
        ),
        (["Manifest.json", "Data/model"], "it is a Core ML package: export the model that it was made from"),
        (["config.json", "model.safetensors"], f"it is a folder of a model of Hugging Face: {OPTIMUM} "),
        (["config.json", "decoder.onnx", "encoder.onnx"], "it is a folder with an ONNX model: name the file: "),
        (["notes.txt"], "it is a folder"),
    ],
)
def test_a_folder_is_named_with_what_to_run(names: list[str], said: str, tmp_path: Path) -> None:
    folder = filled(tmp_path / "model", *names)
    with pytest.raises(InputError) as caught:
        load(folder)
    assert str(caught.value).startswith(f"cannot read {folder}: {said}")


def test_the_folder_of_a_model_names_its_first_file(tmp_path: Path) -> None:
    folder = filled(tmp_path / "two words", "b.onnx", "a.onnx")
    with pytest.raises(InputError, match=f"name the file: '{folder}/a.onnx'"):
        load(folder)


def test_what_is_a_model_is_told_from_what_is_not(tmp_path: Path) -> None:
    assert kind_at(MLP) is ONNX_MODEL
    assert is_model(MLP)
    assert not is_model(MLP.parent)
    assert not is_model(tmp_path / "missing.onnx")


@pytest.mark.parametrize("byte", [b" ", b"\n", b"\t", b"[", b",", b"\x08\x01\x12", b"PK\x03\x04", b'{"'])
def test_no_content_takes_long(byte: bytes, tmp_path: Path) -> None:
    """Nothing in the table may go back and forth over what a file is full of: minutes, not milliseconds."""
    path = tmp_path / "x.csv"
    path.write_bytes(byte * (200_000 // len(byte)))
    kind = kind_at(path)
    assert kind is None or kind in KINDS


def test_all_advice_can_be_filled_in(tmp_path: Path) -> None:
    for kind in (*KINDS, *FOLDERS):
        for wanted in ("model", "data"):
            text = advice(kind, tmp_path / "a b" / "it's.onnx", wanted=wanted)
            assert "{" not in text
            assert text == "" or text.startswith(": ")
