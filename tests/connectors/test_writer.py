"""The live writer's connection stays of use, whatever was refused on it."""

from __future__ import annotations

import pytest

from syncengine.connectors.base import Operation, OperationKind, WriteRefused
from tests.connectors.conftest import Ground
from tests.connectors.test_load import RULE, SOURCE, TARGET, Target, compiled

POSITION = (
    "CREATE SCHEMA dualwrite",
    "CREATE TABLE dualwrite.position"
    " (link text PRIMARY KEY, position text, updated_at timestamptz)",
)


def test_a_refused_batch_after_many_other_statements_does_not_end_the_writing(
    ground: Ground,
) -> None:
    ground.execute(SOURCE, *TARGET, *POSITION)
    writer = ground.connector(company=RULE).writer("dw0123456789ab")
    target = Target(ground, compiled(ground), writer)

    def operation(number: str, name: str) -> Operation:
        row = target.row(number, name=name)
        key = target.leg.key_of(row)
        return Operation(target.leg, OperationKind.UPSERT, key, row=row)

    try:
        for place in range(20):
            writer.position()
            writer.flush()
            assert writer.apply([operation(f"A{place}", "good")]).committed
        with pytest.raises(WriteRefused):
            writer.apply([operation("B", "bad")])
        for place in range(3):
            writer.flush()
            assert writer.apply([operation(f"C{place}", "good")]).committed
    finally:
        writer.close()
    assert ground.query("SELECT count(*) FROM accounts") == [(23,)]
