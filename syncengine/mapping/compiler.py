"""Compile a map for one direction on two real schemas, or say all that is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from syncengine.errors import RecordError
from syncengine.mapping import filters
from syncengine.mapping.analysis import Analysis, analyse, companies, key_findings
from syncengine.mapping.compiled import CompiledLeg, Slot
from syncengine.mapping.computed import Computed
from syncengine.mapping.digesting import ValueTypes, hashed_pair
from syncengine.mapping.endpoints import Endpoint, SideSchema
from syncengine.mapping.lines import Line
from syncengine.mapping.model import (
    Direction,
    HealthFinding,
    LegalEntityPair,
    Side,
    TableMap,
)
from syncengine.mapping.numbers import shown
from syncengine.mapping.problems import CompilationError, Problems
from syncengine.mapping.rows import Binder, Plan, natural_key
from syncengine.mapping.schema import EnvironmentSchema
from syncengine.mapping.targets import TargetColumn
from syncengine.mapping.types import Conversion, converter, is_padded
from syncengine.mapping.value_tables import ValueTable

__all__ = ["CompilationError", "compile_leg", "validate"]


def compile_leg(
    table_map: TableMap,
    direction: Direction,
    source: EnvironmentSchema,
    target: EnvironmentSchema,
    legal_entities: Sequence[LegalEntityPair],
) -> CompiledLeg:
    """The leg of `table_map` in `direction`, ready to run.

    Raises CompilationError with every error found; warnings do not keep a map from
    running and are reported by `validate`.
    """
    analysis = analyse(table_map, direction, source, target)
    if analysis.source is None or analysis.target is None or analysis.problems.errors:
        raise CompilationError(table_map.name, analysis.problems.errors)
    linked = companies(legal_entities, direction)
    return _assemble(analysis, analysis.source, analysis.target, linked)


def validate(
    table_map: TableMap,
    source_env: EnvironmentSchema,
    target_env: EnvironmentSchema,
    legal_entities: Sequence[LegalEntityPair],
) -> list[HealthFinding]:
    """Everything wrong or notable in both directions the map flows in.

    `source_env` is the finance and operations environment, `target_env` Dataverse.
    A mistake seen from both directions is reported once.
    """
    environments = {Side.FINOPS: source_env, Side.DATAVERSE: target_env}
    flowing = [d for d in Direction if table_map.flows(d)]
    problems = Problems()
    keys: dict[HealthFinding, None] = {}
    for direction in flowing or [Direction.FINOPS_TO_DATAVERSE]:
        analysis = analyse(
            table_map,
            direction,
            environments[direction.source],
            environments[direction.target],
        )
        keys.update(dict.fromkeys(key_findings(analysis)))
        for column in analysis.key:
            # An empty key is said as such (2000, 5200), unless a filter rules it out.
            analysis.problems.forget("DIPV1031", column.endpoint.path)
        problems.merge(analysis.problems)
        if analysis.company and not legal_entities:
            problems.add(
                "DIPV1016",
                "No legal entity is linked, so no record of "
                f"{table_map.dataverse_table} is in scope.",
                place=table_map.dataverse_table,
                cure="Link the legal entities of the connection set.",
            )
    return [*problems.all, *keys]


def _assemble(
    analysis: Analysis,
    source: SideSchema,
    target: SideSchema,
    linked: Mapping[str, str],
) -> CompiledLeg:
    company = analysis.company
    codes = _Companies(linked)
    columns = analysis.columns
    slots = [_slot(column) for column in columns]
    plans = [_plan(column, columns) for column in columns]
    types = [_value_types(column) for column in columns]
    key = [columns.index(column) for column in analysis.key]
    if company:
        slots.insert(0, _company_slot(company))
        plans.insert(0, _company_plan(company, codes))
        types.insert(0, None)
        key = [0, *(index + 1 for index in key)]
    for i in key:
        # Half a key finds no record: it is refused even where the columns take null.
        plans[i] = replace(plans[i], may_be_null=True, required=True)
    ends = [*(company[:1] if company else ()), *_sources(columns)]
    paths = [end.path for end in ends]
    lookups = {end.path: end.lookup for end in ends if end.lookup}
    predicate = analysis.predicate
    if predicate is not None:
        paths.extend(filters.columns(predicate))
    binder = Binder(
        plans,
        key,
        codes,
        0 if company else None,
        partial(filters.compile_predicate, predicate) if predicate else None,
    )
    leg = CompiledLeg(
        table_map=analysis.table_map,
        direction=analysis.direction,
        source=source.table,
        target=target.table,
        slots=tuple(slots),
        key=tuple(key),
        company=0 if company else None,
        source_paths=tuple(dict.fromkeys(paths)),
        source_key=tuple(
            dict.fromkeys(path for i in key for path in plans[i].source_paths)
        ),
        source_lookups=tuple(lookups.values()),
        source_company=source.company if company else None,
        target_company=target.company if company else None,
        companies=dict(linked) if company else {},
        predicate_expression=predicate,
        constants=frozenset(i for i, plan in enumerate(plans) if plan.constant),
        bind=binder,
        digests=tuple(
            hashed_pair(plan, slot, type_, key=i in key)
            for i, (plan, slot, type_) in enumerate(
                zip(plans, slots, types, strict=True)
            )
        ),
    )
    binder.leg = leg
    return leg


def _sources(columns: Sequence[TargetColumn]) -> list[Endpoint]:
    return [end for column in columns for line in column.lines for end in line.sources]


def _value_types(column: TargetColumn) -> ValueTypes | None:
    """Between which types a single line carries its value."""
    line = column.lines[0]
    if column.composite or line.source is None:
        return None
    return ValueTypes(line.source.value_type, line.target.value_type)


def _slot(column: TargetColumn) -> Slot:
    target = column.endpoint
    return Slot(
        column=target.column.name,
        type=target.column.type,
        nullable=target.column.nullable,
        lookup=target.lookup,
        sources=tuple(dict.fromkeys(end.column.name for end in _sources([column]))),
        guard=None if column.composite else column.lines[0].guard,
        blanks=frozenset() if column.composite else column.lines[0].blanks,
    )


def _company_slot(company: tuple[Endpoint, Endpoint]) -> Slot:
    source, target = company
    return Slot(
        column=target.column.name,
        type=target.column.type,
        nullable=target.column.nullable,
        lookup=target.lookup,
        sources=(source.column.name,),
    )


def _plan(column: TargetColumn, columns: Sequence[TargetColumn]) -> Plan:
    parts = [_line_plan(line) for line in column.lines]
    if not column.composite:
        return parts[0]
    elsewhere = {
        end.path
        for other in columns
        if other is not column
        for end in _sources([other])
    }
    own = [
        i
        for i, part in enumerate(parts)
        if any(path not in elsewhere for path in part.source_paths)
    ]
    return Plan(
        target=column.endpoint.path,
        source=None,
        lookup=None,
        convert=None,
        default=None,
        may_be_null=True,
        required=not column.endpoint.column.nullable,
        parts=tuple(replace(part, required=False) for part in parts),
        combine=natural_key([part.target for part in parts], own),
    )


def _line_plan(line: Line) -> Plan:
    source, target = line.source, line.target
    convert: Conversion | Mapping[str, str | None] | None = None
    default = line.default
    if line.computed is not None:
        return _computed_plan(line, line.computed)
    if source is not None:
        convert = converter(source.value_type, target.value_type)
        if line.values is not None:
            otherwise = convert or str if line.exceptions else None
            table = ValueTable(line.values, source.value_type, otherwise)
            default = table.when_null if table.takes_null else default
            convert = table
    return Plan(
        target=target.path,
        source=source.path if source else None,
        lookup=source.lookup if source else None,
        convert=convert,
        default=default,
        may_be_null=source is not None and source.nullable,
        required=not target.column.nullable,
    )


def _computed_plan(line: Line, computed: Computed) -> Plan:
    """A decision has used the line's default already."""
    target = line.target
    return Plan(
        target=target.path,
        source=None,
        lookup=None,
        convert=None,
        default=None if line.column_map.decision is not None else line.default,
        may_be_null=True,
        required=not target.column.nullable,
        parts=tuple(
            Plan(
                target=target.path,
                source=end.path,
                lookup=end.lookup,
                convert=None,
                default=None,
                may_be_null=end.nullable,
                required=False,
            )
            for end in computed.sources
        ),
        combine=computed.compute,
    )


class _Companies(dict[str, str]):
    """Linked company codes; any other code is refused."""

    def __missing__(self, code: str) -> str:
        raise RecordError(
            f"The value {shown(code)} is not a linked legal entity.",
            code="company_not_linked",
            value=code,
        )


def _company_plan(ends: tuple[Endpoint, Endpoint], codes: _Companies) -> Plan:
    source, target = ends
    if is_padded(source.value_type):
        width = source.value_type.max_length or 0
        codes.update({code.ljust(width): linked for code, linked in codes.items()})
    return Plan(
        target=target.path,
        source=source.path,
        lookup=source.lookup,
        convert=codes,
        default=None,
        may_be_null=source.nullable,
        required=True,
    )
