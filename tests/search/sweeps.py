"""What tests of sweeps share: recipes, a sweep of small models, one trial, and what has ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.sweep import read_ended
from nncompress.search.trial import Trial, model_digest, trial_key
from nncompress.workflow.proof import Proof
from tests.support import MLP, SAMPLES

CNN, LSTM = (SAMPLES / f"digits_{name}.onnx" for name in ("cnn", "lstm"))
MODELS = (LSTM, MLP)
RECIPES = {
    "int8": '[[steps]]\npass = "quantize-weights"\n',
    "tensor": '[[steps]]\npass = "quantize-weights"\ngranularity = "tensor"\n',
    "sparse": '[[steps]]\npass = "prune-magnitude"\nsparsity = 0.5\n',
    "thin": '[[steps]]\npass = "factorize"\nenergy = 0.9\n',
}


def with_recipes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes `folder` the current one, with all recipes in it."""
    for name, text in RECIPES.items():
        (folder / f"{name}.toml").write_text(text)
    monkeypatch.chdir(folder)
    return folder


def arguments(folder: str, *more: object, models=MODELS, recipes=tuple(RECIPES)) -> list[str]:
    given = ["sweep", *models, *(f"--recipe={name}.toml" for name in recipes), "-o", folder, "--seconds", 0, *more]
    return [str(one) for one in given]


def trial(folder: Path, name: str = "m", model: Path = MLP, **more: object) -> Trial:
    passes = (QuantizeWeights(),)
    key = trial_key(model_digest(model), passes, ())
    return Trial(name, model, "int8", passes, folder, key, Proof(validate=False), **more)  # type: ignore[arg-type]


def outcomes(folder: str) -> dict[str, tuple[int, str]]:
    """{trial: (exit code, SHA-256 of its model)} of all that have ended."""
    ended = [read_ended(path.read_text()) for path in Path(folder).glob("*.trial.json")]
    return {one.name: (one.exit_code, one.sha256) for one in ended}
