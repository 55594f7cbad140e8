"""Only regular files are read, through one descriptor, and only inside the folders that belong to the model."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from nncompress.errors import InputError, NoOutputError
from nncompress.files import opened as files
from nncompress.files.opened import data_digest, open_external, open_regular
from nncompress.files.texts import read_text, write_whole

needs_a_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model file in a folder of its own, with data beside it, below it and outside."""
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for path in (folder / "m.onnx", folder / "w.bin", folder / "sub" / "w.bin", tmp_path / "outside.bin"):
        path.write_bytes(b"0123456789")
    return folder / "m.onnx"


# ------------------------------------------------------------------------------------------------ open_regular
def test_a_regular_file_is_read_in_any_part(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(range(200)))
    file = open_regular(path)
    assert file.size_bytes == 200
    assert file.read(10, 5) == bytes(range(10, 15))
    assert file.read(0, 0) == b""
    assert file.read_array(190, 10).tolist() == list(range(190, 200))
    assert file.sha256() == hashlib.sha256(bytes(range(200))).hexdigest()


def test_large_parts_are_read_whole(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 256, (9 << 20) + 7, np.uint8)
    (tmp_path / "f").write_bytes(data)
    file = open_regular(tmp_path / "f")
    assert file.read(3, len(data) - 3) == data[3:].tobytes()
    assert file.sha256() == hashlib.sha256(data).hexdigest()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*/none\.onnx: no such file$"):
        open_regular(tmp_path / "none.onnx")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*: it is a folder$"):
        open_regular(tmp_path)


def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"cannot read .*/pipe: it is not a regular file$"):
        open_regular(tmp_path / "pipe")


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_is_refused(device: str) -> None:
    with pytest.raises(InputError, match=f"cannot read {device}: it is not a regular file"):
        open_regular(Path(device))


def test_a_nul_byte_in_the_name_is_no_crash() -> None:
    with pytest.raises(InputError, match=r"cannot read a\\x00b: no file can have such a name"):
        open_regular(Path("a\0b"))


def test_links_that_go_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(InputError, match="links go in a circle"):
        open_regular(tmp_path / "a")


@needs_a_user
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "f").chmod(0)
    with pytest.raises(InputError, match="permission denied"):
        open_regular(tmp_path / "f")


# ------------------------------------------------------------------------------------------------ changes
def test_a_file_that_became_shorter_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(100))
    file = open_regular(path)
    os.truncate(path, 50)
    with pytest.raises(InputError, match="changed while it was being read: run again when nothing writes to it"):
        file.read(40, 20)
    with pytest.raises(InputError, match="changed while it was being read"):
        file.read_array(60, 1)


def test_check_unchanged_sees_a_write_of_the_same_size(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(bytes(100))
    file = open_regular(path)
    file.check_unchanged()
    path.write_bytes(bytes(100))
    os.utime(path, ns=(1, 1))
    with pytest.raises(InputError, match="changed while it was being read"):
        file.check_unchanged()


def test_a_file_that_was_replaced_is_still_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    file = open_regular(path)
    (tmp_path / "new").write_bytes(b"NEW")
    (tmp_path / "new").replace(path)
    file.check_unchanged()
    assert file.read(0, 3) == b"old"
    assert not file.is_same_as(path)
    assert not file.is_same_as(tmp_path / "missing")


def test_a_file_is_the_same_by_any_name(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x")
    (tmp_path / "link").symlink_to("f")
    (tmp_path / "hard").hardlink_to(path)
    file = open_regular(path)
    assert [file.is_same_as(tmp_path / name) for name in ("f", "link", "hard")] == [True] * 3


# ------------------------------------------------------------------------------------------------ open_external
@pytest.mark.parametrize("location", ["w.bin", "sub/w.bin", "./w.bin", "sub//w.bin"])
def test_data_beside_or_below_the_model_are_opened(model: Path, location: str) -> None:
    assert open_external(location, model, "w").read(0, 10) == b"0123456789"


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("", "location '' is not a relative path"),
        ("/etc/passwd", "location '/etc/passwd' is not a relative path"),
        ("\\w.bin", "is not a relative path"),
        ("sub\\w.bin", "is not a relative path"),
        ("C:\\w.bin", "is not a relative path"),
        ("w\0.bin", "is not a relative path"),
        ("../outside.bin", "location '../outside.bin' leaves the model's folder"),
        ("sub/../w.bin", "location 'sub/../w.bin' leaves the model's folder"),
        ("..", "location '..' leaves the model's folder"),
        ("a" * 5000, "its location has 5000 characters, more than any path"),
        ("w\n.bin", "holds control characters"),
        ("w\x1b[31m.bin", "holds control characters"),
        ("none.bin", "none.bin: no such file"),
        ("sub", "it is a folder"),
        (".", "it is a folder"),
    ],
)
def test_a_location_that_is_none_or_leads_away_is_refused(model: Path, location: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        open_external(location, model, "fc.weight")
    text = str(caught.value)
    assert message in text
    assert text.startswith("external data of 'fc.weight': ")
    assert text.isprintable()
    assert len(text) <= 900


def test_a_link_out_of_the_folder_is_refused(model: Path) -> None:
    (model.parent / "link.bin").symlink_to("../outside.bin")
    with pytest.raises(InputError, match=r"'link\.bin' leads out of the model's folder"):
        open_external("link.bin", model, "w")


def test_a_folder_that_is_a_link_out_is_refused(model: Path) -> None:
    (model.parent / "away").symlink_to("..")
    with pytest.raises(InputError, match=r"'away/outside\.bin' leads out of the model's folder"):
        open_external("away/outside.bin", model, "w")


def test_a_link_that_stays_inside_is_followed(model: Path) -> None:
    (model.parent / "link.bin").symlink_to("sub/w.bin")
    assert open_external("link.bin", model, "w").size_bytes == 10


def test_a_hard_link_is_refused(model: Path, tmp_path: Path) -> None:
    (model.parent / "hard.bin").hardlink_to(tmp_path / "outside.bin")
    with pytest.raises(InputError, match=r"'hard\.bin' is a hard link to a file elsewhere"):
        open_external("hard.bin", model, "w")


def test_a_fifo_as_data_is_refused_without_waiting(model: Path) -> None:
    os.mkfifo(model.parent / "pipe.bin")
    with pytest.raises(InputError, match=r"external data of 'w': cannot read .*pipe\.bin: it is not a regular file"):
        open_external("pipe.bin", model, "w")


def hugging_face_cache(root: Path) -> Path:
    """snapshots/REVISION/* are links into blobs/."""
    blobs, snapshot = root / "models--o--m" / "blobs", root / "models--o--m" / "snapshots" / "abc"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for name, blob in (("m.onnx", "11"), ("m.onnx_data", "22")):
        (blobs / blob).write_bytes(blob.encode())
        (snapshot / name).symlink_to(f"../../blobs/{blob}")
    return snapshot / "m.onnx"


def test_the_links_of_a_hugging_face_cache_work(tmp_path: Path) -> None:
    assert open_external("m.onnx_data", hugging_face_cache(tmp_path), "w").read(0, 2) == b"22"


def test_a_link_from_a_hugging_face_cache_to_elsewhere_is_refused(tmp_path: Path) -> None:
    model = hugging_face_cache(tmp_path)
    (tmp_path / "secret").write_bytes(b"s")
    (model.parent / "evil").symlink_to("../../../secret")
    with pytest.raises(InputError, match="'evil' leads out of the model's folder"):
        open_external("evil", model, "w")


def test_a_relative_model_path_means_the_current_folder(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model.parent)
    assert files.open_external("w.bin", Path("m.onnx"), "w").size_bytes == 10


# ------------------------------------------------------------------------------------------------ texts
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("gone", "no such file"),
        ("folder", "it is a folder"),
        ("fifo", "it is not a regular file"),
        ("device", "it is not a regular file"),
        ("bytes", "it is not UTF-8 text"),
        ("large", "67,108,865 bytes are more than any such text has"),
    ],
)
def test_only_regular_files_of_text_are_read(tmp_path: Path, kind: str, said: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "bytes").write_bytes(b"\xff")
    with (tmp_path / "large").open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(InputError, match=rf"cannot read .*/{kind}: {said}$"):
        read_text(tmp_path / kind)


def test_a_text_replaces_an_old_one_and_touches_nothing_beside_it(tmp_path: Path) -> None:
    for name in (".t.new", "t"):
        (tmp_path / name).write_text("mine")
    write_whole(tmp_path / "t", "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {".t.new": "mine", "t": "new"}
    with pytest.raises(NoOutputError, match=r"cannot write .*/t: it would hold a name that is not UTF-8"):
        write_whole(tmp_path / "t", "\udcff")
    assert (tmp_path / "t").read_text() == "new"


def test_no_text_takes_the_place_of_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(NoOutputError, match=r"cannot write .*/fifo: it is not a regular file"):
        write_whole(tmp_path / "fifo", "text")
    assert (tmp_path / "fifo").is_fifo()


# ------------------------------------------------------------------------------------------------ data
def test_data_are_known_by_names_and_contents_and_never_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "b\udcff"
    folder.mkdir()
    (folder / "c\udcff.npz").write_bytes(b"0")
    first = data_digest(folder)
    (folder / "c\udcff.npz").write_bytes(b"1")
    assert len({first, data_digest(folder), data_digest(folder / "c\udcff.npz")}) == 3
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert {data_digest(tmp_path / name) for name in ("fifo", "zero", "gone")} == {"unreadable"}
