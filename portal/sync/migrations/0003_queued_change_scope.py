from __future__ import annotations

from django.db import migrations, models

NEW = "queued_change_once_per_scope"
COLUMNS = "table_map_id, direction, position, ordinal, scope"


class Migration(migrations.Migration):
    """The index is built beside a queue in use; only the swap at the end locks it."""

    atomic = False

    dependencies = [("sync", "0002_set_aside")]

    operations = [
        migrations.AddField(
            model_name="queuedchange",
            name="scope",
            field=models.BigIntegerField(
                db_default=0,
                default=0,
                help_text="The scope of the leg it waits for.",
            ),
        ),
        migrations.AddField(
            model_name="setasidechange",
            name="scope",
            field=models.BigIntegerField(
                db_default=0,
                default=0,
                help_text="The scope of the leg it waits for.",
            ),
        ),
        migrations.RemoveConstraint(
            model_name="setasidechange", name="set_aside_change_once"
        ),
        migrations.AddConstraint(
            model_name="setasidechange",
            constraint=models.UniqueConstraint(
                fields=("table_map", "direction", "position", "ordinal", "scope"),
                name="set_aside_change_once",
            ),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {NEW}"
                    f" ON sync_queuedchange ({COLUMNS})",
                    migrations.RunSQL.noop,
                ),
                migrations.RunSQL(
                    f"ALTER TABLE sync_queuedchange ADD CONSTRAINT {NEW}"
                    f" UNIQUE USING INDEX {NEW}",
                    f"ALTER TABLE sync_queuedchange DROP CONSTRAINT IF EXISTS {NEW}",
                ),
            ],
            state_operations=[
                migrations.AddConstraint(
                    model_name="queuedchange",
                    constraint=models.UniqueConstraint(
                        fields=(
                            *("table_map", "direction", "position"),
                            *("ordinal", "scope"),
                        ),
                        name=NEW,
                    ),
                ),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="queuedchange", name="queued_change_once"
        ),
    ]
