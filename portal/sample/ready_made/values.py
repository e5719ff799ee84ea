"""Believable values for columns that are neither keys nor references."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from zlib import crc32

from portal.sample import words
from portal.sample.ready_made import vocabulary
from portal.sample.ready_made.kinds import Kind
from portal.sample.ready_made.links import PERIOD, spread
from portal.sample.ready_made.populations import MARKETS, Place
from portal.sample.words import Market

Maker = Callable[[Place], str | None]

EMPTY_ONE_IN = 5
FIRST_DAY = date(2019, 1, 7)
FIRST_MOMENT = datetime(2019, 1, 7, 8, 0, tzinfo=UTC)
LATER = re.compile(r".*(to|end|enddate|expiration|expiry|expirydate|closed.*)")
_SIZES = (
    # pattern, lowest, how many, and what a step is worth
    (r".*latitude", -60_000_000, 120_000_000, 6),
    (r".*longitude", -170_000_000, 340_000_000, 6),
    (r".*percentage|.*ratio", 0, 3_000, 2),
    (r".*quantity|.*multiples", 0, 50_000, 2),
    (r".*(weight|volume|height|width|depth|aboveground)", 1, 90_000, 3),
    (r".*precision|.*equivalent|.*roundoff", 1, 100, 2),
    (r".*(amount|price|cost|charges|limit|value)", 0, 5_000_000, 2),
)
_NUMBERS = (
    (r".*(birth|year).*year|modelyear", 1950, 70),
    (r".*year", 1960, 60),
    (r".*month.*|.*day", 1, 28),
    (r".*decimalprecision", 0, 5),
    (r".*priority|.*ranking|schemaversion", 1, 5),
    (r".*days|.*timevalue|.*frequency|periods.*|numberof.*", 0, 90),
    (r"numerator|denominator", 1, 48),
)
_UNITS = 1_000_000


def maker(owner: str, column: str, kind: Kind, *, required: bool = False) -> Maker:
    """What fills the FinOps column `column` of the records called `owner`; now and
    then nothing, unless `required`."""
    name = column.lower()
    salt = crc32(f"{owner} {name}".encode())
    make = _OF_KIND[kind](name, salt, owner)
    if required:
        return make
    return lambda place: (
        None if spread(salt, place) % EMPTY_ONE_IN == 0 else make(place)
    )


def chooser(salt: int, number: int) -> Callable[[Place], int]:
    """Chooses one of `number` for each record."""
    return lambda place: spread(salt, place) // 8 % number


def market(place: Place) -> Market:
    """The market of the record's company; shared records are of all markets."""
    company, number = place
    return MARKETS[company if company >= 0 else number % len(MARKETS)]


def _one_of(values: Sequence[str], salt: int) -> Maker:
    choose = chooser(salt, len(values))
    return lambda place: values[choose(place)]


def _of_market(pick: Callable[[Market], Sequence[str]], salt: int) -> Maker:
    def make(place: Place) -> str:
        values = pick(market(place))
        return values[spread(salt, place) // 8 % len(values)]

    return make


def _pattern(pattern: Callable[[Market], str], salt: int) -> Maker:
    """A pattern with a digit for each `#`."""

    def make(place: Place) -> str:
        shape, figures = pattern(market(place)), spread(salt, place)
        text = str(figures).rjust(10, "7")
        made, i = [], 0
        for sign in shape:
            made.append(text[-1 - i % 10] if sign == "#" else sign)
            i += sign == "#"
        return "".join(made)

    return make


def _place(pick: Callable[[words.Place], str | None], salt: int) -> Maker:
    def make(place: Place) -> str | None:
        places = market(place).places
        return pick(places[spread(salt, place) // 8 % len(places)])

    return make


def _organization(salt: int) -> Maker:
    def make(place: Place) -> str:
        here, random = market(place), spread(salt, place)
        trade = here.trades[random % len(here.trades)]
        last = here.last_names[random // 16 % len(here.last_names)]
        return f"{trade} {last} {here.forms[random // 512 % len(here.forms)]}"

    return make


def _full_name(salt: int) -> Maker:
    first = _of_market(lambda here: here.first_names, salt)
    last = _of_market(lambda here: here.last_names, salt + 1)
    return lambda place: f"{first(place)} {last(place)}"


def _thing(salt: int) -> Maker:
    def make(place: Place) -> str:
        random = spread(salt, place)
        adjective = vocabulary.ADJECTIVES[random % len(vocabulary.ADJECTIVES)]
        thing = vocabulary.THINGS[random // 8 % len(vocabulary.THINGS)]
        return f"{adjective} {thing} {place[1] % PERIOD + 1}"

    return make


def _street(salt: int) -> Maker:
    street = _of_market(lambda here: here.streets, salt)
    return lambda place: f"{spread(salt, place) % 400 + 1} {street(place)}"


def _formatted_address(salt: int) -> Maker:
    street = _street(salt)
    city = _place(lambda there: there.city, salt)
    return lambda place: f"{street(place)}\n{city(place)}\n{market(place).country}"


def _mail(salt: int) -> Maker:
    return lambda place: f"contact-{spread(salt, place) % 90_000}@example.com"


def _url(salt: int) -> Maker:
    return lambda place: f"https://www.example.com/{spread(salt, place) % 90_000}"


def _code(name: str, salt: int) -> Maker:
    letters = re.sub(r"[aeiou]|id$|code$|number$", "", name)[:3].upper()
    return lambda place: f"{letters}{spread(salt, place) % 900 + 100}"


_TEXTS: tuple[tuple[str, Callable[[int], Maker]], ...] = (
    (r".*(email|emailaddress)", _mail),
    (r".*(url|website)|url", _url),
    (r".*formatted.*", _formatted_address),
    (
        r".*(phone|fax|phonenumber|faxnumber)",
        lambda salt: _pattern(lambda here: here.phone, salt),
    ),
    (
        r".*(taxexemptnumber|identificationnumber|dunsnumber)",
        lambda salt: _pattern(lambda here: here.tax_number, salt),
    ),
    (
        r".*first.*name|.*middlename",
        lambda salt: _of_market(lambda here: here.first_names, salt),
    ),
    (
        r".*last.*name",
        lambda salt: _of_market(lambda here: here.last_names, salt),
    ),
    (r".*(spouse|assistant|children).*name.*", _full_name),
    (r".*(organization|company|prospect|knownas|customer|vendor).*name", _organization),
    (r".*(street|line1)", _street),
    (r".*streetnumber", lambda salt: _pattern(lambda _: "##", salt)),
    (r".*(city)", lambda salt: _place(lambda there: there.city, salt)),
    (
        r".*(stateid|state|partystate)",
        lambda salt: _place(lambda there: there.state, salt),
    ),
    (
        r".*zipcode",
        lambda salt: _pattern(lambda here: here.places[0].zip_pattern, salt),
    ),
    (
        r".*country.*",
        lambda salt: _one_of(vocabulary.COUNTRIES, salt),
    ),
    (r".*creditrating", lambda salt: _one_of(words.RATINGS, salt)),
    (r".*hobbies", lambda salt: _one_of(vocabulary.HOBBIES, salt)),
    (r".*(notes|memo|comments?)", lambda salt: _one_of(vocabulary.MEMOS, salt)),
    (
        r".*(description|information|explanation)",
        lambda salt: _one_of(vocabulary.EXPLANATIONS, salt),
    ),
    (r".*name", _thing),
)
_TEXT_PATTERNS = tuple((re.compile(pattern), make) for pattern, make in _TEXTS)


def _text(name: str, salt: int, owner: str) -> Maker:
    if owner == "Worker" and name == "name":
        return _full_name(salt)
    for pattern, make in _TEXT_PATTERNS:
        if pattern.fullmatch(name):
            return make(salt)
    return _code(name, salt)


def _integer(name: str, salt: int, owner: str) -> Maker:
    low, number = next(
        (
            (low, number)
            for pattern, low, number in _NUMBERS
            if re.fullmatch(pattern, name)
        ),
        (0, 1000),
    )
    return lambda place: str(low + spread(salt, place) // 8 % number)


def _decimal(name: str, salt: int, owner: str) -> Maker:
    low, number, places = next(
        (
            (low, number, places)
            for pattern, low, number, places in _SIZES
            if re.fullmatch(pattern, name)
        ),
        (0, 100_000, 2),
    )
    unit = 10**places

    def make(place: Place) -> str:
        value = low + spread(salt, place) // 8 % number
        sign = "-" if value < 0 else ""
        return f"{sign}{abs(value) // unit}.{abs(value) % unit:0{places}d}"

    return make


def _rate(name: str, salt: int, owner: str) -> Maker:
    def make(place: Place) -> str:
        value = spread(salt, place)
        return f"{value % 200}.{value % 99_999_989:08d}"

    return make


def _date(name: str, salt: int, owner: str) -> Maker:
    first = date(1950, 3, 1) if name == "birthdate" else FIRST_DAY
    first += timedelta(days=3000 if LATER.fullmatch(name) else 0)
    return lambda place: str(first + timedelta(days=spread(salt, place) // 8 % 2000))


def _moment(name: str, salt: int, owner: str) -> Maker:
    first = FIRST_MOMENT + timedelta(days=3000 if LATER.fullmatch(name) else 0)

    def make(place: Place) -> str:
        seconds = spread(salt, place) // 8 % (2000 * 86_400)
        return f"{first + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S+00}"

    return make


def _time(name: str, salt: int, owner: str) -> Maker:
    hour = 16 if name.endswith("totime") else 7
    return lambda place: f"{hour + spread(salt, place) // 8 % 3:02d}:30:00"


def _guid(name: str, salt: int, owner: str) -> Maker:
    def make(place: Place) -> str:
        company, number = place
        head = spread(salt, place)
        return (
            f"{head:08x}-{salt & 0xFFFF:04x}-4{company + 1:03x}-a{number >> 48:03x}"
            f"-{number & 0xFFFFFFFFFFFF:012x}"
        )

    return make


_OF_KIND: dict[Kind, Callable[[str, int, str], Maker]] = {
    Kind.CODE: _text,
    Kind.TEXT: _text,
    Kind.LONG_TEXT: _text,
    Kind.WORD: _text,
    Kind.INTEGER: _integer,
    Kind.BIG_INTEGER: lambda name, salt, owner: (
        lambda place: str(5_637_144_576 + spread(salt, place))
    ),
    Kind.DECIMAL: _decimal,
    Kind.RATE: _rate,
    Kind.BOOLEAN: lambda name, salt, owner: (
        lambda place: "true" if spread(salt, place) // 8 % 2 else "false"
    ),
    Kind.DATE: _date,
    Kind.MOMENT: _moment,
    Kind.TIME: _time,
    Kind.GUID: _guid,
}
