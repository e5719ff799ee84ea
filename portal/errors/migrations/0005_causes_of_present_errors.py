"""Errors that are there already get their cause, a few thousand at a time."""

from django.db import migrations
from django.db.models import F

from syncengine.mapping.causes import cause_signature, cause_text

PORTION = 2_000


def group(apps, schema_editor):
    SyncError = apps.get_model("errors", "SyncError")
    ErrorGroup = apps.get_model("errors", "ErrorGroup")
    known = {}
    last = 0
    while True:
        errors = list(
            SyncError.objects.filter(pk__gt=last, cause=None)
            .order_by("pk")
            .defer("source_row", "mapped_row")[:PORTION]
        )
        if not errors:
            break
        last = errors[-1].pk
        for error in errors:
            text = cause_text(error.code, error.message, error.key)
            signature = cause_signature(error.code, error.column, text)
            place = (error.table_map_id, error.direction, signature)
            if place not in known:
                known[place], _ = ErrorGroup.objects.get_or_create(
                    table_map_id=error.table_map_id,
                    direction=error.direction,
                    signature=signature,
                    defaults={
                        "code": error.code,
                        "column": error.column,
                        "text": text,
                        "first_seen": error.first_seen,
                        "last_seen": error.last_seen,
                    },
                )
            error.cause = known[place]
        SyncError.objects.bulk_update(errors, ["cause"])
    SyncError.objects.exclude(state__in=("open", "retrying")).filter(
        closed_at=None
    ).update(closed_at=F("last_seen"))


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('errors', '0004_lists'),
    ]

    operations = [
        migrations.RunPython(group, migrations.RunPython.noop),
    ]
