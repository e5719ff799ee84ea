"""The database counts failures by cause and hour as they come, and takes what belongs
to a cause away with it (docs/adr/0008)."""

from django.db import migrations

COUNT = """
        INSERT INTO errors_errorarrivals AS a (cause_id, hour, failures)
        SELECT cause_id, date_trunc('hour', last_seen, 'UTC'), count(*)
        FROM ({rows}) one
        WHERE cause_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
        ON CONFLICT (cause_id, hour)
        DO UPDATE SET failures = a.failures + excluded.failures;
"""

FUNCTION = f"""
CREATE FUNCTION errors_count_arrivals() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
{COUNT.format(rows="SELECT cause_id, last_seen FROM after")}
    ELSE
{COUNT.format(rows='''
            SELECT n.cause_id, n.last_seen FROM after n JOIN before o USING (id)
            WHERE n.last_seen > o.last_seen AND n.attempts = o.attempts''')}
    END IF;
    RETURN NULL;
END $$
"""

# Named to fire after the triggers of 0003, which lock the causes in order.
TRIGGERS = [
    f"""
CREATE TRIGGER errors_trended_{operation.lower()}
AFTER {operation} ON errors_syncerror REFERENCING {tables}
FOR EACH STATEMENT EXECUTE FUNCTION errors_count_arrivals()
"""
    for operation, tables in (
        ("INSERT", "NEW TABLE AS after"),
        ("UPDATE", "OLD TABLE AS before NEW TABLE AS after"),
    )
]

PRESENT = """
INSERT INTO errors_errorarrivals (cause_id, hour, failures)
SELECT cause_id, date_trunc('hour', first_seen, 'UTC'), count(*)
FROM errors_syncerror
WHERE cause_id IS NOT NULL AND first_seen > now() - interval '30 days'
GROUP BY 1, 2
"""

FOLLOW = """
ALTER TABLE {table} ADD CONSTRAINT {table}_of_cause FOREIGN KEY (cause_id)
REFERENCES errors_errorgroup (id) ON DELETE CASCADE
"""

UNDO = "DROP FUNCTION errors_count_arrivals() CASCADE"


class Migration(migrations.Migration):

    dependencies = [
        ('errors', '0010_trends_owners_reasons'),
    ]

    operations = [
        *(
            migrations.RunSQL(
                FOLLOW.format(table=table),
                f"ALTER TABLE {table} DROP CONSTRAINT {table}_of_cause",
            )
            for table in ("errors_errorarrivals", "errors_causecomment")
        ),
        migrations.RunSQL(PRESENT, migrations.RunSQL.noop),
        migrations.RunSQL(FUNCTION, UNDO),
        *(migrations.RunSQL(trigger, migrations.RunSQL.noop) for trigger in TRIGGERS),
    ]
