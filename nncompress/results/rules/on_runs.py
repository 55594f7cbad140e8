"""Rules on what onnxruntime made of both models: interface, finite values, integers, task metric, latency, data."""

from __future__ import annotations

import math

from nncompress.results.record import OutputComparison, Run
from nncompress.results.rules.rule import NOTHING_RUN, WHEN_COMPRESSING, Remedies, ruled, unmeasured
from nncompress.results.spent import ROUNDING, UNLABELLED_ERROR, Losses
from nncompress.results.units import NOT_MEASURED, as_typed, format_drop, format_metric, format_share
from nncompress.results.verdict import Level, RuleResult
from nncompress.results.worst import answers_changed, format_equal, is_discrete, is_trivial, largest_drop, sample_count

DEFAULT_DROP = 0.01  # one point
DEFAULT_LATENCY_RATIO = 1.10
UNTIMED = "latency was not measured: leave out --seconds 0 (seconds = 0 in a recipe or a configuration)"
TOO_NOISY = "too noisy to tell"


def not_validated_rule(run: Run | None) -> RuleResult | None:
    """A file that was never run is a warning, whatever its size."""
    if run is not None:
        return None
    return ruled("validated", "warn", "not validated", "run in onnxruntime", "drop --no-validate to run both models")


def interface_rule(run: Run | None) -> RuleResult | None:
    """Names, places, shapes and dtypes of the outputs have to stay."""
    if run is None:
        return None
    broken = [o for o in run.outputs if o.problem and (o.deployed is None or not _is_newly_nonfinite(o))]
    alike = f"{len(run.outputs) - len(broken)} of {len(run.outputs)} outputs"
    figure = "; ".join([alike, *(f"{o.name!r}: {o.problem}" for o in broken)])
    advice = (
        "callers of the original may break; where the shape depends on the data (NonMaxSuppression, NonZero), "
        "compress more gently"
    )
    return ruled("interface", "fail" if broken else "pass", figure, "same names, shapes and dtypes", advice)


def finite_rule(run: Run | None, remedies: Remedies = WHEN_COMPRESSING) -> RuleResult | None:
    """No NaN or infinity where the original has a number; those that the original has are forgiven."""
    if run is None:
        return None
    broken = [o for o in run.outputs if _is_newly_nonfinite(o)]
    new = sum(max(0, o.nonfinite_candidate - o.nonfinite_reference) for o in broken)
    old = sum(o.nonfinite_reference for o in run.outputs)
    moved = bool(broken) and not new
    count = f"as many as in the original ({old}), in other places" if moved else f"{new} new ({old} in the original)"
    figure = "; ".join([count, *(f"{o.name!r}: {o.problem or 'new'}" for o in broken)])
    advice = f"a weight or its scale overflows: {remedies.spare}"
    return ruled("finite", "fail" if broken else "pass", figure, "no new NaN or infinity", advice, new, 0)


def random_rule(run: Run | None, remedies: Remedies = WHEN_COMPRESSING) -> RuleResult | None:
    """What is random in the original, however it is run, can be called neither right nor wrong."""
    random = [o for o in run.outputs if o.random] if run else []
    if not random:
        return None
    figure = "; ".join(f"{o.name!r} cannot be compared: {o.random}" for o in random)
    advice = f"give random operators the same names and seeds in both models, or {remedies.task_metric}"
    return ruled("random", "warn", figure, "the same when the original is run again", advice)


def integers_rule(run: Run | None) -> RuleResult | None:
    """Integer outputs (class numbers, indices) that differ are a warning: one class more or less is no broken model."""
    compared = [o for o in run.outputs if is_discrete(o) and not o.random] if run else []
    differing = [o for o in compared if o.deployed and not o.deployed.identical]
    if not differing:
        return None
    same = [f"{o.name!r} {format_equal(o.deployed)}" for o in differing if o.deployed]
    advice = "judge these by a task metric: give labelled samples with --data"
    return ruled("integers", "warn", "; ".join(same), "all equal", advice)


def drop_rule(run: Run | None, max_drop: float | None, remedies: Remedies = WHEN_COMPRESSING) -> RuleResult | None:
    """Default: warn where more than one point, or more than one sample of a small set, was lost."""
    metric = largest_drop(run.metrics) if run else None
    if metric is None:
        advice = NOTHING_RUN if run is None else remedies.labels
        return (
            None if max_drop is None else unmeasured("drop", f"<= {as_typed(format_share(max_drop))}", max_drop, advice)
        )
    limit = max(DEFAULT_DROP, 1 / max(1, metric.samples)) if max_drop is None else max_drop
    share = metric.is_share
    kept = metric.drop <= limit + ROUNDING  # False for NaN
    level: Level = "pass" if kept else "warn" if max_drop is None else "fail"
    figure = (
        f"{metric.name} {format_metric(metric.reference, is_share=share)} -> "
        f"{format_metric(metric.candidate, is_share=share)}"
        f" ({format_drop(metric.drop, is_share=share)} {'lost' if share else 'worse'}, {metric.samples} samples)"
    )
    limit_text = f"<= {as_typed(format_drop(limit, is_share=share))}"
    return ruled("drop", level, figure, limit_text, remedies.gentler, metric.drop, limit)


def promise_rule(run: Run, max_drop: float) -> RuleResult | None:
    """Whether the samples are enough to promise what was measured on them: a warning unless all of the 95 % interval of
    each drop is within the limit. None where there is no task metric."""
    unknown = [metric.name for metric in run.metrics if metric.drop_interval is None]
    known = [(metric.drop_interval, metric) for metric in run.metrics if metric.drop_interval is not None]
    limit = f"<= {as_typed(format_share(max_drop))} for all of the 95 % interval"
    if unknown:
        advice = f"what {unknown[0]} is of each sample is not known: a drop of it may be chance, and so may none"
        return ruled("promise", "warn", f"no interval of {', '.join(unknown)}", limit, advice, None, max_drop)
    if not known:
        return None
    (low, high), metric = max(known, key=lambda each: each[0][1])
    ends = " to ".join(format_drop(end, is_share=metric.is_share) for end in (low, high))
    figure = f"{metric.name}: {ends} lost ({metric.samples} samples)"
    more = math.ceil(metric.samples * ((high - low) / max_drop) ** 2) if max_drop > 0 else None  # half the limit around
    enough = f"some {more:,} could, where half as much is lost" if more else "no number of them could"
    advice = f"{metric.samples} samples are too few to promise it: {enough}"
    return ruled("promise", "pass" if high <= max_drop + ROUNDING else "warn", figure, limit, advice, high, max_drop)


def agreement_rule(run: Run | None, max_drop: float) -> RuleResult:
    """In place of a drop where the loss that is allowed steered a choice and there are no labels: a warning unless no
    more answers than that are other ones, for an answer that is another one need not be worse."""
    limit = f"<= {as_typed(format_share(max_drop))}"
    known = [changed[0] for changed in map(answers_changed, run.outputs if run else ()) if changed is not None]
    advice = "there are no labels to say which answers are right: name them with --labels NPZ, or give --metric"
    if not known:
        return ruled("drop", "warn", NOT_MEASURED, limit, advice, None, max_drop)
    changed = max(known)
    level: Level = "pass" if changed <= max_drop + ROUNDING else "warn"
    return ruled(
        "drop", level, f"no labels: {format_share(changed)} of answers changed", limit, advice, changed, max_drop
    )


def closeness_rule(run: Run, max_drop: float) -> RuleResult:
    """In place of a drop where a search had to keep it and there are no labels: what the search went by, see spent.py,
    fails where it is not kept."""
    losses = Losses.of(run)
    error = None if math.isnan(losses.error) else losses.error
    known = [] if error is None else [f"relative error {error:.3g}"]
    known += [] if losses.changed is None else [f"at most {format_share(losses.changed)} of answers changed"]
    limit = f"relative error <= {UNLABELLED_ERROR:g}, or <= {as_typed(format_share(max_drop))} of answers"
    advice = "name labels with --labels NPZ, give --metric, or allow more: --min-sqnr, another --max-drop, more --time"
    level: Level = "pass" if losses.of_drop(max_drop) <= 1 else "fail"
    figure = f"no labels: {', '.join(known) or NOT_MEASURED}"
    return ruled("drop", level, figure, limit, advice, error, UNLABELLED_ERROR)


def latency_rule(run: Run | None, max_ratio: float | None, remedies: Remedies = WHEN_COMPRESSING) -> RuleResult | None:
    """Passes where the ratio is not above the limit; fails only where the whole 99 % interval is, for noise alone must
    not break a build. A ratio above the limit whose interval reaches down to it is too noisy to tell, a warning.

    The default limit never fails, and calls a model slower already where the whole interval is above 1.
    """
    latency = run.latency if run else None
    if latency is None:
        advice = NOTHING_RUN if run is None else UNTIMED
        return None if max_ratio is None else unmeasured("latency-ratio", f"<= {max_ratio:g}", max_ratio, advice)
    limit = DEFAULT_LATENCY_RATIO if max_ratio is None else max_ratio
    above = not latency.ratio <= limit  # True for NaN
    noisy = above and latency.ratio_low <= (1 if max_ratio is None else max_ratio)
    level: Level = "pass" if not above else "warn" if noisy or max_ratio is None else "fail"
    figure = f"{latency.ratio:.3f} [{latency.ratio_low:.3f}, {latency.ratio_high:.3f}]"
    figure += "" if latency.interleaved else ", the sessions did not take turns"
    figure += ", NOISE" if latency.noise else ""
    if noisy:
        figure += f", {TOO_NOISY}"
        advice = "the interval reaches below the limit: measure again on a quiet machine, or longer (--seconds)"
    else:
        advice = f"this form is slower on this CPU: choose another (--form) when compressing, or {remedies.spare}"
    return ruled("latency-ratio", level, figure, f"<= {limit:g}", advice, latency.ratio, limit)


def data_rule(run: Run | None, remedies: Remedies = WHEN_COMPRESSING, *, fidelity_demanded: bool) -> RuleResult | None:
    """Says what the models were run on; synthetic inputs cannot prove a fidelity that the user demands, and samples to
    which a model has but one answer prove nothing."""
    if run is None:
        return None
    feeds = run.feeds
    figure = f"synthetic (seed {feeds.seed})" if feeds.synthetic else feeds.source
    figure += f", {feeds.count} feed{'s' * (feeds.count != 1)}"
    wanted, proof = "real samples" if fidelity_demanded else "-", "agreement on synthetic inputs is no proof"
    level: Level = "warn" if feeds.synthetic and fidelity_demanded else "pass"
    if (sample_count(run) or 0) > 1 and run.outputs and all(map(is_trivial, run.outputs)):
        level, figure = "warn", f"{figure}: every output is the same in every sample"
        wanted, proof = "samples that tell models apart", "where the outputs never change, agreement proves nothing"
    return ruled("data", level, figure, wanted, f"{remedies.real_samples}: {proof}")


def _is_newly_nonfinite(output: OutputComparison) -> bool:
    """More of them, or as many in other places, which then is the problem that did not forbid comparing."""
    if output.random and output.nonfinite_reference:
        return False
    if output.nonfinite_candidate > output.nonfinite_reference:
        return True
    return output.problem is not None and output.deployed is not None and output.nonfinite_candidate > 0
