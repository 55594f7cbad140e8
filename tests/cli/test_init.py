"""`init`: a first configuration that the models keep, or none at all."""

from pathlib import Path

import pytest

from tests.support import MLP, nncompress


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "m.onnx").write_bytes(MLP.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_init_writes_budgets_that_the_models_keep(here: Path) -> None:
    for folder in (".hidden", "venv", "env", "models"):
        (here / folder).mkdir()
        (here / folder / "n.onnx").write_bytes(MLP.read_bytes())
    (here / "env/pyvenv.cfg").touch()
    (here / "models/odd [1].onnx").write_bytes(MLP.read_bytes())
    (here / "models/bad.onnx").write_bytes(b"no model")
    made = nncompress("init")
    assert (made.exit_code, made.stdout) == (
        0,
        "wrote nncompress.toml with 3 budgets; edit the limits, then run nncompress check\n",
    )
    assert "left out: models/bad.onnx" in made.stderr
    text = Path("nncompress.toml").read_text()
    assert 'path = "models/odd [[]1].onnx"' in text
    assert 'max_size = "375 kB"               # now 341 kB' in text
    assert "max_params = 93_600" in text
    ended = nncompress("check")
    assert ended.exit_code == 0
    assert ended.stdout.endswith("\nPASS  12 checks on 3 models\n")
    assert ended.stderr == ""


def test_init_overwrites_only_when_asked(here: Path) -> None:
    Path("nncompress.toml").write_text("mine")
    refused = nncompress("init")
    assert refused.exit_code == 2
    assert "nncompress.toml exists (--force overwrites it)" in refused.stderr
    assert Path("nncompress.toml").read_text() == "mine"
    assert nncompress("init", "m.onnx", "--force").exit_code == 0
    assert sorted(path.name for path in here.iterdir()) == ["m.onnx", "nncompress.toml"]


def test_init_leaves_nothing_behind_where_it_cannot_write(here: Path) -> None:
    (here / "nncompress.toml").mkdir()
    ended = nncompress("init", "--force")
    assert (ended.exit_code, ended.stderr) == (4, "nncompress: error: cannot write nncompress.toml: is a directory\n")
    assert sorted(path.name for path in here.iterdir()) == ["m.onnx", "nncompress.toml"]


def test_init_needs_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert nncompress("init").exit_code == 2
    assert nncompress("init", "gone.onnx").exit_code == 3
    assert list(tmp_path.iterdir()) == []
