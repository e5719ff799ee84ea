"""Examples of filters, in the words of both sides."""

from __future__ import annotations

from collections.abc import Sequence

from syncengine.mapping.model import Side

Examples = Sequence[tuple[str, str]]

EXAMPLES: dict[Side, Examples] = {
    Side.FINOPS: (
        ("Type is a word", 'PartyType == "Organization"'),
        ("One of several", 'PartyType in ("Organization", "Person")'),
        ("Both hold", 'PartyType == "Organization" && CreditLimit >= 1000'),
        ("One of both holds", '(Area == "North") || (Area == "South")'),
        ("Begins with, contains", 'Name like "A*" && !(Name like "*test*")'),
        ("A flag is set", "OnHold == NoYes::Yes"),
        ("Missing or empty", '(Name == null) || (Name == "")'),
    ),
    Side.DATAVERSE: (
        ("Type is a word", "PartyType eq 'Organization'"),
        ("One of several", "PartyType in ('Organization', 'Person')"),
        ("Both hold", "PartyType eq 'Organization' and CreditLimit ge 1000"),
        ("One of both holds", "Area eq 'North' or Area eq 'South'"),
        (
            "Begins with, contains",
            "startswith(Name,'A') and not contains(Name,'test')",
        ),
        ("A flag is set", "OnHold eq true"),
        ("Missing or empty", "Name eq null or Name eq ''"),
    ),
}
