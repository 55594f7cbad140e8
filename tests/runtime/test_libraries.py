"""Libraries of custom operators reach every session, in child processes too; what is none is refused in one line."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from nncompress.errors import UnknownOperatorError
from nncompress.runtime.child import check_loads_in_child
from nncompress.runtime.libraries import registered, registering
from nncompress.runtime.session import open_session
from tests.models import noise, proto_of, saved
from tests.runtime.models import save
from tests.support import nncompress, one_line

# What onnxruntime calls when it registers a library; this one adds no operators, and says that it was called.
SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
void *RegisterCustomOps(void *options, const void *api) {
    FILE *log = fopen(getenv("CALLS"), "a");
    fputs("called\n", log);
    fclose(log);
    return NULL;
}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("library")
    (folder / "ops.c").write_text(SOURCE)
    command = [compiler, "-shared", "-fPIC", "-o", str(folder / "ops.so"), str(folder / "ops.c")]
    subprocess.run(command, check=True, timeout=60)
    return folder / "ops.so"


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the library says that it was called."""
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return tmp_path / "calls"


@pytest.fixture
def product(tmp_path: Path) -> Path:
    return saved(proto_of("g (float[N,64] x) => (float[N,64] y) { y = MatMul(x, w) }", w=noise(64, 64)), tmp_path / "m")


def test_sessions_here_and_in_child_processes_register_it(built: Path, calls: Path, product: Path) -> None:
    with registering([built]):
        assert registered() == (built,)
        open_session(product, "original")
        check_loads_in_child(product)
    assert calls.read_text() == 2 * "called\n"
    check_loads_in_child(product)
    assert (registered(), calls.read_text()) == ((), 2 * "called\n")


def test_a_mere_name_is_looked_for_in_the_current_folder(
    built: Path, calls: Path, product: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(built.parent)
    with registering([Path(built.name)]):
        open_session(product, "original")
    assert calls.read_text() == "called\n"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["quantize", "compare", "bench", "run", "check", "sweep"])
def test_every_command_that_runs_models_takes_it(
    command: str, built: Path, calls: Path, product: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r.toml").write_text('[[steps]]\npass = "quantize-weights"\n')
    (tmp_path / "nncompress.toml").write_text('[[budget]]\npath = "m"\nreference = "m"\nmin_cosine = 0.9\n')
    monkeypatch.chdir(tmp_path)
    arguments = {
        "quantize": [product, "-o", "o.onnx", "--seconds", 0],
        "compare": [product, product, "--seconds", 0],
        "bench": [product, "--seconds", 0.01],
        "run": ["r.toml", product, "-o", "o.onnx", "--seconds", 0],
        "check": ["--seconds", 0.01],
        "sweep": [product, "--recipe", "r.toml", "-o", "results", "--seconds", 0],
    }[command]
    ended = nncompress(command, *arguments, "--register-library", built)
    assert ended.exit_code == 0, ended.stderr
    assert calls.read_text().count("called") >= 2


def test_a_configuration_and_a_recipe_can_name_it(
    built: Path, calls: Path, product: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib").mkdir()
    shutil.copy(built, tmp_path / "lib" / "ops.so")
    (tmp_path / "nncompress.toml").write_text('register_library = ["lib/ops.so"]\n')
    files = ["--json", "o.json", "--save-recipe", "lib/recipe.toml"]
    ended = nncompress("quantize", product, "-o", "o.onnx", "--seconds", 0, *files)
    assert ended.exit_code == 0, ended.stderr
    assert "called" in calls.read_text()
    assert 'register_library = ["ops.so"]' in (tmp_path / "lib" / "recipe.toml").read_text()
    assert {"register_library", "register_library_sha256"} <= dict(
        json.loads(Path("o.json").read_text())["options"]
    ).keys()
    over = nncompress("quantize", product, "-o", "lib/ops.so", "--force")
    assert over.exit_code == 2
    assert "is an input of this command" in one_line(over.stderr)


def test_what_is_no_library_is_one_line(product: Path, tmp_path: Path) -> None:
    (tmp_path / "text.so").write_text("no library")
    for name, said in (
        ("none.so", "none.so: no such file, so it is no library of custom operators"),
        ("text.so", "text.so as a library of custom operators: "),
    ):
        ended = nncompress("compare", product, product, "--seconds", 0, "--register-library", tmp_path / name)
        assert (ended.exit_code, said in one_line(ended.stderr)) == (3, True), ended.stderr


def test_an_unknown_operator_names_what_helps_and_that_helps(tmp_path: Path) -> None:
    nodes = [helper.make_node("Foo", ["x"], ["t"], domain="my.ops"), helper.make_node("MatMul", ["t", "w"], ["y"])]
    path = save(tmp_path / "m.onnx", nodes, [("y", TensorProto.FLOAT)], {"w": noise(64, 64)})
    proto = onnx.load(path)
    proto.opset_import.add(domain="my.ops", version=1)
    saved(proto, path)  # its output has no shape, of which the checker complains
    with pytest.raises(UnknownOperatorError, match=r"my\.ops:Foo"):
        check_loads_in_child(path)
    ended = nncompress("quantize", path, "-o", tmp_path / "o.onnx")
    assert ended.exit_code == 3
    assert one_line(ended.stderr).endswith("--register-library FILE, or use --no-validate")
    ended = nncompress("quantize", path, "-o", tmp_path / "o.onnx", "--no-validate", "-q")
    assert (ended.exit_code, ended.stderr) == (0, "")
