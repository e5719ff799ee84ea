"""Words of the sample's small tables, and the beginnings of numbered codes."""

# ruff: noqa: RUF001 - letters of the languages themselves
from __future__ import annotations

LEGAL_ENTITY_CODES = ("USMF", "DEMF", "ITCO", "FRRT", "JPMF", "INMF")

CURRENCIES = (
    ("USD", "US Dollar", "$"),
    ("EUR", "Euro", "€"),
    ("GBP", "Pound Sterling", "£"),
    ("CHF", "Swiss Franc", "CHF"),
    ("JPY", "日本円 (Yen)", "¥"),
    ("PLN", "Złoty", "zł"),
    ("CAD", "Canadian Dollar", "C$"),
    ("SEK", "Svensk krona", "kr"),
    ("NOK", "Norsk krone", "kr"),
    ("DKK", "Dansk krone", "kr"),
    ("CZK", "Česká koruna", "Kč"),
    ("HUF", "Magyar forint", "Ft"),
    ("AUD", "Australian Dollar", "A$"),
    ("NZD", "New Zealand Dollar", "NZ$"),
    ("INR", "भारतीय रुपया", "₹"),
    ("CNY", "人民币", "¥"),
    ("BRL", "Real", "R$"),
    ("MXN", "Peso", "MX$"),
    ("ZAR", "Rand", "R"),
    ("TRY", "Türk lirası", "₺"),
)

KEY_WORDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("currencies", "CURRENCYCODE"): tuple(code for code, _, _ in CURRENCIES),
    ("legalentities", "LEGALENTITYID"): LEGAL_ENTITY_CODES,
    ("unitsofmeasure", "UNITSYMBOL"): (
        *("ea", "pcs", "box", "kg", "g", "l", "m", "cm", "h", "day", "pal", "lb", "oz"),
        *("gal", "ft"),
    ),
    ("languagecodes", "LANGUAGECODEID"): (
        *("en-us", "de", "fr", "it", "es", "pl", "nl", "sv", "da", "ja"),
    ),
    ("paymentterms", "NAME"): (
        *("Net10", "Net30", "Net60", "EOM", "COD", "Card", "Net14", "Net45", "EOQ"),
    ),
    ("paymentdayscds", "NAME"): ("1st", "15th", "Friday", "Month end", "Tuesday"),
    ("paymentschedules", "NAME"): ("3-parts", "Quarterly", "Monthly", "Halves", "Once"),
    ("customergroups", "CUSTOMERGROUPID"): ("10", "20", "30", "40", "60", "80", "90"),
    ("vendorgroups", "VENDORGROUPID"): ("V10", "V20", "V30", "V40", "V60"),
    ("customerpaymentmethods", "NAME"): ("CHECK", "WIRE", "CASH", "CARD", "SEPA"),
    ("vendorpaymentmethods", "NAME"): ("CHECK", "WIRE", "ACH", "NOTE", "SEPA"),
    ("taxgroups", "TAXGROUPCODE"): ("AVATAX", "DOM", "EU", "EXPORT", "FREE"),
    ("taxitemgroupheadings", "TAXITEMGROUP"): ("FULL", "RED", "SERV", "BOOK", "ZERO"),
    ("deliverymodesv2", "MODECODE"): ("Air", "Truck", "Parcel", "Pick-up", "Ocean"),
    ("deliveryterms", "TERMSCODE"): ("FOB", "CIF", "EXW", "DAP", "DDP"),
    ("operationalsites", "SITEID"): ("1", "2", "3", "4", "5", "6"),
    ("warehouses", "WAREHOUSEID"): ("11", "12", "13", "21", "22", "31", "41", "51"),
    ("productcolors", "COLORID"): (
        *("Black", "White", "Grün", "Blue", "Rouge", "Silver", "Gold", "Yellow"),
    ),
    ("productsizes", "SIZEID"): ("XS", "S", "M", "L", "XL", "XXL", "42 in", "55 in"),
    ("productstyles", "STYLEID"): ("Modern", "Classic", "Retro", "Plain", "Studio"),
    ("productconfigurations", "CONFIGURATIONID"): ("HD", "4K", "8K", "Mono", "Stereo"),
    ("exchangeratetypes", "NAME"): ("Default", "Average", "Budget", "Closing", "Bank"),
    ("chartofaccounts", "CHARTOFACCOUNTS"): ("Shared", "IFRS", "Local", "Consol"),
    ("fiscalcalendarsentity", "CALENDARID"): ("Fiscal", "Calendar", "4-4-5", "July"),
    ("salutations", "SALUTATIONPHRASE"): ("Dear", "Hello", "Guten Tag", "Cher", "Hi"),
    ("complimentaryclosings", "CLOSINGPHRASE"): (
        *("Sincerely", "Kind regards", "Mit freundlichen Grüßen", "Cordialement"),
    ),
    ("loyaltylevels", "LEVELPHRASE"): ("Gold", "Silver", "Bronze", "Platin", "Blue"),
    ("decisionmakingroles", "ROLENAME"): ("Decides", "Advises", "Blocks", "Signs"),
    ("personalcharactertypes", "TYPENAME"): ("Calm", "Direct", "Hurried", "Careful"),
    ("salescontactpersontitles", "JOBTITLEALIAS"): ("CEO", "CFO", "Buyer", "Clerk"),
    ("salesorderorigincodes", "ORIGINCODE"): ("Web", "Phone", "Fair", "E-mail", "EDI"),
    ("pricecustomergroups", "GROUPCODE"): ("VIP", "Retail", "Internet", "Staff"),
    ("locationrolecds", "PURPOSE"): (
        *("Business", "Delivery", "Home", "Invoice", "Other", "Payment", "Service"),
    ),
    ("nameaffixes", "AFFIX"): ("Dr.", "Prof.", "Jr.", "Sr.", "Ms.", "Mr.", "III"),
    ("ethnicorigins", "ETHNICORIGINID"): ("A", "B", "C", "D", "E"),
    ("veteranstatuses", "VETERANSTATUSID"): ("None", "Recent", "Special", "Other"),
    ("jobtypes", "JOBTYPEID"): ("Professional", "Clerical", "Executive", "Technical"),
    ("jobfunctions", "JOBFUNCTIONID"): ("Sales", "Service", "Finance", "Logistics"),
    ("positiontypes", "POSITIONTYPEID"): ("Full-time", "Part-time", "Seasonal"),
    ("organizationhierarchytypes", "NAME"): ("Legal", "Regions", "Retail", "Costs"),
    ("productcategoryhierarchies", "HIERARCHYNAME"): (
        *("Sales", "Procurement", "Commodity", "Retail", "Services", "Parts"),
    ),
    ("dimensionattributes", "DIMENSIONNAME"): (
        *("BusinessUnit", "CostCenter", "Department", "Project", "ItemGroup"),
    ),
}
"""Keys of tables that hold words; further ones are numbered."""

CODES: dict[tuple[str, str], str] = {
    ("Customers V3 (accounts)", "CUSTOMERACCOUNT"): "C-",
    ("Customers V3 (contacts)", "CUSTOMERACCOUNT"): "P-",
    ("CDS Contacts V2", "CONTACTPERSONID"): "VC-",
    ("Contacts V2", "CONTACTPERSONID"): "CP-",
    ("Vendors V2", "VENDORACCOUNTNUMBER"): "V-",
    ("CDS Parties", "PARTYNUMBER"): "PTY-",
    ("Operating unit", "PARTYNUMBER"): "OU-",
    ("Legal entities (cdm_companies)", "PARTYNUMBER"): "LE-",
    ("CDS sales order headers", "SALESORDERNUMBER"): "SO-",
    ("CDS sales quotation header", "SALESQUOTATIONNUMBER"): "QUO-",
    ("Purchase order headers V2", "PURCHASEORDERNUMBER"): "PO-",
    ("Sales invoice headers V2", "INVOICENUMBER"): "INV-",
    ("Sales invoice headers V2", "LEDGERVOUCHER"): "ARI-",
    ("CDS postal address locations", "LOCATIONID"): "LOC-",
    ("Party contacts V3", "ELECTRONICADDRESSID"): "EA-",
    ("All products", "PRODUCTNUMBER"): "D",
    ("CDS released distinct products", "PRODUCTNUMBER"): "D",
    ("Released products V2", "ITEMNUMBER"): "D",
    ("Product categories", "CATEGORYNAME"): "Category ",
    ("Main account", "MAINACCOUNTID"): "1",
    ("Worker", "PERSONNELNUMBER"): "W",
    ("Warehouse locations", "WAREHOUSELOCATIONID"): "FL-",
    ("Inventory aisle", "AISLEID"): "A",
    ("Fiscal calendar period", "PERIODNAME"): "Period ",
    ("Fiscal calendar year integration entity", "NAME"): "FY ",
}
"""How numbered keys begin; others begin with letters of their column."""

FIRST_NUMBERS: dict[tuple[str, str], int] = {
    ("CDS purchase order line soft deleted entity", "LINENUMBER"): 1000,
}
"""Where numbers of keys begin, so as not to meet those of another map's records."""

WHOLE_NUMBERS = {("Product categories", "CATEGORYNAME")}
"""Keys that are numbered through, whatever else is part of them."""

MEMOS = (
    "Call before delivery.",
    "Prefers invoices by e-mail; no paper.",
    "Delivery dock B, 7:00-15:00.",
    "Asks for samples each spring.\nSend the catalogue in February.",
    "Sehr guter Kunde, seit 1987 dabei.",
    "Livraison uniquement le matin - accès étroit.",
    'Renegotiate terms at year end (see e-mail of "J. O\'Hara").',
    "C:\\orders\\archive has the old contracts\tand prices.",
    "Très fidèle ; remise négociée à 3,5 %.",
)

THINGS = (
    *("Speaker", "Projector", "Screen", "Amplifier", "Cable", "Lautsprecher", "Radio"),
    *("Écran", "Headset", "Turntable", "Microphone", "Receiver", "Lampe", "Mixer"),
)
ADJECTIVES = ("Standard", "Compact", "Premium", "Outdoor", "Wireless", "Basic", "Große")
EXPLANATIONS = (
    *("In use since 2019", "Agreed with sales", "Legacy value", "For the web shop"),
    *("Nur Inland", "Réservé à l'export", "Default of the company", "Reviewed yearly"),
)
COUNTRIES = ("USA", "DEU", "FRA", "ITA", "GBR", "JPN")
HOBBIES = ("Chess", "Cycling", "Gärtnern", "Opera", "Wine & cheese", "Model trains")
