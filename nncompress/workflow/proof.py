"""What a result is compared with and on: feeds, both models run side by side, time by stage."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

from nncompress.errors import UnknownOperatorError
from nncompress.feeds.fed import input_specs
from nncompress.feeds.feeds import Feeds, load_feeds
from nncompress.feeds.sizes import free_sizes
from nncompress.feeds.synthesise import how_to_give, synthesise_choices
from nncompress.model.blocks import draws_random_numbers
from nncompress.model.inventory import quantized_parts
from nncompress.model.model import Model
from nncompress.results.record import Run
from nncompress.runtime.child import check_loads_in_child, first_accepted_in_child
from nncompress.runtime.libraries import registering
from nncompress.validate.in_child import measure_in_child

_P = ParamSpec("_P")
_T = TypeVar("_T")


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
    libraries: tuple[Path, ...] = ()  # of custom operators


def with_libraries(flow: Callable[_P, _T]) -> Callable[_P, _T]:
    """The same flow; meanwhile every session registers the libraries of the Proof that it is given."""

    @functools.wraps(flow)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        proofs = (each for each in (*args, *kwargs.values()) if isinstance(each, Proof))
        with registering(next(proofs, Proof()).libraries):
            return flow(*args, **kwargs)

    return run


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
        choices = synthesise_choices(model.ir, seed=proof.seed, dims=proof.dims)
        return first_accepted_in_child(path, choices, how_to_give(input_specs(model.ir)))
    if model.complaint:
        try:
            check_loads_in_child(path)  # the checker's word alone is no reason to refuse
        except UnknownOperatorError:
            if proof.validate:
                raise
    return load_feeds(proof.data, input_specs(model.ir), proof.labels) if proof.validate and proof.data else None


def free_dims(model: Model) -> list[str]:
    """What Proof.dims may name: the free dimensions of the model's inputs."""
    return free_sizes(input_specs(model.ir))


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
