"""How a check runs its models: sizes of free dimensions, threads, and every file measured once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nncompress.config.budget import load_config
from nncompress.errors import UsageError
from nncompress.results.check import CheckReport
from nncompress.validate.in_child import OpenOriginal
from nncompress.workflow import check as budget_check, compress as workflow
from nncompress.workflow.check import check_budgets
from nncompress.workflow.proof import Proof
from tests.models import noise, proto_of, saved

COMPARED = "[[budget]]\npath = '{0}.onnx'\nreference = '{0}.onnx'\nmin_cosine = 0.9\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two models whose free dimensions have different names, and one that has none."""
    for name, size in (("a", "n"), ("b", "rows"), ("fixed", "2")):
        text = f"m (float[{size}, 40] x) => (float[{size}, 30] y) {{ y = MatMul(x, w) }}"
        saved(proto_of(text, w=noise(40, 30)), tmp_path / f"{name}.onnx")
    return tmp_path


def check(folder: Path, *names: str, **proof: Any) -> CheckReport:
    (folder / "nncompress.toml").write_text("".join(COMPARED.format(name) for name in names))
    return check_budgets(load_config(folder / "nncompress.toml"), Proof(seconds=0.05, **proof))


def asked_of(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the process that runs models is asked for, from now on."""
    requests: list[Any] = []
    begin = OpenOriginal.begin

    def noted(original: OpenOriginal, request: Any) -> None:
        requests.append(request)
        begin(original, request)

    monkeypatch.setattr(OpenOriginal, "begin", noted)
    return requests


def test_each_model_takes_the_sizes_and_the_threads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = asked_of(monkeypatch)
    assert check(folder, "a", "b", "fixed", dims={"n": 3, "rows": 5}, threads=2).level == "warn"
    assert [next(iter(request.feeds))["x"].shape[0] for request in requests] == [3, 5, 2]
    assert [request.threads for request in requests] == [2, 2, 2]


def test_a_dimension_that_no_model_has_is_refused_before_anything_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = asked_of(monkeypatch)
    message = r"--dim row=5: no model of this check has a free dimension 'row' \(did you mean 'rows'\?\)"
    with pytest.raises(UsageError, match=message):
        check(folder, "a", "b", dims={"row": 5})
    assert requests == []


def test_sizes_say_nothing_where_no_input_is_made_up(folder: Path) -> None:
    (folder / "nncompress.toml").write_text("[[budget]]\npath = 'a.onnx'\nmax_size = '1 MB'\n")
    assert check_budgets(load_config(folder / "nncompress.toml"), Proof(dims={"row": 5})).level == "pass"


def test_the_files_of_a_model_that_is_run_too_are_measured_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: Counter[str] = Counter()
    facts = workflow.file_facts

    def counted(model: Any, *given: Any, **options: Any) -> Any:
        measured[model.path.name] += 1
        return facts(model, *given, **options)

    for module in (workflow, budget_check):
        monkeypatch.setattr(module, "file_facts", counted)
    (folder / "nncompress.toml").write_text(COMPARED.format("a").replace("reference = 'a", "reference = 'b"))
    check_budgets(load_config(folder / "nncompress.toml"), Proof(seconds=0))
    assert measured == {"a.onnx": 1}


def test_a_sample_that_was_lost_warns_and_misses_a_limit_of_its_own(folder: Path) -> None:
    weight = noise(40, 30)
    weight[0] = 0  # all that the last sample needs
    text = "m (float[n, 40] x) => (float[n, 30] y) { y = MatMul(x, w) }"
    saved(proto_of(text, w=noise(40, 30)), folder / "full.onnx")
    saved(proto_of(text, w=weight), folder / "lossy.onnx")
    rows = noise(20, 40)
    rows[:, 0], rows[-1] = 0, np.eye(40, dtype=np.float32)[0]
    np.savez(folder / "d.npz", x=rows)
    budget = "[[budget]]\npath = 'lossy.onnx'\nreference = 'full.onnx'\ndata = 'd.npz'\nmin_cosine = 0.99\n"
    (folder / "nncompress.toml").write_text(budget)
    report = check_budgets(load_config(folder / "nncompress.toml"), Proof(seconds=0))
    assert [(r.rule, r.level) for r in report.rules if r.level != "pass"] == [("worst-sample", "warn")]
    figures = report.models[0].figures
    assert figures is not None
    assert figures.cosine is not None
    assert figures.cosine > 0.99
    assert (figures.sample_cosine, figures.sample_sqnr_db) == (0.0, pytest.approx(0, abs=1e-3))
    (folder / "nncompress.toml").write_text(f"{budget}min_sample_sqnr = '6 dB'\n")
    report = check_budgets(load_config(folder / "nncompress.toml"), Proof(seconds=0))
    assert [(r.rule, r.level) for r in report.rules if r.level != "pass"] == [("sample-sqnr", "fail")]
