"""What one weight does is what a compression of that weight alone does; a recipe keeps its bound, with no weight spared
that need not be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from nncompress.config.recipe import load_recipe, recipe_text
from nncompress.errors import InputError, NoOutputError
from nncompress.model.model import Model
from nncompress.passes.base import Pass
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.record import Run
from nncompress.workflow.compress import Writing, compress_file
from nncompress.workflow.proof import Proof
from nncompress.workflow.sensitivity import Bound, measure_sensitivity
from nncompress.workflow.trials import Trials, narrowed
from tests.models import FLOAT, noise

NAMES = ["fine", "odd [1]*", "last"]
PASSES: list[Pass] = [QuantizeWeights(equalise=False, small_constants="keep")]


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """Three matrices; most columns of the second are lost in the shadow of a few large values."""
    weights = {name: noise(32, 32, seed=seed) / 6 for seed, name in enumerate(NAMES)}
    weights[NAMES[1]][::7] *= 300
    nodes = []
    for place, name in enumerate(NAMES):
        nodes.append(helper.make_node("MatMul", [f"v{place}", name], [f"m{place}"]))
        nodes.append(helper.make_node("Tanh", [f"m{place}"], [f"v{place + 1}"]))
    ends = [helper.make_tensor_value_info(name, FLOAT, ["N", 32]) for name in ("v0", "v3")]
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    np.savez(tmp_path / "d.npz", v0=noise(50, 32, seed=9))
    return path


def proof(chain: Path) -> Proof:
    return Proof(data=chain.with_name("d.npz"), seconds=0)


def sqnr_of(chain: Path, passes: list[Pass]) -> float:
    """By the command that compresses."""
    report = compress_file(
        chain,
        chain.with_name("out.onnx"),
        passes,
        command="run",
        proof=proof(chain),
        writing=Writing(force=True, keep_failed=True),
    )
    (output,) = report.comparison.run.outputs if report.comparison.run else ()
    assert output.deployed is not None
    assert output.deployed.sqnr_db is not None
    return output.deployed.sqnr_db


def test_each_figure_is_that_of_a_compression_of_those_weights(chain: Path) -> None:
    report, _ = measure_sensitivity(chain, PASSES, proof=proof(chain))
    assert report.everything.sqnr_db == pytest.approx(sqnr_of(chain, PASSES))
    assert sorted(weight.name for weight in report.weights) == sorted(NAMES)
    alone = [weight.alone.sqnr_db or 0 for weight in report.weights]
    assert alone == sorted(alone)
    assert report.weights[0].name == NAMES[1]
    for weight in report.weights:
        assert weight.alone.sqnr_db == pytest.approx(sqnr_of(chain, narrowed(PASSES, include=[weight.name])))
        assert weight.without.sqnr_db == pytest.approx(sqnr_of(chain, narrowed(PASSES, exclude=[weight.name])))
        assert weight.alone.metric_drop is None


@pytest.mark.slow
def test_the_recipe_spares_as_few_of_the_worst_as_keep_the_bound(chain: Path) -> None:
    ranked = [weight.name for weight in measure_sensitivity(chain, PASSES, proof=proof(chain))[0].weights]
    recipe = chain.with_name("r.toml")

    reached = [sqnr_of(chain, narrowed(PASSES, exclude=ranked[:count])) for count in range(3)]
    for count, least in ((0, reached[0] - 1), (1, (reached[0] + reached[1]) / 2), (2, (reached[1] + reached[2]) / 2)):
        report, sparing = measure_sensitivity(chain, PASSES, proof=proof(chain), bound=Bound(least, None, "r.toml"))
        spared = report.spared
        assert spared is not None
        recipe.write_text(recipe_text(sparing, {}, recipe))
        assert (list(spared.names), spared.recipe) == (ranked[:count], "r.toml")
        assert spared.effect.sqnr_db == pytest.approx(reached[count])
        steps = list(load_recipe(recipe).steps)
        assert sqnr_of(chain, steps) == pytest.approx(reached[count])
    with pytest.raises(NoOutputError, match="no recipe keeps SQNR >= 200"):
        measure_sensitivity(chain, PASSES, proof=proof(chain), bound=Bound(200, None, "r.toml"))


def test_where_nothing_would_be_compressed_there_is_nothing_to_measure(chain: Path) -> None:
    with pytest.raises(NoOutputError, match="no weight to measure"):
        measure_sensitivity(chain, [PruneMagnitude(min_size=10**6)], proof=proof(chain))


def test_what_was_interrupted_goes_on_where_it_was(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, whole = chain.with_name("kept.json"), measure_sensitivity(chain, PASSES, proof=proof(chain))[0]
    measured = Trials.run
    runs: list[Model] = []

    def dies_at(count: int) -> Callable[[Trials, Model], Run]:
        def run(trials: Trials, model: Model) -> Run:
            if len(runs) == count:
                raise KeyboardInterrupt
            runs.append(model)
            return measured(trials, model)

        return run

    monkeypatch.setattr(Trials, "run", dies_at(4))
    with pytest.raises(KeyboardInterrupt):
        measure_sensitivity(chain, PASSES, proof=proof(chain), kept=kept)
    runs.clear()
    monkeypatch.setattr(Trials, "run", dies_at(100))
    report, _ = measure_sensitivity(chain, PASSES, proof=proof(chain), kept=kept)
    assert len(runs) == 7 - 3  # all together are always run
    assert (report.weights, report.everything) == (whole.weights, whole.everything)
    assert report.notes[-1] == f"{kept} told 3 effects that had been measured before"

    other: list[Pass] = [QuantizeWeights(equalise=False, small_constants="keep", range="minmax")]
    assert not any("told" in note for note in measure_sensitivity(chain, other, proof=proof(chain), kept=kept)[0].notes)
    np.savez(chain.with_name("d.npz"), v0=noise(50, 32, seed=10))
    assert not any(
        "told" in note for note in measure_sensitivity(chain, PASSES, proof=proof(chain), kept=kept)[0].notes
    )


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 1, "effects": {"a": 1}}', "{" * 9999])
def test_what_is_no_file_of_effects_is_refused(text: str, chain: Path) -> None:
    (other := chain.with_name("other.json")).write_text(text)
    with pytest.raises(InputError, match=r"cannot resume from .*other\.json"):
        measure_sensitivity(chain, PASSES, proof=proof(chain), kept=other)
    assert other.read_text() == text
