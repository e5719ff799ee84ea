"""The configuration of the sample companies, as `dw apply` would take it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from syncengine.mapping.files import Document, parse_document
from syncengine.mapping.model import TableMap

CONNECTION_SET = "contoso"
ENVIRONMENTS = {"finops": "sample-erp", "dataverse": "sample-crm"}
VARIABLES = {"finops": "SAMPLE_ERP_DSN", "dataverse": "SAMPLE_CRM_DSN"}


def document(dsns: Mapping[str, str]) -> Document:
    """Environments, link, companies and maps, with the connection strings by side."""
    text = resources.files("portal.sample").joinpath("maps.yaml").read_text("utf-8")
    return parse_document(text, {VARIABLES[side]: dsn for side, dsn in dsns.items()})


def table_maps() -> list[TableMap]:
    """The five maps."""
    return [entry.table_map for entry in document(dict.fromkeys(VARIABLES, "")).maps]
