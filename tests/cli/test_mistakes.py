"""Mistakes that users make, and what each is answered with: one line that says what was wrong and what to do."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models import noise, proto_of, saved
from tests.support import IMAGES, MLP, nncompress, one_line

NETS = {
    "image.onnx": proto_of(
        "g (float[batch,3,8,6] image) => (float[batch,5] y) { f = Flatten(image) y = MatMul(f, w) }", w=noise(144, 5)
    ),
    "gray.onnx": proto_of(
        "g (float[batch,1,8,6] image) => (float[batch,5] y) { f = Flatten(image) y = MatMul(f, w) }", w=noise(48, 5)
    ),
    "rows.onnx": proto_of("g (float[batch,48] x) => (float[batch,5] y) { y = MatMul(x, w) }", w=noise(48, 5)),
    "ids.onnx": proto_of(
        "g (int64[batch,7] ids, int64[batch,7] mask) => (float[batch,7,16] y) "
        "{ e = Gather(w, ids) m = Unsqueeze(mask, a) c = Cast<to=1>(m) y = Mul(e, c) }",
        w=noise(50, 16),
        a=np.array([2]),
    ),
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with models that take images, rows and token numbers."""
    monkeypatch.chdir(tmp_path)
    for name, proto in NETS.items():
        saved(proto, tmp_path / name)
    shutil.copy(MLP, tmp_path / "mlp.onnx")
    Path("recipe.toml").write_text('[[steps]]\npass = "quantize-weights"\n')
    return tmp_path


def assert_refused(command: str, code: int, *messages: str) -> None:
    """`command` ends with `code` and one line that holds each of the `messages`, and no words of the machinery."""
    ended = nncompress(*command.split())
    said = one_line(ended.stderr)
    assert (ended.exit_code, ended.stdout) == (code, ""), said
    for message in messages:
        assert message in said
    for internal in ("Settings", "Traceback", "pydantic", "object at 0x", "dtype(", "None", "Error:", "PosixPath"):
        assert internal not in said


# ------------------------------------------------------------------------------------------------ models
def zipped(path: Path, *members: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for member in members:
            archive.writestr(member, b"0" * 64)


MODELS: list[tuple[str, Callable[[Path], Any], str]] = [
    ("m.pt", lambda p: zipped(p, "m/data.pkl", "m/data/0"), "a PyTorch file, not an ONNX model: torch.onnx.export("),
    (
        "m.pth",
        lambda p: zipped(p, "m/data.pkl", "m/constants.pkl"),
        "TorchScript, not an ONNX model: torch.onnx.export(",
    ),
    ("m.tflite", lambda p: p.write_bytes(b"\x1c\0\0\0TFL3" + bytes(9)), "python -m tf2onnx.convert --tflite m.tflite"),
    ("m.h5", lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(9)), "python -m tf2onnx.convert --keras m.h5"),
    (
        "m.safetensors",
        lambda p: p.write_bytes(b"\x20\0\0\0\0\0\0\0" + b'{"w":{}}'),
        "optimum-cli export onnx --model .",
    ),
    ("m.ort", lambda p: p.write_bytes(b"\x1c\0\0\0ORTM" + bytes(9)), "give the .onnx that it was made from"),
    ("m.onnx", lambda p: p.write_text("<!DOCTYPE html>\n"), "a web page, as a failed download leaves it, not an ONNX"),
    ("m.onnx", lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull fetches it"),
    (
        "m.onnx.gz",
        lambda p: p.write_bytes(b"\x1f\x8b\x08" + bytes(20)),
        "a gzip file, not an ONNX model: unpack it first",
    ),
    ("m.onnx", lambda p: p.touch(), "m.onnx: it is empty"),
    ("tf", lambda p: (p.mkdir(), (p / "saved_model.pb").touch()), "a TensorFlow SavedModel: python -m tf2onnx.convert"),
    ("hf", lambda p: (p.mkdir(), (p / "config.json").touch()), "optimum-cli export onnx --model hf OUT exports it"),
    (
        "out",
        lambda p: (p.mkdir(), (p / "model.onnx").touch()),
        "a folder with an ONNX model: name the file: out/model.onnx",
    ),
    ("x.npz", lambda p: np.savez(p, x=np.zeros(3)), "NumPy arrays, not an ONNX model: samples are given with --data"),
    ("r.toml", lambda p: p.write_text("[[steps]]\n"), "a recipe, not an ONNX model: it stands before the model, as in"),
    (
        "m.xml",
        lambda p: p.write_text('<net name="m">\n'),
        "an OpenVINO model, not an ONNX model: export the model that",
    ),
]


@pytest.mark.parametrize(("name", "make", "message"), MODELS, ids=[f"{n}-{m[-24:]}" for n, _, m in MODELS])
@pytest.mark.slow
def test_a_model_that_is_none(name: str, make: Callable[[Path], Any], message: str, here: Path) -> None:
    make(Path(name))
    assert_refused(f"quantize {name} -o small.onnx", 3, message)
    assert_refused(f"inspect {name}", 3, message)


# ------------------------------------------------------------------------------------------------ data
def images(*shape: int, dtype: str = "float32") -> dict[str, np.ndarray]:
    return {"image": np.zeros(shape, dtype)}


ARRAYS: list[tuple[str, dict[str, np.ndarray], str]] = [
    (
        "image",
        images(12, 8, 6, 3),
        "has shape [12, 8, 6, 3], the model's input is [batch, 3, 8, 6]: np.transpose(x, (0, 3, 1, 2)) makes it fit",
    ),
    ("image", images(12, 3, 6, 8), "np.transpose(x, (0, 1, 3, 2)) makes it fit"),
    (
        "image",
        images(3, 8, 6),
        "has shape [3, 8, 6], the model's input is [batch, 3, 8, 6]: np.expand_dims(x, 0) makes it fit",
    ),
    ("image", images(8, 6, 3), "np.expand_dims(np.transpose(x, (2, 0, 1)), 0) makes it fit"),
    (
        "gray",
        images(12, 8, 6),
        "has shape [12, 8, 6], the model's input is [batch, 1, 8, 6]: np.expand_dims(x, 1) makes",
    ),
    ("gray", images(12, 48), "x.reshape(-1, 1, 8, 6) makes it fit"),
    ("rows", {"x": np.zeros((12, 8, 6), np.float32)}, "x.reshape(-1, 48) makes it fit"),
    ("rows", {"x": np.zeros((12, 48, 1), np.float32)}, "np.squeeze(x, 2) makes it fit"),
    ("rows", {"x": np.zeros((48, 12), np.float32)}, "np.transpose(x, (1, 0)) makes it fit"),
    (
        "rows",
        {"x": np.zeros(48, np.float32)},
        "has shape [48], the model's input is [batch, 48]: np.expand_dims(x, 0) makes it fit",
    ),
    ("image", images(12, 3, 16, 12), "has shape [12, 3, 16, 12], the model's input is [batch, 3, 8, 6]"),
    (
        "image",
        images(12, 8, 6, 3, dtype="uint8"),
        "is uint8, the model's input is float32: scale it as in training, such "
        'as x.astype("float32") / 255; it has shape [12, 8, 6, 3], the',
    ),
    ("image", images(12, 3, 8, 6, dtype="float16"), 'x.astype("float32") converts it'),
    (
        "ids",
        {"ids": np.zeros((4, 7)), "mask": np.zeros((4, 7))},
        "array 'ids' is float64, the model's input is int64: x.astype(\"int64\") if it holds whole numbers",
    ),
    (
        "image",
        {"pixels": np.zeros(3)},
        "array 'pixels' is no input of the model (its input is 'image': name it in np.savez(path, image=x))",
    ),
    ("image", {"arr_0": np.zeros(3)}, "(its input is 'image': name it in np.savez(path, image=x))"),
    ("image", {"imgae": np.zeros(3)}, "array 'imgae' is no input of the model (did you mean 'image'?)"),
    ("ids", {"ids": np.zeros((4, 7), np.int64)}, "no array for the model's input 'mask' (found 'ids')"),
    (
        "image",
        {**images(12, 3, 8, 6), "label": np.zeros(12)},
        "array 'label' is no input of the model (labels are an array "
        "'labels', or a file of their own given with --labels; its input is 'image')",
    ),
    ("image", {"labels": np.zeros(12)}, "it holds labels only: give them with --labels, and the samples with --data"),
    (
        "image",
        {**images(12, 3, 8, 6), "labels": np.array(["cat"] * 12)},
        "labels must be numbers, these are text: number",
    ),
]


@pytest.mark.parametrize(("net", "arrays", "message"), ARRAYS, ids=[f"{n}-{m[-30:]}" for n, _, m in ARRAYS])
@pytest.mark.slow
def test_arrays_that_do_not_fit(net: str, arrays: dict[str, np.ndarray], message: str, here: Path) -> None:
    np.savez("eval.npz", **arrays)
    assert_refused(f"quantize {net}.onnx --dry-run --data eval.npz", 3, "eval.npz: ", message)


FILES: list[tuple[str, Callable[[Path], Any], str]] = [
    (
        "x.csv",
        lambda p: p.write_text("1,2\n3,4\n"),
        'CSV text, no samples: np.loadtxt("x.csv", delimiter=",", skiprows=1) makes an',
    ),
    (
        "x.pt",
        lambda p: zipped(p, "x/data.pkl"),
        "a PyTorch file, no samples: tensor.numpy() makes an array of a tensor",
    ),
    (
        "x.png",
        lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n"),
        "a PNG image, no samples: images must be arrays of the model's input shape",
    ),
    (
        "x.jpg",
        lambda p: p.write_bytes(b"\xff\xd8\xff\xe0"),
        "a JPEG image, no samples: images must be arrays of the model's input shape",
    ),
    (
        "photos",
        lambda p: (p.mkdir(), (p / "1.jpg").touch()),
        "a folder of images, no samples: images must be arrays of the model's",
    ),
    (
        "classes",
        lambda p: (p / "cat").mkdir(parents=True) or (p / "cat" / "1.png").touch(),
        "a folder of images, no samples: ",
    ),
    (
        "x.pkl",
        lambda p: p.write_bytes(b"\x80\x04N."),
        "a Python pickle, no samples: np.savez writes arrays, pickles are not read",
    ),
    (
        "x.npz",
        lambda p: p.write_text("<html>"),
        "a web page, as a failed download leaves it, no .npz: download the file",
    ),
    ("gray.onnx", lambda p: None, "an ONNX model, no samples: the model is named before the options"),
    ("x.npy", lambda p: np.save(p, np.array([[1], [1, 2]], object)), "it holds Python objects, not numbers: np.stack"),
]


@pytest.mark.parametrize(("name", "make", "message"), FILES, ids=[name for name, _, _ in FILES])
@pytest.mark.slow
def test_data_that_are_none(name: str, make: Callable[[Path], Any], message: str, here: Path) -> None:
    make(Path(name))
    assert_refused(f"quantize image.onnx --dry-run --data {name}", 3, f"{name}: ", message)


def test_what_would_be_data_is_shown_with_shape_and_type(here: Path) -> None:
    Path("photos").mkdir()
    assert_refused(
        "quantize image.onnx --dry-run --data photos",
        3,
        'photos: holds neither .npz files nor test_data_set_* folders; np.savez("data.npz", image=...) writes samples '
        "(image: float32 [batch, 3, 8, 6])",
    )


# ------------------------------------------------------------------------------------------------ labels
def with_labels(labels: Any, **options: np.ndarray) -> str:
    data = dict(np.load(IMAGES)) | options
    np.savez("eval.npz", **{**data, "labels": labels(data["labels"])})
    return "compare mlp.onnx mlp.onnx --seconds 0 --data eval.npz"


LABELS: list[tuple[Callable[[np.ndarray], np.ndarray], str]] = [
    (lambda y: np.eye(10, dtype=np.int64)[y], "they are one-hot, labels.argmax(-1) makes numbers of them"),
    (lambda y: np.eye(10, dtype=np.float32)[y], "they are one-hot, labels.argmax(-1) makes numbers of them"),
    (lambda y: y.astype(np.float32), 'these are float32: labels.astype("int64") makes them integers'),
    (lambda y: y + 0.25, "these are float64: --metric mse compares numbers"),
    (lambda y: y[:-1], "give one label a row, in feed order, or name another output"),
]


@pytest.mark.parametrize(("labels", "message"), LABELS)
@pytest.mark.slow
def test_labels_that_are_none(labels: Callable[[np.ndarray], np.ndarray], message: str, here: Path) -> None:
    assert_refused(with_labels(labels), 3, message)


def test_labels_may_stand_in_a_column(here: Path) -> None:
    assert "top-1" in nncompress(*with_labels(lambda y: y[:, None]).split(), "-v").stdout


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("y.csv", lambda p: p.write_text("1\n2\n"), 'this is CSV text: np.savez("labels.npz", labels=...) writes them'),
        ("y", lambda p: p.mkdir(), "labels come from a .npz or .npy file, this is a folder"),
        (
            "y.npz",
            lambda p: np.savez(p, y_test=[1], z=[2]),
            "no array called 'labels' or 'image_evaluation' (arrays found: 'y_test', 'z') (is it 'y_test'?",
        ),
    ],
)
def test_labels_in_the_wrong_place(name: str, make: Callable[[Path], Any], message: str, here: Path) -> None:
    make(Path(name))
    assert_refused(f"compare mlp.onnx mlp.onnx --data {IMAGES} --labels {name}", 3, message)


# ------------------------------------------------------------------------------------------------ the command line
@pytest.mark.parametrize(
    ("command", "messages"),
    [
        (
            "run mlp.onnx recipe.toml -o s.onnx",
            ["mlp.onnx: it is an ONNX model, not a recipe: run takes the recipe (TOML or JSON) before the model"],
        ),
        (
            "quantize mlp.onnx rows.onnx -o s.onnx",
            ["unexpected argument 'rows.onnx', it takes MODEL: nncompress sweep"],
        ),
        ("quantize mlp.onnx eval.npz -o s.onnx", ["unexpected argument 'eval.npz'", "samples are given with --data"]),
        ("quantize recipe.toml mlp.onnx -o s.onnx", ["nncompress run takes a recipe and a model"]),
        ("compare mlp.onnx rows.onnx ids.onnx", ["unexpected argument 'ids.onnx', it takes REF CAND"]),
        ("quantize mlp.onnx --dry-run --seconds abc", ["--seconds must be a number, not 'abc'"]),
        ("quantize mlp.onnx --dry-run --seed 1.5", ["--seed must be a whole number, not '1.5'"]),
        ("quantize mlp.onnx --dry-run --per row", ["--per must be 'auto', 'channel' or 'tensor', not 'row'"]),
        ("quantize mlp.onnx --dry-run --bits 9", ["quantize-weights: bits must be 2, 3, 4, 5, 6, 7 or 8, not 9"]),
        (
            "run recipe.toml mlp.onnx --dry-run --set dtype=",
            ["dtype is an option of a step: --set steps.0.dtype=VALUE"],
        ),
        ("run recipe.toml mlp.onnx --dry-run --set dtype=uint8", ["--set steps.0.dtype=uint8"]),
        ("run recipe.toml mlp.onnx --dry-run --set data=3", ["recipe.toml: data must be a table, not 3"]),
        (
            "run recipe.toml mlp.onnx --dry-run --set steps.0.min_size=many",
            ["recipe.toml: step 1: quantize-weights: min_size must be a whole number, not 'many'"],
        ),
        ("run recipe.toml mlp.onnx --dry-run --set external_data=3", ["external_data must be true or false, not 3"]),
        (
            "run -p quantize-weights:symmetric=maybe mlp.onnx --dry-run",
            ["symmetric must be true or false, not 'maybe'"],
        ),
    ],
)
@pytest.mark.slow
def test_command_lines_that_cannot_be_meant(command: str, messages: list[str], here: Path) -> None:
    assert_refused(command, 2, *messages)


# ------------------------------------------------------------------------------------------------ sources of values
@pytest.mark.parametrize(
    ("variable", "value", "code", "message"),
    [
        ("SECONDS", "abc", 2, "NNCOMPRESS_SECONDS (for --seconds) must be a number, not 'abc'"),
        ("SEED", "-1", 2, "--seed must be 0 to 9223372036854775807, not -1 (--seed is set by NNCOMPRESS_SEED)"),
        ("FORM", "qdq", 2, "unknown form 'qdq': it is folded, dequantize, integer (--form is set by NNCOMPRESS_FORM)"),
        ("MAX_DROP", "1", 2, "(--max-drop is set by NNCOMPRESS_MAX_DROP)"),
        ("DATA", "nowhere", 3, "nowhere: no such file or folder (--data is set by NNCOMPRESS_DATA)"),
    ],
)
def test_a_variable_that_cannot_be_meant_is_named(
    variable: str, value: str, code: int, message: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"NNCOMPRESS_{variable}", value)
    assert_refused("quantize mlp.onnx --dry-run", code, message)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("seconds = 99999", 2, "not 99999 (--seconds is set by seconds in nncompress.toml)"),
        (
            "[data]\npath = 'nowhere'",
            3,
            "nowhere: no such file or folder (--data is set by data.path in nncompress.toml)",
        ),
        ("data = 3", 2, "nncompress.toml: data must be a table, not 3"),
        ("[limits]\nmax_drop = 3", 2, "nncompress.toml: limits.max_drop: share '3' is ambiguous"),
    ],
)
def test_a_key_that_cannot_be_meant_is_named_with_its_file(text: str, code: int, message: str, here: Path) -> None:
    Path("nncompress.toml").write_text(text)
    assert_refused("quantize mlp.onnx --dry-run", code, message)


def test_the_key_of_a_recipe_is_named_with_its_file(here: Path) -> None:
    Path("mine.toml").write_text('seconds = 99999\n[[steps]]\npass = "quantize-weights"\n')
    assert_refused("run mine.toml mlp.onnx --dry-run", 2, "not 99999 (--seconds is set by seconds in mine.toml)")


def test_options_of_passes_are_documented_without_the_words_of_the_machinery() -> None:
    for name in ("quantize-weights", "prune-magnitude", "factorize", "correct-biases", "store-lossless"):
        shown = nncompress("passes", name).stdout
        assert not [word for word in ("(Range)", "tuple[", "Literal", "(int)", "=True", "=None") if word in shown]
