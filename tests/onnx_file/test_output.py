"""A result appears whole or not at all, never over its input, and over an old one only when asked."""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from nncompress.errors import EXIT_NO_OUTPUT, EXIT_USAGE, NoOutputError, UsageError
from nncompress.model.model import Model
from nncompress.onnx_file.output import OutputFile, check_target
from nncompress.onnx_file.read import load
from tests.models import linear, noise, only_weight, proto_of, saved

needs_a_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


def model(seed: int = 0) -> Model:
    return linear(noise(64, 32, seed=seed))


def put(target: Path, made: Model, *, force: bool = False, external_data: bool = False) -> None:
    with OutputFile(target, made, force=force) as out:
        out.write(made, external_data=external_data)
        out.commit()


def fail_after_writing(target: Path, error: BaseException) -> None:
    with OutputFile(target, force=True) as out:
        out.write(model(1), external_data=True)
        raise error


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


# ------------------------------------------------------------------------------------------------ whole or not at all
def test_a_committed_model_is_complete_and_alone(tmp_path: Path) -> None:
    put(tmp_path / "o.onnx", model())
    assert names(tmp_path) == ["o.onnx"]
    assert np.array_equal(only_weight(load(tmp_path / "o.onnx")).array(), noise(64, 32))


def test_nothing_is_seen_before_commit_and_nothing_remains_without(tmp_path: Path) -> None:
    with OutputFile(tmp_path / "o.onnx") as out:
        path = out.write(model())
        assert path == out.path
        assert path.name == "o.onnx"
        assert path.parent.parent == tmp_path
        assert not (tmp_path / "o.onnx").exists()
        onnx.checker.check_model(str(path))
    assert names(tmp_path) == []


def test_a_failure_keeps_the_old_model_and_removes_the_new(tmp_path: Path) -> None:
    target = tmp_path / "o.onnx"
    put(target, model())
    old = target.read_bytes()
    with pytest.raises(ZeroDivisionError):
        fail_after_writing(target, ZeroDivisionError())
    assert target.read_bytes() == old
    assert names(tmp_path) == ["o.onnx"]


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fail_after_writing(tmp_path / "o.onnx", KeyboardInterrupt())
    assert names(tmp_path) == []


# ------------------------------------------------------------------------------------------------ refusals
def test_an_existing_file_is_only_overwritten_when_asked(tmp_path: Path) -> None:
    target = tmp_path / "o.onnx"
    target.write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"o\.onnx exists \(--force overwrites it\)") as caught:
        OutputFile(target)
    assert caught.value.exit_code == EXIT_USAGE
    assert target.read_bytes() == b"precious"
    put(target, model(), force=True)
    assert only_weight(load(target)).shape == (64, 32)


def test_a_file_that_came_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "o.onnx"
    with OutputFile(target) as out:
        out.write(model())
        target.write_bytes(b"precious")
        with pytest.raises(UsageError, match=r"o\.onnx exists by now \(--force overwrites it\)"):
            out.commit()
    assert target.read_bytes() == b"precious"
    assert names(tmp_path) == ["o.onnx"]


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("name", ["m.onnx", "link", "hard"])
def test_the_input_is_never_overwritten_under_any_name(tmp_path: Path, name: str, force: bool) -> None:
    path = saved(
        proto_of("g (float[1,64] x) => (float[1,32] y) { y = MatMul(x, w) }", w=noise(64, 32)), tmp_path / "m.onnx"
    )
    (tmp_path / "link").symlink_to("m.onnx")
    source = load(path)
    (tmp_path / "hard").hardlink_to(path)
    with pytest.raises(UsageError, match="is the input itself: inputs are never modified, name another output"):
        check_target(tmp_path / name, source, force=force)


def test_the_data_file_of_the_input_is_never_overwritten(tmp_path: Path) -> None:
    put(tmp_path / "m.onnx", model(), external_data=True)
    (data,) = tmp_path.glob("*.data")
    with pytest.raises(UsageError, match="is the input itself"):
        check_target(data, load(tmp_path / "m.onnx"), force=True)


def test_a_folder_is_no_target(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it is a folder; name a file in it"):
        check_target(tmp_path, None, force=True)


@pytest.mark.parametrize("name", ["fifo", "link", "socket"])
@pytest.mark.parametrize("force", [True, False])
def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path, name: str, force: bool) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(tmp_path / "socket"))
    before = names(tmp_path)
    with pytest.raises(UsageError, match="it is not a regular file; name another output"):
        check_target(tmp_path / name, None, force=force)
    assert names(tmp_path) == before


def test_a_dangling_link_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "o.onnx").symlink_to("nowhere")
    put(tmp_path / "o.onnx", model(), force=True)
    assert not (tmp_path / "o.onnx").is_symlink()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoOutputError, match=r"cannot write .*: the folder .*/none does not exist") as caught:
        check_target(tmp_path / "none" / "o.onnx", None, force=False)
    assert caught.value.exit_code == EXIT_NO_OUTPUT


@needs_a_user
def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(NoOutputError, match=r"cannot write to .*: permission denied"), OutputFile(tmp_path / "o.onnx"):
        pass


def test_a_dangling_link_counts_as_existing(tmp_path: Path) -> None:
    (tmp_path / "o.onnx").symlink_to("nowhere")
    with pytest.raises(UsageError, match="exists"):
        check_target(tmp_path / "o.onnx", None, force=False)


def test_a_name_that_is_too_long_is_no_crash(tmp_path: Path) -> None:
    with pytest.raises(NoOutputError, match="file name too long"), OutputFile(tmp_path / ("n" * 250)):
        pass


# ------------------------------------------------------------------------------------------------ mode, data files
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
@pytest.mark.parametrize("external_data", [False, True])
def test_the_mode_of_all_files_follows_the_umask(tmp_path: Path, umask: int, mode: int, external_data: bool) -> None:
    before = os.umask(umask)
    try:
        put(tmp_path / "o.onnx", model(), external_data=external_data)
    finally:
        os.umask(before)
    assert {entry.stat().st_mode & 0o777 for entry in tmp_path.iterdir()} == {mode}


def test_a_new_result_replaces_the_data_file_of_the_old_one_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "o.onnx"
    other = tmp_path / "o.onnx.keep.data"
    other.write_bytes(b"not ours")
    (tmp_path / "p.onnx.01234567.data").write_bytes(b"of another model")
    put(target, model(0), external_data=True)
    first = set(names(tmp_path))
    put(target, model(1), external_data=True, force=True)
    second = set(names(tmp_path))
    assert len(first) == len(second) == 4
    assert len(first & second) == 3
    assert np.array_equal(only_weight(load(target)).array(), noise(64, 32, seed=1))
    put(target, model(2), force=True)
    assert names(tmp_path) == ["o.onnx", "o.onnx.keep.data", "p.onnx.01234567.data"]


def test_the_data_file_of_the_input_survives_a_result_beside_it(tmp_path: Path) -> None:
    put(tmp_path / "m.onnx", model(), external_data=True)
    source = load(tmp_path / "m.onnx")
    with OutputFile(tmp_path / "o.onnx", source) as out:
        out.write(source, external_data=True)
        out.commit()
    assert len(names(tmp_path)) == 4
    assert np.array_equal(only_weight(load(tmp_path / "m.onnx")).array(), noise(64, 32))


def test_data_of_the_input_that_are_named_like_those_of_an_old_result_survive(tmp_path: Path) -> None:
    put(tmp_path / "o.onnx", model(), external_data=True)
    (tmp_path / "o.onnx").rename(tmp_path / "m.onnx")  # still names o.onnx.HASH.data
    source = load(tmp_path / "m.onnx")
    put(tmp_path / "o.onnx", source)
    assert np.array_equal(only_weight(load(tmp_path / "m.onnx")).array(), noise(64, 32))


# ------------------------------------------------------------------------------------------------ killed runs
def test_what_a_killed_run_left_is_swept_by_the_next(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from nncompress.onnx_file.output import OutputFile\n"
        "with OutputFile(Path(sys.argv[1])) as out:\n out.path.write_bytes(b'half'); os._exit(9)"
    )
    killed = subprocess.run([sys.executable, "-c", script, tmp_path / "o.onnx"], check=False)
    assert killed.returncode == 9
    assert len(names(tmp_path)) == 1
    put(tmp_path / "o.onnx", model())
    assert names(tmp_path) == ["o.onnx"]


def test_the_folder_of_a_living_run_and_those_of_other_targets_stay(tmp_path: Path) -> None:
    (tmp_path / ".p.onnx.nncompress-dead").mkdir()
    (tmp_path / ".o.onnx.nncompress-file").write_bytes(b"not a folder")
    with OutputFile(tmp_path / "o.onnx") as first:
        first.write(model())
        put(tmp_path / "o.onnx", model(1))
        assert first.path.exists()
    assert names(tmp_path) == [".o.onnx.nncompress-file", ".p.onnx.nncompress-dead", "o.onnx"]


@pytest.mark.parametrize("name", ["mynotes", "0123456789a", "0123456789abc", "0123456789AB", "lock"])
def test_what_only_looks_like_a_hidden_folder_stays(tmp_path: Path, name: str) -> None:
    mine = tmp_path / f".o.onnx.nncompress-{name}"
    if name == "lock":
        mine = mine.with_name(mine.name + "s")
    mine.mkdir()
    (mine / "f").write_bytes(b"f")
    put(tmp_path / "o.onnx", model())
    assert names(tmp_path) == [mine.name, "o.onnx"]
    assert (mine / "f").exists()


def test_a_folder_in_which_nothing_may_be_removed_gets_its_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object, **more: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "unlink", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    put(tmp_path / "o.onnx", model())
    monkeypatch.undo()
    assert np.array_equal(only_weight(load(tmp_path / "o.onnx")).array(), noise(64, 32))


@pytest.mark.parametrize("moment", ["before it is opened", "before it is locked"])
def test_a_hidden_folder_that_is_swept_away_before_it_is_locked_is_made_again_under_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    swept: list[Path] = []
    holder, name = (os, "open") if moment == "before it is opened" else (fcntl, "flock")
    real = getattr(holder, name)

    def late(*args: object, **options: object) -> object:
        if not swept:
            swept.extend(tmp_path.glob(".o.onnx.nncompress-*"))
            for folder in swept:
                folder.rmdir()
        return real(*args, **options)

    monkeypatch.setattr(holder, name, late)
    with OutputFile(tmp_path / "o.onnx") as out:
        assert len(swept) == 1
        assert out.path.parent.is_dir()
        assert out.path.parent != swept[0]


def test_a_hidden_folder_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "f").write_bytes(b"f")
    (tmp_path / ".o.onnx.nncompress-x").symlink_to("precious")
    put(tmp_path / "o.onnx", model())
    assert (tmp_path / "precious" / "f").exists()


def test_the_hidden_folder_is_locked_while_it_is_used(tmp_path: Path) -> None:
    with OutputFile(tmp_path / "o.onnx") as out:
        descriptor = os.open(out.path.parent, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
