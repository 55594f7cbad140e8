"""A realistic report to render: four weights (one left alone), one warning, labels and latency."""

from __future__ import annotations

from dataclasses import replace

from nncompress.results.limits import Limits
from nncompress.results.record import (
    AtSample,
    Comparison,
    Environment,
    FeedFacts,
    Fidelity,
    FileFacts,
    Latency,
    LedgerLine,
    OutputComparison,
    Report,
    Rewritten,
    Run,
    Samples,
    SizeStep,
    Skipped,
    TaskMetric,
    Timing,
    Work,
)
from nncompress.results.rules.verdict import judge
from nncompress.results.verdict import Verdict
from nncompress.results.weight_values import WeightValues

HOSTILE = "\x1b[31m[red]\u202eevil|`x`\n<script>alert('1')</script>&\x00 @all =1+1"


def file_facts(path: str, file_bytes: int, **changes: object) -> FileFacts:
    facts = FileFacts(
        path=path,
        sha256="ab" * 32,
        data_sha256=(),
        file_bytes=file_bytes,
        packed_bytes=file_bytes * 9 // 10,
        weight_bytes_loaded=1_200_000,
        parameters=300_000,
        nonzeros=299_000,
        macs=4_500_000,
        opset=17,
        ir_version=8,
    )
    return replace(facts, **changes)  # type: ignore[arg-type]


def fidelity(cosine: float | None = 0.99998, sqnr_db: float | None = 43.98, identical: bool = False) -> Fidelity:
    return Fidelity(cosine, sqnr_db, 0.0063, 0.0421, 0.995, identical)


def samples(cosine: float = 0.9871, sqnr_db: float = 16.5, count: int = 400) -> Samples:
    """The worst is row 7 of the third feed, in cosine and in SQNR."""
    worst_cosine, worst_sqnr_db = (AtSample(value, 2, 7, "samples 64 to 95") for value in (cosine, sqnr_db))
    return Samples(count, 10 * count, False, worst_cosine, worst_sqnr_db, None)


def sampled(cosine: float = 0.9871, sqnr_db: float = 16.5) -> Fidelity:
    """Good over all samples, with this worst one."""
    return replace(fidelity(), samples=samples(cosine, sqnr_db))


def output(name: str = "logits", **changes: object) -> OutputComparison:
    result = OutputComparison(name, "float32", None, 0, 0, fidelity(), None)
    return replace(result, **changes)  # type: ignore[arg-type]


def latency(ratio: float = 0.98, low: float = 0.95, high: float = 1.02, interleaved: bool = True) -> Latency:
    reference = Timing(1.23, 0.05, (1.18, 1.2, 1.22, 1.23, 1.24, 1.26, 1.31))
    candidate = Timing(1.23 * ratio, 0.04, tuple(ms * ratio for ms in reference.samples_ms))
    return Latency(reference, candidate, ratio, low, high, interleaved and not low <= 1 <= high, 1, interleaved)


def labelled_run(**changes: object) -> Run:
    run = Run(
        outputs=(output(deployed=sampled()), output("hidden", exact=fidelity(0.999999, 61.0))),
        metrics=(TaskMetric("top-1", 0.975, 0.975, 400),),
        latency=latency(),
        feeds=FeedFacts("data/digits.npz", 400, None, True),
        one_after_the_other=False,
        work=Work(("image 32×1×8×8",), 144_000_000, 144_000_000),
    )
    return replace(run, **changes)  # type: ignore[arg-type]


def synthetic_run(**changes: object) -> Run:
    return replace(labelled_run(), metrics=(), feeds=FeedFacts("synthetic", 4, 0, False), **changes)  # type: ignore[arg-type]


def comparison(run: Run | None = None, before: int = 1_210_000, after: int = 313_500) -> Comparison:
    candidate = file_facts("build/out.onnx", after, sha256="cd" * 32)
    return Comparison(file_facts("models/digits_cnn.onnx", before), candidate, run)


def weight(name: str, before: int, after: int, *outcomes: Rewritten | Skipped) -> LedgerLine:
    form = "folded" if before != after else "dense"
    errors = [o.sqnr_db for o in outcomes if isinstance(o, Rewritten) and o.sqnr_db is not None]
    shape, error = (before // 4,), errors[-1] if errors else None
    return LedgerLine(name, "weight", ("Conv",), shape, "float32", before, after, form, outcomes, error)


LEDGER = (
    weight("conv1.weight", 100_000, 26_000, Rewritten("conv1.weight", "quantize", "int8, per channel (axis 0)", 41.5)),
    weight("conv2.weight", 900_000, 226_000, Rewritten("conv2.weight", "quantize", "int8, per channel (axis 0)", 38.2)),
    weight("[w]", 150_000, 38_000, Rewritten("[w]", "prune", "50 % zero", 12.5)),
    weight("fc.bias", 400, 400, Skipped("fc.bias", "quantize", "too small: 100 elements, --min-elements is 1024")),
    LedgerLine("(other constants)", "constants", (), (), "", 9_600, 9_600, "dense"),
    LedgerLine("(graph)", "graph", (), (), "", 50_000, 13_500, "dense"),
)

STEPS = (SizeStep("normalise", 1_150_000), SizeStep("prune-magnitude", 900_000))

ENVIRONMENT = Environment(
    nncompress="0.1.0",
    python="3.11.7",
    onnx="1.23.2",
    onnxruntime="1.31.1",
    onnx_ir="1.1.0",
    numpy="2.4.6",
    platform="Linux x86_64",
    cpu="Some CPU @ 2.0GHz",
    cpu_flags=("avx2", "avx512_vnni"),
    cores=2,
    made_at="2026-01-31T09:30:00Z",
)


def sample_report(
    run: Run | None = None,
    limits: Limits | None = None,
    ledger: tuple[LedgerLine, ...] = LEDGER,
    verdict: Verdict | None = None,
) -> Report:
    """A labelled run that warns about one rule, unless told otherwise."""
    limits = limits or Limits(max_latency_ratio=0.97)
    compared = comparison(run or labelled_run())
    return Report(
        command="quantize",
        passes=("quantize:bits=8",),
        comparison=compared,
        ledger=ledger,
        verdict=verdict or judge(compared, limits, ledger),
        environment=ENVIRONMENT,
        seed=0,
        seconds=(("load", 0.02), ("compress", 0.31)),
        notes=("batch norm folded into 2 convolutions",),
    )


def stepwise_report() -> Report:
    """Two passes, with the sizes between them and the values of one weight."""
    report = replace(sample_report(), passes=("prune-magnitude:sparsity=0.5", "quantize-weights"))
    return replace(report, steps=STEPS, worst_values=(values("[w]", 12.5),))


def values(name: str, sqnr_db: float = 12.5, low: float = -0.3, high: float = 0.5) -> WeightValues:
    """As many figures as a large weight has, with as many digits."""
    counts_before = tuple(10 * (24 - abs(i - 24)) for i in range(48))
    counts_after = tuple(count if abs(i - 24) > 4 else 0 for i, count in enumerate(counts_before))
    before = [float(f"{low + (high - low) * i / 149:.7g}") for i in range(150)]
    return WeightValues(
        name, sqnr_db, low, high, counts_before, counts_after, tuple((b, float(f"{b * 0.9:.7g}")) for b in before)
    )


def hostile_report() -> Report:
    """Every name that a model, a path or a data file brings in is hostile."""
    ledger = (
        replace(LEDGER[0], name=HOSTILE, ops=(HOSTILE,), outcomes=(Rewritten(HOSTILE, "quantize", HOSTILE, 5.0),)),
        replace(LEDGER[3], name=f"=cmd{HOSTILE}", outcomes=(Skipped(HOSTILE, "quantize", HOSTILE),)),
    )
    broken = output(HOSTILE, deployed=None, problem=f"shape {HOSTILE}")
    run = labelled_run(
        outputs=(output(HOSTILE, deployed=fidelity(0.4, 1.0)), broken, output(HOSTILE, nonfinite_candidate=3)),
        metrics=(TaskMetric(HOSTILE, 0.9, 0.1, 100),),
        feeds=FeedFacts(HOSTILE, 1, None, True),
        notes=(HOSTILE,),
    )
    report = sample_report(run, ledger=ledger)
    facts = file_facts(f"a/{HOSTILE}", 100, data_sha256=((HOSTILE, "ef" * 32),))
    report = replace(report, comparison=replace(report.comparison, reference=facts), notes=(HOSTILE,))
    return replace(report, passes=(HOSTILE,), steps=(SizeStep(HOSTILE, 90),), worst_values=(values(HOSTILE),))


def large_report(weights: int, name: str = "encoder.layer.{}.attention.self.query.weight") -> Report:
    """A report with many weights of falling size, the values of four and the sizes between three passes."""
    ledger = []
    for i in range(weights):
        size = 4_000_000 - 1000 * i
        done = Rewritten(name.format(i), "quantize", "int8, per channel (axis 1)", 30.0 + i % 20)
        ledger.append(weight(name.format(i), size, size // 4, done))
    report = sample_report(ledger=tuple(ledger))
    worst = tuple(values(name.format(i)) for i in range(4))
    return replace(report, passes=("factorize", *report.passes), steps=STEPS, worst_values=worst)
