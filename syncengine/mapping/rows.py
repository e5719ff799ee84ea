"""Row functions: Python source generated once for each layout, nothing interpreted
per row.

The generated text contains only indexes and names of our own; every value reaches it
through the namespace. When a row fails, its columns are evaluated one by one to name
the one to blame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

from syncengine.errors import EngineError, RecordError
from syncengine.mapping.compiled import (
    PART_SEPARATOR,
    BoundLeg,
    CompiledLeg,
    Lookup,
    Resolved,
    Row,
)
from syncengine.mapping.dangling import dangling
from syncengine.mapping.numbers import shown
from syncengine.mapping.schema import TableSchema
from syncengine.mapping.types import Conversion
from syncengine.mapping.value_tables import ValueTable

Predicate = Callable[[Row], bool]
MakePredicate = Callable[[tuple[str, ...], TableSchema], Predicate]


_UNKNOWN = object()

Combine = Callable[..., str | None]
"""Makes one value of several; None where there is none. Raises RecordError."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one slot gets its value. `source` and `lookup` say where from (a constant
    has none); `convert` is a conversion or a table of values; `may_be_null` whether
    the source can be null, `required` whether the target refuses null. A slot made
    of several source values has a plan for each in `parts`, whose values `combine`
    takes in their order."""

    target: str
    source: str | None
    lookup: Lookup | None
    convert: Conversion | Mapping[str, str | None] | None
    default: str | None
    may_be_null: bool
    required: bool
    parts: tuple[Plan, ...] = ()
    combine: Combine | None = None

    @property
    def constant(self) -> bool:
        """True when nothing of the source goes into the value."""
        return not self.source_paths

    @property
    def source_paths(self) -> tuple[str, ...]:
        """Every source path that goes into the value."""
        return tuple(plan.source for plan in self.leaves if plan.source is not None)

    @property
    def leaves(self) -> tuple[Plan, ...]:
        """The plan itself, or those of its parts and of their parts."""
        if not self.parts:
            return (self,)
        return tuple(leaf for part in self.parts for leaf in part.leaves)


def natural_key(paths: Sequence[str], own: Sequence[int]) -> Combine:
    """Joins the parts of a composite natural key. There is no reference where all
    parts of its `own` (those that feed no other column) are empty; a key of which
    only some parts are given is refused."""
    if not own:
        own = range(len(paths))

    def combine(*values: str | None) -> str | None:
        if None not in values:
            return PART_SEPARATOR.join(values)  # type: ignore[arg-type]
        if all(values[i] is None for i in own):
            return None
        missing = ", ".join(
            path for path, value in zip(paths, values, strict=True) if value is None
        )
        raise RecordError(
            f"A part of the natural key is empty: {missing}.",
            code="natural_key_incomplete",
        )

    return combine


class Binder:
    """Binds one leg to row layouts; bindings are cached."""

    def __init__(
        self,
        plans: Sequence[Plan],
        key: Sequence[int],
        companies: Mapping[str, str],
        company: int | None,
        make_predicate: MakePredicate | None,
    ) -> None:
        self._plans = tuple(plans)
        self._key = tuple(key)
        self._companies = companies
        self._company = company
        self._make_predicate = make_predicate
        self._bound: dict[tuple[str, ...], BoundLeg] = {}
        self.leg: CompiledLeg | None = None

    def __call__(self, columns: tuple[str, ...]) -> BoundLeg:
        """The leg on this layout."""
        bound = self._bound.get(columns)
        if bound is None:
            bound = self._bound[columns] = self._bind(columns)
        return bound

    def _bind(self, columns: tuple[str, ...]) -> BoundLeg:
        leg = self.leg
        if leg is None:
            raise EngineError("The leg is not compiled yet.")
        layout = _Layout(columns, leg)
        writer = _Writer(layout)
        values = [writer.value(plan) for plan in self._plans]
        keys = list(
            {
                leaf.source: layout.access(leaf.source, leaf.lookup)
                for plan in self._key_plans()
                for leaf in plan.leaves
                if leaf.source is not None
            }.values()
        )
        row = writer.function(_tuple(values), self._plans, values)
        key = writer.function(
            _tuple([values[i] for i in self._key]),
            self._key_plans(),
            [values[i] for i in self._key],
        )
        source_key = writer.function(
            _tuple([writer.key_part(key) for key in keys]), self._key_plans(), None
        )
        linked = "True"
        if self._company is not None:
            plan = self._plans[self._company]
            place = layout.access(plan.source, plan.lookup)
            linked = f"{place.lenient} in {writer.name(self._companies)}"
        scope = linked
        if self._make_predicate is not None:
            predicate = self._make_predicate(columns, leg.source)
            scope = f"{linked} and {writer.name(predicate)}(r)"
        return BoundLeg(
            leg=leg,
            columns=columns,
            in_scope=writer.function(scope, (), None),
            company_linked=writer.function(linked, (), None),
            map=row,
            key=key,
            source_key=source_key,
            salvage=writer.salvage(values),
            references=layout.references,
        )

    def _key_plans(self) -> tuple[Plan, ...]:
        return tuple(self._plans[i] for i in self._key)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a layout has a value: the expression that must find it, one that gives
    None for a dangling reference, and what to look at when it fails."""

    text: str
    lenient: str
    index: int
    resolved: int | None


class _Layout:
    """Where the paths of a leg are in rows of one layout."""

    def __init__(self, columns: tuple[str, ...], leg: CompiledLeg) -> None:
        self._leg = leg
        self._index = {name: i for i, name in enumerate(columns)}
        self._lookups = {lookup.path: i for i, lookup in enumerate(leg.source_lookups)}
        lacking = [
            lookup.column if lookup else path
            for path in leg.source_paths
            if path not in self._index
            and (
                (lookup := self._lookup(path)) is None
                or lookup.column not in self._index
            )
        ]
        if lacking:
            raise EngineError(
                f"Table {leg.source.name} no longer has the column "
                f"{', '.join(dict.fromkeys(lacking))} that map {leg.table_map.name} "
                "reads. Refresh the tables and correct the map.",
                code="schema_changed",
                details={"table": leg.source.name, "columns": lacking},
            )
        self.references = tuple(
            None if lookup.path in self._index else self._index[lookup.column]
            for lookup in leg.source_lookups
        )

    def _lookup(self, path: str) -> Lookup | None:
        number = self._lookups.get(path)
        return None if number is None else self._leg.source_lookups[number]

    def access(self, path: str | None, lookup: Lookup | None) -> _Place:
        """The place of a source path."""
        if path is None:
            return _Place("None", "None", -1, None)
        index = self._index.get(path)
        if index is not None or lookup is None:
            index = self._index[path]
            return _Place(f"r[{index}]", f"r[{index}]", index, None)
        number = self._lookups[path]
        index = self._index[lookup.column]
        reference = f"(None if r[{index}] is None else s[{number}][r[{index}]])"
        lenient = f"(None if r[{index}] is None else s[{number}].get(r[{index}]))"
        return _Place(reference, lenient, index, number)


class _Writer:
    """Writes expressions and compiles them in one namespace."""

    def __init__(self, layout: _Layout) -> None:
        self._layout = layout
        self._namespace: dict[str, Any] = {"__builtins__": {"Exception": Exception}}

    def name(self, value: object) -> str:
        """A name of our own for `value` in generated code."""
        name = f"v{len(self._namespace)}"
        self._namespace[name] = value
        return name

    def value(self, plan: Plan) -> str:
        """The expression for one slot."""
        if plan.combine is not None:
            return self._combined(plan, plan.combine)
        if plan.source is None:
            return self.name(plan.default)
        place = self._layout.access(plan.source, plan.lookup)
        when_null = "None"
        if plan.default is not None:
            when_null = self.name(plan.default)
        elif plan.required:
            when_null = f"{self.name(_required)}()"
        nullable = plan.may_be_null or place.resolved is not None
        if plan.convert is None:
            if not nullable or when_null == "None":
                return place.text
            return f"({when_null} if (x := {place.text}) is None else x)"
        convert = self.name(plan.convert)
        convert += "[{}]" if isinstance(plan.convert, Mapping) else "({})"
        table = plan.convert if isinstance(plan.convert, ValueTable) else None
        if plan.required and table is not None and table.gives_null:
            required = f"{self.name(_required)}()"
            convert = f"({required} if (y := {convert}) is None else y)"
        if not nullable:
            return convert.format(place.text)
        converted = convert.format("x")
        return f"({when_null} if (x := {place.text}) is None else {converted})"

    def key_part(self, place: _Place) -> str:
        """The expression for a part of the source's key: where a reference leads
        nowhere, it stands for the key it should lead to."""
        if place.resolved is None:
            return place.lenient
        reference, unknown = f"r[{place.index}]", self.name(_UNKNOWN)
        found = f"s[{place.resolved}].get({reference}, {unknown})"
        stands = f"{self.name(dangling)}({reference})"
        return (
            f"(None if {reference} is None else "
            f"x if (x := {found}) is not {unknown} else {stands})"
        )

    def _combined(self, plan: Plan, combine: Combine) -> str:
        values = ", ".join([self.value(part) for part in plan.parts])
        made = f"{self.name(combine)}({values})"
        if plan.default is not None:
            return f"({self.name(plan.default)} if (x := {made}) is None else x)"
        if plan.required:
            required = f"{self.name(_required)}()"
            return f"({required} if (x := {made}) is None else x)"
        return made

    def function(
        self, expression: str, plans: Sequence[Plan], values: Sequence[str] | None
    ) -> Callable[[Row, Resolved], Any]:
        """A function of row and resolved lookups. With `plans` and their `values`,
        a failure is explained by naming the column."""
        body = f"return {expression}"
        if plans and values is not None:
            explain = self.name(self._explainer(plans, values))
            body = f"try:\n  {body}\n except Exception:\n  {explain}(r, s)\n  raise"
        made: dict[str, Callable[[Row, Resolved], Any]] = {}
        # Our own text: indexes and generated names only.
        code = compile(f"def row_function(r, s):\n {body}\n", "<map>", "exec")
        exec(code, self._namespace, made)  # noqa: S102
        return made["row_function"]

    def salvage(
        self, values: Sequence[str]
    ) -> Callable[[Row, Resolved], dict[int, str | None]]:
        """A function of row and resolved lookups that gives the values, by their
        places, that can be made each by itself."""

        @cache
        def functions() -> list[Callable[[Row, Resolved], Any]]:
            return [self.function(value, (), None) for value in values]

        def salvaged(row: Row, resolved: Resolved) -> dict[int, str | None]:
            found: dict[int, str | None] = {}
            for index, evaluate in enumerate(functions()):
                with suppress(Exception):
                    found[index] = evaluate(row, resolved)
            return found

        return salvaged

    def _explainer(
        self, plans: Sequence[Plan], values: Sequence[str]
    ) -> Callable[[Row, Resolved], None]:
        """What raises the RecordError for the first column that fails on a row."""

        @cache
        def steps() -> list[tuple[Plan, _Place, Callable[[Row, Resolved], Any]]]:
            pieces: list[tuple[Plan, str]] = []
            for plan, value in zip(plans, values, strict=True):
                pieces += self._pieces(plan)
                pieces.append((plan, value))
            return [
                (
                    plan,
                    self._layout.access(plan.source, plan.lookup),
                    self.function(value, (), None),
                )
                for plan, value in pieces
            ]

        def explain(row: Row, resolved: Resolved) -> None:
            for plan, place, evaluate in steps():
                if place.resolved is not None:
                    reference = row[place.index]
                    if reference is not None and not _has(
                        resolved[place.resolved], reference
                    ):
                        _not_found(plan, reference)
                try:
                    evaluate(row, resolved)
                except Exception as error:
                    _blame(plan, error, row[place.index] if place.index >= 0 else None)

        return explain

    def _pieces(self, plan: Plan) -> list[tuple[Plan, str]]:
        """What goes into a plan's value, innermost first."""
        pieces: list[tuple[Plan, str]] = []
        for part in plan.parts:
            pieces += [*self._pieces(part), (part, self.value(part))]
        return pieces


def _tuple(expressions: Sequence[str]) -> str:
    return f"({', '.join(expressions)}{',' if len(expressions) == 1 else ''})"


def _has(resolved: Mapping[str, str | None], reference: str) -> bool:
    try:
        resolved[reference]
    except KeyError:
        return False
    return True


def _required() -> NoReturn:
    raise RecordError("A value is required here.", code="required_value_missing")


def _not_found(plan: Plan, reference: str) -> NoReturn:
    lookup = plan.lookup
    table = " or ".join(lookup.tables) if lookup else "the referenced table"
    raise RecordError(
        f"Column {plan.target}: {plan.source} refers to {shown(reference)}, which is "
        f"not in {table}.",
        code="source_lookup_not_found",
        column=plan.target,
        value=reference,
        details={"path": plan.source, "source_column": plan.source},
    ) from None


def _blame(plan: Plan, error: Exception, value: str | None) -> NoReturn:
    """Raise what `error` means for the column of `plan`."""
    source = ", ".join(plan.source_paths)
    origin = f", from {source}" if source else ""
    details = {"source_column": source or None}
    single = plan.combine is None
    missing = value is None and single and not isinstance(error, RecordError)
    if missing or getattr(error, "code", "") == "required_value_missing":
        raise RecordError(
            f"Column {plan.target} must have a value, but {source} is empty and "
            "there is no default.",
            code="required_value_missing",
            column=plan.target,
            details=details,
        ) from None
    if isinstance(error, RecordError):
        sentence = error.message[:1].lower() + error.message[1:]
        raise RecordError(
            f"Column {plan.target}{origin}: {sentence}",
            code=error.code,
            column=plan.target,
            value=error.value,
            details=details,
        ) from None
    raise RecordError(
        f"Column {plan.target}{origin}: the value {shown(str(value))} cannot be "
        f"converted ({type(error).__name__}).",
        code="conversion_failed",
        column=plan.target,
        value=value,
        details=details,
    ) from error
