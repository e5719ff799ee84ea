"""Decision tables: a value chosen by several source columns (spec concepts, C08).

Rules are tried in order; the first whose conditions all hold gives the result. A rule
may name the present values of the target from which its result may be written; from
any other the column is left as it is. A new record always gets the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ANY = "*"
"""How files write a condition that always holds."""

ALWAYS: tuple[str, ...] = ()
"""A condition that always holds."""


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """`when` has a condition for each source column: the values of which it must have
    one, or `ALWAYS`. `blank` stands for no value. `present`, when given, are the values
    of the target from which `then` may be written."""

    when: tuple[tuple[str, ...], ...]
    then: str
    present: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class DecisionTable:
    """The rules over these column paths of the source. Where none applies, the line's
    default is written; without one the record fails with `no_rule_matches`."""

    sources: tuple[str, ...]
    rules: tuple[DecisionRule, ...]

    def texts(self) -> Iterator[str]:
        """Every text that the table holds."""
        yield from self.sources
        for rule in self.rules:
            for condition in rule.when:
                yield from condition
            yield rule.then
            yield from rule.present or ()

    def content(self) -> dict[str, Any]:
        """The table as plain data, the way files write it."""
        return {
            "sources": list(self.sources),
            "rules": [
                {"when": [*map(_condition, rule.when)], "then": rule.then}
                | ({} if rule.present is None else {"present": list(rule.present)})
                for rule in self.rules
            ],
        }


def _condition(values: tuple[str, ...]) -> str | list[str]:
    if values == ALWAYS:
        return ANY
    return values[0] if len(values) == 1 and values[0] != ANY else list(values)
