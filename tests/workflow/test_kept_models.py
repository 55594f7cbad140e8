"""Models that a search has built: taken as they were, refused when they were changed, and never too many."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from nncompress.errors import InputError, NoOutputError
from nncompress.onnx_file.write import content
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.workflow import kept_models
from nncompress.workflow.kept_models import KeptModels
from nncompress.workflow.pipeline import Compressed, compress_graph
from tests.models import model_of, noise

BODY = """g (float[2,80] x) => (float[2,80] y) {
    a = MatMul(x, u) b = If(c) <
        then_branch = t () => (float[2,80] p) { p = MatMul(a, v) },
        else_branch = e () => (float[2,80] q) { q = Neg(a) }
    > y = Add(b, d)
}"""


def made() -> Compressed:
    model = model_of(BODY, u=noise(80, 80), v=noise(80, 80, seed=1), d=noise(80), c=np.array(True))
    return compress_graph(model, [PruneMagnitude(sparsity=0.5), QuantizeWeights(bits=4)])


def bytes_of(made: Compressed) -> bytes:
    return b"".join(bytes(part) for part in content(made.model))


def account_of(made: Compressed) -> dict[str, object]:
    return {name: value for name, value in vars(made).items() if name != "model"}


def never() -> Compressed:
    raise AssertionError("it is there")


def test_what_is_taken_is_what_was_built_to_the_byte(tmp_path: Path) -> None:
    built = KeptModels(tmp_path / "s.models").of("key", made)
    later = KeptModels(tmp_path / "s.models")
    assert later.has("key")
    assert not later.has("other")
    taken = later.of("key", never)
    assert bytes_of(taken) == bytes_of(built) == bytes_of(made())
    assert account_of(taken) == account_of(built)
    assert {line.name for line in taken.lines} >= {"u", "v"}
    assert [entry.name for entry in (tmp_path / "s.models").iterdir()] == ["key"]


def test_without_a_folder_they_go_with_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    kept = KeptModels()
    kept.of("key", made)
    assert bytes_of(kept.of("key", never)) == bytes_of(made())
    assert len(list(tmp_path.iterdir())) == 1
    del kept
    assert list(tmp_path.iterdir()) == []


def test_what_another_search_has_built_meanwhile_is_taken(tmp_path: Path) -> None:
    kept, other = KeptModels(tmp_path), KeptModels(tmp_path)

    def both() -> Compressed:
        other.of("key", made)
        return made()

    assert bytes_of(kept.of("key", both)) == bytes_of(other.of("key", never))
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("model.onnx", lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]), r"changed|cannot|not"),
        ("model.onnx", lambda blob: b"", "it is empty"),
        ("account.json", lambda blob: blob[:100], "the account of a model is damaged"),
        ("account.json", lambda blob: b"{}", "the account of a model is damaged"),
    ],
)
def test_what_was_changed_is_refused(name: str, change: object, message: str, tmp_path: Path) -> None:
    kept = KeptModels(tmp_path)
    kept.of("key", made)
    file = tmp_path / "key" / name
    file.write_bytes(change(file.read_bytes()))  # type: ignore[operator]
    with pytest.raises(InputError, match=f"cannot resume from .*key: .*({message}).*; delete this folder"):
        kept.of("key", never)


def test_of_more_than_a_few_those_go_that_nobody_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_models, "MOST", 2)
    kept, built = KeptModels(tmp_path), made()
    for age, key in enumerate("ab"):
        kept.of(key, lambda: built)
        os.utime(tmp_path / key, (age, age))
    kept.of("a", never)
    kept.of("c", lambda: built)
    assert [key for key in "abc" if kept.has(key)] == ["a", "c"]


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: Path) -> None:
    (tmp_path / "s.models").write_bytes(b"")
    with pytest.raises(NoOutputError, match=r"cannot write to .*s\.models"):
        KeptModels(tmp_path / "s.models").of("key", made)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["s.models"]


def test_nothing_is_made_in_the_temporary_folder_before_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    kept = KeptModels()
    assert not kept.has("key")
    with pytest.raises(NoOutputError, match=r"cannot write to the temporary folder: .*TMPDIR"):
        kept.of("key", made)
