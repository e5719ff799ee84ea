"""Configuration files: plan, apply, what is refused, and the way back by export."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portal.activity.models import ActivityEvent
from portal.environments.models import ConnectionSet, Environment, Stream
from portal.maps.configuration import (
    Difference,
    Operation,
    apply_document,
    dsn_variable,
    export_document,
    stored_document,
)
from portal.maps.models import MapState, MapVersion, TableMap
from portal.refusals import ConfigurationRefused
from syncengine.mapping.files import Document, parse_document
from syncengine.mapping.model import ColumnMap, ColumnMapType

VARIABLES = {
    "ERP_DSN": "postgresql://erp:secret-one@h/erp",
    "CRM_DSN": "postgresql://crm:secret-two@h/crm",
}
FILE = """
environments:
  - {name: erp, role: finops, connector: postgres, dsn: "${ERP_DSN}", schema: public,
     company: {column: dataareaid}}
  - {name: crm, role: dataverse, connector: postgres, dsn: "${CRM_DSN}", schema: public,
     company: {column: msdyn_company, lookup: cdm_companies.cdm_companycode}}
connection_sets:
  - {name: contoso, finops: erp, dataverse: crm,
     legal_entities: [{finops: usmf, dataverse: USMF}]}
maps:
  - name: customers
    connection_set: contoso
    finops: customersv3
    dataverse: accounts
    publisher: contoso
    version: 1.0.0.0
    key: [[customeraccount, accountnumber]]
    filter: '(partytype == "Organization")'
    reversed_filter: 'customertypecode eq 3'
    conflict: last_writer_wins
    columns:
      - {finops: customeraccount, type: "=", dataverse: accountnumber}
      - {finops: organizationname, type: "=", dataverse: name}
      - {finops: customergroupid, type: "=",
         dataverse: msdyn_customergroupid.msdyn_groupid}
      - {finops: onholdstatus, type: "><", dataverse: msdyn_onholdstatus,
         values: {"No": 0, "Invoice": 1, "All": 2}}
      - {finops: none, type: ">>", dataverse: customertypecode, default: 3}
      - {finops: note, type: ">>", dataverse: note, default: ""}
"""

pytestmark = pytest.mark.django_db


@pytest.fixture
def document() -> Document:
    return parse_document(FILE, VARIABLES)


def operations(differences: list[Difference]) -> set[Operation]:
    return {difference.operation for difference in differences}


def with_map(document: Document, **changes: object) -> Document:
    (entry,) = document.maps
    changed = replace(entry.table_map, **changes)  # type: ignore[arg-type]
    return replace(document, maps=(replace(entry, table_map=changed),))


def test_a_plan_shows_everything_and_changes_nothing(document: Document) -> None:
    differences = apply_document(document, plan=True)
    assert [(d.kind.value, d.name) for d in differences] == [
        ("environment", "erp"),
        ("environment", "crm"),
        ("connection_set", "contoso"),
        ("map", "contoso/customers"),
    ]
    assert operations(differences) == {Operation.CREATE}
    assert not Environment.objects.exists()
    assert not TableMap.objects.exists()
    assert not ActivityEvent.objects.exists()


def test_applying_twice_changes_nothing_the_second_time(document: Document) -> None:
    apply_document(document)
    assert operations(apply_document(document)) == {Operation.UNCHANGED}
    assert MapVersion.objects.count() == 1
    assert Stream.objects.count() == 2
    assert TableMap.objects.get().state == MapState.NOT_RUNNING


def test_what_is_stored_is_what_the_file_said(document: Document) -> None:
    apply_document(document)
    stored = stored_document()
    assert set(stored.environments) == set(document.environments)
    assert stored.connection_sets == document.connection_sets
    assert stored.maps == document.maps


def test_an_export_has_no_secret_and_can_be_applied_again(document: Document) -> None:
    apply_document(document)
    text = export_document()
    assert "secret" not in text
    assert "${ERP_DSN}" in text
    again = parse_document(text, VARIABLES)
    assert operations(apply_document(again, plan=True)) == {Operation.UNCHANGED}
    TableMap.objects.update(version=None)
    TableMap.objects.all().delete()
    ConnectionSet.objects.all().delete()
    Environment.objects.all().delete()
    assert operations(apply_document(again)) == {Operation.CREATE}
    assert export_document() == text


def test_variables_are_named_after_the_environment() -> None:
    assert dsn_variable("sample-erp") == "SAMPLE_ERP_DSN"


def test_a_new_password_is_announced_but_not_shown(document: Document) -> None:
    apply_document(document)
    changed = parse_document(
        FILE, {**VARIABLES, "ERP_DSN": "postgresql://erp:other@h/erp"}
    )
    revision = ConnectionSet.objects.get().revision
    differences = apply_document(changed)
    assert [d.details for d in differences if d.operation is Operation.UPDATE] == [
        ("connection string changed",)
    ]
    assert Environment.objects.get(name="erp").dsn.endswith("other@h/erp")
    assert ConnectionSet.objects.get().revision > revision


def test_a_changed_map_needs_a_higher_version(document: Document) -> None:
    apply_document(document)
    same = with_map(document, finops_filter="")
    with pytest.raises(ConfigurationRefused, match="raise the version"):
        apply_document(same)
    lower = with_map(document, finops_filter="", version="0.9.0.0")
    with pytest.raises(ConfigurationRefused, match=r"is lower than 1\.0\.0\.0"):
        apply_document(lower)
    higher = with_map(document, finops_filter="", version="1.0.0.10")
    details = apply_document(higher)[-1].details
    assert "version: 1.0.0.0 -> 1.0.0.10" in details
    assert 'finops_filter: (partytype == "Organization") -> none' in details
    assert MapVersion.objects.count() == 2
    assert TableMap.objects.get().version.version == "1.0.0.10"  # type: ignore[union-attr]


def test_column_changes_are_told_one_by_one(document: Document) -> None:
    apply_document(document)
    (entry,) = document.maps
    columns = [c for c in entry.table_map.columns if c.finops != "organizationname"]
    columns[2] = replace(columns[2], values=(("No", "0"),))
    columns.append(ColumnMap("phone", "telephone1", ColumnMapType.TO_DATAVERSE))
    changed = with_map(document, columns=tuple(columns), version="1.0.0.1")
    assert apply_document(changed, plan=True)[-1].details == (
        "version: 1.0.0.0 -> 1.0.0.1",
        "column phone > telephone1 added",
        "column organizationname = name removed",
        "column onholdstatus >< msdyn_onholdstatus changed: value map: 2 removed",
    )


def test_a_map_that_runs_refuses_another_definition_and_names_its_state(
    document: Document,
) -> None:
    apply_document(document)
    TableMap.objects.update(state=MapState.PAUSED)
    changed = with_map(document, finops_filter="", version="1.0.0.1")
    with pytest.raises(ConfigurationRefused, match="customers is Paused"):
        apply_document(changed)
    assert operations(apply_document(document)) == {Operation.UNCHANGED}


def test_all_mistakes_are_told_at_once_and_nothing_is_changed(
    document: Document,
) -> None:
    (link,) = document.connection_sets
    (entry,) = document.maps
    broken = replace(
        document,
        connection_sets=(replace(link, finops="nowhere"),),
        maps=(replace(entry, connection_set="elsewhere"),),
    )
    with pytest.raises(ConfigurationRefused) as refused:
        apply_document(broken)
    assert "no environment nowhere" in str(refused.value)
    assert "no connection set elsewhere" in str(refused.value)
    assert not Environment.objects.exists()


def test_an_environment_is_linked_once(document: Document) -> None:
    apply_document(document)
    (link,) = document.connection_sets
    second = replace(document, connection_sets=(replace(link, name="second"),), maps=())
    with pytest.raises(ConfigurationRefused, match="already linked by contoso"):
        apply_document(second)


def test_a_company_is_unlinked_under_a_running_map_but_not_under_a_copying_one(
    document: Document,
) -> None:
    apply_document(document)
    (link,) = document.connection_sets
    without = replace(document, connection_sets=(replace(link, legal_entities=()),))
    TableMap.objects.update(state=MapState.INITIALIZING)
    with pytest.raises(ConfigurationRefused, match="wait for the initial sync"):
        apply_document(without)
    TableMap.objects.update(state=MapState.RUNNING)
    details = apply_document(without)[2].details
    assert details == ("company usmf / USMF unlinked",)
    assert not ConnectionSet.objects.get().legal_entity_pairs()
