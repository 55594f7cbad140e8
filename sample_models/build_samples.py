"""The five sample models: which network, which graph, how long to train; and building one of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import torch
from digits_data import Split
from measure_models import run
from torch import nn
from train_networks import Cnn, Lstm, Mlp, Transformer, train, use_one_deterministic_thread
from write_graphs import write_cnn, write_lstm, write_mlp, write_transformer

SEED = 1
LARGEST_DIFFERENCE = 1e-4  # between torch's logits and onnxruntime's
INLINE_BYTES = 1024  # smaller tensors stay in the model file when the weights are external


@dataclass(frozen=True)
class Sample:
    """One sample model. `write_graph` takes the trained weights by name; `epochs` runs over the shifted images."""

    model_name: str
    input_name: str
    network: Callable[[], nn.Module]
    write_graph: Callable[[dict[str, np.ndarray]], onnx.ModelProto]
    epochs: int
    external_data: bool = False


SAMPLES = (
    Sample("digits_mlp.onnx", "image", partial(Mlp, width=256), partial(write_mlp, graph_name="digits_mlp"), 8),
    Sample("digits_cnn.onnx", "image", partial(Cnn, channels=64), write_cnn, 4),
    Sample("digits_lstm.onnx", "image", partial(Lstm, hidden_size=128), write_lstm, 10),
    Sample("digits_transformer.onnx", "tokens", partial(Transformer, heads=4), partial(write_transformer, heads=4), 12),
    Sample(
        "digits_wide/model.onnx",
        "image",
        partial(Mlp, width=448),
        partial(write_mlp, graph_name="digits_wide"),
        8,
        external_data=True,
    ),
)


def build_sample(sample: Sample, splits: dict[str, Split], folder: Path) -> float:
    """Trains and writes one model; returns the largest difference between torch's and onnxruntime's logits.

    Raises RuntimeError when that difference is LARGEST_DIFFERENCE or more.
    """
    use_one_deterministic_thread(SEED)
    network = sample.network()
    training = splits["train"].with_shifts()
    train(network, torch.from_numpy(training.feed(sample.input_name)), torch.from_numpy(training.labels), sample.epochs)

    model = sample.write_graph({name: tensor.numpy() for name, tensor in network.state_dict().items()})
    path = folder / sample.model_name
    path.parent.mkdir(exist_ok=True)
    if sample.external_data:
        save_with_external_data(model, path)
    else:
        onnx.save_model(model, path)

    inputs = splits["evaluation"].feed(sample.input_name)
    with torch.no_grad():
        expected = network(torch.from_numpy(inputs)).numpy()
    difference = float(np.abs(run(path, inputs) - expected).max())
    if difference >= LARGEST_DIFFERENCE:
        raise RuntimeError(f"{sample.model_name}: onnxruntime's logits differ from torch's by {difference:.1e}")
    return difference


def save_with_external_data(model: onnx.ModelProto, path: Path) -> None:
    """Writes `path` and the weights to `<path>.data` beside it, readable by everyone (onnx makes it 0600)."""
    data = path.with_name(path.name + ".data")
    data.unlink(missing_ok=True)  # onnx would append to it
    onnx.save_model(model, path, save_as_external_data=True, location=data.name, size_threshold=INLINE_BYTES)
    data.chmod(0o644)
