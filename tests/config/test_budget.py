"""Budgets: what is understood, everything that is refused, and what a check makes of real models."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nncompress.config.budget import Budget, Config, find_config, load_config
from nncompress.errors import UsageError
from nncompress.report.check_json import check_json
from nncompress.results.check import CheckReport
from nncompress.results.rules.on_regressions import read_baseline, with_regressions
from nncompress.results.verdict import RuleResult
from nncompress.workflow.check import check_budgets
from nncompress.workflow.proof import Proof
from tests.models import noise, proto_of, saved
from tests.support import IMAGES, MLP, SAMPLES

ALONE = f'[[budget]]\npath = "{MLP.name}"\ndata = "{IMAGES.name}"\n'
ERRORS = """
def errors(outputs, labels, inputs):
    return 0.25

errors.lower_is_better = True
"""
QUICK = Proof(seconds=0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    saved(proto_of("m (float[n, 40] x) => (float[n, 30] y) { y = MatMul(x, w) }", w=noise(40, 30)), tmp_path / "m.onnx")
    return tmp_path


def config_of(folder: Path, text: str, name: str = "nncompress.toml") -> Config:
    (folder / name).write_text(text)
    return load_config(folder / name)


def check(folder: Path, text: str) -> CheckReport:
    config = config_of(folder, text)
    assert config.problems == ()
    return check_budgets(config, QUICK)


def rules_of(report: CheckReport) -> dict[str, RuleResult]:
    (model,) = report.models
    return {rule.rule: rule for rule in model.rules}


# ------------------------------------------------------------------------------------------------ reading
def test_limits_are_read_with_their_units(folder: Path) -> None:
    text = """
        [[budget]]
        path = "m.onnx"
        max_size = "1.5 MiB"
        max_packed_size = 4096
        max_params = "1.2 M"
        max_macs = 5_000
        reference = "m.onnx"
        min_cosine = 0.999
        min_sqnr = "30 dB"
        max_latency_ratio = 1.1
        max_drop = "0.5 %"
        min_metric = 0.97
        max_metric = 20
        data = "m.onnx"
        metric = ["f1", "mse"]
        metric_output = "y"
        level = "warn"
        optional = true
    """
    assert config_of(folder, text) == Config(
        folder / "nncompress.toml",
        (
            Budget(
                path="m.onnx", max_size=3 << 19, max_packed_size=4096, max_params=1_200_000, max_macs=5_000,
                reference="m.onnx", min_cosine=0.999, min_sqnr=30.0, max_drop=0.005, max_latency_ratio=1.1,
                min_metric=0.97, max_metric=20.0, data="m.onnx", metric=("f1", "mse"), metric_output="y",
                level="warn", optional=True,
            ),
        ),
        (),
    )  # fmt: skip


def test_pyproject_has_them_below_tool(folder: Path) -> None:
    text = '[project]\nname = "x"\n[[tool.nncompress.budget]]\npath = "*.onnx"\nmax_size = "1 MB"'
    assert config_of(folder, text, "pyproject.toml").budgets == (Budget(path="*.onnx", max_size=1_000_000),)
    assert find_config(folder) == folder / "pyproject.toml"


def test_nncompress_toml_goes_before_pyproject(folder: Path) -> None:
    for name in ("pyproject.toml", "nncompress.toml"):
        (folder / name).write_text("[tool.nncompress]")
    assert find_config(folder).name == "nncompress.toml"


@pytest.mark.parametrize("text", [None, "[project]\nname = 'x'"])
def test_no_configuration_is_an_error_that_names_init(text: str | None, folder: Path) -> None:
    if text:
        (folder / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match="try nncompress init"):
        find_config(folder)


@pytest.mark.parametrize(
    ("text", "message"), [(None, "cannot read .*no such file"), ("a = ", "is not TOML"), ("a = 1\na = 2", "not TOML")]
)
def test_a_file_that_is_no_toml_is_an_error(text: str | None, message: str, folder: Path) -> None:
    if text is not None:
        (folder / "nncompress.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        load_config(folder / "nncompress.toml")


NO_TABLE = 'it needs [[budget]] with path = "MODEL.onnx" and a limit'


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", [NO_TABLE]),
        ("budget = 3", [NO_TABLE]),
        ("[[bugdet]]\npath = 'm.onnx'", ["unknown key 'bugdet' (did you mean 'budget'?)", NO_TABLE]),
    ],
)
def test_a_file_without_budgets(text: str, problems: list[str], folder: Path) -> None:
    assert config_of(folder, text).problems == tuple(problems)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("max_sise = 3", "unknown key 'max_sise' (did you mean 'max_size'?)"),
        (
            "max_size = '4 XB'",
            "max_size: unknown unit 'XB' in size '4 XB': use B, kB, MB, GB, TB, KiB, MiB, GiB or TiB",
        ),
        ("max_size = -1", "max_size: '-1' must be finite and not negative"),
        ("max_size = true", "max_size: True is neither text nor a number"),
        ("max_params = '3 X'", "max_params: unknown unit 'X' in number '3 X': use k, M, G or T"),
        ("min_cosine = 1.5", "min_cosine: 1.5 is no cosine: it must lie between -1 and 1"),
        ("min_cosine = nan", "min_cosine: nan is no cosine: it must lie between -1 and 1"),
        ("min_sqnr = '30 m'", "min_sqnr: '30 m' is not a number of decibels such as '30 dB' or '30'"),
        ("max_latency_ratio = 0", "max_latency_ratio: 0 is no ratio: it must be above 0"),
        ("max_latency_ratio = 'x'", "max_latency_ratio: 'x' is not a number"),
        ("max_drop = 2", "max_drop: share '2' is ambiguous: write '2 %', or a fraction below 1"),
        ("level = 'fatal'", "level must be 'error' or 'warn', not 'fatal'"),
        ("optional = 1", "optional must be true or false, not 1"),
    ],
)
def test_a_value_that_cannot_be_meant(line: str, problem: str, folder: Path) -> None:
    config = config_of(folder, f"[[budget]]\npath = 'm.onnx'\nmax_macs = 1\n{line}")
    assert config.problems == (f"budget 1 (m.onnx): {problem}",)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("", "it has no limit: give one such as max_size"),
        ("min_cosine = 0.9", "min_cosine needs a reference model to compare with"),
        ("min_cosine = 0.9\nmin_sqnr = 9", "min_cosine, min_sqnr need a reference model to compare with"),
        ("max_drop = 0.1\nreference = 'm.onnx'", "max_drop needs labelled data"),
        ("min_metric = 0.9", "min_metric needs labelled data"),
        ("max_size = 1000\nlabels = 'm.onnx'", "labels need data: they belong to samples"),
        ("max_size = 1000\ndata = 'm.onnx'", "no limit uses the data"),
        (
            "max_size = 1000\nreference = 'm.onnx'",
            "no limit uses the reference: give one of min_cosine, min_sqnr, min_sample_cosine, min_sample_sqnr, "
            "max_drop, max_latency_ratio",
        ),
    ],
)
def test_keys_that_contradict_each_other(lines: str, problem: str, folder: Path) -> None:
    assert config_of(folder, f"[[budget]]\npath = 'm.onnx'\n{lines}").problems == (f"budget 1 (m.onnx): {problem}",)


def test_a_missing_path_is_said(folder: Path) -> None:
    assert config_of(folder, "[[budget]]\nmax_size = 3000").problems == ("budget 1: path is missing",)


def test_everything_that_is_wrong_is_said_at_once(folder: Path) -> None:
    text = """
        budgets = 1
        [[budget]]
        path = "m.onnx"
        max_sise = "1 MB"
        min_cosine = 3
        [[budget]]
        path = "nothing-*.onnx"
        max_size = "1 MB"
        [[budget]]
        path = "m.onnx"
        min_cosine = 0.9
        reference = "gone.onnx"
    """
    assert config_of(folder, text).problems == (
        "unknown key 'budgets' (did you mean 'budget'?)",
        "budget 1 (m.onnx): unknown key 'max_sise' (did you mean 'max_size'?)",
        "budget 1 (m.onnx): min_cosine: 3 is no cosine: it must lie between -1 and 1",
        "path 'nothing-*.onnx' matches no file (optional = true allows that)",
        "reference 'gone.onnx' does not exist (paths are relative to nncompress.toml)",
    )


def test_a_glob_without_a_match_may_be_optional(folder: Path) -> None:
    report = check(
        folder, "[[budget]]\npath = 'no*.onnx'\nmax_size = 1000\noptional = true\nreference='r'\nmin_cosine=1"
    )
    assert report.models == ()
    assert report.level == "pass"
    assert report.notes == ("'no*.onnx' matches no file, which its budget allows",)


def test_globs_are_relative_to_the_file_and_pass_hidden_files_by(folder: Path) -> None:
    (folder / "deep/er").mkdir(parents=True)
    for name in ("deep/a.onnx", "deep/er/b.onnx", "deep/.hidden.onnx", "deep/a.txt"):
        (folder / name).write_bytes((folder / "m.onnx").read_bytes())
    report = check(folder, "[[budget]]\npath = '**/*.onnx'\nmax_size = '1 MB'")
    assert [model.path for model in report.models] == ["deep/a.onnx", "deep/er/b.onnx", "m.onnx"]


# ------------------------------------------------------------------------------------------------ checking
def test_limits_on_the_file_alone(folder: Path) -> None:
    size = (folder / "m.onnx").stat().st_size
    limits = f"max_size = {size}\nmax_packed_size = '100 B'\nmax_params = 1199\nmax_macs = '1.2 k'"
    rules = rules_of(check(folder, f"[[budget]]\npath = 'm.onnx'\n{limits}"))
    assert {name: rule.level for name, rule in rules.items()} == {
        "max-size": "pass", "max-packed-size": "fail", "max-params": "fail", "max-macs": "pass",
    }  # fmt: skip
    limit = f"<= 1,199 ({folder / 'nncompress.toml'})"
    assert (rules["max-params"].figure, rules["max-params"].limit) == ("1,200", limit)
    assert rules["max-params"].advice == "1 above the limit: use a smaller model, or raise the limit"
    assert rules["max-size"].advice == ""


def test_figures_that_three_digits_do_not_tell_apart_are_shown_in_full(folder: Path) -> None:
    size = (folder / "m.onnx").stat().st_size
    rule = rules_of(check(folder, f"[[budget]]\npath = 'm.onnx'\nmax_size = {size - 1}"))["max-size"]
    assert (rule.level, rule.figure, rule.limit.partition(" (")[0]) == ("fail", f"{size:,}", f"<= {size - 1:,}")


def test_a_budget_may_only_warn(folder: Path) -> None:
    report = check(folder, "[[budget]]\npath = 'm.onnx'\nmax_size = 1000\nlevel = 'warn'")
    assert report.level == "warn"


def test_a_figure_that_is_not_known_fails(folder: Path) -> None:
    proto = proto_of("m (float[n, t, 40] x) => (float[n, t, 30] y) { y = MatMul(x, w) }", w=noise(40, 30))
    saved(proto, folder / "free.onnx")
    rule = rules_of(check(folder, "[[budget]]\npath = 'free.onnx'\nmax_macs = '1 G'"))["max-macs"]
    assert (rule.level, rule.figure) == ("fail", "not measured")


def test_several_budgets_of_one_model_are_shown_together(folder: Path) -> None:
    report = check(folder, "[[budget]]\npath='*.onnx'\nmax_size='1 MB'\n[[budget]]\npath='m.onnx'\nmax_params=9999")
    assert list(rules_of(report)) == ["max-size", "max-params"]


def test_a_model_is_compared_with_its_reference_on_real_data(tmp_path: Path) -> None:
    for file in (MLP, IMAGES):
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "small.onnx").symlink_to(MLP)
    text = f"""
        [[budget]]
        path = "small.onnx"
        reference = "{MLP.name}"
        data = "{IMAGES.name}"
        min_cosine = 0.999
        min_sqnr = 40
        max_drop = "0.5 %"
        min_metric = "90 %"
        max_latency_ratio = 50
    """
    report = check(tmp_path, text)
    rules = rules_of(report)
    assert {name: rule.level for name, rule in rules.items()} == dict.fromkeys(
        ["cosine", "sqnr", "worst-sample", "drop", "metric", "latency-ratio", "interface", "finite", "data"], "pass"
    )
    figures = report.models[0].figures
    assert (figures.cosine, figures.drop) == (1.0, 0.0)
    assert figures.metric is not None
    assert figures.metric > 0.9
    assert figures.latency_ratio is not None


def test_a_metric_of_the_model_alone_needs_no_reference(tmp_path: Path) -> None:
    for file in (MLP, IMAGES):
        (tmp_path / file.name).symlink_to(file)
    (model,) = check(tmp_path, ALONE + 'min_metric = "99.9 %"').models
    assert [(rule.rule, rule.level, rule.figure[:7]) for rule in model.rules] == [
        ("metric", "fail", "top-1 9"),
        ("metric", "pass", "top-5 1"),
    ]
    figures = model.figures
    assert (figures.metric_name, figures.metric_higher_is_better, figures.metric) == (
        "top-1",
        True,
        model.rules[0].value,
    )
    assert (figures.cosine, figures.sqnr_db, figures.latency_ratio, figures.drop) == (None, None, None, None)


def test_each_metric_is_judged_by_the_limit_that_is_meant_for_it(tmp_path: Path) -> None:
    for file in (MLP, IMAGES):
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "errors.py").write_text(ERRORS)
    limits = 'metric = ["top-1", "errors.py:errors"]\nmin_metric = "50 %"\nmax_metric = 0.001'
    (model,) = check(tmp_path, ALONE + limits).models
    assert [(rule.rule, rule.level) for rule in model.rules] == [("metric", "pass"), ("max-metric", "fail")]
    assert model.rules[0].figure.startswith("top-1 ")
    assert model.rules[1].figure.startswith("errors")


def test_a_limit_that_no_metric_is_meant_for_fails_and_says_which_one_to_use(tmp_path: Path) -> None:
    for file in (MLP, IMAGES):
        (tmp_path / file.name).symlink_to(file)
    rule = rules_of(check(tmp_path, ALONE + 'metric = "f1"\nmax_metric = 0.5'))["max-metric"]
    assert (rule.level, rule.figure) == ("fail", "not measured")
    assert rule.advice.startswith("f1: higher is better, so limit it with min_metric, or name a metric such as mse")
    assert "lower_is_better = True" in rule.advice


def test_advice_names_the_keys_of_the_budget_and_no_option(folder: Path) -> None:
    for name, text in (("nan", "y = Sqrt(x)"), ("same", "y = Sqrt(x)")):
        proto = proto_of(f"m (float[n, 4] x) => (float[n, 4] y) {{ {text} }}")
        saved(proto, folder / f"{name}.onnx")
    np.savez(folder / "eval.npz", x=np.full((8, 4), -1, np.float32))
    limits = "reference = 'same.onnx'\nmin_cosine = 0.9\nmin_sqnr = 30\n"
    rules = rules_of(check(folder, f"[[budget]]\npath = 'nan.onnx'\ndata = 'eval.npz'\n{limits}"))
    for name in ("cosine", "sqnr"):
        assert (rules[name].level, rules[name].figure) == ("fail", "not measured")
        assert 'nothing finite to compare: name real samples in the budget (data = "eval.npz")' in rules[name].advice
    made_up = rules_of(check(folder, f"[[budget]]\npath = 'm.onnx'\n{limits.replace('same', 'm')}"))
    assert made_up["data"].advice.startswith('name real samples in the budget (data = "eval.npz")')


def test_a_reference_with_other_inputs_is_named_as_what_to_correct(folder: Path) -> None:
    saved(proto_of("m (float[n, 4] z) => (float[n, 4] y) { y = Relu(z) }"), folder / "other.onnx")
    rule = rules_of(check(folder, "[[budget]]\npath='m.onnx'\nreference='other.onnx'\nmin_cosine=0.9"))["runs"]
    assert (rule.level, rule.limit) == ("fail", "the same inputs as the reference")
    assert "inputs 'x' float32; the reference" in rule.figure
    assert rule.advice == "name the model that this one was made from in the line reference = of the budget"


def test_fidelity_on_made_up_inputs_is_called_no_proof(folder: Path) -> None:
    rules = rules_of(check(folder, "[[budget]]\npath='m.onnx'\nreference='m.onnx'\nmin_cosine=0.9"))
    assert rules["data"].level == "warn"


def test_a_model_that_onnxruntime_refuses_fails_its_check(folder: Path) -> None:
    proto = proto_of("m (float[n, 40] x) => (float[n, 30] y) { y = MatMul(x, w) }", w=noise(40, 30))
    proto.graph.node[0].op_type = "NoSuchOperator"
    saved(proto, folder / "broken.onnx")
    rules = rules_of(check(folder, "[[budget]]\npath='broken.onnx'\nreference='m.onnx'\nmin_cosine=0.9"))
    assert (rules["runs"].level, rules["runs"].limit) == ("fail", "runs in onnxruntime")


def test_an_unreadable_model_fails_and_the_others_are_checked(folder: Path) -> None:
    (folder / "bad.onnx").write_bytes(b"no model")
    report = check(folder, "[[budget]]\npath='*.onnx'\nmax_size=100000")
    bad, good = report.models
    assert (bad.path, bad.sha256, bad.figures, good.path, good.level) == ("bad.onnx", None, None, "m.onnx", "pass")
    assert [(rule.rule, rule.level) for rule in bad.rules] == [("readable", "fail")]
    assert "bad.onnx" in bad.rules[0].figure
    assert (report.level, report.unreadable) == ("fail", True)


def test_what_was_unreadable_is_new_later(folder: Path) -> None:
    (folder / "bad.onnx").write_bytes(b"no model")
    report = check(folder, "[[budget]]\npath='*.onnx'\nmax_size=100000")
    baseline = read_baseline(check_json(report))
    assert list(baseline) == ["m.onnx"]
    assert with_regressions(report, baseline, 0.01).models[0].rules == report.models[0].rules


def test_a_budget_whose_data_cannot_be_read_fails_alone(folder: Path) -> None:
    (folder / "bad.npz").write_bytes(b"no data")
    report = check(folder, "[[budget]]\npath='m.onnx'\nreference='m.onnx'\nmin_cosine=0.9\ndata='bad.npz'")
    assert report.unreadable
    assert "bad.npz" in rules_of(report)["readable"].figure


def test_external_data_counts(tmp_path: Path) -> None:
    wide = SAMPLES / "digits_wide"
    config = Config(wide / "nncompress.toml", (Budget(path="model.onnx", max_size=100_000),), ())
    assert check_budgets(config, QUICK).level == "fail"
    assert check_budgets(replace(config, budgets=(Budget(path="model.onnx", max_size=950_000),)), QUICK).level == "pass"
