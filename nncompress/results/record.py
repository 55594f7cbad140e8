"""The plain result types of a run: what was done to each weight, how the result compares, and the verdict.

Frozen, with derived figures alone: what renderers read, and what JSON holds. `None` means "not measured", never zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from nncompress.results.verdict import Verdict
from nncompress.results.weight_values import WeightValues

SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Rewritten:
    """A pass changed this."""

    subject: str  # name of a weight, or of what else the pass is about
    by: str  # name of the pass
    detail: str  # such as "int8, per channel (axis 1)"
    sqnr_db: float | None = None  # of the new values against those that the pass found; None: exact or not defined
    output_sqnr_db: float | None = None  # of what a weight computes from the original's inputs; None: not measured


@dataclass(frozen=True)
class Skipped:
    """A pass considered this and left it alone."""

    subject: str
    by: str
    reason: str  # something that a user can act on
    output_sqnr_db: float | None = None  # of what a weight computes from the original's inputs; None: not measured


Outcome = Rewritten | Skipped


@dataclass(frozen=True)
class LedgerLine:
    """Where some bytes of the file went. The lines add up to the file, before and after."""

    name: str  # of the weight; "(other constants)" and "(graph)" for the two lines that are no weight
    kind: Literal["weight", "constants", "graph"]
    ops: tuple[str, ...]  # operators that read it, sorted
    shape: tuple[int, ...]
    dtype: str
    bytes_before: int
    bytes_after: int
    form: str  # how it is stored now: "dense", "folded", "gather-dequantize", "sparse-gaps", "factors" ...
    outcomes: tuple[Outcome, ...] = ()
    sqnr_db: float | None = None  # of its values after all passes against the original's; None: exact or not defined
    output_sqnr_db: float | None = None  # of what it computes, on calibration data, from the inputs of the original


@dataclass(frozen=True)
class SizeStep:
    """What all constants would take after one step, if they were stored then."""

    name: str  # "normalise", or the name of the pass
    size_bytes: int


@dataclass(frozen=True)
class FileFacts:
    """What one model file is."""

    path: str
    sha256: str  # of the .onnx file
    data_sha256: tuple[tuple[str, str], ...]  # (external data file's path below the model's folder, its SHA-256)
    file_bytes: int  # external data included
    packed_bytes: int | None  # compressed with zstd; None: not measured
    weight_bytes_loaded: int  # of all constants once decoded by the runtime
    parameters: int  # elements of floating-point constants once decoded
    nonzeros: int | None
    macs: int | None  # multiply-accumulates per inference where all shapes are known
    opset: int
    ir_version: int


@dataclass(frozen=True)
class AtSample:
    """The lowest figure of all samples, and the sample that has it."""

    value: float
    feed: int  # from 0
    row: int | None  # of the output's first axis, from 0; None: the whole feed is one sample
    feed_name: str  # the file or folder that it came from, the samples of a file, or "feed N"

    @property
    def place(self) -> str:
        """For people to find it: "003.npz, row 2"."""
        return self.feed_name if self.row is None else f"{self.feed_name}, row {self.row}"


@dataclass(frozen=True)
class Samples:
    """How close one output is, sample by sample: rows where the first axis is the batch, else whole feeds. A figure is
    None where no sample has it, the SQNR also where every sample is identical."""

    count: int
    elements: int  # of all samples together
    constant: bool  # the original gives one and the same in every sample, whatever goes in
    worst_cosine: AtSample | None
    worst_sqnr_db: AtSample | None
    worst_top1: AtSample | None  # where a sample has several rows; of integers the share that is equal


@dataclass(frozen=True)
class Fidelity:
    """How close one output is, pooled over all feeds (float64 accumulation)."""

    cosine: float | None  # None: not defined (integers, an all-zero reference)
    sqnr_db: float | None  # 10 log10(sum ref^2 / sum (ref - new)^2); None: identical or not defined
    relative_error: float | None  # |new - ref| / |ref|
    max_abs_error: float | None
    top1_agreement: float | None  # share of rows with the same arg max along the last axis, where that makes sense
    identical: bool  # every element equal in all feeds
    nothing_finite: bool = False  # of floats, no element that is finite in both: nothing was measured
    samples: Samples | None = None  # None: not measured
    top1_rows: int | None = None  # that top1_agreement is a share of
    edited: tuple[float, int] | None = None  # of sequences: edits, as a share of so many tokens (see sequences.py)


@dataclass(frozen=True)
class OutputComparison:
    """One output of the model: as deployed (default session) and exact (no int8 arithmetic behind DequantizeLinear)."""

    name: str
    dtype: str
    problem: str | None  # changed shape or dtype, new non-finite values, integers that differ; None: fine
    nonfinite_reference: int
    nonfinite_candidate: int
    deployed: Fidelity | None  # None when there is a problem that forbids comparing
    exact: Fidelity | None  # None: the same as deployed
    random: str | None = None  # why the output cannot be compared: it is random; None: it is not, or not any more
    itself: Fidelity | None = None  # of the original run once more, where random numbers are drawn
    state_of: str | None = None  # the input that is as large: it may be the state that the next step begins with


@dataclass(frozen=True)
class ClassMetric:
    """A task metric of one class; NaN where it is not defined."""

    label: int
    samples: int
    reference: float
    candidate: float

    @property
    def drop(self) -> float:
        """How much was lost (0.01 = one point); negative: gained."""
        return self.reference - self.candidate


@dataclass(frozen=True)
class TaskMetric:
    """One task metric on sample data."""

    name: str  # "top-1", "f1", "recall@10", the name of the user's function ...
    reference: float
    candidate: float
    samples: int
    higher_is_better: bool = True
    is_share: bool = True  # a share of 1, shown in percent; False: any figure, compared by its relative change
    classes: tuple[ClassMetric, ...] = ()  # those that have samples; () where there are no classes
    drop_interval: tuple[float, float] | None = None  # 95 % of the drop; None: not known sample by sample

    @property
    def drop(self) -> float:
        """How much was lost: of a share its difference (0.01 = one point), else relative; negative: gained."""
        lost = self.reference - self.candidate if self.higher_is_better else self.candidate - self.reference
        if self.is_share or lost == 0:
            return lost
        return lost / abs(self.reference) if self.reference else math.copysign(math.inf, lost)


@dataclass(frozen=True)
class Timing:
    """Latency of one model on one feed."""

    median_ms: float
    iqr_ms: float  # spread: third minus first quartile
    samples_ms: tuple[float, ...]  # in the order in which they were taken; of many an even selection


@dataclass(frozen=True)
class Loaded:
    """One session, opened and run once."""

    load_ms: float  # of opening the session, without waits for a processor where the system says them
    peak_bytes: int | None  # above what the process held before; None: the system does not say
    energy_mj: float | None = None  # a run, the whole processor package; None: not measured, or not readable


@dataclass(frozen=True)
class Latency:
    """Latency of both models, interleaved; ratio = candidate / reference, below 1 is faster."""

    reference: Timing
    candidate: Timing
    ratio: float  # median over the interleaved pairs
    ratio_low: float  # 99 % interval of that median
    ratio_high: float
    distinguishable: bool  # False: the interval holds 1, or the difference is below 2 %, or they took no turns
    threads: int
    interleaved: bool
    noise: tuple[str, ...] = ()  # what makes these figures doubtful, one sentence each


@dataclass(frozen=True)
class FeedFacts:
    """What the models were run on."""

    source: str  # path of the data, or "synthetic"
    count: int
    seed: int | None  # of synthetic feeds
    labelled: bool

    @property
    def synthetic(self) -> bool:
        return self.source == "synthetic"


@dataclass(frozen=True)
class Work:
    """Multiply-accumulates of one run of each model; None: not known, even for these sizes."""

    sizes: tuple[str, ...]  # of the inputs of the first feed: "image 1×1×8×8"
    reference: int | None
    candidate: int | None


@dataclass(frozen=True)
class Run:
    """What onnxruntime made of both models; absent from a report that was made with --no-validate."""

    outputs: tuple[OutputComparison, ...]
    metrics: tuple[TaskMetric, ...]
    latency: Latency | None
    feeds: FeedFacts
    one_after_the_other: bool  # both did not fit in the free memory
    notes: tuple[str, ...] = ()
    loaded: tuple[Loaded, Loaded] | None = None  # original and result, in the same process
    work: Work | None = None  # None: not counted


@dataclass(frozen=True)
class Comparison:
    """Original and result, side by side."""

    reference: FileFacts
    candidate: FileFacts
    run: Run | None  # None: not validated

    @property
    def size_ratio(self) -> float:
        """How many times smaller the candidate is."""
        return self.reference.file_bytes / max(1, self.candidate.file_bytes)


@dataclass(frozen=True)
class Environment:
    """Where and when the figures come from."""

    nncompress: str
    python: str
    onnx: str
    onnxruntime: str
    onnx_ir: str
    numpy: str
    platform: str
    cpu: str
    cpu_flags: tuple[str, ...]  # those that matter to integer kernels: avx2, avx512_vnni, avx_vnni, amx_int8 ...
    cores: int
    made_at: str | None = None  # when the command began, UTC: "2026-01-31T09:30:00Z"; None: not recorded


@dataclass(frozen=True)
class Report:
    """Everything one command found out; `ledger` is empty for a plain comparison."""

    command: str  # "quantize", "run", "compare" ...
    passes: tuple[str, ...]  # each as NAME:option=value,...
    comparison: Comparison
    ledger: tuple[LedgerLine, ...]
    verdict: Verdict
    environment: Environment
    seed: int
    seconds: tuple[tuple[str, float], ...] = ()  # (stage, seconds): load, compress, write, validate
    notes: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()  # (name, value) of those not at their defaults, and what data they name
    steps: tuple[SizeStep, ...] = ()  # of several passes: after normalising and after each but the last
    worst_values: tuple[WeightValues, ...] = ()  # of the weights of lowest SQNR
    written: bool | None = None  # whether the result was put into place; None: there was nothing to write
    schema_version: int = field(default=SCHEMA_VERSION)
