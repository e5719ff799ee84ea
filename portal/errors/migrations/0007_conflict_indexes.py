from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """The log may be large: nothing here keeps it locked."""

    atomic = False

    dependencies = [("errors", "0006_conflicts")]

    operations = [
        AddIndexConcurrently(
            model_name="conflict",
            index=models.Index(fields=["state", "-id"], name="conflict_list_by_state"),
        ),
        AddIndexConcurrently(
            model_name="conflict",
            index=models.Index(
                fields=["table_map", "key_text"], name="conflict_of_record"
            ),
        ),
        AddIndexConcurrently(
            model_name="conflict",
            index=models.Index(
                fields=["id"],
                condition=~models.Q(wanted_side=""),
                name="conflict_to_carry_out",
            ),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "CREATE UNIQUE INDEX CONCURRENTLY "
                    "conflict_one_undecided_per_subject ON errors_conflict "
                    "(table_map_id, subject) WHERE state = 'undecided'",
                    "DROP INDEX CONCURRENTLY conflict_one_undecided_per_subject",
                )
            ],
            state_operations=[
                migrations.AddConstraint(
                    model_name="conflict",
                    constraint=models.UniqueConstraint(
                        condition=models.Q(state="undecided"),
                        fields=("table_map", "subject"),
                        name="conflict_one_undecided_per_subject",
                    ),
                )
            ],
        ),
    ]
