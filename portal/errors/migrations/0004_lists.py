"""Indexes of the lists, made without holding up anybody, and the search by part of a
key: with trigrams where the server has them, without an index where it has not."""

from django.contrib.postgres.operations import (
    AddIndexConcurrently,
    RemoveIndexConcurrently,
)
from django.db import DatabaseError, migrations, models

SEARCH = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS error_key_contains
ON errors_syncerror USING gin (upper(key_text) gin_trgm_ops)
"""


def add_search(apps, schema_editor):
    try:
        schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        schema_editor.execute(SEARCH)
    except DatabaseError:
        pass  # the search then reads the list itself


def remove_search(apps, schema_editor):
    schema_editor.execute("DROP INDEX CONCURRENTLY IF EXISTS error_key_contains")


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('errors', '0003_counts'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='syncerror',
            index=models.Index(condition=models.Q(('state__in', ('open', 'retrying'))), fields=['-id'], name='error_open_list'),
        ),
        AddIndexConcurrently(
            model_name='syncerror',
            index=models.Index(condition=models.Q(('state__in', ('open', 'retrying'))), fields=['table_map', '-id'], name='error_open_of_map'),
        ),
        AddIndexConcurrently(
            model_name='syncerror',
            index=models.Index(fields=['state', '-id'], name='error_list_of_state'),
        ),
        AddIndexConcurrently(
            model_name='syncerror',
            index=models.Index(fields=['cause', '-id'], name='error_list_of_cause'),
        ),
        AddIndexConcurrently(
            model_name='syncerror',
            index=models.Index(condition=models.Q(('state__in', ('open', 'retrying')), models.Q(('awaits', ''), _negated=True)), fields=['table_map', 'direction', 'awaits'], name='error_waits_for'),
        ),
        AddIndexConcurrently(
            model_name='syncerror',
            index=models.Index(condition=models.Q(('state__in', ('open', 'retrying')), models.Q(('group', ''), _negated=True)), fields=['group'], name='error_of_transaction'),
        ),
        AddIndexConcurrently(
            model_name='syncerror',
            index=models.Index(condition=models.Q(('closed_at__isnull', False)), fields=['closed_at'], name='error_closed'),
        ),
        RemoveIndexConcurrently(
            model_name='syncerror',
            name='error_list_of_map',
        ),
        RemoveIndexConcurrently(
            model_name='syncerror',
            name='error_list_of_all',
        ),
        RemoveIndexConcurrently(
            model_name='syncerror',
            name='error_of_record',
        ),
        migrations.RunPython(add_search, remove_search),
    ]
