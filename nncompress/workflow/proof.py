"""What a result is compared with and on: feeds, both models run side by side, time by stage."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from nncompress.errors import UnknownOperatorError, UsageError
from nncompress.feeds.fed import input_specs
from nncompress.feeds.feeds import Feeds, load_feeds
from nncompress.feeds.sizes import free_sizes
from nncompress.feeds.specs import Feed
from nncompress.feeds.synthesise import how_to_give, synthesise_choices
from nncompress.model.blocks import draws_random_numbers
from nncompress.model.inventory import quantized_parts
from nncompress.model.macs import count_macs
from nncompress.model.model import Model
from nncompress.model.shapes import are_of_one_sample, infer_shapes
from nncompress.onnx_file.facts import file_bytes, file_facts
from nncompress.progress import at
from nncompress.results.limits import Limits
from nncompress.results.record import FileFacts, Run, Work
from nncompress.runtime.child import check_loads_in_child
from nncompress.runtime.libraries import registering
from nncompress.validate.in_child import OpenOriginal, original_in_child
from nncompress.validate.metrics.names import does_without_labels

if TYPE_CHECKING:
    from nncompress.validate.compare import Request

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
    exact: bool = True  # also tell what a runtime's integer kernels add to the error
    metrics: tuple[str, ...] = ()  # (): top-1 and top-5 where there are labels
    metric_output: str | None = None  # output that they are about; None: the first that suits
    libraries: tuple[Path, ...] = ()  # of custom operators


def check_limits(limits: Limits, proof: Proof, sources: Mapping[str, str], feeds: Feeds | None = None) -> None:
    """Raises UsageError for a limit on a task where nothing says how well it is done: before the data are opened by
    the options, then by the `feeds`. `sources`: {limit: the file that set it}."""
    if limits.max_drop is None or not proof.validate or any(map(does_without_labels, proof.metrics)):
        return
    if proof.data is None or (feeds is not None and feeds.labels is None):
        limit = f"max_drop in {sources['max_drop']}" if "max_drop" in sources else "--max-drop"
        lacking = "--data" if proof.data is None else f"{proof.data} has none: name them"
        raise UsageError(
            f"{limit} needs labels: {lacking} with --labels NPZ or as an array 'labels' in the data"
            " (or --metric recall@10, which does without)"
        )


def with_libraries(flow: Callable[_P, _T]) -> Callable[_P, _T]:
    """The same flow; meanwhile every session registers the libraries of the Proof that it is given."""

    @functools.wraps(flow)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        proofs = (each for each in (*args, *kwargs.values()) if isinstance(each, Proof))
        with registering(next(proofs, Proof()).libraries):
            return flow(*args, **kwargs)

    return run


_READ_MEANWHILE_BYTES = 256 << 20  # of a file that may be refused yet
_DOING = {"load": "loading", "compress": "compressing", "write": "writing", "validate": "comparing"}


class Stopwatch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        at(_DOING[name])
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds.append((name, time.perf_counter() - start))


@dataclass(frozen=True, eq=False)
class Opened:
    """The original, in onnxruntime where it is validated, and what it is run on."""

    model: Model
    reference: Path
    proof: Proof
    session: OpenOriginal | None  # None: it is not run
    choices: tuple[Feeds, ...] = ()  # what it may be run on: the data, or inputs made up in several sizes
    chosen: Feeds | None = None  # of these or others, where that is settled

    def on(self, feeds: Feeds, proof: Proof | None = None) -> Opened:
        """The same, run on other feeds, and measured as `proof` says."""
        return replace(self, chosen=feeds, proof=proof or self.proof)

    @functools.cached_property
    def feeds(self) -> Feeds | None:
        """What it is run on; None: it is not. Waits until it is open.

        Raises InputError where onnxruntime refuses it, or all inputs that were made up.
        """
        if self.session is None:
            return None
        self.session.wait()
        if self.chosen is not None:
            return self.chosen
        if self.proof.data is not None:
            return self.choices[0]
        return self.session.accepted(self.choices, how_to_give(input_specs(self.model.ir)))

    def facts(self, *, in_full: bool = True) -> FileFacts:
        """Of the original: read while onnxruntime opens it; of a large one only when that has taken it.

        Raises InputError where it is refused.
        """
        if self.session is not None and file_bytes(self.model) > _READ_MEANWHILE_BYTES:
            self.session.wait()
        return file_facts(self.model, in_full=in_full)

    def begin(self, candidate: Path, model: Model) -> None:
        """What `compare` will begin with: the result is opened while something else is done here."""
        if self.session is not None:
            self.session.begin(self._request(candidate, model))

    def compare(self, candidate: Path, model: Model, facts: tuple[FileFacts, FileFacts] | None = None) -> Run | None:
        """What running both files measured; None without feeds. `model` is the candidate's; `facts` of both, if known.

        Raises NoOutputError where onnxruntime refuses the candidate.
        """
        self.begin(candidate, model)
        return self.finish(candidate, model, facts)

    def finish(self, candidate: Path, model: Model, facts: tuple[FileFacts, FileFacts] | None = None) -> Run | None:
        """The same where it was begun."""
        if self.session is None:
            return None
        assert self.feeds is not None, "what is open is run"
        run = self.session.finished(candidate)
        feed = next(iter(self.feeds))
        sizes = tuple(f"{name} {'×'.join(map(str, shape)) or 'scalar'}" for name, shape in _shapes(feed).items())
        known = facts or (None, None)
        macs = [macs_on(each, feed, fact) for each, fact in zip((self.model, model), known, strict=True)]
        return replace(run, work=Work(sizes, *macs))

    def _request(self, candidate: Path, model: Model) -> Request:
        from nncompress.validate.compare import Request

        assert self.feeds is not None, "what is open is run"
        exact = self.proof.exact and _needs_exact(model)
        return Request(
            self.reference, candidate, self.feeds, self.proof.threads, self.proof.seconds, exact=exact,
            metrics=self.proof.metrics, metric_output=self.proof.metric_output, random=_draws(model),
        )  # fmt: skip


@contextmanager
def opened(model: Model, path: Path, proof: Proof) -> Iterator[Opened]:
    """Opens the original, once, until the block ends, which begins while that goes on.

    Its `feeds`, asked for early, tell early that it cannot be run, or not on its inputs.
    """
    if not proof.validate:
        if model.complaint:
            with suppress(UnknownOperatorError):
                check_loads_in_child(path)  # the checker's word alone is no reason to refuse
        yield Opened(model, path, proof, None)
        return
    if proof.data is None:
        choices = tuple(synthesise_choices(model.ir, seed=proof.seed, dims=proof.dims))
    else:
        choices = (load_feeds(proof.data, input_specs(model.ir), proof.labels),)
    with original_in_child(path, threads=proof.threads, seconds=proof.seconds) as session:
        yield Opened(model, path, proof, session, choices)


def free_dims(model: Model) -> list[str]:
    """What Proof.dims may name: the free dimensions of the model's inputs."""
    return free_sizes(input_specs(model.ir))


def macs_on(model: Model, feed: Feed, facts: FileFacts | None = None) -> int | None:
    """Multiply-accumulates of one run on `feed`; None where its sizes do not tell. `facts`: of the model, if known."""
    shapes = _shapes(feed)
    if facts is not None and are_of_one_sample(model, shapes):
        return facts.macs
    return count_macs(model, infer_shapes(model, shapes))


def _shapes(feed: Feed) -> dict[str, tuple[int, ...]]:
    """Of the inputs that are arrays."""
    return {name: array.shape for name, array in feed.items() if hasattr(array, "shape")}


def _needs_exact(model: Model) -> bool:
    """True if onnxruntime's default session may compute in integers behind our back."""
    return any(kind in ("DequantizeLinear", "MatMulNBits") for kind, _ in quantized_parts(model))


def _draws(model: Model) -> bool:
    """True if it draws random numbers, in its graph or in a function."""
    scopes = [model.ir.graph, *model.ir.functions.values()]
    return any(draws_random_numbers(node) for scope in scopes for node in scope)


def _complaint(model: Model) -> tuple[str, ...]:
    return (f"{model.path}: onnx.checker says: {model.complaint}",) if model.complaint else ()
