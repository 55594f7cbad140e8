"""Which configuration files hold in a folder: the nearest ones, spelled as the folder is."""

from __future__ import annotations

from pathlib import Path

import pytest

from nncompress.config.files import read_config, settings_files
from nncompress.errors import UsageError

OURS, FOREIGN = "[tool.nncompress]\nseed = 1\n", "[project]\nname = 'x'\n"


@pytest.fixture
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "a/b"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


def test_the_nearest_folder_counts_and_of_both_files_nncompress_toml_first(deep: Path) -> None:
    assert settings_files(Path()) == []
    (deep / "../../nncompress.toml").write_text("seed = 1\n")
    assert settings_files(Path()) == [Path("../../nncompress.toml")]
    assert settings_files(deep) == [deep.parent.parent / "nncompress.toml"]
    (deep.parent / "pyproject.toml").write_text(OURS)
    assert settings_files(Path()) == [Path("../pyproject.toml")]
    (deep.parent / "nncompress.toml").write_text("")
    assert settings_files(Path()) == [Path("../nncompress.toml"), Path("../pyproject.toml")]


def test_a_pyproject_of_others_is_passed_over_and_one_that_cannot_be_read_is_not(deep: Path) -> None:
    (deep.parent / "pyproject.toml").write_text(OURS)
    (deep / "pyproject.toml").write_text(FOREIGN)
    assert settings_files(Path()) == [Path("../pyproject.toml")]
    assert read_config(Path("../pyproject.toml")) == {"seed": 1}
    assert read_config(Path("pyproject.toml")) == {}
    (deep / "pyproject.toml").write_text("[project")
    with pytest.raises(UsageError, match=r"pyproject.toml is not TOML"):
        settings_files(Path())


def test_a_folder_that_is_gone_has_none(deep: Path) -> None:
    deep.rmdir()
    assert settings_files(Path()) == []
