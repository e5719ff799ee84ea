"""Environments and links: tested for real, guarded against mistakes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from portal.activity.models import ActivityEvent
from portal.environments import services
from portal.environments.models import ConnectionSet, Environment
from portal.maps.models import MapState, TableMap
from portal.refusals import ActionForbidden, ConfigurationRefused, Refusal
from syncengine.mapping.model import LegalEntityPair
from tests.factories import make_connection_set, make_environment, make_map

pytestmark = pytest.mark.django_db


def test_a_test_remembers_what_the_system_says_of_itself(database: str) -> None:
    environment = make_environment(dsn=database)
    found = services.test_connection(environment)
    environment.refresh_from_db()
    assert found.passed
    assert environment.product == "PostgreSQL"
    assert environment.fingerprint
    assert environment.checked_at is not None


def test_a_system_that_is_down_is_a_finding_without_the_secret() -> None:
    found = services.test_connection(make_environment())
    assert not found.passed
    assert found.findings[0].code
    assert "secret-word" not in found.findings[0].message
    with pytest.raises(Refusal):
        services.refresh(make_environment())


def test_a_wrong_password_has_its_own_code(database: str) -> None:
    before, _, host = database.rpartition("@")
    wrong = f"{before.rpartition(':')[0]}:wrong@{host}"
    found = services.test_connection(make_environment(dsn=wrong))
    assert found.findings[0].code == "wrong_password"


def test_an_environment_that_became_another_database_is_noticed(
    make_database: Callable[..., str],
) -> None:
    environment = make_environment("finops", dsn=make_database())
    services.refresh(environment)
    make_map(make_connection_set(finops=environment), state=MapState.RUNNING)
    services.update_environment(environment, dsn=make_database())
    with pytest.raises(ActionForbidden, match="answers as another database"):
        services.test_connection(environment)


def test_the_same_database_cannot_be_both_sides(database: str) -> None:
    sides = [make_environment(role, dsn=database) for role in ("finops", "dataverse")]
    for environment in sides:
        services.refresh(environment)
    with pytest.raises(ConfigurationRefused, match="same database"):
        services.create_connection_set(name="x", finops=sides[0], dataverse=sides[1])


def test_sides_keep_their_roles() -> None:
    finops, dataverse = make_environment("finops"), make_environment("dataverse")
    with pytest.raises(ConfigurationRefused, match="cannot be the finops side"):
        services.create_connection_set(name="x", finops=dataverse, dataverse=finops)
    assert not ConnectionSet.objects.exists()


def test_bad_fields_are_told_together() -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        services.create_environment(name="a b", role="warehouse", dsn="x")
    assert "name:" in str(refused.value)
    assert "role:" in str(refused.value)
    assert not Environment.objects.exists()


def test_only_the_connection_string_changes_under_a_map_in_use() -> None:
    table_map = make_map(state=MapState.RUNNING)
    environment = table_map.connection_set.finops
    with pytest.raises(ActionForbidden, match="customers is Running"):
        services.update_environment(environment, schema="other")
    revision = ConnectionSet.objects.get().revision
    assert services.update_environment(environment, dsn="postgresql://h/d") == ["dsn"]
    assert ConnectionSet.objects.get().revision == revision + 1
    TableMap.objects.update(state=MapState.NOT_RUNNING)
    assert services.update_environment(environment, schema="other") == ["schema"]


def test_companies_are_added_to_running_maps_but_not_to_copying_ones() -> None:
    table_map = make_map(state=MapState.RUNNING)
    link = table_map.connection_set
    pairs = [LegalEntityPair("usmf", "USMF")]
    assert services.set_legal_entities(link, pairs) is True
    assert services.set_legal_entities(link, pairs) is False
    TableMap.objects.update(state=MapState.INITIALIZING)
    with pytest.raises(ActionForbidden, match="Initializing"):
        services.set_legal_entities(link, [*pairs, LegalEntityPair("demf", "DEMF")])


def test_a_company_code_is_used_once_per_side() -> None:
    link = make_connection_set()
    pairs = [LegalEntityPair("usmf", "USMF"), LegalEntityPair("demf", "USMF")]
    with pytest.raises(ConfigurationRefused, match="twice"):
        services.set_legal_entities(link, pairs)


def test_the_log_never_holds_a_secret() -> None:
    environment = make_environment()
    services.update_environment(environment, dsn="postgresql://u:other-secret@h/d")
    assert ActivityEvent.objects.count() == 2
    for event in ActivityEvent.objects.all():
        assert "secret" not in event.message + str(event.details)
