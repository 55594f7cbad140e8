"""Tiles answer size, accuracy, latency and verdict, and say what was not measured."""

from __future__ import annotations

from dataclasses import replace

from nncompress.report.pages.tiles import Tile, tiles, verdict_tile
from nncompress.results.limits import Limits
from nncompress.results.record import Report, TaskMetric
from tests.sample_report import comparison, fidelity, labelled_run, latency, output, sample_report, synthetic_run


def tiles_of(report: Report) -> dict[str, Tile]:
    made = tiles(report.comparison, report.verdict.rules)
    return {tile.title: tile for tile in made}


def test_the_figures_of_a_labelled_run() -> None:
    shown = tiles_of(sample_report())
    assert [(tile.title, tile.figure) for tile in shown.values()] == [
        ("Size", "3.86x smaller"),
        ("top-1", "97.5 %"),
        ("Outputs", "cosine 0.99998"),
        ("Latency", "no clear change"),
        ("Verdict", "WARN"),
    ]
    assert [key.text for key in shown["Size"].keys] == ["1.21 MB original", "314 kB result"]
    assert [round(box.width, 1) for box in shown["Size"].boxes] == [100, 25.9]
    assert shown["top-1"].keys[-1].text == "nothing lost, 400 samples"
    assert [key.text for key in shown["Outputs"].keys] == [
        "SQNR 44.0 dB, bar to 60 dB",
        "worst sample 16.5 dB, cosine 0.9871 (samples 64 to 95, row 7)",
    ]
    assert [key.text for key in shown["Latency"].keys][2:] == ["ratio 0.980 [0.950, 1.020]", "not distinguishable"]


def test_each_tile_has_the_level_of_its_rules() -> None:
    run = labelled_run(metrics=(TaskMetric("top-1", 0.975, 0.9, 400),), latency=latency(1.5, 1.4, 1.6))
    shown = tiles_of(sample_report(run, Limits(max_drop=0.01)))
    levels = {title: tile.level for title, tile in shown.items()}
    assert levels == {"Size": "pass", "top-1": "fail", "Outputs": "pass", "Latency": "warn", "Verdict": "fail"}
    assert shown["top-1"].keys[-1].text == "7.50 points lost, 400 samples"
    assert shown["Latency"].figure == "1.50x slower"


def test_what_was_not_measured_is_said() -> None:
    shown = tiles_of(replace(sample_report(), comparison=comparison(None)))
    assert (shown["Outputs"].figure, shown["Latency"].figure) == ("not validated", "not measured")
    untimed = tiles_of(sample_report(synthetic_run(latency=None)))
    assert untimed["Latency"].figure == "not measured"
    assert untimed["Outputs"].keys[-1].text == "on synthetic inputs: no proof"
    noisy = tiles_of(sample_report(labelled_run(latency=replace(latency(), noise=("NOISE: x",)))))
    assert noisy["Latency"].keys[-1].kind == "warn"


def test_identical_and_discrete_outputs_need_no_cosine() -> None:
    same = output(deployed=fidelity(None, None, identical=True))
    assert tiles_of(sample_report(labelled_run(outputs=(same,))))["Outputs"].figure == "identical"
    classes = output(dtype="int64", deployed=fidelity(None, None))
    assert tiles_of(sample_report(labelled_run(outputs=(classes,))))["Outputs"].figure == "99.5 % equal"


def test_the_verdict_is_a_box_a_rule() -> None:
    rules = sample_report().verdict.rules
    tile = verdict_tile(rules)
    assert [box.kind for box in tile.boxes] == [rule.level for rule in rules]
    assert tile.boxes[0].name == "PASS size: 1.21 MB -> 314 kB (3.86x smaller)"
    assert sum(box.width for box in tile.boxes) < 100
    assert [key.text for key in tile.keys] == ["1 warning", f"{len(rules) - 1} passed"]
    assert verdict_tile(()).boxes == ()
