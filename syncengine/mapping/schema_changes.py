"""What was changed in a table, in words (pure)."""

from __future__ import annotations

from collections.abc import Mapping

from syncengine.mapping.schema import Column, TableSchema


def changes(
    before: Mapping[str, TableSchema], after: Mapping[str, TableSchema]
) -> list[str]:
    """A sentence for each difference, table by table."""
    found: list[str] = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if new is None:
            found.append(f"Table {name} is gone.")
        elif old is None:
            found.append(f"Table {name} is new.")
        else:
            found += _in_table(old, new)
    return found


def _in_table(old: TableSchema, new: TableSchema) -> list[str]:
    table = old.name
    before = {column.name: column for column in old.columns}
    after = {column.name: column for column in new.columns}
    gone = [name for name in before if name not in after]
    come = [name for name in after if name not in before]
    found = []
    if (
        len(gone) == len(come) == 1
        and list(before).index(gone[0]) == list(after).index(come[0])
        and before[gone[0]].type == after[come[0]].type
    ):
        found.append(
            f"Table {table}: column {gone[0]} is gone, and {come[0]} has its place "
            "(it may have been renamed)."
        )
        gone, come = [], []
    found += [f"Table {table}: column {name} is gone." for name in gone]
    found += [
        f"Table {table}: column {name} ({after[name].type.name}) is new"
        f"{' and needs a value' if after[name].required else ''}."
        for name in come
    ]
    for name in before:
        if name in after:
            found += [
                f"Table {table}: column {name} {what}."
                for what in _in_column(before[name], after[name])
            ]
    return found + _in_keys(old, new)


def _in_column(old: Column, new: Column) -> list[str]:
    found = []
    if old.type != new.type:
        names = old.type.name, new.type.name
        found.append(
            f"was {names[0]} and is {names[1]}"
            if names[0] != names[1]
            else f"({names[0]}) allows other values than before"
        )
    if old.nullable != new.nullable:
        found.append("may be empty now" if new.nullable else "must not be empty now")
    if old.has_default != new.has_default:
        found.append("has a default now" if new.has_default else "has no default now")
    if (old.writable, old.computed) != (new.writable, new.computed):
        found.append(
            "can be written now"
            if new.writable
            else "is filled by the database itself now"
        )
    return found


def _in_keys(old: TableSchema, new: TableSchema) -> list[str]:
    table = old.name
    before = {(key.columns, key.primary) for key in old.keys}
    after = {(key.columns, key.primary) for key in new.keys}
    found = []
    for verb, keys in (("is gone", before - after), ("is new", after - before)):
        for columns, primary in sorted(keys):
            kind = "the primary key" if primary else "the unique key"
            found.append(f"Table {table}: {kind} over {', '.join(columns)} {verb}.")
    references = (
        {(key.columns, key.table) for key in one.foreign_keys} for one in (old, new)
    )
    was, now = references
    for verb, links in (("is gone", was - now), ("is new", now - was)):
        for columns, other in sorted(links):
            found.append(
                f"Table {table}: the reference of {', '.join(columns)} to {other} "
                f"{verb}."
            )
    if old.full_identity and not new.full_identity:
        found.append(
            f"Table {table}: its changes no longer carry the row before them "
            "(REPLICA IDENTITY FULL was taken away)."
        )
    if new.unfit and new.unfit != old.unfit:
        found.append(f"Table {table}: {new.unfit}.")
    return found
