"""Configuration files and SQL of the pairs of databases the tests link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

SMALL = """
environments:
  - {name: ERP, role: finops, connector: postgres, dsn: "", schema: public,
     company: {column: dataareaid}}
  - {name: CRM, role: dataverse, connector: postgres, dsn: "", schema: public,
     company: {column: company, lookup: companies.code}}
connection_sets:
  - name: SET
    finops: ERP
    dataverse: CRM
    legal_entities:
      - {finops: usmf, dataverse: USMF}
      - {finops: demf, dataverse: DEMF}
maps:
  - name: groups
    connection_set: SET
    finops: groups
    dataverse: crmgroups
    publisher: tests
    version: 1.0.0.0
    key: [[groupid, groupid]]
    columns:
      - {finops: groupid, type: "=", dataverse: groupid}
      - {finops: description, type: "=", dataverse: description}
  - name: customers
    connection_set: SET
    finops: customers
    dataverse: accounts
    publisher: tests
    version: 1.0.0.0
    key: [[account, accountnumber]]
    filter: '(kind == "Organization")'
    reversed_filter: 'customertype eq 3'
    columns:
      - {finops: account, type: "=", dataverse: accountnumber}
      - {finops: name, type: "=", dataverse: name}
      - {finops: groupid, type: "=", dataverse: crmgroup.groupid}
      - {finops: hold, type: "><", dataverse: hold,
         values: {"No": "0", "Invoice": "1", "All": "2"}}
      - {finops: credit, type: "=", dataverse: credit}
      - {finops: memo, type: "=", dataverse: description}
      - {finops: none, type: ">>", dataverse: customertype, default: "3"}
      - {finops: kind, type: "<<", dataverse: none, default: "Organization"}
"""

COUNTING = """
CREATE TABLE test_writes (
    id bigserial, relation text, operation text, by_product boolean, key text);
CREATE FUNCTION test_note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE line jsonb := to_jsonb(CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END);
BEGIN
    INSERT INTO test_writes (relation, operation, by_product, key)
    VALUES (TG_TABLE_NAME, TG_OP, session_user LIKE 'product_%', coalesce(
        line->>'customeraccount', line->>'account', line->>'accountnumber',
        line->>'msdyn_contactpersonid', ''));
    RETURN NULL;
END $$
"""

BLOCKING = """
CREATE FUNCTION test_block() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF session_user LIKE 'product_%' THEN
        PERFORM pg_advisory_xact_lock_shared(4711);
    END IF;
    RETURN NEW;
END $$
"""


def named(text: str, name: str, dsns: Mapping[str, str]) -> dict[str, Any]:
    """The document with names of its own for environments, link and maps."""
    document: dict[str, Any] = yaml.safe_load(text)
    names = {}
    for environment in document["environments"]:
        side = {"finops": "erp", "dataverse": "crm"}[environment["role"]]
        names[environment["name"]] = environment["name"] = f"{name}-{side}"
        environment["dsn"] = dsns[side]
    (link,) = document["connection_sets"]
    link |= {"name": name, "finops": f"{name}-erp", "dataverse": f"{name}-crm"}
    for table_map in document["maps"]:
        table_map |= {"name": f"{table_map['name']} {name}", "connection_set": name}
    return document
