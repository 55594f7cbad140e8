"""Faults of the machine: out comes one line and exit code 2, 3 or 4, and the disk is as before.

Kills and interrupts are in cli/test_interrupt.py and onnx_file/test_output.py.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import pytest

from nncompress.errors import InputError, NoOutputError
from nncompress.model.model import Model
from nncompress.onnx_file.output import OutputFile, turn_at
from nncompress.onnx_file.read import load
from nncompress.passes.base import Pass
from nncompress.passes.context import Context
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.record import Outcome
from nncompress.workflow.compress import Writing, compress_file
from nncompress.workflow.proof import Proof
from tests.models import CONTEXT, linear, noise, only_weight, proto_of, saved
from tests.support import (
    command_line,
    dense_model,
    files_in,
    nncompress,
    one_line,
    plain_environment,
)

NOBODY = 65534


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    return dense_model(folder / "model.onnx", [("fc1", 64, 96), ("fc2", 96, 96)])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    folder.mkdir()
    return folder / "small.onnx"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------------ full disk
def limited(what: int, limit: int, *arguments: object, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and stderr of the command under a limit of the system."""
    ended = subprocess.run(
        command_line(*arguments), env={**plain_environment(), **(env or {})}, capture_output=True, text=True,
        timeout=60, check=False, preexec_fn=lambda: resource.setrlimit(what, (limit, limit)),
    )  # fmt: skip
    return ended.returncode, ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "options"), [(0, ()), (9000, ()), (9000, ("--external-data",))])
def test_a_file_that_becomes_too_large_is_never_seen(
    model: Path, out: Path, limit: int, options: tuple[str, ...]
) -> None:
    out.write_bytes(b"old")
    before = contents(model.parent)
    asked = ("quantize", model, "-o", out, "--force", "--no-validate", *options)
    code, said = limited(resource.RLIMIT_FSIZE, limit, *asked)
    assert (code, one_line(said)) == (4, f"nncompress: error: cannot write {out}: file too large")
    assert contents(out.parent) == {"small.onnx": b"old"}
    assert contents(model.parent) == before


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("options", [(), ("--external-data",), ("--dry-run",)])
def test_a_full_disk_is_one_line_and_stays_as_it_was(
    model: Path, tmp_path: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "disk", "12k") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))  # where a dry run writes
        ended = nncompress("quantize", model, "-o", disk / "small.onnx", "--no-validate", *options)
        assert (ended.exit_code, ended.stdout) == (4, "")
        assert one_line(ended.stderr).startswith("nncompress: error: cannot write ")
        assert ended.stderr.endswith("small.onnx: no space left on device\n")
        assert files_in(disk) == set()


def test_a_full_temporary_folder_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = Context(CONTEXT.storing, store=type(CONTEXT.store)(budget_bytes=0))  # as if 64 MB lay in memory already
    with small_disk(tmp_path / "disk", "4k") as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        with pytest.raises(
            NoOutputError, match=r"cannot write to the temporary folder: no space .* \(TMPDIR names anot"
        ):
            QuantizeWeights().apply(linear(noise(256, 256)), context)


# ------------------------------------------------------------------------------------------------ rights
@pytest.fixture
def foreign() -> Iterator[Path]:
    """A folder that everybody may look into, as those of pytest may not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, should the tests have them."""
    if os.geteuid():
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_a_folder_that_may_not_be_written_is_one_line(foreign: Path) -> None:
    model = dense_model(foreign / "model.onnx", [("fc", 64, 96)])
    (foreign / "made").mkdir()
    (foreign / "made").chmod(0o555)
    with as_nobody():
        ended = nncompress("quantize", model, "-o", foreign / "made/small.onnx", "--no-validate")
    assert (ended.exit_code, ended.stdout) == (4, "")
    assert one_line(ended.stderr) == f"nncompress: error: cannot write to {foreign}/made: permission denied"
    assert files_in(foreign) == {"model.onnx", "made"}


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
def test_a_file_that_may_not_be_read_is_one_line(foreign: Path, name: str) -> None:
    model = foreign / "model.onnx"
    onnx.save(proto_of("g (float[1,64] x) => (float[1,64] y) { y = MatMul(x, w) }", w=noise(64, 64)), model,
              save_as_external_data=True, location="model.onnx.data", size_threshold=0)  # fmt: skip
    (foreign / "model.onnx.data").chmod(0o644)
    (foreign / name).chmod(0)
    with as_nobody():
        ended = nncompress("quantize", model, "-o", foreign / "small.onnx", "--no-validate")
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert one_line(ended.stderr).endswith(f"cannot read {foreign / name}: permission denied")
    assert files_in(foreign) == {"model.onnx", "model.onnx.data"}


# ------------------------------------------------------------------------------------------------ places
@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("model.onnx", 2, "is the input itself: inputs are never modified, name another output"),
        ("link.onnx", 2, "is the input itself: inputs are never modified, name another output"),
        ("folder", 2, "it is a folder; name a file in it"),
        ("none/small.onnx", 4, "does not exist"),
    ],
)
def test_a_place_where_no_model_can_be_is_one_line(
    model: Path, name: str, code: int, said: str, force: tuple[str, ...]
) -> None:
    folder = model.parent
    (folder / "folder").mkdir()
    (folder / "link.onnx").hardlink_to(model)
    before, names = contents(folder), files_in(folder)
    ended = nncompress("quantize", model, "-o", folder / name, "--no-validate", *force)
    assert (ended.exit_code, ended.stdout) == (code, "")
    assert one_line(ended.stderr).endswith(said)
    assert (contents(folder), files_in(folder)) == (before, names)


# ------------------------------------------------------------------------------------------------ two at once
def test_runs_with_one_target_take_turns_at_renaming(tmp_path: Path) -> None:
    target = tmp_path / "o.onnx"
    with OutputFile(target, force=True) as one:
        one.write(linear(noise(64, 32)), external_data=True)
        thread = threading.Thread(target=one.commit)
        with turn_at(target):
            thread.start()
            thread.join(0.3)
            assert thread.is_alive()
            assert not target.exists()
            assert not list(tmp_path.glob("*.data"))
        thread.join(10)
    assert np.array_equal(only_weight(load(target)).array(), noise(64, 32))
    assert len(files_in(tmp_path)) == 2


AGAIN_AND_AGAIN = """
import sys
from pathlib import Path
from nncompress.onnx_file.output import OutputFile
from tests.models import linear, noise

target, seed = Path(sys.argv[1]), int(sys.argv[2])
models = [linear(noise(64, 32, seed=seed + index)) for index in range(20)]
print("ready", flush=True)
sys.stdin.readline()
for model in models:
    with OutputFile(target, force=True) as out:
        out.write(model, external_data=True)
        out.commit()
"""


@pytest.mark.slow
def test_processes_that_write_the_same_output_leave_one_whole_model(tmp_path: Path) -> None:
    target = tmp_path / "o.onnx"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", AGAIN_AND_AGAIN, target, str(1000 * number)], env=plain_environment(), text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) for number in range(3)
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdout
        assert writer.stdin
        writer.stdout.readline()
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [(writer.communicate(timeout=60)[1], writer.returncode) for writer in writers] == [("", 0)] * 3
    last = [noise(64, 32, seed=1000 * number + 19) for number in range(3)]
    assert any(np.array_equal(only_weight(load(target)).array(), weight) for weight in last)
    assert len(files_in(tmp_path)) == 2


@pytest.mark.slow
def test_two_commands_that_write_the_same_output_leave_the_result_of_one(model: Path, out: Path) -> None:
    asked = [("quantize", model, "--external-data"), ("prune", model, "--sparsity", "0.9")]
    alone = []
    for number, options in enumerate(asked):
        place = out.with_name(str(number)) / out.name
        place.parent.mkdir()
        assert nncompress(*options, "-o", place, "--no-validate").exit_code == 0
        alone.append(contents(place.parent))
    for folder in ("0", "1"):
        shutil.rmtree(out.with_name(folder))
    running = [
        subprocess.Popen(command_line(*options, "-o", out, "--no-validate", "--force", "-q"), env=plain_environment(),
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for options in asked
    ]  # fmt: skip
    assert [(one.communicate(timeout=60)[1], one.returncode) for one in running] == [(b"", 0)] * 2
    assert contents(out.parent) in alone
    assert out.parent.joinpath(out.name).exists()


def test_what_a_run_killed_between_two_renames_left_is_gone_after_the_next(tmp_path: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from nncompress.onnx_file.output import OutputFile\n"
        "from tests.models import linear, noise; rename, done = Path.replace, []\n"
        "def once(self, place):\n if done: os._exit(9)\n done.append(place); return rename(self, place)\n"
        "Path.replace = once\n"
        "with OutputFile(Path(sys.argv[1]), force=True) as out:\n"
        " out.write(linear(noise(64, 32, seed=1)), external_data=True); out.commit()"
    )
    target = tmp_path / "o.onnx"
    with OutputFile(target) as out:
        out.write(linear(noise(64, 32)), external_data=True)
        out.commit()
    old = contents(tmp_path)
    killed = subprocess.run([sys.executable, "-c", script, target], env=plain_environment(), check=False)
    assert killed.returncode == 9
    assert old.items() < contents(tmp_path).items(), "the old model is whole, and the new one's data are beside it"
    assert np.array_equal(only_weight(load(target)).array(), noise(64, 32))
    with OutputFile(target, force=True) as out:
        out.write(linear(noise(64, 32, seed=2)), external_data=True)
        out.commit()
    assert len(files_in(tmp_path)) == 2
    assert np.array_equal(only_weight(load(target)).array(), noise(64, 32, seed=2))


def test_a_target_that_becomes_a_folder_leaves_no_data_file(tmp_path: Path) -> None:
    target = tmp_path / "o.onnx"
    with OutputFile(target, force=True) as out:
        out.write(linear(noise(64, 32)), external_data=True)
        target.mkdir()
        with pytest.raises(NoOutputError, match=r"cannot write .*/o\.onnx: is a directory"):
            out.commit()
    assert files_in(tmp_path) == {"o.onnx"}


# ------------------------------------------------------------------------------------------------ changing inputs
@dataclass(frozen=True)
class WriteMeanwhile(Pass):
    """Writes to the file that the model is read from, and then quantizes."""

    path: Path = Path()
    kind: str = ""

    name: ClassVar[str] = "write-meanwhile"
    stage: ClassVar[int] = 3

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        if self.kind == "shorter":
            os.truncate(self.path, self.path.stat().st_size // 2)
        else:
            with self.path.open("r+b") as file:
                file.seek(100)
                file.write(b"other")
        return QuantizeWeights(min_size=1).apply(model, context)


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("kind", ["shorter", "same size"])
@pytest.mark.parametrize("changing", ["model.onnx", "model.onnx.data"])
def test_an_input_that_changes_meanwhile_is_noticed(
    tmp_path: Path, out: Path, changing: str, kind: str, dry_run: bool
) -> None:
    proto = proto_of(
        "g (float[1,64] x) => (float[1,64] y) { a = MatMul(x, w) y = MatMul(a, v) }",
        w=noise(64, 64), v=noise(64, 64, seed=1),
    )  # fmt: skip
    external = changing == "model.onnx.data"
    onnx.save(proto, tmp_path / "model.onnx", save_as_external_data=external, location="model.onnx.data")
    one = WriteMeanwhile(path=tmp_path / changing, kind=kind)
    with pytest.raises(InputError, match="changed while it was being read: run again when nothing writes to it"):
        compress_file(
            tmp_path / "model.onnx", out, [one], command="run", proof=Proof(validate=False),
            writing=Writing(dry_run=dry_run),
        )  # fmt: skip
    assert files_in(out.parent) == set()


@dataclass(frozen=True)
class ReplaceMeanwhile(Pass):
    """Puts another file in the place of the one that the model was read from, and then quantizes."""

    path: Path = Path()

    name: ClassVar[str] = "replace-meanwhile"
    stage: ClassVar[int] = 3

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        other = self.path.with_name("other.onnx")
        shutil.copy(self.path, other)
        other.replace(self.path)
        return QuantizeWeights(min_size=1).apply(model, context)


def test_an_original_that_is_replaced_is_not_compared_with(tmp_path: Path, out: Path) -> None:
    """onnxruntime opens it by its path, and would run another model than the one that was compressed."""
    body = "g (float[1,64] x) => (float[1,64] y) { y = MatMul(x, w) }"
    path = saved(proto_of(body, w=noise(64, 64)), tmp_path / "m.onnx")
    with pytest.raises(InputError, match="changed while it was being read"):
        compress_file(path, out, [ReplaceMeanwhile(path=path)], command="run", proof=Proof(seconds=0))
    assert files_in(out.parent) == set()


def test_a_model_that_changes_between_loading_and_saving_is_noticed(tmp_path: Path) -> None:
    body = "g (float[1,64] x) => (float[1,64] y) { y = MatMul(x, w) }"
    path = saved(proto_of(body, w=noise(64, 64)), tmp_path / "m.onnx")
    model = load(path)
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(1, 1))
    with (
        pytest.raises(InputError, match="changed while it was being read"),
        OutputFile(tmp_path / "o.onnx", model) as out,
    ):
        out.write(model)
    assert files_in(tmp_path) == {"m.onnx"}


# ------------------------------------------------------------------------------------------------ memory
SHORT_OF_MEMORY = """
import resource, sys
from pathlib import Path
import numpy.random
from nncompress.__main__ import main
from nncompress.cli import compress as compressing
from nncompress.cli import outputs as reports
from nncompress.cli import commands
from nncompress.passes.factorize import Factorize
import nncompress.workflow.compress, nncompress.validate.compare
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
limit = used + (int(sys.argv.pop(1)) << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="tells how much memory is used on Linux only")
def test_too_little_memory_for_a_weight_is_one_line(tmp_path: Path, out: Path) -> None:
    model = dense_model(tmp_path / "model.onnx", [("large", 4096, 4096)])
    before = model.read_bytes()
    asked = ("40", "quantize", model, "-o", out, "--no-validate", "--threads", "1")
    ended = subprocess.run(
        [sys.executable, "-c", SHORT_OF_MEMORY, *map(str, asked)], env=plain_environment(), capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert one_line(ended.stderr) == "nncompress: error: not enough memory to compress 'large' (4096 x 4096)"
    assert (ended.returncode, ended.stdout) == (4, "")
    assert files_in(out.parent) == set()
    assert model.read_bytes() == before


def test_a_model_that_no_memory_can_hold_is_one_line(tmp_path: Path, out: Path) -> None:
    body = (
        "g (float[N,64] x) => (float[N,64] y) { a = MatMul(x, w) z = ConstantOfShape(s) m = ReduceMax<keepdims=0>(z) "
        "y = Add(a, m) }"
    )
    proto = proto_of(body, w=noise(64, 64), s=np.array([1 << 40]))
    ended = nncompress("quantize", saved(proto, tmp_path / "m.onnx"), "-o", out)
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert re.search("Failed to allocate memory|out of memory", one_line(ended.stderr))  # as onnxruntime words it
    assert files_in(out.parent) == set()
