"""Samples of what streams did, and the charts that are drawn from them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client

from portal.environments.models import ConnectionSet, Stream
from portal.maps.models import MapState, TableMap
from portal.runs.models import LegRun
from portal.sync.models import RowCount
from portal.trends import charts, queries, sampling
from portal.trends.models import Span, Trend
from portal.trends.tasks import sample
from tests.factories import make_connection_set, make_map
from tests.portal.page_rows import TO_DATAVERSE, TO_FINOPS, make_run, pulse

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 4, 12, 0, 5, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def count(table_map: TableMap, rows: int, direction: str = TO_DATAVERSE) -> None:
    """So many records were written since the portal was installed."""
    RowCount.objects.update_or_create(
        table_map=table_map,
        direction=direction,
        outcome="updated",
        defaults={"rows": rows},
    )


def carried(span: Span = Span.MINUTE, source: str = "finops") -> list[int]:
    rows = Trend.objects.filter(span=span, stream__source=source)
    return list(rows.order_by("began_at").values_list("carried", flat=True))


@pytest.fixture
def links() -> ConnectionSet:
    found = make_connection_set(name="contoso")
    pulse(found, heartbeat_at=NOON)
    return found


@pytest.fixture
def table_map(links: ConnectionSet) -> TableMap:
    return make_map(links, state=MapState.RUNNING)


def test_a_sample_is_what_was_carried_over_since_the_one_before(
    table_map: TableMap,
) -> None:
    count(table_map, 1000)
    sampling.take(NOON)
    for seconds, rows in ((15, 1010), (30, 1030), (60, 1031), (75, 1031)):
        count(table_map, rows)
        sampling.take(later(seconds))
    assert carried() == [30, 1]
    assert carried(Span.QUARTER) == [31]
    assert carried(Span.TWO_HOURS) == [31]
    assert carried(source="dataverse") == [0, 0]


def test_conflicts_are_no_records_carried_over(table_map: TableMap) -> None:
    sampling.take(NOON)
    RowCount.objects.create(
        table_map=table_map, direction=TO_FINOPS, outcome="conflict", rows=7
    )
    count(table_map, 2, TO_FINOPS)
    sampling.take(later(15))
    assert carried(source="dataverse") == [2]


def test_after_a_pause_records_show_only_where_their_time_is_known(
    table_map: TableMap,
) -> None:
    count(table_map, 0)
    sampling.take(NOON)
    count(table_map, 500)
    sampling.take(later(600))
    assert carried() == [0, 0]
    assert sum(carried(Span.QUARTER)) == 500


def test_what_initial_syncs_copied_counts_and_purged_runs_take_nothing_away(
    table_map: TableMap,
) -> None:
    sampling.take(NOON)
    run = make_run(table_map)
    sampling.take(later(15))
    run.delete()
    sampling.take(later(30))
    assert not LegRun.objects.exists()
    rows = Trend.objects.filter(span=Span.MINUTE, stream__source="finops")
    assert [row.copied for row in rows] == [50]


def test_the_largest_lag_of_a_span_is_kept_and_silence_is_lag(
    links: ConnectionSet, table_map: TableMap
) -> None:
    for seconds, lag in ((0, 0.5), (15, 9.0), (30, 0.25)):
        pulse(links, heartbeat_at=later(seconds), lag_seconds=lag)
        sampling.take(later(seconds))
    assert {row.lag_seconds for row in Trend.objects.all()} == {9.0}
    sampling.take(later(90))
    newest = Trend.objects.filter(span=Span.MINUTE).order_by("-began_at")[0]
    assert newest.lag_seconds == 60


def test_where_nothing_runs_there_is_no_lag(links: ConnectionSet) -> None:
    make_map(links)
    sampling.take(NOON)
    assert set(Trend.objects.values_list("lag_seconds", flat=True)) == {None}


def test_samples_that_no_chart_shows_are_forgotten(table_map: TableMap) -> None:
    for hours in (0, 1, 3, 24 * 3, 24 * 16):
        sampling.take(NOON - timedelta(hours=hours))
    sampling.forget(NOON)
    kept = {
        span: Trend.objects.filter(span=span, stream__source="finops").count()
        for span in Span
    }
    assert kept == {Span.MINUTE: 2, Span.QUARTER: 3, Span.TWO_HOURS: 4}


def test_the_task_may_run_twice(table_map: TableMap) -> None:
    sample()
    count(table_map, 5)
    sample()
    sample()
    assert sum(carried(Span.QUARTER)) == 5


def test_a_window_is_one_query_and_has_every_span(
    links: ConnectionSet, table_map: TableMap
) -> None:
    sampling.take(later(-3600 * 3))
    sampling.take(NOON)
    count(table_map, 12)
    sampling.take(later(20))
    before = len(connection.queries_log)
    found = queries.window("hour", links.pk, later(30))
    assert len(connection.queries_log) - before <= 1
    assert len(found.figures) == 60
    assert found.figures[-1].to_dataverse == 12
    assert [one.known for one in found.figures[-2:]] == [False, True]
    assert queries.window("hour", links.pk + 1, later(30)).figures[-1].known is False


def test_charts_are_stacked_to_scale_and_say_what_they_show(
    links: ConnectionSet, table_map: TableMap
) -> None:
    sampling.take(NOON)
    count(table_map, 30)
    count(table_map, 10, TO_FINOPS)
    sampling.take(later(20))
    found = queries.window("hour", now=later(30))
    chart = charts.throughput(found)
    first, second = chart.bars
    assert (first.tone, first.y, first.height) == ("to-dataverse", 25.0, 75.0)
    assert (second.tone, second.y, second.height) == ("to-finops", 0.0, 25.0)
    assert (chart.top, chart.middle) == ("40", "20")
    assert "to dataverse 30, to finops 10" in chart.summary
    assert chart.marks[-1].words == "12:00 UTC: 30 to Dataverse, 10 to FinOps"


def test_a_line_has_a_gap_where_nothing_was_known(links: ConnectionSet) -> None:
    make_map(links, state=MapState.RUNNING)
    for minute in (0, 1, 2, 5):
        pulse(links, heartbeat_at=later(60 * minute))
        sampling.take(later(60 * minute))
    chart = charts.lag(queries.window("hour", now=later(330)))
    assert [tone for tone, _ in chart.lines] == ["to-dataverse"] * 2 + ["to-finops"] * 2


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (1, 1), (1.2, 2), (4.1, 5), (51, 100), (1_999, 2_000)]
)
def test_the_scale_ends_at_a_round_number(value: float, top: float) -> None:
    assert charts.nice_top(value, least=1) == top


def test_every_window_is_a_link_and_nonsense_is_the_last_hour(
    admin_client: Client, links: ConnectionSet, table_map: TableMap
) -> None:
    other = make_connection_set(name="fabrikam")
    for span in ("hour", "day", "week", "century"):
        text = admin_client.get("/trends/", {"span": span, "set": other.pk}).content
        shown = span if span != "century" else "hour"
        assert f"span={shown}&amp;set={other.pk}" in text.decode()
        assert f'aria-current="true">Last {shown}' in text.decode()
    assert admin_client.get("/trends/", {"set": "x"}).status_code == 200
    assert admin_client.post("/trends/").status_code == 405


def test_charts_are_for_staff_only(client: Client) -> None:
    assert client.get("/trends/").status_code == 302
    assert not Stream.objects.exists()
