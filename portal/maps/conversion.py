"""Between the rows of a map version and the engine's frozen TableMap."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import chain

from django.db.models import Model, prefetch_related_objects

from portal.maps import models
from syncengine.mapping.decisions import DecisionRule, DecisionTable
from syncengine.mapping.definition_json import examples_from_json, examples_to_json
from syncengine.mapping.model import (
    ColumnMap,
    ColumnMapType,
    ConflictPolicy,
    KeyPair,
    LookupDeclaration,
    OnError,
    OnFilterExit,
    Side,
    TableMap,
)

WITH_LINES = (
    "columns__values",
    "columns__decision_sources",
    "columns__decision_rules__values",
    "key_pairs",
    "lookups",
)
"""What to prefetch on versions that are to be converted."""

_known: dict[tuple[int, datetime, str], TableMap] = {}
"""Converted versions, which never change: by id, moment and the map's name."""
_MOST_KNOWN = 2000


def to_engine(version: models.MapVersion) -> TableMap:
    """The version as the engine takes it: a few queries, whatever its size, none
    when it has been converted before."""
    return all_to_engine([version])[0]


def all_to_engine(versions: Sequence[models.MapVersion]) -> list[TableMap]:
    """The versions as the engine takes them: a few queries for all that have not been
    converted before. Their maps should be there already (`select_related`)."""
    keys = [(one.pk, one.created_at, one.table_map.name) for one in versions]
    found = {key: known for key in keys if (known := _known.get(key)) is not None}
    new = {
        key: one for key, one in zip(keys, versions, strict=True) if key not in found
    }
    if new:
        prefetch_related_objects(list(new.values()), *WITH_LINES)
        made = {key: _convert(one) for key, one in new.items()}
        if len(_known) + len(made) > _MOST_KNOWN:
            _known.clear()
        _known.update(made)
        found |= made
    return [found[key] for key in keys]


def _convert(version: models.MapVersion) -> TableMap:
    return TableMap(
        name=version.table_map.name,
        finops_table=version.finops_table,
        dataverse_table=version.dataverse_table,
        columns=tuple(_line(column) for column in version.columns.all()),
        key=tuple(
            KeyPair(finops=pair.finops, dataverse=pair.dataverse)
            for pair in version.key_pairs.all()
        ),
        publisher=version.publisher,
        version=version.version,
        finops_filter=version.finops_filter,
        dataverse_filter=version.dataverse_filter,
        conflict=ConflictPolicy(version.conflict),
        on_error=OnError(version.on_error),
        on_filter_exit=OnFilterExit(version.on_filter_exit),
        lookups=tuple(
            LookupDeclaration(
                side=Side(lookup.side),
                column=lookup.column,
                table=lookup.table,
                reference=lookup.reference,
            )
            for lookup in version.lookups.all()
        ),
        examples=examples_from_json(version.examples),
    )


def _line(column: models.ColumnMap) -> ColumnMap:
    return ColumnMap(
        finops=column.finops or None,
        dataverse=column.dataverse or None,
        type=ColumnMapType(column.type),
        default=column.default,
        values=tuple(
            (pair.finops_value, pair.dataverse_value) for pair in column.values.all()
        )
        if column.has_values
        else None,
        value_map=column.value_map or None,
        sticky=column.sticky,
        decision=decision_of(column),
        expression=column.expression or None,
    )


def decision_of(column: models.ColumnMap) -> DecisionTable | None:
    """The decision table of a line, from its prefetched rows; None without one."""
    sources = tuple(source.path for source in column.decision_sources.all())
    if not sources:
        return None
    rules = []
    for rule in column.decision_rules.all():
        asked: dict[int, list[str]] = {}
        for value in rule.values.all():
            asked.setdefault(value.source, []).append(value.value)
        rules.append(
            DecisionRule(
                tuple(
                    tuple(asked.get(number, ()))
                    for number in range(1, len(sources) + 1)
                ),
                rule.result,
                tuple(asked.get(0, ())) if rule.guarded else None,
            )
        )
    return DecisionTable(sources, tuple(rules))


def unstorable(definition: TableMap) -> list[str]:
    """Why the rows of a version cannot hold `definition`: a sentence each."""
    texts: list[tuple[str, str | None, type[Model], str]] = [
        ("name", definition.name, models.TableMap, "name"),
        ("publisher", definition.publisher, models.MapVersion, "publisher"),
    ]
    for side in Side:
        field = f"{side.value}_table"
        texts.append(
            (f"{side} table", definition.table(side), models.MapVersion, field)
        )
        for column in definition.columns:
            end = (f"{side} column", column.on(side), models.ColumnMap, side.value)
            texts.append(end)
    for column in definition.columns:
        texts.append(("value map", column.value_map, models.ColumnMap, "value_map"))
        for path in column.decision.sources if column.decision else ():
            texts.append(("source column", path, models.DecisionSource, "path"))
    for lookup in definition.lookups:
        for field in ("column", "table", "reference"):
            value = getattr(lookup, field)
            texts.append((f"lookup {field}", value, models.LookupDeclaration, field))
    reasons = []
    for what, value, model, field in texts:
        limit = model._meta.get_field(field).max_length
        if value and limit and len(value) > limit:
            reasons.append(
                f"The {what} {value[:40]}... has {len(value)} characters, "
                f"{limit} at most are possible."
            )
    tables = [line.decision for line in definition.columns if line.decision]
    if not all(table.sources for table in tables):
        reasons.append("A decision table names no source column.")
    if any(
        len(rule.when) != len(table.sources) for table in tables for rule in table.rules
    ):
        reasons.append("A rule has not one condition for each source column.")
    declared = [(each.side, each.column, each.table) for each in definition.lookups]
    if len(set(declared)) < len(declared):
        reasons.append("A column's lookup of a table is declared twice.")
    free = [definition.finops_filter, definition.dataverse_filter]
    for column in definition.columns:
        free += [column.default or "", *chain.from_iterable(column.values or ())]
        free += [column.expression or ""]
        free += column.decision.texts() if column.decision else []
    for example in definition.examples:
        free += [example.name, example.fails]
        free += [
            text or "" for pair in (*example.given, *example.expect) for text in pair
        ]
    if any("\0" in (text or "") for text in [*free, *(entry[1] for entry in texts)]):
        reasons.append("A text holds a NUL character, which no database keeps.")
    return reasons


def from_engine(
    table_map: models.TableMap, definition: TableMap, *, user_id: int | None = None
) -> models.MapVersion:
    """Write `definition` as a new version of `table_map`. The caller holds the
    transaction and has checked that publisher and version are not taken."""
    version = models.MapVersion.objects.create(
        table_map=table_map,
        publisher=definition.publisher,
        version=definition.version,
        finops_table=definition.finops_table,
        dataverse_table=definition.dataverse_table,
        finops_filter=definition.finops_filter,
        dataverse_filter=definition.dataverse_filter,
        conflict=definition.conflict.value,
        on_error=definition.on_error.value,
        on_filter_exit=definition.on_filter_exit.value,
        examples=examples_to_json(definition.examples),
        created_by_id=user_id,
    )
    _write_lines(version, definition.columns)
    models.KeyPair.objects.bulk_create(
        models.KeyPair(
            version=version,
            position=position,
            finops=pair.finops,
            dataverse=pair.dataverse,
        )
        for position, pair in enumerate(definition.key, 1)
    )
    models.LookupDeclaration.objects.bulk_create(
        models.LookupDeclaration(
            version=version,
            side=lookup.side.value,
            column=lookup.column,
            table=lookup.table,
            reference=lookup.reference,
        )
        for lookup in definition.lookups
    )
    return version


def _write_lines(version: models.MapVersion, lines: Sequence[ColumnMap]) -> None:
    columns = models.ColumnMap.objects.bulk_create(
        models.ColumnMap(
            version=version,
            position=position,
            finops=column.finops or "",
            dataverse=column.dataverse or "",
            type=column.type.value,
            default=column.default,
            has_values=column.values is not None,
            value_map=column.value_map or "",
            sticky=column.sticky,
            expression=column.expression or "",
        )
        for position, column in enumerate(lines, 1)
    )
    models.ValueMap.objects.bulk_create(
        models.ValueMap(
            column_map=row, position=position, finops_value=left, dataverse_value=right
        )
        for row, column in zip(columns, lines, strict=True)
        for position, (left, right) in enumerate(column.values or (), 1)
    )
    _write_decisions(
        [
            (row, column.decision)
            for row, column in zip(columns, lines, strict=True)
            if column.decision is not None
        ]
    )


def _write_decisions(tables: Sequence[tuple[models.ColumnMap, DecisionTable]]) -> None:
    if not tables:
        return
    models.DecisionSource.objects.bulk_create(
        models.DecisionSource(column_map=row, position=position, path=path)
        for row, table in tables
        for position, path in enumerate(table.sources, 1)
    )
    rules = [rule for _, table in tables for rule in table.rules]
    rows = models.DecisionRule.objects.bulk_create(
        models.DecisionRule(
            column_map=row,
            position=position,
            result=rule.then,
            guarded=rule.present is not None,
        )
        for row, table in tables
        for position, rule in enumerate(table.rules, 1)
    )
    models.DecisionValue.objects.bulk_create(
        models.DecisionValue(rule=row, source=source, position=position, value=value)
        for row, rule in zip(rows, rules, strict=True)
        for source, values in enumerate((rule.present or (), *rule.when))
        for position, value in enumerate(values, 1)
    )
