"""Very many rows of one map: errors, queued changes and conflicts, with long words."""

from __future__ import annotations

from tests.e2e.running import Portal

MANY = 10_000
LONG_MESSAGE = "accounts refuses the row: " + "a rule with many words fails, " * 40
LONG_WORDS = "23514: " + "Failing_row_contains_something_without_a_single_space" * 20

MAKE_CAUSES = """
INSERT INTO errors_errorgroup (table_map_id, direction, code, "column", text,
    signature, first_seen, last_seen)
SELECT %(map)s, 'finops_to_dataverse', code, 'onholdstatus', %(message)s,
    'MANY ' || code, now(), now()
FROM unnest(array['check_violated', 'value_not_in_map']) code
"""
MAKE_ERRORS = """
INSERT INTO errors_syncerror (cause_id, table_map_id, direction, phase, key, key_text,
    code,
    "column", message, remote, operation, "group", position, source_row, mapped_row,
    state, count, first_seen, last_seen, attempts)
SELECT g.id, %(map)s, 'finops_to_dataverse', 'live',
    jsonb_build_array('usmf', 'MANY-' || n), 'usmf / MANY-' || n, g.code,
    'onholdstatus', %(message)s, %(remote)s, 'upsert', '', '',
    jsonb_build_object('customeraccount', 'MANY-' || n, 'salesmemo', %(message)s::text),
    jsonb_build_object('accountnumber', 'MANY-' || n, 'description', %(message)s::text),
    'open', 1, now() - n * interval '1 second', now(), 1
FROM generate_series(1, %(many)s) n JOIN errors_errorgroup g ON g.signature =
    'MANY ' || CASE n %% 3 WHEN 0 THEN 'check_violated' ELSE 'value_not_in_map' END
"""
MAKE_QUEUE = """
INSERT INTO sync_queuedchange (table_map_id, direction, position, ordinal,
    transaction_id, committed_at, kind, key, key_text, columns, new, old, size,
    created_at)
SELECT %(map)s, 'dataverse_to_finops', '00000000/' || upper(lpad(to_hex(n), 8, '0')),
    n, n::text, now() - n * interval '1 second', 'update',
    jsonb_build_array('USMF', 'MANY-' || n), 'USMF / MANY-' || n,
    '["accountnumber", "description"]', jsonb_build_array('MANY-' || n, 'new'),
    jsonb_build_array('MANY-' || n, 'old'), 20, now()
FROM generate_series(1, %(many)s) n
"""

MAKE_CONFLICTS = """
INSERT INTO errors_conflict (table_map_id, direction, key_text, "column", policy,
    winner, base, source_value, target_value, created_at, state, subject, finops_key,
    dataverse_key, finops_columns, dataverse_columns, finops_row, dataverse_row, reason)
SELECT %(map)s, 'finops_to_dataverse', 'usmf / MANY-' || n, 'description',
    'last_writer_wins', CASE n %% 2 WHEN 0 THEN 'finops' ELSE 'undecided' END,
    'before', %(message)s, 'theirs', now() - n * interval '1 second',
    CASE n %% 2 WHEN 0 THEN 'settled' ELSE 'undecided' END, n::text,
    jsonb_build_array('usmf', 'MANY-' || n), jsonb_build_array('USMF', 'MANY-' || n),
    '["salesmemo"]', '["description"]',
    jsonb_build_object('customeraccount', 'MANY-' || n, 'salesmemo', %(message)s::text),
    jsonb_build_object('accountnumber', 'MANY-' || n, 'description', %(message)s::text),
    'Its row was written last.'
FROM generate_series(1, %(many)s) n
"""


def make(portal: Portal, chosen: int) -> None:
    """Make them."""
    session = portal.sql()
    values = {
        "map": chosen,
        "many": MANY,
        "message": LONG_MESSAGE,
        "remote": LONG_WORDS,
    }
    for query in (MAKE_CAUSES, MAKE_ERRORS, MAKE_QUEUE, MAKE_CONFLICTS):
        session.execute(query, values)
    session.execute("ANALYZE errors_syncerror, sync_queuedchange")


def remove(portal: Portal) -> None:
    """Take them away."""
    session = portal.sql()
    session.execute("DELETE FROM errors_syncerror WHERE key_text ~ 'MANY'")
    session.execute("DELETE FROM errors_errorgroup WHERE signature ~ 'MANY'")
    session.execute("DELETE FROM sync_queuedchange WHERE key_text ~ 'MANY'")
    session.execute("DELETE FROM errors_conflict WHERE key_text ~ 'MANY'")
