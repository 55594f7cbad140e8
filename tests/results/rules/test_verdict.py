"""Each rule passing, warning, failing and unmeasured."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from nncompress.report.text import render_text
from nncompress.results.limits import Aim, Limits
from nncompress.results.record import FeedFacts, Fidelity, OutputComparison, Run, Skipped, TaskMetric
from nncompress.results.rules.on_requests import Requests
from nncompress.results.rules.verdict import judge
from nncompress.results.summary import headline, summarise
from nncompress.results.verdict import RuleResult
from tests.sample_report import (
    HOSTILE,
    LEDGER,
    comparison,
    fidelity,
    labelled_run,
    latency,
    output,
    sample_report,
    sampled,
    samples,
    synthetic_run,
    weight,
)


def rule(name: str, run: Run | None, limits: Limits | None = None) -> RuleResult:
    found = [r for r in judge(comparison(run), limits or Limits(), LEDGER).rules if r.rule == name]
    assert len(found) == 1
    return found[0]


def names(run: Run | None, limits: Limits | None = None) -> list[str]:
    return [r.rule for r in judge(comparison(run), limits or Limits(), LEDGER).rules]


def test_a_good_compression_passes_every_rule_and_gives_no_advice() -> None:
    verdict = judge(comparison(labelled_run()), Limits(), LEDGER)
    assert verdict.level == "pass"
    assert names(labelled_run()) == [
        "size",
        "changed",
        "interface",
        "finite",
        "fidelity",
        "worst-sample",
        "drop",
        "latency-ratio",
        "data",
    ]
    assert {r.advice for r in verdict.rules} == {""}


# ------------------------------------------------------------------------------------------------ the file
@pytest.mark.parametrize(("aim", "level"), [("size", "fail"), ("speed", "warn"), ("accuracy", "warn")])
def test_a_result_that_is_not_smaller_fails_only_where_size_is_the_aim(aim: Aim, level: str) -> None:
    compared = comparison(labelled_run(), before=1000, after=1001)
    assert judge(compared, Limits(), LEDGER, aim).rules[0].level == level


@pytest.mark.parametrize("after", [1000, 1001])
def test_a_compression_that_does_not_shrink_the_file_fails_and_a_comparison_warns(after: int) -> None:
    compared = comparison(labelled_run(), before=1000, after=after)
    assert judge(compared, Limits(), LEDGER).rules[0].level == "fail"
    assert judge(compared, Limits()).rules[0].level == "warn"
    assert "did not become smaller" in judge(compared, Limits()).rules[0].advice


def test_a_compression_that_rewrote_nothing_is_loud() -> None:
    untouched = (weight("w", 100, 100, Skipped("w", "quantize", "too small")),)
    smaller = judge(comparison(labelled_run()), Limits(), untouched)
    assert [(r.rule, r.level) for r in smaller.rules[:2]] == [("size", "pass"), ("changed", "warn")]
    same = comparison(labelled_run())
    same = replace(same, candidate=replace(same.candidate, sha256=same.reference.sha256))
    changed = judge(same, Limits(), untouched).rules[1]
    assert (changed.level, changed.figure) == ("fail", "0 of 1 weights rewritten")
    assert "--include" in changed.advice
    assert "changed" not in [r.rule for r in judge(same, Limits()).rules]


def test_size_budgets_are_judged_on_top_of_the_default() -> None:
    met = judge(comparison(labelled_run()), Limits(max_size=313_500, min_ratio=3.8), LEDGER)
    assert [(r.rule, r.level) for r in met.rules[2:4]] == [("max-size", "pass"), ("ratio", "pass")]
    missed = judge(comparison(labelled_run()), Limits(max_size=300_000, min_ratio=4), LEDGER)
    size, ratio = missed.rules[2:4]
    assert (size.level, size.figure, size.limit, size.value) == ("fail", "314 kB", "<= 300 kB", 313_500)
    assert size.advice.startswith("13.5 kB too large: ")
    assert (ratio.level, ratio.figure, ratio.limit) == ("fail", "3.860x smaller", ">= 4x")


# ------------------------------------------------------------------------------------------------ the outputs
def test_a_changed_interface_fails_and_names_the_output() -> None:
    run = labelled_run(outputs=(output(), output("boxes", problem="shape (1, 4) became (1, 5)", deployed=None)))
    found = rule("interface", run)
    assert (found.level, found.figure) == ("fail", "1 of 2 outputs; 'boxes': shape (1, 4) became (1, 5)")


def test_only_new_nonfinite_values_fail() -> None:
    assert rule("finite", labelled_run(outputs=(output(nonfinite_reference=2, nonfinite_candidate=2),))).level == "pass"
    assert rule("finite", labelled_run(outputs=(output(nonfinite_reference=2, nonfinite_candidate=1),))).level == "pass"
    broken = output(nonfinite_reference=2, nonfinite_candidate=5, problem="3 values are not finite")
    found = rule("finite", labelled_run(outputs=(broken,)))
    assert (found.level, found.value) == ("fail", 3)
    assert found.figure == "3 new (2 in the original); 'logits': 3 values are not finite"
    assert "--exclude" in found.advice
    assert rule("interface", labelled_run(outputs=(broken,))).level == "pass"


def test_nonfinite_values_that_only_moved_fail_too() -> None:
    moved = output(nonfinite_reference=2, nonfinite_candidate=2, problem="1 values are not finite")
    found = rule("finite", labelled_run(outputs=(moved,)))
    assert found.level == "fail"
    assert found.figure.startswith("as many as in the original (2), in other places; 'logits'")


def test_an_output_that_moved_fails_though_its_values_can_be_compared() -> None:
    found = rule("interface", labelled_run(outputs=(output(problem="moved from position 0 to 1"),)))
    assert (found.level, found.figure) == ("fail", "0 of 1 outputs; 'logits': moved from position 0 to 1")


def test_integers_that_differ_warn() -> None:
    differing = output("class", dtype="int64", deployed=replace(fidelity(None, None), relative_error=None))
    run = labelled_run(outputs=(output(), differing))
    assert rule("integers", run).level == "warn"
    assert rule("integers", run).figure == "'class' 99.5 % equal"
    assert rule("fidelity", run).level == "pass"
    assert "integers" not in names(labelled_run())


def test_a_difference_too_small_to_square_counts_as_exact() -> None:
    close = replace(fidelity(1.0, None), relative_error=0.0)
    assert rule("sqnr", labelled_run(outputs=(output(deployed=close),)), Limits(min_sqnr=300)).level == "pass"


@pytest.mark.parametrize(
    ("cosine", "sqnr_db", "level"),
    [
        (0.99, 20.0, "pass"),
        (0.9899, 25.0, "warn"),
        (0.999, 19.9, "warn"),
        (0.5, 1.0, "warn"),
        (0.4999, 1.0, "fail"),
        (math.nan, math.nan, "fail"),
        (None, None, "warn"),
    ],
)
def test_default_fidelity(cosine: float | None, sqnr_db: float | None, level: str) -> None:
    run = labelled_run(outputs=(output("fine"), output("worst", deployed=fidelity(cosine, sqnr_db))))
    found = rule("fidelity", run)
    assert found.level == level
    assert "'worst'" in found.figure


def test_poor_fidelity_names_the_weight_to_leave_out_ready_for_the_shell() -> None:
    run = labelled_run(outputs=(output(deployed=fidelity(0.4, 2.0)),))
    found = rule("fidelity", run)
    assert found.figure == "cosine 0.4000, SQNR 2.0 dB (output 'logits')"
    assert found.advice == (
        "the outputs no longer resemble the original's: "
        "leave out the weight that lost most (12.5 dB) with --exclude '[[]w]', or compress it more gently"
    )


def test_identical_outputs_pass_every_limit() -> None:
    same = output(deployed=fidelity(None, None, identical=True))
    integers = output("class", dtype="int64", deployed=fidelity(None, None, identical=True))
    run = labelled_run(outputs=(same, integers))
    assert rule("cosine", run, Limits(min_cosine=1.0)).level == "pass"
    assert rule("sqnr", run, Limits(min_sqnr=200)).figure == "exact (output 'logits')"
    assert rule("fidelity", run).level == "pass"


def test_a_users_limit_replaces_the_default_and_fails_when_missed() -> None:
    run = labelled_run(outputs=(output(deployed=fidelity(0.98, 15.0)),))
    loose = Limits(min_cosine=0.95, min_sqnr=14)
    assert rule("cosine", run, loose).level == rule("sqnr", run, loose).level == "pass"
    assert "fidelity" not in names(run, loose)
    strict = Limits(min_cosine=0.985, min_sqnr=16)
    cosine, sqnr = rule("cosine", run, strict), rule("sqnr", run, strict)
    assert (cosine.level, cosine.figure, cosine.limit) == ("fail", "0.9800 (output 'logits')", ">= 0.985")
    assert (sqnr.level, sqnr.figure, sqnr.limit) == ("fail", "15.0 dB (output 'logits')", ">= 16 dB")
    assert rule("cosine", replace(run, outputs=(output(deployed=fidelity(math.nan)),)), loose).level == "fail"


@pytest.mark.parametrize(
    ("run", "advice"),
    [
        (None, "drop --no-validate"),
        (labelled_run(outputs=(output(deployed=fidelity(None, None)),)), "output 'logits' is all zero"),
        (labelled_run(outputs=(output("a"), output("b", deployed=None, problem="shape"))), "output 'b'"),
        (labelled_run(outputs=(output(dtype="int64", deployed=fidelity(None, None)),)), "--max-drop with labelled"),
        (labelled_run(outputs=()), "no floating-point output"),
    ],
)
def test_a_fidelity_limit_that_could_not_be_measured_fails(run: Run | None, advice: str) -> None:
    limits = Limits(min_cosine=0.9, min_sqnr=10)
    for found in (rule("cosine", run, limits), rule("sqnr", run, limits)):
        assert (found.level, found.figure, found.value) == ("fail", "not measured", None)
        assert advice in found.advice


def test_outputs_without_a_finite_value_prove_nothing_though_they_are_equal() -> None:
    hollow = replace(fidelity(None, None, identical=True), nothing_finite=True)
    run = labelled_run(outputs=(output("fine"), output("nan", deployed=hollow)))
    for name in ("cosine", "sqnr"):
        found = rule(name, run, Limits(min_cosine=0.9, min_sqnr=10))
        assert (found.level, found.figure) == ("fail", "not measured")
        assert found.advice.startswith("output 'nan' is NaN or infinite throughout, nothing finite to compare")
    told = rule("fidelity", run)
    assert (told.level, "not defined for output 'nan'" in told.figure) == ("warn", True)
    assert "nothing finite to compare" in told.advice
    assert "nothing finite to compare" in headline(sample_report(run))
    assert "nothing finite to compare" in render_text(sample_report(run))


def test_a_plain_comparison_gives_no_advice_that_only_a_compression_can_follow() -> None:
    broken = output(nonfinite_candidate=5, problem="5 values are not finite", deployed=fidelity(0.1, 0.1))
    run = labelled_run(outputs=(broken,), metrics=(TaskMetric("top-1", 0.9, 0.1, 10),), latency=latency(2.0, 1.9, 2.1))
    rules = judge(comparison(run), Limits(0.99, 30, 0.01, max_latency_ratio=1)).rules
    assert sum(found.level == "fail" for found in rules) == 5
    assert "--exclude" not in "".join(found.advice for found in rules)


# ------------------------------------------------------------------------------------------------ the worst sample
@pytest.mark.parametrize(
    ("cosine", "sqnr_db", "level"), [(0.9, 6.0, "pass"), (0.8999, 7.0, "warn"), (0.95, 5.9, "warn"), (0.0, 0.0, "warn")]
)
def test_a_sample_that_lost_much_warns_though_all_together_kept_it(cosine: float, sqnr_db: float, level: str) -> None:
    run = labelled_run(outputs=(output("fine", deployed=sampled()), output("photo", deployed=sampled(cosine, sqnr_db))))
    found = rule("worst-sample", run)
    assert (found.level, found.value) == (level, cosine)
    assert f"SQNR {sqnr_db:.1f} dB (output 'photo', samples 64 to 95, row 7)" in found.figure
    assert ("a sample lost much of its output" in found.advice) == (level == "warn")
    assert rule("fidelity", run).level == "pass"
    assert "worst-sample" in names(run, Limits(min_cosine=0.9))


def test_limits_on_the_worst_sample_replace_its_default_and_fail_when_missed() -> None:
    run = labelled_run(outputs=(output(deployed=sampled(0.8, 3.0)),))
    loose, strict = Limits(min_sample_cosine=0.7, min_sample_sqnr=2), Limits(min_sample_cosine=0.9, min_sample_sqnr=6)
    assert [r.level for r in judge(comparison(run), loose, LEDGER).rules if r.rule.startswith("sample-")] == [
        "pass"
    ] * 2
    cosine, sqnr = rule("sample-cosine", run, strict), rule("sample-sqnr", run, strict)
    assert (cosine.level, cosine.figure) == ("fail", "0.8000 (output 'logits', samples 64 to 95, row 7)")
    assert (sqnr.level, sqnr.figure) == ("fail", "3.0 dB (output 'logits', samples 64 to 95, row 7)")
    assert "worst-sample" not in names(run, strict)
    assert rule("fidelity", run, strict).level == "pass"


def test_a_limit_on_samples_that_were_not_measured_fails_and_identical_ones_pass() -> None:
    limits = Limits(min_sample_cosine=0.9, min_sample_sqnr=6)
    for run, level in (
        (labelled_run(outputs=(output(),)), "fail"),
        (None, "fail"),
        (labelled_run(outputs=(output(deployed=fidelity(None, None, identical=True)),)), "pass"),
    ):
        assert (rule("sample-cosine", run, limits).level, rule("sample-sqnr", run, limits).level) == (level, level)


def test_one_sample_needs_no_rule_of_its_own() -> None:
    alone = replace(fidelity(), samples=samples(count=1))
    assert "worst-sample" not in names(labelled_run(outputs=(output(deployed=alone),)))


# ------------------------------------------------------------------------------------------------ what counts
def constant(**changes: object) -> OutputComparison:
    same = replace(fidelity(None, None, identical=True), samples=replace(samples(), constant=True))
    return output("anchors", deployed=same, **changes)


def integers(share: float = 1.0) -> OutputComparison:
    agreed = Fidelity(None, None, None, None, share, share == 1.0, samples=samples())
    return output("class", dtype="int64", deployed=agreed)


def test_neither_integers_nor_constants_lift_the_figures() -> None:
    poor = output("scores", deployed=sampled(0.3, 1.0))
    poor = replace(poor, deployed=replace(poor.deployed, cosine=0.4, sqnr_db=1.0))
    for others in ((integers(), constant()), ()):
        summary = summarise(sample_report(labelled_run(outputs=(*others, poor))))
        assert (summary.worst_cosine, summary.worst_sample_cosine, summary.worst_sqnr_db) == (0.4, 0.3, 1.0)
    for kept in ((integers(0.5), constant()), (integers(0.5),)):
        summary = summarise(sample_report(labelled_run(outputs=kept)))
        assert (summary.worst_cosine, summary.worst_sample_cosine, summary.worst_sqnr_db) == (None, None, None)
        assert "'class' 50.0 % of 4000 elements equal in 400 samples" in summary.headline
        assert "identical" not in summary.headline
    limited = rule("cosine", labelled_run(outputs=(integers(0.5), constant())), Limits(min_cosine=0.9))
    assert (limited.level, limited.figure) == ("fail", "not measured")
    assert "no output that changes with the inputs" in limited.advice


def test_identical_integers_and_constants_are_identical_and_pass() -> None:
    run = labelled_run(outputs=(integers(), constant()))
    assert rule("cosine", run, Limits(min_cosine=1)).level == "pass"
    assert "outputs identical in 400 samples" in headline(sample_report(run))


def test_a_constant_that_changed_counts() -> None:
    changed = output("anchors", deployed=replace(fidelity(0.3, 1.0), samples=replace(samples(), constant=True)))
    assert rule("fidelity", labelled_run(outputs=(output(), changed))).level == "fail"


# ------------------------------------------------------------------------------------------------ random outputs
RANDOM = output("noise", deployed=fidelity(0.1, 0.0), random="it is random", itself=fidelity(0.2, 0.1))


@pytest.mark.parametrize("limits", [Limits(), Limits(min_cosine=0.99, min_sqnr=30, min_sample_cosine=0.9)])
def test_what_is_random_cannot_be_compared_and_blames_no_weight(limits: Limits) -> None:
    for outputs in ((RANDOM,), (RANDOM, output(deployed=sampled())), (replace(RANDOM, nonfinite_reference=1),)):
        verdict = judge(comparison(labelled_run(outputs=outputs)), limits, LEDGER)
        assert verdict.level == "warn"
        found = next(r for r in verdict.rules if r.rule == "random")
        assert (found.level, found.figure) == ("warn", "'noise' cannot be compared: it is random")
        assert not [r for r in verdict.rules if "--exclude" in r.advice]
    assert "1 random output cannot be compared" in headline(sample_report(labelled_run(outputs=(RANDOM,))))
    assert "cannot be compared: it is random" in render_text(sample_report(labelled_run(outputs=(RANDOM,))))


def test_new_values_that_are_not_finite_fail_in_a_random_output_that_had_none() -> None:
    broken = replace(RANDOM, nonfinite_candidate=3)
    assert rule("finite", labelled_run(outputs=(broken,))).level == "fail"
    assert rule("finite", labelled_run(outputs=(replace(broken, nonfinite_reference=2),))).level == "pass"


def test_random_integers_are_not_counted() -> None:
    assert "integers" not in names(labelled_run(outputs=(replace(integers(0.5), random="it is random"),)))


# ------------------------------------------------------------------------------------------------ the task
@pytest.mark.parametrize(
    ("candidate", "samples", "max_drop", "level"),
    [
        (0.965, 400, None, "pass"),  # one point, in spite of floating point
        (0.964, 400, None, "warn"),
        (0.935, 20, None, "pass"),  # less than one sample of 20
        (0.9, 20, None, "warn"),
        (0.99, 400, None, "pass"),
        (0.965, 400, 0.01, "pass"),
        (0.964, 400, 0.01, "fail"),
        (0.9725, 400, 0.0, "fail"),
        (math.nan, 400, None, "warn"),
        (math.nan, 400, 0.5, "fail"),
    ],
)
def test_drop(candidate: float, samples: int, max_drop: float | None, level: str) -> None:
    run = labelled_run(metrics=(TaskMetric("top-5", 1.0, 1.0, samples), TaskMetric("top-1", 0.975, candidate, samples)))
    found = rule("drop", run, Limits(max_drop=max_drop))
    assert found.level == level
    assert found.figure.startswith("top-1 97.5 % -> ") or candidate == 0.99


def test_a_drop_without_labels_is_no_rule_unless_demanded() -> None:
    assert "drop" not in names(synthetic_run())
    assert "drop" not in names(None)
    assert rule("drop", synthetic_run(), Limits(max_drop=0.01)).level == "fail"
    assert "labelled samples with --data" in rule("drop", synthetic_run(), Limits(max_drop=0.01)).advice
    assert "--no-validate" in rule("drop", None, Limits(max_drop=0.01)).advice


@pytest.mark.parametrize(
    ("sqnr_db", "rows", "level"),
    [
        (27.0, None, "pass"),  # relative error .045
        (25.0, None, "fail"),  # .056, and no answers
        (25.0, 10, "fail"),  # of which none changed, and the next might
        (25.0, 400, "pass"),
        (9.0, 400, "fail"),  # too far whatever the answers
    ],
)
def test_what_a_search_without_labels_has_to_keep_fails_where_it_does_not(
    sqnr_db: float, rows: int | None, level: str
) -> None:
    close = replace(fidelity(sqnr_db=sqnr_db), top1_agreement=1.0, top1_rows=rows)
    run = synthetic_run(outputs=(output(deployed=close),))
    verdict = judge(comparison(run), Limits(max_drop=0.005), LEDGER, requests=Requests(chosen=True, searched=True))
    (found,) = (rule for rule in verdict.rules if rule.rule == "drop")
    assert found.level == level
    assert f"relative error {10 ** (-sqnr_db / 20):.3g}" in found.figure


# ------------------------------------------------------------------------------------------------ latency
@pytest.mark.parametrize(
    ("ratio", "low", "high", "limit", "level"),
    [
        (1.5, 1.4, 1.6, None, "warn"),
        (1.09, 1.05, 1.12, None, "pass"),
        (1.2, 0.9, 1.5, None, "warn"),  # too noisy to tell
        (2.692, 0.324, 4.877, None, "warn"),
        (1.0, 0.2, 5.0, None, "pass"),
        (0.5, 0.4, 0.6, None, "pass"),
        (math.nan, math.nan, math.nan, None, "warn"),
        (0.9, 0.85, 0.95, 0.95, "pass"),
        (1.0, 0.9, 1.1, 0.95, "warn"),  # the interval reaches below the limit
        (1.0, 0.96, 1.1, 0.95, "fail"),
        (1.5, 1.4, 1.6, 2.0, "pass"),
        (math.nan, math.nan, math.nan, 2.0, "fail"),
    ],
)
def test_latency_fails_only_beyond_noise(
    ratio: float, low: float, high: float, limit: float | None, level: str
) -> None:
    run = labelled_run(latency=latency(ratio, low, high))
    assert rule("latency-ratio", run, Limits(max_latency_ratio=limit)).level == level


def test_latency_advice_tells_noise_from_slowness() -> None:
    limits = Limits(max_latency_ratio=0.95)
    assert "measure again" in rule("latency-ratio", labelled_run(latency=latency(1.0, 0.9, 1.1)), limits).advice
    noisy = rule("latency-ratio", labelled_run(latency=latency(2.692, 0.324, 4.877)))
    assert (noisy.figure, noisy.limit) == ("2.692 [0.324, 4.877], too noisy to tell", "<= 1.1")
    assert "measure again" in noisy.advice
    assert "slower on this CPU" in rule("latency-ratio", labelled_run(latency=latency(2.0, 1.9, 2.1)), limits).advice
    apart = labelled_run(latency=latency(2.0, 1.9, 2.1, interleaved=False))
    assert rule("latency-ratio", apart).figure == "2.000 [1.900, 2.100], the sessions did not take turns"


def test_an_unmeasured_latency_limit_fails() -> None:
    assert "latency-ratio" not in names(labelled_run(latency=None))
    found = rule("latency-ratio", labelled_run(latency=None), Limits(max_latency_ratio=1))
    assert (found.level, found.figure) == ("fail", "not measured")
    assert "--seconds 0" in found.advice
    assert "--no-validate" in rule("latency-ratio", None, Limits(max_latency_ratio=1)).advice


# ------------------------------------------------------------------------------------------------ the data
def test_samples_to_which_a_model_has_one_answer_prove_nothing() -> None:
    told = rule("data", replace(synthetic_run(), outputs=(constant(),)))
    assert (told.level, told.figure) == (
        "warn", "synthetic (seed 0), 4 feeds: every output is the same in every sample"
    )  # fmt: skip
    several = (constant(), output("z", deployed=fidelity(0.9, 20.0)))
    assert rule("data", replace(synthetic_run(), outputs=several)).level == "pass"


def test_synthetic_data_is_said_and_no_proof_of_a_demanded_fidelity() -> None:
    told = rule("data", synthetic_run())
    assert (told.level, told.figure) == ("pass", "synthetic (seed 0), 4 feeds")
    demanded = rule("data", synthetic_run(), Limits(min_cosine=0.9))
    assert demanded.level == "warn"
    assert "--data" in demanded.advice
    assert rule("data", labelled_run(), Limits(min_cosine=0.9)).level == "pass"


def test_what_was_not_validated_warns() -> None:
    verdict = judge(comparison(None), Limits(), LEDGER)
    assert [(r.rule, r.level) for r in verdict.rules] == [("size", "pass"), ("changed", "pass"), ("validated", "warn")]
    assert verdict.level == "warn"


def test_hostile_names_are_escaped_in_every_text_of_a_rule() -> None:
    run = labelled_run(
        outputs=(output(HOSTILE, deployed=fidelity(0.1, 0.1)), output(HOSTILE, deployed=None, problem=HOSTILE)),
        metrics=(TaskMetric(HOSTILE, 1.0, 0.0, 10),),
        feeds=FeedFacts(HOSTILE, 1, None, True),
    )
    for found in judge(comparison(run), Limits(min_sqnr=3), LEDGER).rules:
        assert f"{found.figure}{found.limit}{found.advice}".isprintable()
