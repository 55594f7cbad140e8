"""What results can be written as: the one place where a renderer is entered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Format:
    """A format, which is an option of the commands whose results it can show."""

    name: str  # of the option
    text: str  # what the option says
    renderers: Mapping[str, str]  # {type of the result: "module:function" in this package}; imported when it is used


ALL_FORMATS = (
    Format(
        "json",
        "Also write it as JSON; - for stdout.",
        {
            "Report": "json_report:to_json",
            "Results": "results_text:results_json",
            "CheckReport": "check_json:check_json",
            "BenchReport": "bench_text:bench_json",
            "Inspection": "inspect_text:inspection_json",
            "SensitivityReport": "sensitivity_text:sensitivity_json",
        },
    ),
    Format(
        "markdown",
        "Also as Markdown; - for stdout.",
        {
            "Report": "markdown:render_markdown",
            "Results": "results_text:results_markdown",
            "CheckReport": "check_text:check_markdown",
        },
    ),
    Format(
        "html",
        "Also as one HTML page; - for stdout.",
        {
            "Report": "pages.report_page:render_html",
            "Results": "pages.results_page:render_results_html",
            "CheckReport": "pages.check_page:render_check_html",
            "BenchReport": "pages.bench_page:render_bench_html",
            "SensitivityReport": "pages.sensitivity_page:render_sensitivity_html",
        },
    ),
    Format(
        "junit",
        "Checks as JUnit XML; - for stdout.",
        {
            "Report": "junit:render_junit",
            "Results": "junit:render_results_junit",
            "CheckReport": "junit:render_check_junit",
        },
    ),
    Format(
        "sarif",
        "Missed checks as SARIF, for code scanning; - for stdout.",
        {
            "Report": "sarif:render_sarif",
            "Results": "sarif:render_results_sarif",
            "CheckReport": "sarif:render_check_sarif",
        },
    ),
    Format(
        "csv",
        "Ledger, or table of results, as CSV; - for stdout.",
        {
            "Report": "csv_report:render_csv",
            "Results": "results_text:results_csv",
            "SensitivityReport": "sensitivity_text:sensitivity_csv",
        },
    ),
)


def formats_of(kind: str) -> list[Format]:
    """Those that can show results of the type of this name."""
    return [entry for entry in ALL_FORMATS if kind in entry.renderers]


def rendered(result: object, name: str) -> str:
    """The result in the format of this name, which has to be one of `formats_of` its type."""
    (renderer,) = (entry.renderers[type(result).__name__] for entry in ALL_FORMATS if entry.name == name)
    module, _, function = renderer.partition(":")
    render: Callable[[Any], str] = getattr(import_module(f"nncompress.report.{module}"), function)
    return render(result)
