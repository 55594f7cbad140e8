import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from nncompress.errors import InputError, NoOutputError, UsageError
from nncompress.feeds.feeds import Feeds
from nncompress.feeds.synthetic import InputRecipe, Synthetic
from nncompress.validate.compare import Request, measure
from tests.runtime.models import feeds_of, linear, one_op, save

WEIGHT = np.array([[1, 0], [0, 1], [1, 1]])
ONES = np.ones((2, 3))


@pytest.fixture
def reference(tmp_path):
    return linear(tmp_path / "reference.onnx", WEIGHT)


def run(reference, candidate, feeds, **options):
    return measure(Request(reference, candidate, feeds, **{"seconds": 0.0, **options}))


def test_a_model_compared_with_itself_is_identical(tmp_path, reference):
    result = run(reference, reference, feeds_of(tmp_path, ONES, 2 * ONES), seconds=0.02)
    (output,) = result.outputs
    assert (output.name, output.dtype, output.problem, output.exact) == ("y", "float32", None, None)
    assert output.deployed.identical
    assert (result.feeds.count, result.feeds.synthetic, result.feeds.labelled) == (2, False, False)
    assert result.latency.interleaved
    assert result.latency.reference.median_ms > 0
    assert result.notes == ()
    assert not result.one_after_the_other


def test_a_changed_weight_shows_in_the_figures(tmp_path, reference):
    candidate = linear(tmp_path / "candidate.onnx", WEIGHT * np.array([1.0, 0.5]))
    (output,) = run(reference, candidate, feeds_of(tmp_path, ONES)).outputs
    assert output.deployed.max_abs_error == 1.0  # 2 -> 1 in the second column
    assert output.deployed.relative_error == pytest.approx(np.sqrt(1 / 8))
    assert output.problem is None


@pytest.mark.parametrize("free_bytes", [None, 1])
def test_what_makes_the_latency_doubtful_is_said(free_bytes, tmp_path, reference, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (100.0, 0.0, 0.0))
    noise = run(reference, reference, feeds_of(tmp_path, ONES), seconds=0.02, free_bytes=free_bytes).latency.noise
    assert noise[0].startswith("NOISE: the load of this machine was 100.0 on ")


@pytest.mark.parametrize("free_bytes", [None, 1])
def test_what_a_session_of_either_costs_is_measured(free_bytes, tmp_path, reference):
    large = linear(tmp_path / "large.onnx", np.ones((3, 1 << 21)))  # 25 MB
    feeds = feeds_of(tmp_path, np.ones((1, 3)))
    original, result = run(large, large, feeds, free_bytes=free_bytes).loaded
    assert min(original.load_ms, result.load_ms) > 0
    if result.peak_bytes is not None:  # Linux
        assert 20e6 < result.peak_bytes < 200e6


def test_no_budget_for_latency_means_no_latency(tmp_path, reference):
    assert run(reference, reference, feeds_of(tmp_path, ONES)).latency is None


def test_models_that_do_not_fit_together_run_one_after_the_other_with_the_same_figures(tmp_path, reference):
    candidate = linear(tmp_path / "candidate.onnx", WEIGHT * 0.9)
    feeds = feeds_of(tmp_path, ONES, 2 * ONES, labels=np.zeros(4, int))
    together = run(reference, candidate, feeds, seconds=0.02, exact=True)
    apart = run(reference, candidate, feeds, seconds=0.02, exact=True, free_bytes=1)
    assert apart.outputs == together.outputs
    assert apart.metrics == together.metrics
    assert apart.one_after_the_other
    assert not apart.latency.interleaved
    assert "the models ran one after the other: both do not fit in the free memory" in apart.notes


def test_new_non_finite_values_are_a_problem(tmp_path, reference):
    candidate = linear(tmp_path / "candidate.onnx", np.full((3, 2), np.inf))
    (output,) = run(reference, candidate, feeds_of(tmp_path, ONES)).outputs
    assert output.problem == "4 values are not finite where the original's are"
    assert (output.nonfinite_reference, output.nonfinite_candidate) == (0, 4)


def test_a_missing_and_an_added_output_are_problems(tmp_path, reference):
    candidate = linear(tmp_path / "candidate.onnx", WEIGHT, output="z")
    missing, added = run(reference, candidate, feeds_of(tmp_path, ONES)).outputs
    assert (missing.name, missing.problem, missing.deployed) == ("y", "the result has no such output", None)
    assert (added.name, added.problem) == ("z", "the original has no such output")


def test_outputs_that_changed_places_are_problems_and_still_compared_by_name(tmp_path):
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["x"], ["b"])]
    outputs = [("a", TensorProto.FLOAT), ("b", TensorProto.FLOAT)]
    reference = save(tmp_path / "reference.onnx", nodes, outputs)
    candidate = save(tmp_path / "candidate.onnx", nodes, outputs[::-1])
    first, second = run(reference, candidate, feeds_of(tmp_path, ONES)).outputs
    assert (first.problem, second.problem) == ("moved from position 0 to 1", "moved from position 1 to 0")
    assert first.deployed.identical


def test_a_changed_output_type_is_a_problem(tmp_path):
    reference = one_op(tmp_path / "reference.onnx", "Neg")
    candidate = one_op(tmp_path / "candidate.onnx", "Cast", TensorProto.DOUBLE, to=TensorProto.DOUBLE)
    (output,) = run(reference, candidate, feeds_of(tmp_path, ONES)).outputs
    assert output.problem == "type changed from tensor(float) to tensor(double)"
    assert output.deployed is None


def test_changed_inputs_are_refused(tmp_path, reference):
    node = helper.make_node("Neg", ["z"], ["y"])
    candidate = save(
        tmp_path / "candidate.onnx", [node], [("y", TensorProto.FLOAT)], inputs=[("z", TensorProto.FLOAT, [1, 3])]
    )
    with pytest.raises(NoOutputError, match=r"the result's inputs differ from the original's: 'z' tensor\(float\)"):
        run(reference, candidate, feeds_of(tmp_path, ONES))


def test_the_exact_figures_are_given_where_integer_arithmetic_changes_the_result(tmp_path):
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, (32, 64)).astype(np.int8)
    inputs = [("x", TensorProto.FLOAT, ["batch", 32])]
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["w"], axis=1),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    scale = np.full(64, 0.01, np.float32)
    candidate = save(tmp_path / "c.onnx", nodes, [("y", 1)], {"q": weight, "s": scale}, inputs, opset=21)
    decoded = weight.astype(np.float32) * scale
    reference = save(tmp_path / "r.onnx", nodes[1:], [("y", 1)], {"w": decoded}, inputs, opset=21)
    recipe = InputRecipe("x", np.dtype("float32"), (4, 32), "normal")
    feeds = Feeds(Synthetic((recipe,), 0, 2), (0, 1), "synthetic", 0)
    (output,) = run(reference, candidate, feeds, exact=True).outputs
    exact = output.exact or output.deployed
    assert exact.identical or exact.sqnr_db > 120
    assert run(reference, candidate, feeds).outputs[0].exact is None


def test_labels_give_task_metrics(tmp_path, reference):
    candidate = linear(tmp_path / "candidate.onnx", WEIGHT[:, ::-1])
    x = np.array([[5, 0, 0], [0, 5, 0], [5, 0, 0]])
    (metric,) = run(reference, candidate, feeds_of(tmp_path, x, labels=np.array([0, 1, 1]))).metrics
    assert (metric.name, metric.reference, metric.candidate) == ("top-1", pytest.approx(2 / 3), pytest.approx(1 / 3))


def test_an_unknown_metric_output_is_refused(tmp_path, reference):
    feeds = feeds_of(tmp_path, ONES, labels=np.zeros(2, int))
    with pytest.raises(UsageError, match=r"the model has no output 'yy' \(did you mean 'y'\?\)"):
        run(reference, reference, feeds, metric_output="yy")


def test_labels_for_a_model_without_float_outputs_are_refused(tmp_path):
    model = one_op(tmp_path / "m.onnx", "ArgMax", TensorProto.INT64)
    with pytest.raises(InputError, match="no output is a tensor of floats"):
        run(model, model, feeds_of(tmp_path, ONES, labels=np.zeros(2, int)))


# ------------------------------------------------------------------------------------------------ random numbers
DREW = "the original draws random numbers: both models were run with the same seeds, as often as one another"
GENERATORS = {
    "RandomNormalLike": (["x"], {}),
    "RandomUniformLike": (["x"], {"seed": 3.0}),
    "RandomNormal": ([], {"shape": [2, 3]}),
    "RandomUniform": ([], {"shape": [2, 3]}),
    "Bernoulli": (["half"], {}),
    "Multinomial": (["half"], {"sample_size": 3, "dtype": TensorProto.INT32}),
    "Dropout": (["x", "", "training"], {}),
}


def noisy(path, op, weight, noise="noise", before=()):
    """y = (x + what `op` draws) @ weight, behind nodes that shift the numbers of nodes."""
    inputs, attributes = GENERATORS[op]
    constants = {"w": weight.astype(np.float32), "half": np.full((2, 3), 0.5, np.float32), "training": np.array(True)}
    nodes = [
        *before,
        helper.make_node(op, inputs, [noise], **attributes),
        helper.make_node("Cast", [noise], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["x", "f"], ["s"]),
        helper.make_node("MatMul", ["s", "w"], ["y"]),
        helper.make_node("Neg", ["x"], ["z"]),
    ]
    return save(path, nodes, [("y", TensorProto.FLOAT), ("z", TensorProto.FLOAT)], constants)


@pytest.mark.slow
@pytest.mark.parametrize("op", GENERATORS)
@pytest.mark.parametrize("options", [{}, {"free_bytes": 1}])
def test_a_model_that_draws_random_numbers_is_equal_to_itself_and_close_to_what_was_made_of_it(tmp_path, op, options):
    model = noisy(tmp_path / "m.onnx", op, WEIGHT)
    feeds = feeds_of(tmp_path, ONES, 2 * ONES, -ONES)
    same = run(model, model, feeds, random=True, exact=True, seconds=0.01, **options)
    assert all(o.deployed.identical and o.itself.identical and o.exact is None and not o.random for o in same.outputs)
    assert DREW in same.notes
    shifted = noisy(tmp_path / "c.onnx", op, WEIGHT * 1.01, before=[helper.make_node("Abs", ["x"], ["unused"])])
    close = run(model, shifted, feeds, random=True, **options).outputs[0]
    assert close.random is None
    assert close.deployed.sqnr_db == pytest.approx(40, abs=0.1)


def test_random_numbers_are_noticed_where_nobody_said_so(tmp_path):
    model = noisy(tmp_path / "m.onnx", "RandomNormalLike", WEIGHT)
    same = run(model, model, feeds_of(tmp_path, ONES))
    assert same.outputs[0].deployed.identical
    assert DREW in same.notes
    plain = linear(tmp_path / "plain.onnx", WEIGHT)
    assert run(plain, plain, feeds_of(tmp_path, ONES)).outputs[0].itself is None


@pytest.mark.parametrize("options", [{}, {"free_bytes": 1}])
def test_other_random_numbers_make_an_output_that_cannot_be_compared(tmp_path, options):
    reference = noisy(tmp_path / "r.onnx", "RandomNormalLike", WEIGHT)
    candidate = noisy(tmp_path / "c.onnx", "RandomNormalLike", WEIGHT, noise="other")
    random, sure = run(reference, candidate, feeds_of(tmp_path, ONES), random=True, **options).outputs
    assert random.random == "it is random: the original run again differs from itself"
    assert (random.problem, random.deployed.identical, random.itself.identical) == (None, False, False)
    assert (sure.random, sure.deployed.identical) == (None, True)


def test_external_data_is_found_by_the_copy_that_draws(tmp_path):
    model = noisy(tmp_path / "m.onnx", "RandomNormalLike", np.ones((3, 500)))
    onnx.save(onnx.load(model), tmp_path / "e.onnx", save_as_external_data=True, location="e.data")
    assert (tmp_path / "e.data").stat().st_size > 0
    assert run(model, tmp_path / "e.onnx", feeds_of(tmp_path, ONES), random=True).outputs[0].deployed.identical


# ------------------------------------------------------------------------------------------------ samples
def test_the_worst_sample_is_named_by_its_feed_and_row(tmp_path, reference):
    candidate = linear(tmp_path / "candidate.onnx", WEIGHT * np.array([[1], [1], [0]]))
    first, second = np.array([[9, 0, 0.0], [0, 9, 0]]), np.array([[9, 9, 0.0], [0, 0, 0.5]])
    (output,) = run(reference, candidate, feeds_of(tmp_path, first, second)).outputs
    assert output.deployed.cosine > 0.99
    assert (output.deployed.samples.count, output.deployed.samples.worst_cosine.value) == (4, 0.0)
    assert output.deployed.samples.worst_sqnr_db.place == "001.npz, row 1"


def test_what_is_no_batch_makes_whole_feeds_the_samples(tmp_path):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    inputs = [("x", TensorProto.FLOAT, ["time", 3])]
    model = save(tmp_path / "m.onnx", nodes, [("y", 1)], {"w": WEIGHT.astype(np.float32)}, inputs)
    assert run(model, model, feeds_of(tmp_path, ONES)).outputs[0].deployed.samples.count == 1


def test_notes_about_the_data_are_passed_on_once(tmp_path, reference):
    feeds = feeds_of(tmp_path, ONES * np.nan, ONES * np.nan)
    assert run(reference, reference, feeds).notes == ("input 'x': the data holds values that are not finite",)


def test_an_original_that_does_not_load_is_an_input_error(tmp_path, reference):
    (tmp_path / "bad.onnx").write_bytes(b"\x08\x01garbage")
    with pytest.raises(InputError, match=r"onnxruntime cannot load the original .*bad\.onnx: "):
        run(tmp_path / "bad.onnx", reference, feeds_of(tmp_path, ONES))


def test_a_result_that_does_not_load_or_run_is_no_output(tmp_path, reference):
    (tmp_path / "bad.onnx").write_bytes(b"\x08\x01garbage")
    with pytest.raises(NoOutputError, match=r"onnxruntime cannot load the result .*bad\.onnx: "):
        run(reference, tmp_path / "bad.onnx", feeds_of(tmp_path, ONES))
    inputs = [("x", TensorProto.FLOAT, ["batch", 5])]
    narrow = save(tmp_path / "n.onnx", [helper.make_node("Neg", ["x"], ["y"])], [("y", 1)], inputs=inputs)
    with pytest.raises(NoOutputError, match=r"onnxruntime cannot run the result .*Got invalid dimensions"):
        run(reference, narrow, feeds_of(tmp_path, ONES))


def test_no_feeds_are_refused(tmp_path, reference):
    feeds = Feeds(Synthetic((), 0, 0), (), "synthetic", 0)
    with pytest.raises(InputError, match="there are no feeds to run the models on"):
        run(reference, reference, feeds)
