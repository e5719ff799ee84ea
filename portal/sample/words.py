"""Word lists the sample companies' customers are made of. All names are invented."""

# ruff: noqa: RUF001 - dashes and letters of the languages themselves
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A city with what an address there needs."""

    city: str
    state: str | None
    zip_pattern: str


@dataclass(frozen=True)
class Market:
    """What customers of one legal entity look like."""

    company: str
    name: str
    country: str
    currency: str
    currencies: tuple[str, ...]
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    trades: tuple[str, ...]
    forms: tuple[str, ...]
    streets: tuple[str, ...]
    places: tuple[Place, ...]
    phone: str
    tax_number: str


CURRENCIES = (
    ("USD", "US Dollar", "$"),
    ("EUR", "Euro", "€"),
    ("GBP", "Pound Sterling", "£"),
    ("CHF", "Swiss Franc", "CHF"),
    ("JPY", "日本円 (Yen)", "¥"),
    ("PLN", "Złoty", "zł"),
    ("CAD", "Canadian Dollar", "C$"),
    ("999", "Unknown currency", ""),
)

TERMS = (
    # name, description, months, days, cut-off day, cash, certified check, default,
    # card payment, card credit check, method
    ("Net10", "Net 10 days", 0, 10, 0, "no", "no", "no", "na", "normal", "net"),
    ("Net30", "Net 30 days", 0, 30, 0, "no", "no", "yes", "na", "normal", "net"),
    ("Net60", "Net 60 days", 0, 60, 0, "no", "no", "no", "na", "normal", "net"),
    ("EOM", "End of month", 1, 0, 0, "no", "no", "no", "na", "normal", "currentMth"),
    ("EOQ", "Quarter end", 0, 0, 0, "no", "no", "no", "na", "normal", "currentQuart"),
    ("EOW", "Week end", 0, 7, 0, "no", "no", "no", "na", "normal", "currentWeek"),
    ("COD", "Cash on delivery", 0, 0, 0, "yes", "yes", "no", "na", "normal", "cod"),
    ("Card", "Card", 0, 0, 0, "no", "no", "no", "creditCard", "byPass", "net"),
    ("Cut20", None, 0, 0, 20, "no", "no", "no", "na", "normal", "cutOffDate"),
)

GROUPS = (
    # id, description, price includes tax, term, term of the clearing period
    ("10", "Wholesale", "no", "Net30", None),
    ("20", "Key accounts", "no", "Net60", "Net10"),
    ("30", "Retail chains", "no", "Net30", "Net10"),
    ("40", "Public sector", "no", "EOM", None),
    ("60", "Überseehandel", "no", "Net60", None),
    ("80", "Walk-in & web", "yes", "Card", None),
    ("90", None, "yes", None, None),
)

MEMOS = (
    "Call before delivery.",
    "Ring twice – dog in the yard.",
    "Prefers invoices by e-mail; no paper.",
    "Delivery dock B, 7:00-15:00.",
    "Asks for samples each spring.\nSend the catalogue in February.",
    "Sehr guter Kunde, seit 1987 dabei.",
    "Livraison uniquement le matin – accès étroit.",
    'Renegotiate terms at year end (see e-mail of "J. O\'Hara").',
    "C:\\orders\\archive has the old contracts\tand prices.",
    "Zahlt mit 2 % Skonto.",
    "Très fidèle ; remise négociée à 3,5 %.",
)

RATINGS = ("Excellent", "Good", "Fair", "Poor")

HOLDS = (
    ("no", 880),
    ("invoice", 35),
    ("all", 30),
    ("payment", 25),
    ("requisition", 15),
    ("never", 15),
)

MARKETS = (
    Market(
        company="usmf",
        name="Contoso Entertainment System USA",
        country="USA",
        currency="USD",
        currencies=("CAD", "EUR", "GBP", "JPY"),
        first_names=(
            *("Amelia", "Benjamin", "Chloë", "Dwayne", "Elena", "Frank", "Grace"),
            *("Hiroshi", "Imani", "José", "Keisha", "Liam", "Mei", "Noah", "Olivia"),
            *("Priya", "Quentin", "Renée", "Samuel", "Tamika", "Ulises", "Wendy"),
        ),
        last_names=(
            *("Abernathy", "Brightwater", "Castañeda", "D'Angelo", "Ellison", "Fox"),
            *("García", "Hollis", "Ito", "Jenkins", "Kowalski", "Lindqvist", "Moreau"),
            *("Nguyễn", "O'Hara", "Peña", "Quiñones", "Rasmussen", "Stone", "Tran"),
            *("Underwood", "Vance", "Whitfield", "Yamada", "Zimmer"),
        ),
        trades=(
            *("Audio", "Cinema Supply", "Desert Electronics", "Harbor Lights"),
            *("Lakeside Stereo", "Maple Home Theater", "Northern Sound", "Pacific AV"),
            *("Redwood Video", "River Speakers", "Sunset Wholesale", "Prairie Radio"),
        ),
        forms=("Inc.", "LLC", "Corp.", "& Sons", "Co."),
        streets=("Oak Avenue", "Main Street", "5th Street", "Cañon Road", "Mill Lane"),
        places=(
            Place("Seattle", "WA", "981##"),
            Place("Cañon City", "CO", "812##"),
            Place("Houston", "TX", "770##"),
            Place("San José", "CA", "951##"),
            Place("Albany", "NY", "122##"),
            Place("Española", "NM", "875##"),
        ),
        phone="+1 ### 555 ####",
        tax_number="##-#######",
    ),
    Market(
        company="demf",
        name="Contoso Entertainment System Germany",
        country="DEU",
        currency="EUR",
        currencies=("CHF", "PLN", "USD"),
        first_names=(
            *("Änne", "Bärbel", "Christoph", "Dörte", "Emil", "Franziska", "Günther"),
            *("Heike", "Ines", "Jörg", "Käthe", "Łukasz", "Müjgan", "Niklas", "Özlem"),
            *("Petra", "Raphael", "Sönke", "Torsten", "Ute", "Volker", "Wiebke"),
        ),
        last_names=(
            *("Ackermann", "Böhm", "Çelik", "Dörfler", "Eßer", "Freund", "Großmann"),
            *("Hübner", "Jäger", "Krämer", "Löwe", "Müller-Lüdenscheidt", "Nußbaum"),
            *("Oßwald", "Pfützner", "Rößler", "Schäfer", "Täuber", "Übelacker"),
            *("von der Höh", "Weiß", "Yıldız", "Żak", "Zöllner"),
        ),
        trades=(
            *("Tontechnik Süd", "Kinobedarf", "Elektro Weiß", "Hörgenuß", "Funkhaus"),
            *("Bild & Klang", "Lautsprecherbau Müller", "Medientechnik Nord"),
            *(
                "Phono-Großhandel",
                "Stadtwerke Kulturbühne",
                "Ätherwelle",
                "Röhrenradio",
            ),
        ),
        forms=("GmbH", "AG", "GmbH & Co. KG", "e. K.", "OHG"),
        streets=("Hauptstraße", "Lindenweg", "Königsallee", "Am Mühlbach", "Grünring"),
        places=(
            Place("Köln", "NW", "506##"),
            Place("München", "BY", "803##"),
            Place("Düsseldorf", "NW", "402##"),
            Place("Görlitz", "SN", "028##"),
            Place("Nürnberg", "BY", "904##"),
            Place("Kiel", None, "241##"),
        ),
        phone="+49 ### #######",
        tax_number="DE#########",
    ),
    Market(
        company="frrt",
        name="Contoso Retail France",
        country="FRA",
        currency="EUR",
        currencies=("CHF", "GBP"),
        first_names=(
            *("Adèle", "Benoît", "Cécile", "Désiré", "Éloïse", "François", "Gaëlle"),
            *("Hélène", "Inès", "Jérôme", "Karim", "Loïc", "Maëlys", "Noël", "Océane"),
            *("Pénélope", "Raphaël", "Solène", "Théo", "Ursule", "Véronique", "Zoé"),
        ),
        last_names=(
            *("Aubépine", "Beaupré", "Cœurdevey", "D'Aubigné", "Étienne", "Fouché"),
            *("Gérard", "Hébert", "Île", "Joffrin", "Kléber", "L'Hermitte", "Maçon"),
            *("Noël", "Œillet", "Prévost", "Quéré", "Renée-Dumas", "Sébastien"),
            *("Traoré", "Urvoy", "Vallée", "Yvetot"),
        ),
        trades=(
            *("Son et Lumière", "Cinéma Électrique", "L'Écoute", "Maison du Théâtre"),
            *("Musique Océane", "Audio Côte d'Azur", "Radio Étoile", "La Scène"),
            *("Grand Écran", "Forêt Sonore", "Atelier du Haut-Parleur"),
        ),
        forms=("SARL", "SAS", "S.A.", "et Fils", "EURL"),
        streets=("rue de l'Église", "avenue Foch", "place du Marché", "quai Béthune"),
        places=(
            Place("Besançon", "25", "250##"),
            Place("Orléans", "45", "450##"),
            Place("Saint-Étienne", "42", "420##"),
            Place("Nîmes", "30", "300##"),
            Place("Angoulême", None, "160##"),
        ),
        phone="+33 # ## ## ## ##",
        tax_number="FR###########",
    ),
)

UNLINKED = Market(
    company="itco",
    name="Contoso Italia (not linked)",
    country="ITA",
    currency="EUR",
    currencies=("EUR",),
    first_names=("Niccolò", "Zoè", "Cesare", "Desirè"),
    last_names=("Andò", "Berté", "Cirinnà", "D'Alò"),
    trades=("Riservata", "Privata"),
    forms=("S.p.A.", "S.r.l."),
    streets=("via della Libertà", "piazza Cavour"),
    places=(Place("Forlì", "FC", "471##"),),
    phone="+39 ### #######",
    tax_number="IT###########",
)
