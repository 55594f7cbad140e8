"""What a search measured: what each weight may become, whole models, and latencies; kept between searches as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from pydantic import TypeAdapter, ValidationError

from nncompress.errors import InputError
from nncompress.results.spent import Losses
from nncompress.results.units import format_counted, format_share

SEARCH_SCHEMA_VERSION = 5


@dataclass(frozen=True)
class Rate:
    """One way to store a weight."""

    bits: int  # 16: half precision
    sparsity: float  # share of zeros that are made
    size_bytes: int  # in the file, expected
    loss: float  # squared relative error of the outputs that it alone is expected to cause
    shared: bool = False  # values of a table, in place of steps of the same width

    @property
    def options(self) -> tuple[tuple[str, object], ...]:
        """Of the pass that stores it so: `share-weights` where values are shared, else `quantize-weights`."""
        if self.bits == 16:
            return (("dtype", "float16"),)
        zeros = (("sparsity", self.sparsity),) if self.sparsity else ()
        return (("bits", self.bits), *zeros)

    @property
    def is_plain(self) -> bool:
        """8 bits, and nothing else: what every weight may become."""
        return self.bits == 8 and not self.sparsity and not self.shared

    def __str__(self) -> str:
        """For people."""
        if self.bits == 16:
            return "float16"
        zeros = f" and {format_share(self.sparsity)} zeros" if self.sparsity else ""
        values = f" of {2**self.bits} shared values" if self.shared else ""
        return f"{format_counted(self.bits, 'bit')}{values}{zeros}"


@dataclass(frozen=True)
class Rated:
    """A weight with what it may become, the smallest first."""

    name: str
    rates: tuple[Rate, ...]


@dataclass(frozen=True)
class Measured:
    """A whole model that was built and run."""

    size_bytes: int
    losses: Losses
    seconds: float = 0.0  # that it took


@dataclass(frozen=True)
class Loss:
    """How far outputs are from the original's on calibration data."""

    sqnr_db: float
    cosine: float
    changed: float | None  # share of largest elements that are other ones; None: no output has one


@dataclass(frozen=True)
class Ran:
    """A whole model that was run beside the original on this machine."""

    loss: Loss
    ratio: float | None = None  # of latency, new / old; None: not timed


@dataclass(frozen=True)
class Profiled:
    """A way to compute: which units of arithmetic can be computed so, why weights cannot, and what that takes."""

    able: tuple[int, ...]  # numbers of units
    against: dict[str, str]
    microseconds: tuple[float, ...] | None  # of each unit, where all that can be are computed so; None: it is refused


@dataclass(frozen=True)
class Searched:
    """All that was measured, by SHA-256 of all that bears on it."""

    rates: dict[str, tuple[Rated, ...]] = field(default_factory=dict)
    models: dict[str, Measured] = field(default_factory=dict)
    runs: dict[str, Ran | None] = field(default_factory=dict)  # None: onnxruntime refuses the model
    profiles: dict[str, Profiled] = field(default_factory=dict)
    targets: dict[str, list[float]] = field(default_factory=dict)  # expected losses that models were sought for
    limits: dict[str, list[str]] = field(default_factory=dict)  # within which searches came to their end


_SEARCHED: TypeAdapter[Searched] = TypeAdapter(Searched)


def searched_json(searched: Searched) -> str:
    """What read_searched reads."""
    return json.dumps({"schema_version": SEARCH_SCHEMA_VERSION, "search": asdict(searched)}) + "\n"


def read_searched(text: str) -> Searched:
    """Raises InputError for anything that searched_json did not write."""
    try:
        tree = json.loads(text)
        if not isinstance(tree, dict) or tree.get("schema_version") != SEARCH_SCHEMA_VERSION:
            raise InputError("nothing that a search of this nncompress has measured")
        return _SEARCHED.validate_python(tree.get("search"))
    except ValidationError as error:
        raise InputError("what a search has measured is damaged") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}") from error
