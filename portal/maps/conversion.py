"""Between the rows of a map version and the engine's frozen TableMap."""

from __future__ import annotations

from django.db.models import prefetch_related_objects

from portal.maps import models
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

WITH_LINES = ("columns__values", "key_pairs", "lookups")
"""What to prefetch on a version that is to be converted."""


def to_engine(version: models.MapVersion) -> TableMap:
    """The version as the engine takes it: four queries, none when `WITH_LINES` was
    prefetched on it."""
    prefetch_related_objects([version], *WITH_LINES)
    return TableMap(
        name=version.table_map.name,
        finops_table=version.finops_table,
        dataverse_table=version.dataverse_table,
        columns=tuple(
            ColumnMap(
                finops=column.finops or None,
                dataverse=column.dataverse or None,
                type=ColumnMapType(column.type),
                default=column.default,
                values=tuple(
                    (pair.finops_value, pair.dataverse_value)
                    for pair in column.values.all()
                )
                if column.has_values
                else None,
            )
            for column in version.columns.all()
        ),
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
    )


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
        created_by_id=user_id,
    )
    columns = models.ColumnMap.objects.bulk_create(
        models.ColumnMap(
            version=version,
            position=position,
            finops=column.finops or "",
            dataverse=column.dataverse or "",
            type=column.type.value,
            default=column.default,
            has_values=column.values is not None,
        )
        for position, column in enumerate(definition.columns, 1)
    )
    models.ValueMap.objects.bulk_create(
        models.ValueMap(
            column_map=row, position=position, finops_value=left, dataverse_value=right
        )
        for row, column in zip(columns, definition.columns, strict=True)
        for position, (left, right) in enumerate(column.values or (), 1)
    )
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
