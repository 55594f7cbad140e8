"""What all pages share: one file that needs no network, pictures inline, styles inline, readable without scripts."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files

from nncompress.errors import printable
from nncompress.report.charts.axes import PLOT_HEIGHT, PLOT_WIDTH
from nncompress.report.pages.tiles import Tile
from nncompress.report.tables import Table, machine_rows, make_table
from nncompress.results.record import Environment
from nncompress.results.units import format_time
from nncompress.results.verdict import Level, RuleResult


@dataclass(frozen=True)
class Folded:
    """A table that can be folded away."""

    table: Table
    opened: bool = False
    sortable: int = 0  # rows that can be put in another order


@dataclass(frozen=True)
class Missed:
    """A rule that did not pass."""

    level: Level
    rule: str
    figure: str
    limit: str
    advice: str


@dataclass(frozen=True)
class Head:
    """What stands above the pictures."""

    level: Level | None  # None: nothing was judged
    title: str  # of the window: the verdict in one sentence
    heading: str
    made: str
    tiles: tuple[Tile, ...]
    missed: tuple[Missed, ...] = ()
    lines: tuple[str, ...] = ()


def missed(rules: Iterable[RuleResult], about: str = "") -> list[Missed]:
    """Those that fail, then those that warn. `about`: what they judged, where there are several."""
    before = f"{printable(about)}: " if about else ""
    chosen = [rule for level in ("fail", "warn") for rule in rules if rule.level == level]
    return [
        Missed(rule.level, before + printable(rule.rule), *map(printable, (rule.figure, rule.limit, rule.advice)))
        for rule in chosen
    ]


def made(what: str, environment: Environment) -> str:
    """Such as "nncompress quantize 0.1.0, 2026-01-31 09:30:00 UTC, onnxruntime 1.31.1"."""
    when = f", {format_time(environment.made_at)}" if environment.made_at else ""
    return printable(f"{what}{when}, nncompress {environment.nncompress}, onnxruntime {environment.onnxruntime}")


def machine(environment: Environment) -> Folded:
    """Where the figures come from."""
    return Folded(make_table("Environment", ["", ""], machine_rows(environment), set()))


def render_page(template: str, head: Head, tables: Sequence[Folded], **pictures: object) -> str:
    """Jinja escapes every text; template errors are bugs, hence StrictUndefined."""
    import jinja2  # only pages need it, and it takes longer to import than the others take to render

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nncompress.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["whole_options"] = _whole_options
    style = _file("page.css")
    script = _file("sort.js") if any(folded.sortable for folded in tables) else ""
    return environment.get_template(template).render(
        pictures, head=head, tables=tables, style=style, script=script, policy=_policy(style, script),
        width=PLOT_WIDTH, height=PLOT_HEIGHT,
    )  # fmt: skip


def _whole_options(text: str) -> str:
    """As HTML in which no browser ends a line within an option such as --max-drop."""
    import markupsafe

    return markupsafe.Markup(
        re.sub(r"--[a-z][\w-]*", r'<span class="whole">\g<0></span>', str(markupsafe.escape(text)))
    )


def _file(name: str) -> str:
    return (files("nncompress.report") / "templates" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """A Content-Security-Policy under which nothing is loaded, and nothing else is applied or run."""
    sources = f"style-src {_source(style)}" + (f"; script-src {_source(script)}" if script else "")
    return f"default-src 'none'; {sources}; base-uri 'none'; form-action 'none'"


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
