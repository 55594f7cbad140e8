"""What every pass promises: frozen, documented, deterministic, input left alone, output valid and close."""

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from nncompress.cli.pass_texts import document, summaries
from nncompress.feeds.synthesise import synthesise_choices
from nncompress.model.model import Model
from nncompress.onnx_file.read import load
from nncompress.passes import ALL_PASSES
from nncompress.passes.base import Pass, Stage
from nncompress.passes.binarize import Binarize
from nncompress.passes.correct_biases import CorrectBiases
from nncompress.passes.factorize import Factorize
from nncompress.passes.migrate_scales import MigrateScales
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.share_weights import ShareWeights
from nncompress.passes.slim_channels import SlimChannels
from nncompress.passes.store_lossless import StoreLossless
from nncompress.results.record import Rewritten, Skipped
from nncompress.runtime import child
from nncompress.workflow.pipeline import Compressed, compress_graph
from tests.models import as_model, file_of, model_of, noise, proto_from, proto_of, run, saved, session

SAMPLES = sorted((Path(__file__).parents[1] / "sample_models").rglob("*.onnx"))
STRONG: dict[type[Pass], tuple[Pass, ...]] = {  # options at which every pass finds something to do, and what for
    SlimChannels: (SlimChannels(share=0.1, multiple=2),),
    Factorize: (Factorize(ratio=0.5, min_size=256),),
    MigrateScales: (MigrateScales(), QuantizeActivations(), QuantizeWeights()),
    PruneMagnitude: (PruneMagnitude(sparsity=0.3),),
    QuantizeActivations: (QuantizeActivations(), QuantizeWeights()),
    Binarize: (Binarize(terms=4),),
    QuantizeWeights: (QuantizeWeights(),),
    ShareWeights: (ShareWeights(),),
    StoreLossless: (PruneMagnitude(sparsity=0.3), StoreLossless()),
    CorrectBiases: (QuantizeWeights(), CorrectBiases()),
}
LEAST_SQNR_DB = {
    SlimChannels: 2.0,
    Factorize: 2.0,
    MigrateScales: 20.0,
    PruneMagnitude: 6.0,
    QuantizeActivations: 20.0,
    Binarize: 8.0,
    QuantizeWeights: 25.0,
    ShareWeights: 10.0,
    StoreLossless: 6.0,
    CorrectBiases: 25.0,
}  # of the outputs of the sample models
each_pass = pytest.mark.parametrize("kind", ALL_PASSES, ids=lambda kind: kind.name)


def feeds(path: Path) -> dict[str, np.ndarray]:
    data = SAMPLES[0].parent / "data"
    (name,) = [i.name for i in onnx.load(path, load_external_data=False).graph.input]
    with np.load(data / f"{name}_evaluation.npz") as arrays:
        return {name: arrays[name][:64]}


@pytest.fixture(scope="module", autouse=True)
def _models_run_here() -> Iterator[None]:
    """Statistics take a process of their own otherwise, and a second each time."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(child, "_in_process", True)
        yield


def strong(model: Model, kind: type[Pass], threads: int = 1) -> Compressed:
    """What the pass makes of the model, on made-up samples where it needs some."""
    samples = synthesise_choices(model.ir, seed=0)[0] if any(step.needs for step in STRONG[kind]) else None
    return compress_graph(model, STRONG[kind], threads=threads, samples=samples)


@dataclasses.dataclass(frozen=True)
class Made:
    """What a pass makes of a sample model, and the bytes of what it was given before and after."""

    path: Path
    kind: type[Pass]
    compressed: Compressed
    file: Path
    given: tuple[tuple[bytes, bytes], tuple[bytes, bytes]]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            (path, kind),
            id=f"{path.parent.name}/{path.name}-{kind.name}",
            marks=pytest.mark.slow if "transformer" in path.name else (),  # most weights
        )
        for path in SAMPLES
        for kind in ALL_PASSES
    ],
)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    path, kind = request.param
    model = load(path)

    def given() -> tuple[bytes, bytes]:
        return proto_from(model).SerializeToString(deterministic=True), path.read_bytes()

    before = given()
    compressed = strong(model, kind)
    after = given()
    return Made(
        path, kind, compressed, file_of(compressed.model, tmp_path_factory.mktemp("made") / "o.onnx"), (before, after)
    )


def test_every_pass_has_options_at_which_it_is_tested() -> None:
    assert set(STRONG) == set(LEAST_SQNR_DB) == set(ALL_PASSES)
    assert [kind.stage for kind in ALL_PASSES] == sorted(kind.stage for kind in ALL_PASSES)


# ------------------------------------------------------------------------------------------------ form
@each_pass
def test_a_pass_is_a_frozen_dataclass_with_defaults_for_everything(kind: type[Pass]) -> None:
    one = kind()
    assert one == kind()
    assert hash(one) == hash(kind())
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.min_size = 3  # type: ignore[misc]
    assert one.problem() is None


@each_pass
def test_its_name_has_three_spellings(kind: type[Pass]) -> None:
    assert kind.__name__ == "".join(part.capitalize() for part in kind.name.split("-"))
    assert kind.__module__ == "nncompress.passes." + kind.name.replace("-", "_")
    assert len({other.name for other in ALL_PASSES}) == len(ALL_PASSES)


@each_pass
def test_it_is_documented_with_every_option(kind: type[Pass]) -> None:
    text = document(kind.name)
    assert text.startswith(kind.name)
    assert summaries()[kind.name] in text
    assert summaries()[kind.name].endswith((".", ":"))
    lines = text.splitlines()
    for field in dataclasses.fields(kind):
        (index,) = [i for i, line in enumerate(lines) if line.startswith(f"  {field.name}=")]
        assert len(lines[index + 1].strip()) > 10, field.name
        assert lines[index + 1].startswith("      ")


@each_pass
def test_it_prints_nothing_and_runs_no_model(kind: type[Pass]) -> None:
    tree = ast.parse(Path(inspect.getfile(kind)).read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    modules = {
        getattr(n, "module", None) or n.names[0].name
        for n in ast.walk(tree)
        if isinstance(n, ast.Import | ast.ImportFrom)
    }
    assert not names & {"print", "open", "Path"}
    assert not [
        module
        for module in modules
        if module.startswith(("onnxruntime", "nncompress.runtime", "nncompress.calibrate", "nncompress.validate"))
    ]


# ------------------------------------------------------------------------------------------------ behaviour
def test_its_result_is_valid_and_close_to_the_original(made: Made) -> None:
    onnx.checker.check_model(str(made.file), full_check=True)
    feed = feeds(made.path)
    for before, after in zip(run(made.path, **feed), run(made.file, **feed), strict=True):
        assert (before.dtype, before.shape) == (after.dtype, after.shape)
        error = np.sum((before.astype(np.float64) - after) ** 2)
        signal = np.sum(before.astype(np.float64) ** 2)
        assert error == 0 or 10 * np.log10(signal / error) >= LEAST_SQNR_DB[made.kind]


def test_inputs_and_outputs_keep_names_types_and_order(made: Made) -> None:
    sessions = session(made.path), session(made.file)
    for get in ("get_inputs", "get_outputs"):
        before, after = ([(i.name, i.type, i.shape) for i in getattr(s, get)()] for s in sessions)
        assert before == after


def test_it_leaves_the_model_that_it_is_given_alone(made: Made) -> None:
    before, after = made.given
    assert before == after


@pytest.mark.slow
def test_the_same_model_gives_the_same_bytes_with_any_number_of_threads(made: Made, tmp_path: Path) -> None:
    again = file_of(strong(load(made.path), made.kind, threads=3).model, tmp_path / "o.onnx")
    assert again.read_bytes() == made.file.read_bytes()


def test_every_weight_gets_an_outcome_and_every_skip_a_reason(made: Made) -> None:
    kind, compressed = made.kind, made.compressed
    assert compressed.changed
    weights = [line for line in compressed.lines if line.kind == "weight"]
    for line in weights:
        assert [outcome.by for outcome in line.outcomes] == [each.name for each in STRONG[kind]]
        outcome = line.outcomes[-1]
        assert outcome.subject == line.name
        assert (outcome.reason if isinstance(outcome, Skipped) else outcome.detail).strip()
        if kind.stage == Stage.CORRECTIONS:
            continue  # it is about biases
        if isinstance(outcome, Rewritten):
            # other values alone save nothing: a few zeros do not pay for a sparse layout
            dense = line.form == "dense" and kind.stage == Stage.VALUES
            assert line.bytes_after == line.bytes_before if dense else line.bytes_after < line.bytes_before
        elif all(isinstance(earlier, Skipped) for earlier in line.outcomes):
            assert line.bytes_after == line.bytes_before
    names = {line.name for line in weights}
    of_weights = [outcome for outcome in compressed.outcomes if outcome.subject in names]
    assert len(of_weights) == len(weights) * len(STRONG[kind])


# ------------------------------------------------------------------------------------------------ odd places
IF = (
    "g (bool c, float[N,64] x) => (float[N,64] y) { y = If(c) <"
    "then_branch = t () => (float[N,64] a) { a = MatMul(x, u) }, "
    "else_branch = e () => (float[N,64] b) { b = Gemm<transB=1>(x, v) }> }"
)
FUNCTION = (
    "g (bool c, float[N,64] x) => (float[N,64] y) { a = local.f(x, u) y = local.f(a, v) } "
    '<domain: "local", opset_import: ["" : 17]> f (a, k) => (b) { b = MatMul(a, k) }'
)
PLACES = {
    "captured in branches": IF,
    "handed to a function": FUNCTION,
    "behind Transpose": "g (bool c, float[N,64] x) => (float[N,64] y) "
    "{ s = Transpose(u) t = Transpose(v) a = MatMul(x, s) y = MatMul(a, t) }",
    "read at many places": "g (bool c, float[N,64] x) => (float[N,64] y) "
    "{ a = MatMul(x, u) b = MatMul(a, u) d = MatMul(b, v) y = MatMul(d, v) }",
}


@each_pass
@pytest.mark.parametrize("place", PLACES)
def test_it_copes_with_weights_in_odd_places(place: str, kind: type[Pass]) -> None:
    proto = proto_of(PLACES[place], u=noise(64, 64) / 8, v=noise(64, 64, seed=1) / 8)
    compressed = strong(as_model(proto), kind)
    onnx.checker.check_model(proto_from(compressed.model), full_check=True)
    assert {outcome.subject for outcome in compressed.outcomes} == {"u", "v"}
    for c in (True, False):
        feed = {"c": np.array(c), "x": noise(3, 64)}
        before, after = run(proto, **feed)[0], run(compressed.model, **feed)[0]
        assert np.linalg.norm(before - after) <= np.linalg.norm(before)  # halved ranks four times in a row


@each_pass
def test_a_second_run_on_its_own_result_is_valid_too(tmp_path: Path, kind: type[Pass]) -> None:
    body = "g (float[N,64] x) => (float[N,64] y) { a = MatMul(x, u) y = MatMul(a, v) }"
    path = saved(proto_of(body, u=noise(64, 64), v=noise(64, 64, seed=1)), tmp_path / "m.onnx")
    for index in range(2):
        compressed = strong(load(path), kind)
        path = file_of(compressed.model, tmp_path / f"{index}.onnx")
        onnx.checker.check_model(str(path), full_check=True)
        assert run(path, x=noise(2, 64))[0].shape == (2, 64)


LEAST_OPSET = {
    PruneMagnitude: 11,
    StoreLossless: 11,
    QuantizeActivations: 13,
    MigrateScales: 13,
    Binarize: 11,
    ShareWeights: 11,
}  # before, nothing is gained


@pytest.mark.parametrize("opset", [6, 7, 9, 11, 13, 17, 21])
@each_pass
def test_it_works_with_every_opset_and_raises_one_that_is_too_old(opset: int, kind: type[Pass]) -> None:
    model: Model = model_of(
        "g (float[N,64] x) => (float[N,64] y) { h = MatMul(x, w) y = MatMul(h, v) }",
        opset=opset, ir_version=8, w=noise(64, 64), v=noise(64, 64, seed=1),
    )  # fmt: skip
    compressed = strong(model, kind)
    assert compressed.changed
    assert compressed.model.opset == max(opset, LEAST_OPSET.get(kind, 7))
    onnx.checker.check_model(proto_from(compressed.model), full_check=True)
    assert np.isfinite(run(compressed.model, x=noise(2, 64))[0]).all()
