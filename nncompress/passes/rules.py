"""Rules of a pass: other options for the weights that a glob matches, the first rule that does decides.

[[steps.rules]]                      --rule "*embed* bits=4 block=32"
match = "*embed*"
bits = 4
block = 32
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, WithJsonSchema

from nncompress.errors import UsageError, nearest
from nncompress.model.lineage import stored_already
from nncompress.model.model import Model
from nncompress.model.weights import Weight
from nncompress.passes.base import WeightPass
from nncompress.passes.option_types import typed_value
from nncompress.passes.select import check_globs, matches
from nncompress.results.record import Outcome

_MATCH, _KEEP = "match", "keep"
_OF_THE_STEP = frozenset({"include", "exclude", "op_types", "min_size", "rules"})


@dataclass(frozen=True)
class Rule:
    """Options for the weights whose name, or that of a node that reads them, matches; `keep`: they stay as they are."""

    match: str
    keep: bool = False
    options: tuple[tuple[str, Any], ...] = ()

    def table(self) -> dict[str, Any]:
        """As it stands in a recipe."""
        return {_MATCH: self.match, **({_KEEP: True} if self.keep else {}), **dict(self.options)}

    def __str__(self) -> str:
        """As it is typed."""
        words = [_KEEP] * self.keep + [f"{name}={value}" for name, value in self.options]
        is_plain = _words(self.match) == [self.match]
        return " ".join([self.match if is_plain else shlex.quote(self.match), *words])


def _read(value: Any) -> Any:
    """A rule of a table, or of a text as it is typed. Raises ValueError with what is wrong."""
    table = _typed(value) if isinstance(value, str) else value
    if not isinstance(table, Mapping):
        return value
    match, keep = table.get(_MATCH), table.get(_KEEP, False)
    options = {key: option for key, option in table.items() if key not in (_MATCH, _KEEP)}
    if not isinstance(match, str) or not match:
        raise ValueError('it needs match = "GLOB"')
    if not isinstance(keep, bool) or keep == bool(options):
        raise ValueError(f"{match!r} needs options such as bits = 4, or keep = true for weights that stay as they are")
    return Rule(match, keep, tuple(options.items()))


def _typed(text: str) -> dict[str, Any]:
    parts = _words(text)
    if parts is None:
        raise ValueError(f"{text!r}: a name with quotes, backslashes or spaces is written in quotes")
    match, *words = parts or [""]
    names = [word.partition("=")[0] for word in words]
    if len(set(names)) < len(names):
        raise ValueError(f"{text!r}: an option is given twice")
    pairs = [word.partition("=") for word in words]
    return {_MATCH: match, **{name: typed_value(value) if equals else True for name, equals, value in pairs}}


def _words(text: str) -> list[str] | None:
    """As a shell takes them apart; None where a quote does not close."""
    try:
        return shlex.split(text)
    except ValueError:
        return None


RULE_SCHEMA = {
    "type": ["object", "string"],
    "required": [_MATCH],
    "properties": {_MATCH: {"type": "string"}, _KEEP: {"const": True}},
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}
OneRule = Annotated[Rule, BeforeValidator(_read), WithJsonSchema(RULE_SCHEMA)]


@dataclass(frozen=True)
class RuledPass(WeightPass):
    """Base of the passes whose options may differ from weight to weight."""

    rules: tuple[OneRule, ...] = field(default=(), metadata={"option": "--rule", "metavar": "'GLOB OPTION=VALUE'"})
    """other options for the weights that match a glob, or "GLOB keep" for weights that stay as they are; the first rule
    that matches a weight decides, and a rule that matches none is an error"""

    of_the_step: ClassVar[frozenset[str]] = frozenset()
    """options that are not those of single weights"""

    def problem(self) -> str | None:
        for rule in self.rules:
            try:
                self._with(rule)
            except UsageError as error:
                return f"rule {rule.match!r}: {str(error).removeprefix(f'{self.name}: ')}"
        return None

    def of(self, weight: Weight) -> Self:
        """The pass with the options that this weight has."""
        rule = self.rule_of(weight)
        return self if rule is None else self._with(rule)

    def rule_of(self, weight: Weight) -> Rule | None:
        """The first that matches it."""
        return next((rule for rule in self.rules if matches(weight, (rule.match,))), None)

    def variants(self) -> Sequence[Self]:
        """With its own options, and with those of each rule; none of them has rules."""
        own = dataclasses.replace(self, rules=())
        return [own, *(self._with(rule) for rule in self.rules if not rule.keep)]

    def selected(self, model: Model, weights: list[Weight]) -> tuple[list[Weight], list[Outcome]]:
        check_globs([rule.match for rule in self.rules], weights, stored_already(model))
        return super().selected(model, weights)

    def spares(self, weight: Weight) -> str | None:
        rule = self.rule_of(weight)
        return f"a rule keeps it as it is ({rule.match})" if rule and rule.keep else None

    def _reason_against(self, weight: Weight) -> str | None:
        return super()._reason_against(weight) or RuledPass.spares(self, weight)

    def _with(self, rule: Rule) -> Self:
        own = {option.name for option in dataclasses.fields(self)}
        known = own - _OF_THE_STEP - self.of_the_step
        for name, _ in rule.options:
            if name not in known:
                unknown = f"unknown option {name!r}{nearest(name, known)}"
                raise UsageError(f"{name} is of the whole step" if name in own else unknown)
        options = dict(rule.options)
        if options.get("granularity") == "tensor":
            options.setdefault("block", None)
        return dataclasses.replace(self, rules=(), **{**self.not_inherited(options), **options})

    def not_inherited(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Other options as they are by default, where a rule with these does not go with those of the step."""
        return {}
