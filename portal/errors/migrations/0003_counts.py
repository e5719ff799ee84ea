"""The database moves the counts of causes with every change of an error, whoever makes
it (docs/adr/0008)."""

from django.db import migrations

FUNCTION = """
CREATE FUNCTION errors_count_causes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {branches}
    RETURN NULL;
END $$
"""

BRANCH = """
    IF TG_OP = '{operation}' THEN
        WITH moved AS (
            SELECT cause_id, sum(waiting) AS waiting, sum(retrying) AS retrying,
                   sum(kept) AS kept
            FROM ({rows}) one
            WHERE cause_id IS NOT NULL
            GROUP BY cause_id
            HAVING sum(waiting) <> 0 OR sum(retrying) <> 0 OR sum(kept) <> 0
        ), locked AS (
            SELECT g.id FROM errors_errorgroup g
            WHERE g.id IN (SELECT cause_id FROM moved) ORDER BY g.id FOR UPDATE
        )
        UPDATE errors_errorgroup g SET
            waiting_count = g.waiting_count + m.waiting,
            retrying_count = g.retrying_count + m.retrying,
            kept_count = g.kept_count + m.kept
        FROM moved m WHERE g.id = m.cause_id AND g.id IN (SELECT id FROM locked);
    END IF;
"""

ROWS = """
            SELECT cause_id, {sign} (state IN ('open', 'retrying'))::int AS waiting,
                   {sign} (state = 'retrying')::int AS retrying, {sign} 1 AS kept
            FROM {table}
"""

BEFORE = ROWS.format(sign="-", table="before")
AFTER = ROWS.format(sign="+", table="after")

BRANCHES = "".join(
    BRANCH.format(operation=operation, rows=rows)
    for operation, rows in (
        ("INSERT", AFTER),
        ("UPDATE", f"{BEFORE} UNION ALL {AFTER}"),
        ("DELETE", BEFORE),
    )
)

TRIGGERS = [
    f"""
CREATE TRIGGER errors_counted_{operation.lower()}
AFTER {operation} ON errors_syncerror REFERENCING {tables}
FOR EACH STATEMENT EXECUTE FUNCTION errors_count_causes()
"""
    for operation, tables in (
        ("INSERT", "NEW TABLE AS after"),
        ("UPDATE", "OLD TABLE AS before NEW TABLE AS after"),
        ("DELETE", "OLD TABLE AS before"),
    )
]

UNDO = "DROP FUNCTION errors_count_causes() CASCADE"


class Migration(migrations.Migration):

    dependencies = [
        ('errors', '0002_grouped'),
    ]

    operations = [
        migrations.RunSQL(FUNCTION.format(branches=BRANCHES), UNDO),
        *(migrations.RunSQL(trigger, migrations.RunSQL.noop) for trigger in TRIGGERS),
    ]
