"""What the pictures show: the sample companies on a busy day. Changes, errors, the
queue, the comparison and the alert are real; only the past, conflicts, a held wave and
old trends are written as rows, for they take days to come about."""

from __future__ import annotations

from tests.e2e.running import Portal
from tests.waiting import wait_until

ERP, CRM = "sample_erp", "sample_crm"
ACCOUNTS, CONTACTS = "Customers V3 (accounts)", "Customers V3 (contacts)"
FAILED = 60.0

UNKNOWN_VALUES = (
    "ALTER TABLE customersv3 DROP CONSTRAINT IF EXISTS customersv3_onholdstatus_check",
    "UPDATE customersv3 SET onholdstatus = 'legal' WHERE partytype = 'Organization'"
    " AND customeraccount IN (SELECT customeraccount FROM customersv3"
    " WHERE partytype = 'Organization' ORDER BY customeraccount OFFSET 40 LIMIT 24)",
)
UNKNOWN_REFERENCES = (
    "UPDATE customersv3 SET salescurrencycode = '999' WHERE partytype = 'Organization'"
    " AND customeraccount IN (SELECT customeraccount FROM customersv3"
    " WHERE partytype = 'Organization' ORDER BY customeraccount OFFSET 90 LIMIT 7)",
)
WAITING = (
    "UPDATE contacts SET lastname = lastname || '-Ng' WHERE msdyn_contactpersonid IN"
    " (SELECT msdyn_contactpersonid FROM contacts"
    "  WHERE msdyn_contactpersonid IS NOT NULL ORDER BY 1 LIMIT 38)",
)
OPEN_ERRORS = "SELECT count(*) FROM errors_syncerror WHERE state = 'open'"
QUEUED = "SELECT count(*) FROM sync_queuedchange"
ALERTS = "SELECT count(*) FROM alerts_alert WHERE closed_at IS NULL"

CONFLICTS = """
INSERT INTO errors_conflict (table_map_id, direction, key_text, "column", policy,
    winner, base, source_value, target_value, created_at, state, subject, finops_key,
    dataverse_key, finops_columns, dataverse_columns, finops_row, dataverse_row, reason)
SELECT %(map)s, 'finops_to_dataverse', 'usmf / ' || account, 'creditlimit',
    CASE WHEN open THEN 'manual' ELSE 'last_writer_wins' END,
    CASE WHEN open THEN 'undecided' ELSE 'finops' END, '50000.00', '75000.00',
    '60000.00', now() - ago * interval '1 minute',
    CASE WHEN open THEN 'undecided' ELSE 'settled' END, account,
    jsonb_build_array('usmf', account), jsonb_build_array('USMF', account),
    '["creditlimit"]', '["creditlimit"]',
    jsonb_build_object('customeraccount', account, 'creditlimit', '75000.00',
        'salesmemo', 'Calls before ten'),
    jsonb_build_object('accountnumber', account, 'creditlimit', '60000.00',
        'description', 'Calls before ten'),
    CASE WHEN open THEN '' ELSE 'Its row was written last.' END
FROM (VALUES ('US-017', 4, true), ('US-018', 11, true), ('US-022', 35, false),
    ('US-024', 90, false), ('US-025', 200, false)) c(account, ago, open)
"""

HELD = """
INSERT INTO approvals_approval (table_map_id, direction, kind, count, rows, sample,
    state, held_at, discarded)
SELECT %(map)s, 'dataverse_to_finops', 'delete', 412, 2014,
    '[["USMF", "C-000031"], ["USMF", "C-000044"], ["USMF", "C-000052"]]', 'open',
    now() - interval '6 minutes', 0
"""

# A calm night, a busy morning, and half an hour in which FinOps was away.
PAST = """
INSERT INTO trends_trend (stream_id, span, began_at, sampled_at, carried, copied,
    lag_seconds, carried_total, copied_total)
SELECT s.id, k.span, moment, moment, (k.span / 60.0 * busy *
        CASE s.source WHEN 'finops' THEN 190 ELSE 70 END)::bigint, 0,
    0.05 + busy * 0.4 + CASE WHEN s.source = 'finops' AND number % 41 = 12
        THEN 6 * busy ELSE 0 END, 0, 0
FROM environments_stream s
CROSS JOIN (VALUES (60, 58), (900, 95), (7200, 83)) k(span, spans)
CROSS JOIN LATERAL generate_series(1, k.spans) number
CROSS JOIN LATERAL (SELECT date_bin(make_interval(secs => k.span), now(), 'epoch')
    - number * make_interval(secs => k.span) AS moment) m
CROSS JOIN LATERAL (SELECT (1.1 - cos(2 * pi() *
    extract(epoch FROM moment - interval '2 hours') / 86400.0)) / 2.1
    * (0.75 + 0.25 * sin(number * 1.7) + 0.2 * sin(number * 0.6)) AS busy) b
WHERE NOT (k.span = 900 AND number BETWEEN 33 AND 35)
ON CONFLICT (stream_id, span, began_at) DO NOTHING
"""


def arrange(portal: Portal) -> int:
    """Let all this happen; the id of the map whose pages are shown."""
    chosen, session = portal.map_id(ACCOUNTS), portal.sql()
    values = {"map": chosen}
    portal.dw("traffic", "--seconds", "20", "--rate", "15")
    portal.dw(
        *("alert-rules", "--set", "Many new errors", "--measure", "errors"),
        *("--threshold", "10", "--window", "60"),
    )
    _break(portal)
    portal.dw("compare", ACCOUNTS, ends=1)
    portal.dw("pause", CONTACTS)
    for query in WAITING:
        portal.sql(CRM).execute(query)
    session.execute(CONFLICTS, values)
    for of in ("e2e.exhibits", "screenshots.fabrikam"):
        portal.manage("shell", "-c", f"from tests.{of} import make; make()")
    session.execute(HELD, {"map": portal.map_id(CONTACTS)})
    session.execute(PAST)
    wait_until(
        lambda: portal.value("", QUEUED) and portal.value("", ALERTS),
        FAILED,
        lambda: "changes wait and the alert is raised",
    )
    return chosen


def _break(portal: Portal) -> None:
    """Values and references that the map cannot carry over."""
    for query in (*UNKNOWN_VALUES, *UNKNOWN_REFERENCES):
        portal.sql(ERP).execute(query)
    wait_until(
        lambda: portal.value("", OPEN_ERRORS) >= 24,
        FAILED,
        lambda: f"errors appear: {portal.value('', OPEN_ERRORS)}",
    )
