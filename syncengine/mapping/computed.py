"""Lines whose value a decision table or an expression makes of several columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from syncengine.errors import RecordError
from syncengine.mapping.decisions import ALWAYS, DecisionRule, DecisionTable
from syncengine.mapping.endpoints import Endpoint, SideSchema
from syncengine.mapping.expressions import (
    ExpressionError,
    bind_expression,
    parse_expression,
)
from syncengine.mapping.guards import GuardRule, fold, folded
from syncengine.mapping.model import ColumnMap, ColumnMapType, Direction, Severity, Side
from syncengine.mapping.problems import Problems, mismatch, names_of
from syncengine.mapping.schema import ColumnType
from syncengine.mapping.types import compatible, converter
from syncengine.mapping.value_tables import (
    Decisions,
    read_conditions,
    read_value,
    written_blank,
)

_ONE_WAY = {
    ColumnMapType.TO_DATAVERSE_TRANSFORM: Direction.FINOPS_TO_DATAVERSE,
    ColumnMapType.TO_FINOPS_TRANSFORM: Direction.DATAVERSE_TO_FINOPS,
}

Compute = Callable[..., str | None]


@dataclass(frozen=True)
class Computed:
    """How a line makes its value: `compute` takes the canonical texts of `sources`
    and gives the target's. `guards` say over what a result may be written."""

    sources: tuple[Endpoint, ...]
    compute: Compute
    guards: tuple[GuardRule, ...] = ()


def rule_paths(column_map: ColumnMap, side: Side) -> tuple[str, ...]:
    """The column paths on `side` that the line's rule reads; none when it is wrong."""
    way = _ONE_WAY.get(column_map.type)
    if way is None or way.source is not side:
        return ()
    if column_map.decision is not None:
        return column_map.decision.sources
    if column_map.expression is None:
        return ()
    try:
        return parse_expression(column_map.expression).paths
    except ExpressionError:
        return ()


def check_shape(column_map: ColumnMap, problems: Problems, place: str) -> bool:
    """False after noting (VMAP120) what a line with a rule must not be."""
    way = _ONE_WAY.get(column_map.type)
    if way is None or column_map.on(way.source) is not None:
        wrong = "flows one way (>> or <<) and has no column (none) on the source's side"
    elif column_map.decision is not None and column_map.expression is not None:
        wrong = "has one of both only"
    elif column_map.values is not None or column_map.value_map is not None:
        wrong = "has no value map beside it"
    elif column_map.decision is not None and not column_map.decision.rules:
        wrong = "has one rule at least"
    else:
        return True
    problems.add(
        "VMAP120",
        f"A line with a decision table or an expression {wrong}.",
        place=place,
        cure="Correct the line.",
        subject=("shape", *names_of(column_map)),
    )
    return False


def make_computed(
    column_map: ColumnMap,
    source: SideSchema,
    target: Endpoint,
    default: str | None,
    problems: Problems,
) -> Computed | None:
    """The line's rule on real columns; None after noting what is wrong with it.
    `default` is the line's, as canonical text."""
    if column_map.decision is not None:
        maker = _DecisionMaker(column_map, column_map.decision, target, problems)
        return maker.make(source, default)
    if column_map.expression is not None:
        return _expression(column_map, column_map.expression, source, target, problems)
    return None


def _resolve(
    paths: Sequence[str], source: SideSchema, problems: Problems
) -> tuple[Endpoint, ...] | None:
    found = [source.resolve(path, problems) for path in paths]
    ends = tuple(end for end in found if end is not None)
    return ends if len(ends) == len(found) else None


def _expression(
    column_map: ColumnMap,
    text: str,
    source: SideSchema,
    target: Endpoint,
    problems: Problems,
) -> Computed | None:
    try:
        parsed = parse_expression(text)
        ends = _resolve(parsed.paths, source, problems)
        if ends is None:
            return None
        types = {
            path: end.value_type for path, end in zip(parsed.paths, ends, strict=True)
        }
        bound = bind_expression(parsed, types)
    except ExpressionError as error:
        problems.add(
            "VMAP121",
            f"{error.message}\n{error.details['place']}",
            place=target.path,
            cure="Correct the expression.",
            subject=("expression", *names_of(column_map)),
        )
        return None
    if not compatible(bound.type, target.value_type):
        mismatch(
            problems,
            column_map,
            target.path,
            f"The expression gives {bound.type.name}, which cannot be carried into "
            f"{target.path} ({target.value_type.name}).",
        )
        return None
    convert = converter(bound.type, target.value_type)

    def compute(*values: str | None) -> str | None:
        result = bound(values)
        return result if result is None or convert is None else convert(result)

    return Computed(ends, compute)


class _DecisionMaker:
    """Reads one decision table for its target."""

    def __init__(
        self,
        column_map: ColumnMap,
        table: DecisionTable,
        target: Endpoint,
        problems: Problems,
    ) -> None:
        self._column_map = column_map
        self._table = table
        self._target = target
        self._problems = problems

    def make(self, source: SideSchema, default: str | None) -> Computed | None:
        """The table on real columns."""
        table = self._table
        ends = _resolve(table.sources, source, self._problems)
        if ends is None or not self._complete():
            return None
        types = [end.value_type for end in ends]
        if not self._conditions(types):
            return None
        results = self._results()
        guards = self._guards(results, default) if results is not None else None
        if results is None or guards is None:
            return None
        self._warn_of_idle_rules()
        decide = Decisions(table, types, results, default)
        return Computed(ends, lambda *values: decide(values), guards)

    def _mismatch(self, message: str) -> None:
        mismatch(self._problems, self._column_map, self._target.path, message)

    def _complete(self) -> bool:
        width = len(self._table.sources)
        if width and all(len(rule.when) == width for rule in self._table.rules):
            return True
        self._problems.add(
            "VMAP120",
            "Each rule of a decision table has one condition for each source column.",
            place=self._target.path,
            cure="Correct the decision table.",
            subject=("shape", *names_of(self._column_map)),
        )
        return False

    def _conditions(self, types: Sequence[ColumnType]) -> bool:
        for number, rule in enumerate(self._table.rules, 1):
            try:
                read_conditions(replace(self._table, rules=(rule,)), types)
            except RecordError as error:
                self._mismatch(f"A condition of rule {number} does not fit: {error}")
                return False
        return True

    def _results(self) -> list[str | None] | None:
        target, made = self._target, []
        for number, rule in enumerate(self._table.rules, 1):
            try:
                value = read_value(rule.then, target.value_type)
                made.append(
                    value if value is not None else written_blank(target.column)
                )
            except RecordError as error:
                self._mismatch(f"The result of rule {number} does not fit: {error}")
                return None
        return made

    def _guards(
        self, results: Sequence[str | None], default: str | None
    ) -> tuple[GuardRule, ...] | None:
        """One guard for each guarded result; None after noting what is wrong."""
        type_ = self._target.value_type
        found: dict[str | None, frozenset[str | None] | None] = {}
        free = [] if default is None else [fold(type_, default)]
        found.update(dict.fromkeys(free))
        for number, (rule, result) in enumerate(
            zip(self._table.rules, results, strict=True), 1
        ):
            try:
                present = self._present(rule)
            except RecordError as error:
                self._mismatch(
                    f"A present value of rule {number} does not fit: {error}"
                )
                return None
            if found.setdefault(fold(type_, result), present) != present:
                self._problems.add(
                    "VMAP122",
                    f"Rule {number} writes {rule.then} over other present values than "
                    "another rule or the default with the same result does.",
                    place=self._target.path,
                    cure="Give all rules with this result the same present values.",
                    subject=("guards", *names_of(self._column_map)),
                )
                return None
        return tuple(
            GuardRule(frozenset([result]), present)
            for result, present in found.items()
            if present is not None
        )

    def _present(self, rule: DecisionRule) -> frozenset[str | None] | None:
        if rule.present is None:
            return None
        type_ = self._target.value_type
        return folded(type_, (read_value(text, type_) for text in rule.present))

    def _warn_of_idle_rules(self) -> None:
        rules = self._table.rules
        for number, rule in enumerate(rules, 1):
            covered = next(
                (
                    earlier
                    for earlier, other in enumerate(rules[: number - 1], 1)
                    if _covers(other, rule)
                ),
                None,
            )
            if covered is not None:
                self._problems.add(
                    "VMAP126",
                    f"Rule {number} of the decision table never applies: rule "
                    f"{covered} comes first.",
                    place=self._target.path,
                    cure="Put the more special rule first, or remove it.",
                    subject=("idle", *names_of(self._column_map), str(number)),
                    severity=Severity.WARNING,
                )


def _covers(first: DecisionRule, second: DecisionRule) -> bool:
    """True when `first` holds wherever `second` does."""
    return all(
        wide == ALWAYS or (narrow != ALWAYS and {*_folded(narrow)} <= {*_folded(wide)})
        for wide, narrow in zip(first.when, second.when, strict=True)
    )


def _folded(values: Sequence[str]) -> list[str]:
    return [value.strip().casefold() for value in values]
