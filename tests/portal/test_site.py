"""What every part of the site keeps: health, headers, sign-in, admin pages."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.management import call_command
from django.test import Client

from portal.accounts.models import User
from portal.celery import app
from portal.environments.models import Stream
from portal.sync.models import (
    RememberedTable,
    RowCount,
    SavedQueue,
    SavedQueuePart,
    StreamLatency,
)
from tests.factories import make_map

MODELS = [
    model
    for topic in apps.get_app_configs()
    if topic.name.startswith("portal.")
    for model in topic.get_models()
]


@pytest.fixture
def administrator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.mark.django_db
def test_health_says_that_database_and_broker_answer(client: Client) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "database": "ok", "broker": "ok"}
    assert client.post("/healthz").status_code == 405


@pytest.mark.django_db
def test_pages_allow_no_foreign_scripts(client: Client) -> None:
    policy = client.get("/accounts/login/").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]


@pytest.mark.django_db
def test_the_admin_is_for_staff_only(client: Client) -> None:
    assert client.get("/admin/").status_code == 302
    client.force_login(User.objects.create_user("bob"))
    assert client.get("/admin/").status_code == 403


@pytest.mark.django_db
@pytest.mark.parametrize("model", MODELS)
def test_every_model_that_is_not_a_line_has_an_admin_list(
    administrator: Client, model: type
) -> None:
    make_map()
    if model not in admin.site._registry:
        inlines = {
            inline.model
            for registered in admin.site._registry.values()
            for inline in registered.inlines
        }
        assert model in inlines
        return
    meta = model._meta  # type: ignore[attr-defined]
    url = f"/admin/{meta.app_label}/{meta.model_name}/"
    assert administrator.get(url).status_code == 200
    for row in model.objects.all():  # type: ignore[attr-defined]
        assert administrator.get(f"{url}{row.pk}/change/").status_code == 200


@pytest.mark.django_db
def test_rows_of_streams_and_queues_open_in_the_admin(administrator: Client) -> None:
    table_map = make_map()
    connection_set = table_map.connection_set
    stream = Stream.objects.get(connection_set=connection_set, source="finops")
    StreamLatency.objects.create(stream=stream, counts=[0, 3], seconds=1.5)
    RowCount.objects.create(
        table_map=table_map, direction="finops_to_dataverse", outcome="insert", rows=7
    )
    RememberedTable.objects.create(
        connection_set=connection_set, side="finops", name="customers", document={}
    )
    saved = SavedQueue.objects.create(table_map=table_map, changes=2, bytes=90)
    SavedQueuePart.objects.create(saved_queue=saved, number=1, content=b"x" * 4321)
    for row in (
        *StreamLatency.objects.all(),
        *RowCount.objects.all(),
        *RememberedTable.objects.all(),
        saved,
    ):
        url = f"/admin/sync/{row._meta.model_name}/"
        assert f"{url}{row.pk}/change/" in administrator.get(url).content.decode()
        page = administrator.get(f"{url}{row.pk}/change/")
        assert page.status_code == 200
        assert administrator.get(f"{url}add/").status_code == 403
        assert administrator.post(f"{url}{row.pk}/delete/").status_code == 403
    assert "4,321" in page.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path", ["maps/tablemap", "sync/queuedchange", "errors/syncerror", "runs/legrun"]
)
def test_runtime_rows_cannot_be_added_by_hand(administrator: Client, path: str) -> None:
    assert administrator.get(f"/admin/{path}/add/").status_code == 403


@pytest.mark.django_db
def test_migrations_say_what_the_models_say() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_stream_tasks_acknowledge_early_and_all_others_late() -> None:
    app.loader.import_default_modules()
    tasks = app.tasks
    assert tasks["portal.sync.tasks.run_stream"].acks_late is False
    assert tasks["portal.sync.tasks.ensure_streams"].acks_late is True
    assert tasks["portal.runs.tasks.copy_chunks"].acks_late is True
    assert app.conf.worker_prefetch_multiplier == 1


def test_every_tick_expires_and_exists() -> None:
    app.loader.import_default_modules()
    for entry in app.conf.beat_schedule.values():
        assert entry["task"] in app.tasks
        assert entry["options"]["expires"] > 0
