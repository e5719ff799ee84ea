"""Where both sides of the ready-made sample hold the company, and which are linked."""

from __future__ import annotations

from portal.sample.ready_made.populations import LINKED
from portal.sample.ready_made.tables import (
    COMPANIES,
    COMPANY,
    COMPANY_CODE,
    COMPANY_REFERENCE,
    OTHER_COMPANY_REFERENCES,
)
from syncengine.mapping.model import LegalEntityPair, Side
from syncengine.mapping.schema import CompanyRule

COMPANY_RULES = {
    Side.FINOPS: CompanyRule(COMPANY),
    Side.DATAVERSE: CompanyRule(
        COMPANY_REFERENCE,
        COMPANIES,
        COMPANY_CODE,
        tuple(sorted(set(OTHER_COMPANY_REFERENCES.values()))),
    ),
}
LEGAL_ENTITIES = tuple(
    LegalEntityPair(market.company, market.company.upper()) for market in LINKED
)
