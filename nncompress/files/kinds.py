"""What a file is that is no ONNX model or no arrays, told by its content, and what to do with it instead.

One table for both: `model` says what to do where a model was wanted, `data` where samples were.
"""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nncompress.errors import InputError
from nncompress.files.opened import OpenFile, open_regular

_LOOKED_AT = 1 << 16  # bytes at both ends: archives name what they hold at one of them


@dataclass(frozen=True)
class Kind:
    """A kind of file. Advice takes {file} and {folder} for a shell, {path} and {stem}."""

    what: str
    starts: bytes = b""  # regular expression for its first bytes
    holds: bytes = b""  # another for what is somewhere near one of its ends
    named: str = ""  # and one for the end of its name, for what nothing else tells
    model: str = ""
    data: str = ""

    def fits(self, name: str, head: bytes, tail: bytes) -> bool:
        """Whether a file of this name, and with these bytes at its ends, is one."""
        return bool(
            re.search(self.named, name, re.IGNORECASE)
            and re.match(self.starts, head, re.DOTALL)
            and (not self.holds or re.search(self.holds, head) or re.search(self.holds, tail))
        )


_EXPORT = 'torch.onnx.export(model, inputs, "{stem}.onnx") writes one'
_OPTIMUM = "optimum-cli export onnx --model"
_SOURCE = "export the model that it was made from (torch.onnx.export, tf2onnx or optimum-cli export onnx)"
_TENSORS = "tensor.numpy() makes an array of a tensor"
_IMAGE = "images must be arrays of the model's input shape"
_SOUND = "sounds must be arrays of the model's input shape"
_UNPACK = "unpack it first"
_ZIP, _TEXT = rb"PK\x03\x04", rb"(\xef\xbb\xbf)?\s*"
_GIVE_DATA = "samples are given with --data"
_MODEL_FIRST = "the model is named before the options"
_TF2ONNX = "python -m tf2onnx.convert"

ONNX_MODEL = Kind("an ONNX model", rb"\x08[\x01-\x14][\x12\x1a\x22\x28\x32\x3a\x42]", data=_MODEL_FIRST)
_NPZ = Kind("NumPy arrays", _ZIP, rb"\.npy", model=_GIVE_DATA)
_NPY = Kind("NumPy arrays", rb"\x93NUMPY", model=_GIVE_DATA)
_ARCHIVE = Kind("a zip archive", _ZIP, model=f"{_UNPACK}: unzip {{file}}", data=f"{_UNPACK}: unzip {{file}}")
ARRAYS = (_NPZ, _NPY, _ARCHIVE)
"""What files of arrays look like, damaged ones too."""

KINDS: tuple[Kind, ...] = (
    Kind("a Git LFS pointer, which stands for the file", rb"version https://git-lfs", model="git lfs pull fetches it",
         data="git lfs pull fetches it"),
    Kind("a web page, as a failed download leaves it", _TEXT + rb"(?i:<!doctype html|<html)",
         model="download the file itself (on Hugging Face from /resolve/main/, not /blob/main/)",
         data="download the file itself"),
    Kind("TorchScript", _ZIP, rb"/constants\.pkl", data=_TENSORS,
         model='torch.onnx.export(torch.jit.load("{path}"), inputs, "{stem}.onnx", dynamo=False) writes one'),
    Kind("a PyTorch file", _ZIP, rb"/data\.pkl|data/weights/|models/model\.json|serialized_exported_program",
         data=_TENSORS, model=f"{_EXPORT}, {_OPTIMUM} NAME FOLDER for models of Hugging Face"),
    Kind("a PyTorch file", rb"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", data=_TENSORS,
         model=f"{_EXPORT}, {_OPTIMUM} NAME FOLDER for models of Hugging Face"),
    Kind("a Keras model", _ZIP, rb"model\.weights\.h5",
         model='keras.models.load_model("{path}").export("{stem}.onnx", format="onnx") writes one'),
    _NPZ,
    Kind("a Core ML package", _ZIP, rb"\.mlmodel|\.mlpackage", model=_SOURCE),
    _ARCHIVE,
    _NPY,
    Kind("a Python pickle", rb"\x80[\x02-\x05]", data="np.savez writes arrays, pickles are not read",
         model=f"{_EXPORT}; skl2onnx exports models of scikit-learn"),
    Kind("a TensorFlow Lite model", rb".{4}TFL3", model=f"{_TF2ONNX} --tflite {{file}} --output {{stem}}.onnx"),
    Kind("an onnxruntime model (.ort)", rb".{4}ORTM", model="give the .onnx that it was made from"),
    Kind("a safetensors file, weights without a graph", rb".{8}\{\s*\"", data=_TENSORS,
         model=f"{_OPTIMUM} {{folder}} OUT exports the model that they belong to"),
    Kind("an HDF5 file, as Keras writes them", rb"\x89HDF\r\n\x1a\n", data="h5py reads arrays from it",
         model=f"{_TF2ONNX} --keras {{file}} --output {{stem}}.onnx"),
    Kind("a GGUF file, weights for llama.cpp", rb"GGUF",
         model=f"{_OPTIMUM} NAME FOLDER exports the model that it was made from"),
    Kind("a TensorFlow SavedModel", rb"\x08\x01\x12.{1,5}\x0a", rb"\x22\x05(serve|train)|PartitionedCall|VarHandleOp",
         model=f"{_TF2ONNX} --saved-model {{folder}} --output model.onnx"),
    Kind("a frozen TensorFlow graph", rb"\x0a.{1,5}\x0a.[\x20-\x7e]+\x12.(Placeholder|Const|NoOp|VarHandleOp)",
         model=f"{_TF2ONNX} --graphdef {{file}} --inputs NAME:0 --outputs NAME:0 --output {{stem}}.onnx"),
    Kind("a Core ML model", rb"\x08[\x01-\x0f]\x12.{1,3}\x0a.{1,3}\x0a.[\x20-\x7e]+[\x12\x1a]", model=_SOURCE),
    ONNX_MODEL,
    Kind("an OpenVINO model", _TEXT + rb"(<\?xml[^>]*>\s*)?<net\b", model=_SOURCE),
    Kind("XML text", _TEXT + rb"<\?xml"),
    Kind("a tar archive", rb".{257}ustar", model=f"{_UNPACK}: tar -xf {{file}}", data=f"{_UNPACK}: tar -xf {{file}}"),
    Kind("a packed tar archive", rb"\x1f\x8b|BZh|\xfd7zXZ\x00|\x28\xb5\x2f\xfd", named=r"\.tar\.|\.t[gbx]z2?$",
         model=f"{_UNPACK}: tar -xf {{file}}", data=f"{_UNPACK}: tar -xf {{file}}"),
    Kind("a gzip file", rb"\x1f\x8b", model=f"{_UNPACK}: gunzip {{file}}", data=f"{_UNPACK}: gunzip {{file}}"),
    Kind("a bzip2 file", rb"BZh", model=f"{_UNPACK}: bunzip2 {{file}}", data=f"{_UNPACK}: bunzip2 {{file}}"),
    Kind("an xz file", rb"\xfd7zXZ\x00", model=f"{_UNPACK}: unxz {{file}}", data=f"{_UNPACK}: unxz {{file}}"),
    Kind("a Zstandard file", rb"\x28\xb5\x2f\xfd", model=f"{_UNPACK}: unzstd {{file}}",
         data=f"{_UNPACK}: unzstd {{file}}"),
    Kind("a 7-Zip archive", rb"7z\xbc\xaf\x27\x1c", model=f"{_UNPACK}: 7z x {{file}}",
         data=f"{_UNPACK}: 7z x {{file}}"),
    Kind("a JPEG image", rb"\xff\xd8\xff", data=_IMAGE),
    Kind("a PNG image", rb"\x89PNG\r\n\x1a\n", data=_IMAGE),
    Kind("an image", rb"GIF8|BM.{4}\x00{4}|RIFF.{4}WEBP|II\*\x00|MM\x00\*", data=_IMAGE),
    Kind("a sound file", rb"RIFF.{4}WAVE|fLaC|ID3|OggS", data=_SOUND),
    Kind("a Parquet file", rb"PAR1", data='pandas.read_parquet("{path}").to_numpy() makes an array of it'),
    Kind("a recipe", _TEXT, rb"(?m)^[ \t]*\[\[steps\]\]|\"steps\"[ ]?:",
         model="it stands before the model, as in nncompress run {file} model.onnx -o small.onnx"),
    Kind("JSON text", _TEXT + rb"[{\[]\s*[\"\[{\]}\d]"),
    Kind("CSV text", rb"[^\x00-\x08]", named=r"\.[ct]sv$",
         data='np.loadtxt("{path}", delimiter=",", skiprows=1) makes an array of it'),
    Kind("the weights of a model", named=r"\.onnx[._]data$|\.data$|^weights\.pb$", model="name the .onnx beside it"),
    Kind("weights without a graph, such as OpenVINO's", named=r"\.bin$", model=_SOURCE),
)  # fmt: skip


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder, by the globs of what it has to hold."""

    what: str
    holds: tuple[str, ...]
    model: str = ""
    data: str = ""


FOLDERS: tuple[FolderKind, ...] = (
    FolderKind("a TensorFlow SavedModel", ("saved_model.pb",),
               model=f"{_TF2ONNX} --saved-model {{file}} --output {{stem}}.onnx"),
    FolderKind("a Core ML package", ("Manifest.json", "Data"), model=_SOURCE),
    FolderKind("a folder with an ONNX model", ("*.onnx",), model="name the file: {first}",
               data=_MODEL_FIRST),
    FolderKind("a folder of a model of Hugging Face", ("config.json",), model=f"{_OPTIMUM} {{file}} OUT exports it"),
    FolderKind("a folder of images", ("*.[jJ][pP]*[gG]",), data=_IMAGE),
    FolderKind("a folder of images", ("*.[pP][nN][gG]",), data=_IMAGE),
    FolderKind("a folder of sounds", ("*.[wW][aA][vV]",), data=_SOUND),
    FolderKind("a folder of images", ("*/*.[jJ][pP]*[gG]",), data=_IMAGE),
    FolderKind("a folder of images", ("*/*.[pP][nN][gG]",), data=_IMAGE),
    FolderKind("a folder of .npy files", ("*.npy",), data="a folder holds .npz files, one for each feed; or stack the "
               "samples into one array"),
    FolderKind("a folder of CSV files", ("*.csv",), data="np.loadtxt makes arrays of them"),
    FolderKind("a folder of PyTorch files", ("*.pt",), data=_TENSORS),
)  # fmt: skip


def kind_of(file: OpenFile) -> Kind | None:
    """What it is; None for what is not in the table."""
    head = file.read(0, min(_LOOKED_AT, file.size_bytes))
    tail = file.read(file.size_bytes - len(head), len(head))
    return next((kind for kind in KINDS if kind.fits(file.path.name, head, tail)), None)


def kind_at(path: Path) -> Kind | FolderKind | None:
    """The same of a file or folder that need not be there."""
    with suppress(InputError, OSError, ValueError):
        if path.is_dir():
            return next((kind for kind in FOLDERS if all(any(path.glob(glob)) for glob in kind.holds)), None)
        return kind_of(open_regular(path))
    return None


def is_model(path: Path) -> bool:
    """True for what looks like an ONNX model."""
    return kind_at(path) is ONNX_MODEL


def advice(kind: Kind | FolderKind, path: Path, *, wanted: Literal["model", "data"]) -> str:
    """What to do about a file that is no model, or no data, as was wanted: ": ...", or ""."""
    text = kind.model if wanted == "model" else kind.data
    first = min(path.glob(kind.holds[0]), default=path) if isinstance(kind, FolderKind) else path
    quoted = {"file": path, "folder": path.parent, "first": first}
    filled = text.format(path=path, stem=path.stem, **{key: shlex.quote(str(place)) for key, place in quoted.items()})
    return f": {filled}" if filled else ""
