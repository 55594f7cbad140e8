"""The plain result types of `inspect`: what is in one model file, and what compressing it would do."""

from __future__ import annotations

from dataclasses import dataclass

INSPECTION_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class PortFacts:
    """An input or an output of the model."""

    name: str
    dtype: str  # "float32", "int64" ...; "?" where the file does not say
    shape: tuple[int | str, ...] | None  # names stand for free dimensions, "?" for nameless ones; None: any rank


@dataclass(frozen=True)
class WeightFacts:
    """A constant tensor that operators read as a weight, or codes that are decoded to one at load."""

    name: str
    ops: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    size_bytes: int
    share: float  # of the file
    uses: int  # nodes that read it
    sparsity: float | None  # share of zeros; None: not counted (codes, or too large)
    nonfinite: int | None  # NaN and infinities; None: not counted
    barrier: str | None  # why its values may not be changed


@dataclass(frozen=True)
class LeftAlone:
    """Weights that a pass would leave alone for one reason."""

    reason: str
    count: int
    size_bytes: int
    names: tuple[str, ...]  # a few of them, largest first


@dataclass(frozen=True)
class Prediction:
    """What a pass with its default options would make of the file; nothing was written or run."""

    command: str  # to get it
    bytes_before: int
    bytes_after: int
    compressed: int  # weights
    left_alone: tuple[LeftAlone, ...]  # most bytes first


@dataclass(frozen=True)
class Inspection:
    """Everything that `inspect` found in one file. None: not known."""

    path: str
    file_bytes: int  # external data included
    sha256: str
    external_files: tuple[tuple[str, int], ...]  # (name, bytes)
    opset: int
    opsets: tuple[tuple[str, int], ...]  # (domain, version) of the others
    ir_version: int
    producer: str  # "" where the file does not say
    inputs: tuple[PortFacts, ...]
    outputs: tuple[PortFacts, ...]
    nodes: int
    functions: int
    ops: tuple[tuple[str, int], ...]  # most frequent first
    parameters: int
    nonzeros: int | None
    macs: int | None
    constant_bytes: int
    weight_bytes_loaded: int
    bytes_by_dtype: tuple[tuple[str, int], ...]  # of constants
    bytes_by_op: tuple[tuple[str, int], ...]  # of constants, by the operator that reads them
    quantized: tuple[tuple[str, int], ...]  # what is quantized already, and how many times
    weights: tuple[WeightFacts, ...]  # largest first
    prediction: Prediction | None  # None: there is nothing that could be compressed
    notes: tuple[str, ...]
    schema_version: int = INSPECTION_SCHEMA_VERSION

    @property
    def graph_bytes(self) -> int:
        """What nodes, names and headers take in the file."""
        return self.file_bytes - self.constant_bytes
