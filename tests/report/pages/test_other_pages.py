"""The pages of `check`, `bench` and many results."""

from __future__ import annotations

import re
from dataclasses import replace

from nncompress.report.pages.bench_page import render_bench_html
from nncompress.report.pages.check_page import render_check_html
from nncompress.report.pages.results_page import render_results_html
from nncompress.results.check import CheckedModel
from nncompress.results.front import NoResult, results_of
from nncompress.results.limits import Limits
from nncompress.results.record import Report
from nncompress.results.verdict import RuleResult
from tests.report.pages.test_page import BENCH, CHECK, benched
from tests.sample_report import labelled_run, latency, sample_report


def figures_of(text: str) -> dict[str, str]:
    return dict(re.findall(r'<h2>(.*?)</h2>\n<p class="figure">(.*?)</p>', text))


def test_a_check_shows_each_model_and_how_much_of_a_limit_it_uses() -> None:
    size = RuleResult("max-size", "fail", "2.00 kB", "<= 1.00 kB", "shrink it", 2000.0, 1000.0)
    models = (
        CheckedModel("a.onnx", None, None, (replace(size, level="pass"),)),
        CheckedModel("b.onnx", None, None, (size,)),
    )
    text = render_check_html(replace(CHECK, models=models, notes=()))
    assert figures_of(text) == {"Verdict": "FAIL", "b.onnx": "FAIL", "a.onnx": "PASS"}
    assert '<li class="fail"><b>FAIL b.onnx: max-size</b> 2.00 kB <span class="soft">limit &lt;= 1.00 kB</span>' in text
    assert text.index("b.onnx against its limits") < text.index("a.onnx against its limits")


def test_a_bench_draws_what_all_models_have() -> None:
    models = (benched("a/m.onnx"), benched("a/n.onnx", peak_bytes=None, ratio=0.5))
    text = render_bench_html(replace(BENCH, models=models, notes=("NOISE: busy",)))
    assert figures_of(text) == {"m.onnx": "1.23 ms", "n.onnx": "1.23 ms"}
    titles = re.findall(r"<figure>\n<h2>(.*?)</h2>", text)
    assert titles == ["Latency", "File size", "Load time of a session", "How latency is distributed"]
    assert "NOISE: busy. The vertical line" in text
    alone = render_bench_html(replace(BENCH, models=models[:1]))
    assert re.findall(r"<figure>\n<h2>(.*?)</h2>", alone) == ["How latency is distributed"]


def named(name: str, size: int, cosine_loss: float, limits: Limits | None = None, ratio: float = 1.0) -> Report:
    run = labelled_run(latency=latency(ratio, ratio - 0.01, ratio + 0.01))
    output = run.outputs[0]
    assert output.deployed is not None
    closer = replace(output, deployed=replace(output.deployed, cosine=1 - cosine_loss))
    report = sample_report(replace(run, outputs=(closer,), metrics=()), limits or Limits())
    candidate = replace(report.comparison.candidate, path=name, file_bytes=size)
    return replace(report, comparison=replace(report.comparison, candidate=candidate))


def test_results_name_the_smallest_the_closest_and_the_fastest_that_pass() -> None:
    reports = [
        named("out/small.onnx", 121_000, 1e-3), named("out/close.onnx", 605_000, 1e-5),
        named("out/fast.onnx", 500_000, 1e-3, ratio=0.5), named("out/missed.onnx", 1_000, 1e-9, Limits(max_size=10)),
    ]  # fmt: skip
    text = render_results_html(results_of(reports, [NoResult("m--lost", None, "has not ended")]))
    assert figures_of(text) == {
        "Smallest that passes": "10.00x smaller",
        "Closest that passes": "cosine 0.99999",
        "Fastest that passes": "2.00x faster",
        "Results": "FAIL",
    }
    assert '<li class="fail"><b>FAIL missed.onnx</b> max-size &lt;= 10 B</li>' in text
    for told in ("1 failed", "3 passed", "1 without result", "Results for digits_cnn.onnx"):
        assert told in text


def test_no_option_in_an_advice_is_broken_by_the_end_of_a_line() -> None:
    rule = RuleResult("latency-ratio", "warn", "1.3", "<= 1.1", "choose another (--form) <b> or --exclude it", 1.3, 1.1)
    text = render_check_html(replace(CHECK, models=(CheckedModel("a.onnx", None, None, (rule,)),), notes=()))
    assert '(<span class="whole">--form</span>) &lt;b&gt; or <span class="whole">--exclude</span> it' in text
