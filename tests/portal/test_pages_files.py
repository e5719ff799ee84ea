"""Maps to and from files in the browser: the plan, the answer, the downloads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from portal.accounts.models import User
from portal.accounts.roles import Role
from portal.accounts.services import set_limits, set_roles
from portal.activity.models import ActivityEvent
from portal.environments.models import ConnectionSet
from portal.maps import file_views
from portal.maps.configuration import stored_document
from portal.maps.models import MapState, SharedValueMap, TableMap
from portal.maps.shared_values import pairs_of
from syncengine.mapping.files import parse_document
from syncengine.mapping.model import ConflictPolicy
from syncengine.mapping.product_json import dump_product_map, parse_product_map
from tests.factories import make_connection_set, make_definition, make_map, make_user
from tests.mapping.test_product_json import MAPPING
from tests.portal.test_dw_catalog import dw_json

pytestmark = pytest.mark.django_db

ALL = ("map_import", "map_export", "map_download")
IMPORT, EXPORT, DOWNLOAD = map(reverse, ALL)


@pytest.fixture
def contoso() -> ConnectionSet:
    return make_connection_set(name="contoso")


def upload(client: Client, *files: tuple[str, Any], **values: object) -> Any:
    """The answer to these files, each a name and a text or a JSON document."""
    sent = []
    for name, content in files:
        if not isinstance(content, bytes):
            text = content if isinstance(content, str) else json.dumps(content)
            content = text.encode()
        sent.append(SimpleUploadedFile(name, content))
    return client.post(IMPORT, {"upload": sent, **values})


def confirm(client: Client, planned: HttpResponse, **values: object) -> Any:
    context = planned.context  # type: ignore[attr-defined]
    return client.post(
        IMPORT, {"files": context["packed"], "set": context["target"].pk, **values}
    )


def operations(planned: Any) -> dict[str, str]:
    return {one.done.name: one.operation for one in planned.context["planned"]}


# Import


def test_files_are_shown_as_a_plan_and_nothing_is_changed(
    admin_client: Client, contoso: ConnectionSet
) -> None:
    planned = upload(
        admin_client,
        ("customers.json", {**MAPPING, "description": "Ours"}),
        ("vendors.json", dump_product_map(make_definition("vendors"))),
    )
    assert operations(planned) == {
        "Customers V3 (accounts)": "create",
        "vendors": "create",
    }
    text = planned.content.decode()
    assert "2 to add, 0 to change, 0 unchanged" in text
    assert "Customers V3 is the table customersv3." in text
    assert "description = Ours: The portal&#x27;s maps have no place for it." in text
    assert not TableMap.objects.exists()
    assert not ActivityEvent.objects.filter(kind="connection_set.imported").exists()


def test_confirming_does_what_was_shown(
    admin_client: Client, admin_user: User, contoso: ConnectionSet
) -> None:
    table_map = make_map(contoso)
    newer = make_definition(version="2.0.0.0", conflict=ConflictPolicy.MANUAL)
    planned = upload(
        admin_client,
        ("a.json", dump_product_map(newer)),
        ("b.json", dump_product_map(make_definition("vendors"))),
    )
    assert operations(planned) == {"customers": "update", "vendors": "create"}
    text = planned.content.decode()
    assert "version: 1.0.0.0 -&gt; 2.0.0.0" in text
    assert "1 map gets a new current version" in text
    done = confirm(admin_client, planned)
    assert done["Location"] == f"{reverse('map_list')}?set=contoso"
    table_map.refresh_from_db()
    assert str(table_map.version) == "contoso 2.0.0.0"
    assert table_map.version.created_by == admin_user  # type: ignore[union-attr]
    assert TableMap.objects.filter(name="vendors", state="not_running").exists()
    event = ActivityEvent.objects.get(kind="connection_set.imported")
    assert (event.user, event.connection_set) == (admin_user, contoso)
    assert event.message == "2 maps of contoso came from a.json, b.json."
    again = upload(admin_client, ("a.json", dump_product_map(newer)))
    assert operations(again) == {"customers": "unchanged"}
    assert "confirm-import" not in again.content.decode()


def test_a_yaml_export_gives_its_maps_and_lists_the_rest(
    admin_client: Client, contoso: ConnectionSet
) -> None:
    make_map(contoso)
    text = admin_client.get(DOWNLOAD, {"format": "yaml"}).content.decode()
    fabrikam = make_connection_set(name="fabrikam")
    planned = upload(admin_client, ("all.yaml", text), set=fabrikam.pk)
    (one,) = planned.context["planned"]
    assert one.operation == "create"
    assert any("environments[]" in line for line in one.not_carried)
    confirm(admin_client, planned)
    both = [entry.table_map for entry in stored_document().maps]
    assert both == [make_definition(), make_definition()]


def test_a_map_that_runs_is_not_changed_under_the_answer(
    admin_client: Client, contoso: ConnectionSet
) -> None:
    make_map(contoso)
    newer = dump_product_map(make_definition(version="2.0.0.0"))
    planned = upload(admin_client, ("a.json", newer))
    TableMap.objects.update(state=MapState.RUNNING)
    refused = confirm(admin_client, planned)
    assert refused.status_code == 409
    assert "customers is Running" in refused.content.decode()
    assert upload(admin_client, ("a.json", newer)).status_code == 409


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.json", "[1,", "a.json, line 1: This is not JSON"),
        ("a.json", {**MAPPING, "version": "x"}, "a.json, version: x must be four"),
        ("a.yaml", "maps: []", "a.yaml: There is no map in this file."),
        ("a.yaml", "maps: [{name: m}]", "a.yaml, line 1: maps[0]"),
        ("a.bin", b"\xff\xfe\xfa", "a.bin is not UTF-8 text."),
    ],
)
def test_a_bad_file_is_named_with_the_place(
    admin_client: Client,
    contoso: ConnectionSet,
    name: str,
    content: Any,
    sentence: str,
) -> None:
    refused = upload(admin_client, (name, content))
    assert refused.status_code == 409
    assert sentence in refused.content.decode()
    assert 'type="file"' in refused.content.decode()


def test_too_much_and_nothing_are_refused(
    admin_client: Client, contoso: ConnectionSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Choose at least one file" in upload(admin_client).content.decode()
    file = ("a.json", dump_product_map(make_definition()))
    monkeypatch.setattr(file_views, "LIMIT", 100)
    assert "more than 8 MB" in upload(admin_client, file).content.decode()
    monkeypatch.setattr(file_views, "LIMIT", 10_000)
    monkeypatch.setattr(file_views, "CARRIED", 100)
    assert "too large for a page" in upload(admin_client, file).content.decode()


def test_the_answer_belongs_to_who_was_asked_and_cannot_be_made_up(
    admin_client: Client, contoso: ConnectionSet
) -> None:
    planned = upload(admin_client, ("a.json", dump_product_map(make_definition())))
    other = Client()
    other.force_login(User.objects.create_superuser("other"))
    for client, packed in (
        (other, planned.context["packed"]),
        (admin_client, planned.context["packed"][:-2]),
        (admin_client, "made up"),
    ):
        refused = client.post(IMPORT, {"files": packed, "set": contoso.pk})
        assert refused.status_code == 409
        assert "too old or not yours" in refused.content.decode()
    assert not TableMap.objects.exists()


def test_where_there_are_several_connection_sets_one_is_chosen(
    admin_client: Client, contoso: ConnectionSet
) -> None:
    fabrikam = make_connection_set(name="fabrikam")
    file = ("a.json", dump_product_map(make_definition()))
    refused = upload(admin_client, file)
    assert "Choose the connection set" in refused.content.decode()
    preset = admin_client.get(IMPORT, {"set": fabrikam.pk}).content.decode()
    assert f'<option value="{fabrikam.pk}" selected>' in preset
    confirm(admin_client, upload(admin_client, file, set=fabrikam.pk))
    assert {m.connection_set for m in TableMap.objects.all()} == {fabrikam}


def test_without_a_connection_set_it_says_so(admin_client: Client) -> None:
    assert "There is no connection set yet" in admin_client.get(IMPORT).content.decode()


YES_NO = """
value_maps: [{name: YN, values: {no: "0", yes: "1"}}]
maps:
- name: flags
  connection_set: contoso
  finops: flags
  dataverse: flags
  version: 1.0.0.0
  columns: [{finops: flag, type: "><", dataverse: flag, value_map: YN}]
"""


def test_shared_value_maps_come_along_and_are_shown(
    client: Client, contoso: ConnectionSet
) -> None:
    maker = make_user(Role.MAP_MAKER)
    set_limits(maker, limited=True, limits=[(contoso, "")])
    client.force_login(maker)
    refused = upload(client, ("a.yaml", YES_NO))
    assert "change shared value maps (YN)" in refused.content.decode()
    set_limits(maker, limited=False)
    planned = upload(client, ("a.yaml", YES_NO))
    (value_map,) = planned.context["value_maps"]
    assert (value_map.name, value_map.operation.value) == ("YN", "create")
    assert not SharedValueMap.objects.exists()
    confirm(client, planned)
    assert pairs_of() == {"YN": (("no", "0"), ("yes", "1"))}
    changed = upload(client, ("a.yaml", YES_NO.replace('"1"', '"2"')))
    assert changed.status_code == 409
    higher = YES_NO.replace('"1"', '"2"').replace("version: 1.0", "version: 1.1")
    again = upload(client, ("a.yaml", higher))
    (value_map,) = again.context["value_maps"]
    assert value_map.operation.value == "update"
    assert operations(again) == {"flags": "update"}


def test_two_files_cannot_disagree_about_a_value_map(
    admin_client: Client, contoso: ConnectionSet
) -> None:
    other = YES_NO.replace('"1"', '"2"').replace("flags", "marks")
    refused = upload(admin_client, ("a.yaml", YES_NO), ("b.yaml", other))
    assert "b.yaml: The value map YN is another" in refused.content.decode()
    same = upload(
        admin_client, ("a.yaml", YES_NO), ("b.yaml", YES_NO.replace("flags", "marks"))
    )
    assert operations(same) == {"flags": "create", "marks": "create"}


# Export


def test_a_download_is_taken_back_whole(
    admin_client: Client, contoso: ConnectionSet
) -> None:
    table_map = make_map(contoso, name="Customers & more")
    make_map(contoso, name="vendors")
    yaml = admin_client.get(DOWNLOAD, {"format": "yaml", "map": table_map.pk})
    assert yaml["Content-Disposition"] == 'attachment; filename="customers-more.yaml"'
    assert yaml["Content-Type"] == "application/yaml; charset=utf-8"
    assert "secret-word" not in yaml.content.decode()
    names = {environment.name for environment in stored_document().environments}
    variables = {f"{n.upper().replace('-', '_')}_DSN": "x" for n in names}
    (entry,) = parse_document(yaml.content.decode(), variables).maps
    assert entry.table_map == make_definition("Customers & more")
    product = admin_client.get(
        DOWNLOAD, {"format": "dualwrite-json", "map": table_map.pk}
    )
    assert product["Content-Disposition"].endswith('"customers-more.json"')
    found = parse_product_map(product.content.decode())
    assert found.table_map == make_definition("Customers & more")
    everything = admin_client.get(DOWNLOAD, {"format": "dualwrite-json"})
    assert everything["Content-Disposition"].endswith('"maps.json"')
    assert len(json.loads(everything.content)) == 2


def test_the_export_page_lists_what_would_be_lost(
    admin_client: Client, contoso: ConnectionSet
) -> None:
    definition = make_definition("one", conflict=ConflictPolicy.MANUAL)
    one = make_map(contoso, definition=definition)
    make_map(contoso, name="two")
    text = admin_client.get(EXPORT).content.decode()
    assert reverse("map_import") in admin_client.get("/maps/").content.decode()
    assert "2 maps, with the environments" in text
    assert "dualWritePortal.conflict = manual" in text
    alone = admin_client.get(EXPORT, {"map": one.pk})
    assert f"format=yaml&amp;map={one.pk}" in alone.content.decode()
    assert [name for name, _ in alone.context["lost"]] == ["one"]


def test_the_maps_of_one_connection_set_are_exported(
    admin_client: Client, contoso: ConnectionSet
) -> None:
    make_map(contoso, name="one")
    make_map(make_connection_set(name="fabrikam"), name="two")
    listed = admin_client.get("/maps/", {"set": "fabrikam"}).content.decode()
    assert f"{EXPORT}?set=fabrikam" in listed
    text = admin_client.get(EXPORT, {"set": "fabrikam"}).content.decode()
    assert "Export two" in text
    found = admin_client.get(DOWNLOAD, {"format": "dualwrite-json", "set": "fabrikam"})
    assert json.loads(found.content)["name"] == "two"
    make_map(contoso, name="three")
    both = admin_client.get(EXPORT, {"set": "contoso"}).content.decode()
    assert "Export maps of contoso" in both
    assert "format=yaml&amp;set=contoso" in both
    names = dw_json("export", "--connection-set", "contoso")["maps"]
    assert [each["name"] for each in names] == ["one", "three"]


def test_what_is_not_there_cannot_be_exported(
    admin_client: Client, contoso: ConnectionSet
) -> None:
    assert "There is no map to export" in admin_client.get(EXPORT).content.decode()
    for page in (EXPORT, DOWNLOAD):
        assert admin_client.get(page, {"map": 999999}).status_code == 404
        assert admin_client.get(page, {"set": "nowhere"}).status_code == 404
    assert admin_client.get(DOWNLOAD, {"format": "xml"}).status_code == 404


# Who may


@pytest.mark.parametrize("page", [IMPORT, EXPORT, DOWNLOAD])
def test_visitors_and_people_who_are_not_staff_are_kept_out(
    client: Client, page: str
) -> None:
    assert client.get(page)["Location"].startswith(reverse("login"))
    client.force_login(User.objects.create_user("visitor"))
    assert client.get(page).status_code == 403


def test_importing_needs_the_right_to_change_maps(
    client: Client, contoso: ConnectionSet
) -> None:
    clerk = make_user(Role.OPERATOR)
    client.force_login(clerk)
    file = ("a.json", dump_product_map(make_definition()))
    assert client.get(IMPORT).status_code == 403
    assert IMPORT not in client.get(reverse("map_list")).content.decode()
    assert upload(client, file).status_code == 403
    set_roles(clerk, [Role.MAP_MAKER])
    assert client.get(IMPORT).status_code == 200
    assert client.get(EXPORT).status_code == 200
    assert confirm(client, upload(client, file)).status_code == 302


@pytest.mark.parametrize("page", [EXPORT, DOWNLOAD])
def test_the_reading_pages_take_no_post(admin_client: Client, page: str) -> None:
    assert admin_client.post(page).status_code == 405


def test_importing_needs_its_form_token(
    admin_user: User, contoso: ConnectionSet
) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert upload(client, ("a.json", MAPPING)).status_code == 403
    assert client.put(IMPORT).status_code in (403, 405)
