"""A file that is read is known under every name that it has."""

import os
from pathlib import Path

import onnx
import pytest

from nncompress.files.places import place_of
from nncompress.workflow.inputs import Inputs
from tests.models import noise, proto_of


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with external data."""
    proto = proto_of("g (float[1,64] x) => (float[1,64] y) { y = MatMul(x, w) }", w=noise(64, 64))
    onnx.save(proto, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    return tmp_path / "m.onnx"


@pytest.mark.parametrize(
    "name", ["m.onnx", "w.bin", "d.npz", "feeds", "feeds/sub/0.npz", "hard", "link", "folder/w.bin"]
)
def test_inputs_are_known_under_any_name(tmp_path: Path, model: Path, name: str) -> None:
    (tmp_path / "feeds/sub").mkdir(parents=True)
    for file in ("d.npz", "feeds/sub/0.npz", "other"):
        (tmp_path / file).write_bytes(b"0")
    (tmp_path / "hard").hardlink_to(tmp_path / "w.bin")
    (tmp_path / "link").symlink_to("feeds/sub/0.npz")
    (tmp_path / "folder").symlink_to(".")
    inputs = Inputs((model,), (tmp_path / "d.npz", tmp_path / "feeds"))
    assert inputs.holds(tmp_path / name)
    assert not inputs.holds(tmp_path / "other")
    assert not inputs.holds(tmp_path / "feeds/new")


@pytest.mark.parametrize("damage", ["cut data", "no model", "gone", "FIFO"])
def test_the_data_of_a_damaged_model_are_known_as_far_as_it_names_them(
    tmp_path: Path, model: Path, damage: str
) -> None:
    if damage == "cut data":
        os.truncate(tmp_path / "w.bin", 10)
    else:
        model.unlink()
    if damage == "no model":
        model.write_bytes(b"no model")
    if damage == "FIFO":
        os.mkfifo(model)
    assert Inputs((model,)).holds(tmp_path / "w.bin") == (damage == "cut data")
    assert Inputs((model,)).holds(model)


def test_a_file_that_is_not_there_yet_has_one_place(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("new")
    (tmp_path / "folder").symlink_to(".")
    (tmp_path / "loop").symlink_to("loop")
    names = ("new", "./new", "link", "folder/new")
    assert len({place_of(tmp_path / name) for name in names}) == 1
    assert len({place_of(tmp_path / name) for name in ("new", "loop", "gone/new", "a\0b", "\ud800", "n" * 300)}) == 6


def test_names_are_told_apart_where_the_current_folder_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert place_of(Path("a")) == place_of(Path("./a")) != place_of(Path("b"))
