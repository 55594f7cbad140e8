"""What a result is compared with and on: feeds, both models run side by side, time by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nncompress.feeds.feeds import Feeds, load_feeds
from nncompress.feeds.sizes import key_of
from nncompress.feeds.synthesise import input_specs, synthesise_choices
from nncompress.model.blocks import draws_random_numbers
from nncompress.model.inventory import quantized_parts
from nncompress.model.model import Model
from nncompress.results.record import Run
from nncompress.runtime.child import check_loads_in_child, first_accepted_in_child
from nncompress.validate.in_child import measure_in_child


@dataclass(frozen=True)
class Proof:
    """How the result is compared with the original."""

    validate: bool = True
    data: Path | None = None  # None: feeds are made up from the graph
    labels: Path | None = None
    dims: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1
    seconds: float = 1.0  # spent on latency
    metrics: tuple[str, ...] = ()  # (): top-1 and top-5 where there are labels
    metric_output: str | None = None  # output that they are about; None: the first that suits


class Stopwatch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds.append((name, time.perf_counter() - start))


def feeds_of(model: Model, path: Path, proof: Proof) -> Feeds | None:
    """What the models will be run on; None if they will not. Finds out early that an input cannot be run at all."""
    if proof.validate and proof.data is None:
        return first_accepted_in_child(path, synthesise_choices(model.ir, seed=proof.seed, dims=proof.dims))
    if model.complaint:
        check_loads_in_child(path)  # the checker's word alone is no reason to refuse
    return load_feeds(proof.data, input_specs(model.ir), proof.labels) if proof.validate and proof.data else None


def free_dims(model: Model) -> list[str]:
    """What Proof.dims may name: the free dimensions of the model's inputs."""
    return [
        key_of(spec, axis)
        for spec in input_specs(model.ir)
        for axis, size in enumerate(spec.shape or ())
        if not isinstance(size, int)
    ]


def run_both(reference: Path, candidate: Path, model: Model, feeds: Feeds | None, proof: Proof) -> Run | None:
    """What running both files measured; None without feeds. `model` is the candidate's.

    Raises NoOutputError where onnxruntime refuses the candidate.
    """
    if feeds is None:
        return None
    from nncompress.validate.compare import Request

    return measure_in_child(
        Request(
            reference, candidate, feeds, proof.threads, proof.seconds, exact=_needs_exact(model),
            metrics=proof.metrics, metric_output=proof.metric_output, random=_draws(model),
        )
    )  # fmt: skip


def _needs_exact(model: Model) -> bool:
    """True if onnxruntime's default session may compute in integers behind our back."""
    return any(kind in ("DequantizeLinear", "MatMulNBits") for kind, _ in quantized_parts(model))


def _draws(model: Model) -> bool:
    """True if it draws random numbers, in its graph or in a function."""
    scopes = [model.ir.graph, *model.ir.functions.values()]
    return any(draws_random_numbers(node) for scope in scopes for node in scope)


def _complaint(model: Model) -> tuple[str, ...]:
    return (f"{model.path}: onnx.checker says: {model.complaint}",) if model.complaint else ()
