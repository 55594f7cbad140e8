"""The sample models are what their README and accuracy.json say."""

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before onnxruntime is imported

import onnxruntime as ort

SAMPLES = Path(__file__).resolve().parent.parent / "sample_models"
RECORD = json.loads((SAMPLES / "accuracy.json").read_text())
DATA_FILES = {"digits_wide/model.onnx": "digits_wide/model.onnx.data"}
INPUTS = {"image": ("float32", (1, 8, 8)), "tokens": ("int64", (64,))}

each_model = pytest.mark.parametrize("model_name", RECORD)
each_input = pytest.mark.parametrize("input_name", INPUTS)


def load_feed(input_name: str, split: str) -> dict[str, np.ndarray]:
    with np.load(SAMPLES / "data" / f"{input_name}_{split}.npz") as feed:
        return dict(feed)


@cache
def session_of(model_name: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(SAMPLES / model_name, options, providers=["CPUExecutionProvider"])


def input_of(model_name: str) -> str:
    (only,) = session_of(model_name).get_inputs()
    return only.name


def accuracy_on(model_name: str, split: str) -> float:
    feed = load_feed(input_of(model_name), split)
    labels = feed.pop("labels")
    (logits,) = session_of(model_name).run(["logits"], feed)
    return float((logits.argmax(axis=1) == labels).mean())


def test_every_model_in_the_folder_is_recorded() -> None:
    found = {path.relative_to(SAMPLES).as_posix() for path in SAMPLES.rglob("*.onnx")}
    assert found == set(RECORD)


@each_model
def test_a_model_with_its_data_stays_under_a_megabyte(model_name: str) -> None:
    files = [model_name, *([DATA_FILES[model_name]] if model_name in DATA_FILES else [])]
    size_bytes = sum((SAMPLES / file).stat().st_size for file in files)
    assert size_bytes == RECORD[model_name]["size_bytes"]
    assert size_bytes < 1_000_000


@each_model
def test_versions_are_ones_that_onnxruntime_accepts(model_name: str) -> None:
    model = onnx.load(SAMPLES / model_name)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    onnx.checker.check_model(model, full_check=True)


@each_model
def test_nodes_and_tensors_have_unique_names(model_name: str) -> None:
    graph = onnx.load(SAMPLES / model_name, load_external_data=False).graph
    node_names = [node.name for node in graph.node]
    assert all(node_names)
    assert len(set(node_names)) == len(node_names)
    tensor_names = [tensor.name for tensor in graph.initializer] + [name for node in graph.node for name in node.output]
    tensor_names = [name for name in tensor_names if name]
    assert len(set(tensor_names)) == len(tensor_names)


@each_model
def test_one_sample_and_many_give_the_same_logits(model_name: str) -> None:
    session = session_of(model_name)
    name = input_of(model_name)
    inputs = load_feed(name, "evaluation")[name][:8]
    (together,) = session.run(["logits"], {name: inputs})
    one_by_one = [session.run(["logits"], {name: inputs[row : row + 1]})[0] for row in range(len(inputs))]
    # Logits reach 25; float32 sums of at most 448 terms, in another order, through up to a dozen layers.
    np.testing.assert_allclose(np.concatenate(one_by_one), together, rtol=0, atol=1e-4)
    assert session.get_inputs()[0].shape[0] == session.get_outputs()[0].shape[0] == "batch"
    assert together.shape == (8, 10)


@each_model
def test_accuracy_is_the_recorded_one(model_name: str) -> None:
    entry = RECORD[model_name]
    measured = accuracy_on(model_name, "evaluation")
    assert measured == pytest.approx(entry["accuracy"], abs=1e-9)
    assert measured == entry["correct"] / entry["samples"]
    assert measured > 0.95


@each_model
def test_the_record_names_the_feeds_of_the_model(model_name: str) -> None:
    for split in ("calibration", "evaluation"):
        assert RECORD[model_name][split] == f"data/{input_of(model_name)}_{split}.npz"
        assert (SAMPLES / RECORD[model_name][split]).is_file()


@each_model
def test_the_readme_states_the_recorded_figures(model_name: str) -> None:
    rows = [line for line in (SAMPLES / "README.md").read_text().splitlines() if line.startswith(f"| `{model_name}`")]
    entry = RECORD[model_name]
    figures = f"| {entry['parameters']:,} | {entry['size_bytes']:,} | {entry['accuracy']:.4f} |"
    assert len(rows) == 1
    assert rows[0].endswith(figures)


@each_input
@pytest.mark.parametrize(("split", "samples"), [("calibration", 200), ("evaluation", 400)])
def test_a_feed_holds_its_input_and_labels(input_name: str, split: str, samples: int) -> None:
    feed = load_feed(input_name, split)
    dtype, shape = INPUTS[input_name]
    assert set(feed) == {input_name, "labels"}
    assert feed[input_name].shape == (samples, *shape)
    assert feed[input_name].dtype == dtype
    assert feed["labels"].shape == (samples,)
    assert feed["labels"].dtype == np.int64
    assert set(feed["labels"]) == set(range(10))


@each_input
def test_calibration_and_evaluation_share_no_sample(input_name: str) -> None:
    calibration, evaluation = (load_feed(input_name, split)[input_name] for split in ("calibration", "evaluation"))
    seen = {sample.tobytes() for sample in calibration}
    assert len(seen) == len(calibration)
    assert seen.isdisjoint(sample.tobytes() for sample in evaluation)


@pytest.mark.parametrize("split", ["calibration", "evaluation"])
def test_tokens_are_the_pixels_of_the_images(split: str) -> None:
    image, tokens = load_feed("image", split), load_feed("tokens", split)
    np.testing.assert_array_equal(image["image"].reshape(-1, 64) * 16, tokens["tokens"])
    np.testing.assert_array_equal(image["labels"], tokens["labels"])
    assert tokens["tokens"].min() == 0
    assert tokens["tokens"].max() == 16


def test_the_wide_model_keeps_its_large_weights_beside_it() -> None:
    tensors = onnx.load(SAMPLES / "digits_wide/model.onnx", load_external_data=False).graph.initializer
    external = {tensor.name: tensor for tensor in tensors if tensor.data_location == onnx.TensorProto.EXTERNAL}
    assert set(external) == {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "fc3.weight"}
    for tensor in external.values():
        assert tensor.data_type == onnx.TensorProto.FLOAT
        assert {entry.key: entry.value for entry in tensor.external_data}["location"] == "model.onnx.data"


@pytest.mark.parametrize(
    ("model_name", "op_types"),
    [
        ("digits_mlp.onnx", {"Gemm"}),
        ("digits_cnn.onnx", {"Conv", "BatchNormalization", "Add"}),
        ("digits_lstm.onnx", {"LSTM"}),
        ("digits_transformer.onnx", {"Gather", "MatMul", "LayerNormalization", "Softmax", "Erf"}),
        ("digits_wide/model.onnx", {"Gemm"}),
    ],
)
def test_a_model_shows_the_operators_that_it_is_there_for(model_name: str, op_types: set[str]) -> None:
    nodes = onnx.load(SAMPLES / model_name, load_external_data=False).graph.node
    assert op_types <= {node.op_type for node in nodes}
    gemms = [node for node in nodes if node.op_type == "Gemm"]
    assert all({attribute.name: attribute.i for attribute in gemm.attribute}["transB"] == 1 for gemm in gemms)
    if model_name == "digits_cnn.onnx":
        groups = [next(a.i for a in node.attribute if a.name == "group") for node in nodes if node.op_type == "Conv"]
        assert groups == [1, 1, 1, 64, 1]
