"""The one table of conversions between type families, in canonical text form.

Nothing is lost in silence: a value that does not fit raises RecordError with code
`value_too_long`, `value_out_of_range`, `precision_loss` or `conversion_failed`.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from uuid import UUID

from syncengine.errors import RecordError
from syncengine.mapping import moments, numbers, truth
from syncengine.mapping.numbers import shown
from syncengine.mapping.schema import ColumnType, TypeFamily
from syncengine.mapping.truth import parse_boolean, yes_and_no

Conversion = Callable[[str], str]
_Factory = Callable[[ColumnType, ColumnType], Conversion | None]

_PADDED = re.compile(r"(?:character|char|bpchar|nchar)\b(?! varying)", re.IGNORECASE)
_HEX = re.compile(r"\\x(?:[0-9a-fA-F]{2})*")
_INTEGER_DIGITS = {16: 5, 32: 10, 64: 19}
TEMPORAL_FAMILIES = (
    TypeFamily.DATE,
    TypeFamily.TIMESTAMP,
    TypeFamily.TIMESTAMPTZ,
    TypeFamily.TIME,
)


def is_padded(type_: ColumnType) -> bool:
    """True for fixed-length text, whose trailing blanks mean nothing."""
    return type_.family is TypeFamily.TEXT and bool(_PADDED.match(type_.name))


def compatible(source: ColumnType, target: ColumnType) -> bool:
    """True when values of `source` can be carried into `target` (else DIPV1030)."""
    if TypeFamily.OTHER is source.family is target.family:
        return source.name == target.name
    for one, other in ((source, target), (target, source)):
        if one.family is TypeFamily.ENUM and other.family is TypeFamily.BOOLEAN:
            return yes_and_no(one) is not None
    return (source.family, target.family) in _TABLE


def converter(source: ColumnType, target: ColumnType) -> Conversion | None:
    """The conversion of canonical texts; None when they pass through unchanged."""
    if source == target:
        return None
    factory = _TABLE.get((source.family, target.family))
    if factory is None or not compatible(source, target):
        return partial(_impossible, source.name, target.name)
    convert = factory(source, target)
    if not is_padded(source) or is_padded(target):
        return convert
    if convert is None:
        return _strip_padding
    inner = convert
    return lambda text: inner(text.rstrip(" "))


def parse_literal(text: str, type_: ColumnType) -> str:
    """Canonical text of what an administrator wrote (`True`, `3`, `Organization`).

    RecordError `conversion_failed` says why it cannot stand in such a column.
    """
    try:
        return _literal(text, type_)
    except RecordError as error:
        raise RecordError(error.message, code="conversion_failed", value=text) from None


def equal(type_: ColumnType, a: str | None, b: str | None) -> bool:
    """True when both canonical texts stand for the same value of the type."""
    if a == b:
        return True
    if a is None or b is None:
        return False
    match type_.family:
        case TypeFamily.TEXT:
            return is_padded(type_) and a.rstrip(" ") == b.rstrip(" ")
        case TypeFamily.ENUM | TypeFamily.OTHER:
            return False
        case TypeFamily.JSON:
            return _json(a) == _json(b)
        case TypeFamily.INTEGER | TypeFamily.DECIMAL | TypeFamily.FLOAT:
            if numbers.special(a) or numbers.special(b):
                return numbers.special(a) == numbers.special(b)
            return Decimal(a) == Decimal(b)
    try:
        return normalise(type_, a) == normalise(type_, b)
    except RecordError:
        return False


def normalise(type_: ColumnType, text: str) -> str:
    """The canonical text of the type: `100.5` as numeric(10,2) is `100.50`."""
    if type_.family is TypeFamily.TEXT:
        return text.rstrip(" ") if is_padded(type_) else text
    if type_.family in TEMPORAL_FAMILIES and (" BC" in text or text[4:5].isdigit()):
        return text
    factory = _FROM_TEXT.get(type_.family)
    convert = factory(type_) if factory else None
    return convert(text) if convert else text


def _impossible(source: str, target: str, text: str) -> str:
    raise RecordError(
        f"The value {shown(text)} of type {source} cannot become {target}.",
        code="conversion_failed",
        value=text,
    )


def _strip_padding(text: str) -> str:
    return text.rstrip(" ")


def _json(text: str) -> object:
    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError:
        return text


# Text


def _fit(text: str, limit: int) -> str:
    if len(text) > limit:
        raise RecordError(
            f"The value {shown(text)} has {len(text)} characters; "
            f"the column takes at most {limit}.",
            code="value_too_long",
            value=text,
        )
    return text


def _to_text(longest: int | None, target: ColumnType) -> Conversion | None:
    """Into text, from texts of at most `longest` characters."""
    limit = target.max_length
    if limit is None or (longest is not None and longest <= limit):
        return None

    def convert(text: str, limit: int = limit) -> str:
        return text if len(text) <= limit else _fit(text, limit)

    return convert


def _longest(type_: ColumnType) -> int | None:
    match type_.family:
        case TypeFamily.TEXT:
            return type_.max_length
        case TypeFamily.INTEGER:
            return _INTEGER_DIGITS[type_.bits or 64] + 1
        case TypeFamily.DECIMAL if type_.precision is not None:
            return type_.precision + 3 + abs(type_.scale or 0)
        case TypeFamily.UUID:
            return 36
        case TypeFamily.ENUM if type_.labels:
            return max(len(label) for label in type_.labels)
    return None


def _as_text(source: ColumnType, target: ColumnType) -> Conversion | None:
    return _to_text(_longest(source), target)


def _boolean_to_text(source: ColumnType, target: ColumnType) -> Conversion:
    words = {"t": "true", "f": "false"}
    limit = target.max_length
    return lambda text: words[text] if limit is None else _fit(words[text], limit)


# Out of text, per target family; also what canonical form means there


def _integer_from_text(type_: ColumnType) -> Conversion:
    bits = type_.bits or 64
    always_fits = _INTEGER_DIGITS[bits] - 1

    def convert(text: str) -> str:
        if len(text) <= always_fits and text.isascii() and text.isdigit():
            return text.lstrip("0") or "0"
        return numbers.integer(numbers.parse(text), bits, text)

    return convert


def _decimal_from_text(type_: ColumnType) -> Conversion:
    def convert(text: str) -> str:
        word = numbers.special(text)
        if word is None:
            return numbers.fixed(numbers.parse(text), type_, text)
        if word != "NaN" and type_.precision is not None:
            raise numbers.out_of_range(text, "finite numbers only")
        return word

    return convert


def _float_from_text(type_: ColumnType) -> Conversion:
    def convert(text: str) -> str:
        word = numbers.special(text)
        return word or numbers.floating(numbers.parse(text), type_.bits, text)

    return convert


def _parse_uuid(text: str) -> str:
    try:
        return str(UUID(text.strip()))
    except ValueError:
        raise RecordError(
            f"The value {shown(text)} is not a GUID.",
            code="conversion_failed",
            value=text,
        ) from None


def _parse_binary(text: str) -> str:
    if not _HEX.fullmatch(text):
        raise RecordError(
            f"The value {shown(text)} is not hexadecimal (expected like \\x0aff).",
            code="conversion_failed",
            value=text,
        )
    return text.lower()


def _to_base64(source: ColumnType, target: ColumnType) -> Conversion:
    """Texts hold bytes as base64, as the web interfaces of both products do."""

    def convert(text: str) -> str:
        made = b64encode(bytes.fromhex(text[2:])).decode("ascii")
        if target.max_length is not None and len(made) > target.max_length:
            raise RecordError(
                f"The value {shown(text)} has {len(made)} characters as base64; the "
                f"column takes at most {target.max_length}.",
                code="value_too_long",
                value=text,
            )
        return made

    return convert


def _from_base64(source: ColumnType, target: ColumnType) -> Conversion:
    def convert(text: str) -> str:
        try:
            return "\\x" + b64decode(text.strip(), validate=True).hex()
        except ValueError:
            raise RecordError(
                f"The value {shown(text)} is not base64.",
                code="conversion_failed",
                value=text,
            ) from None

    return convert


def _check_json(text: str) -> str:
    try:
        json.loads(text)
    except ValueError as error:
        raise RecordError(
            f"The value {shown(text)} is not JSON: {error}.",
            code="conversion_failed",
            value=text,
        ) from None
    return text


def _enum_from_text(type_: ColumnType) -> Conversion | None:
    labels = frozenset(type_.labels)
    if not labels:
        return None

    def convert(text: str) -> str:
        if text in labels:
            return text
        raise RecordError(
            f"The value {shown(text)} is not one of {', '.join(type_.labels)}.",
            code="conversion_failed",
            value=text,
        )

    return convert


_FROM_TEXT: dict[TypeFamily, Callable[[ColumnType], Conversion | None]] = {
    TypeFamily.INTEGER: _integer_from_text,
    TypeFamily.DECIMAL: _decimal_from_text,
    TypeFamily.FLOAT: _float_from_text,
    TypeFamily.BOOLEAN: lambda type_: parse_boolean,
    TypeFamily.DATE: lambda type_: moments.parse_date,
    TypeFamily.TIMESTAMP: lambda type_: partial(moments.parse_timestamp, type_=type_),
    TypeFamily.TIMESTAMPTZ: lambda type_: partial(moments.parse_timestamp, type_=type_),
    TypeFamily.TIME: lambda type_: partial(moments.parse_time, type_=type_),
    TypeFamily.UUID: lambda type_: _parse_uuid,
    TypeFamily.BINARY: lambda type_: _parse_binary,
    TypeFamily.JSON: lambda type_: _check_json,
    TypeFamily.ENUM: _enum_from_text,
    TypeFamily.OTHER: lambda type_: None,
}


def _literal(text: str, type_: ColumnType) -> str:
    match type_.family:
        case TypeFamily.TEXT:
            return text if type_.max_length is None else _fit(text, type_.max_length)
        case TypeFamily.ENUM:
            return _label(text, type_)
        case TypeFamily.DATE | TypeFamily.TIMESTAMP | TypeFamily.TIMESTAMPTZ:
            text = moments.iso(text)
    convert = _FROM_TEXT[type_.family](type_)
    return convert(text) if convert else text


def _label(text: str, type_: ColumnType) -> str:
    """An enumeration's label: exact, else without regard to case."""
    if not type_.labels or text in type_.labels:
        return text
    word = text.rpartition("::")[2].strip()
    for label in type_.labels:
        if label.casefold() == word.casefold():
            return label
    raise RecordError(
        f"The value {shown(text)} is not one of {', '.join(type_.labels)}.",
        code="conversion_failed",
        value=text,
    )


# Between numbers


def _parsed(source: ColumnType, target: ColumnType) -> Conversion | None:
    """By way of the general reading of the target family."""
    return _FROM_TEXT[target.family](target)


def _integer_to_integer(source: ColumnType, target: ColumnType) -> Conversion | None:
    if (source.bits or 64) <= (target.bits or 64):
        return None
    return _integer_from_text(target)


def _integer_to_decimal(source: ColumnType, target: ColumnType) -> Conversion | None:
    if target.precision is None:
        return None
    scale = target.scale or 0
    if scale < 0 or _INTEGER_DIGITS[source.bits or 64] > target.precision - scale:
        return _decimal_from_text(target)
    if scale == 0:
        return None
    zeros = "." + "0" * scale
    return lambda text: text + zeros


def _decimal_to_decimal(source: ColumnType, target: ColumnType) -> Conversion | None:
    if target.precision is None:
        return None
    general = _decimal_from_text(target)
    have, want = source.scale or 0, target.scale or 0
    if source.precision is None or min(have, want) < 0:
        return general
    # Texts up to this length have no more digits before the point than fit.
    longest = target.precision - want + (have + 1 if have else 0)
    if source.precision - have <= target.precision - want:
        if have == want:
            return None
        longest += 1
    if have == want:
        return lambda text: text if len(text) <= longest else general(text)
    if have < want:
        zeros = ("" if have else ".") + "0" * (want - have)
        return lambda text: (
            text + zeros if text != "NaN" and len(text) <= longest else general(text)
        )
    spare = "0" * (have - want)
    cut = -len(spare) if want else -len(spare) - 1
    return lambda text: (
        text[:cut] if len(text) <= longest and text.endswith(spare) else general(text)
    )


def _float_to_float(source: ColumnType, target: ColumnType) -> Conversion | None:
    if (source.bits or 64) <= (target.bits or 64):
        return None
    return _float_from_text(target)


# Between dates and times


def _moment_to_moment(source: ColumnType, target: ColumnType) -> Conversion | None:
    """Between moments with and without zone; both are UTC."""
    steps: list[Conversion] = []
    limit = moments.fraction_digits(target)
    if moments.fraction_digits(source) > limit:
        steps.append(partial(moments.check_fraction, limit=limit))
    if source.family is not target.family:
        zoned = target.family is TypeFamily.TIMESTAMPTZ
        steps.append(moments.add_zone if zoned else moments.drop_zone)
    if len(steps) < 2:
        return steps[0] if steps else None
    first, second = steps
    return lambda text: second(first(text))


def _date_to_timestamp(source: ColumnType, target: ColumnType) -> Conversion:
    zone = "+00" if target.family is TypeFamily.TIMESTAMPTZ else ""
    return moments.midnight(zone)


def _same(source: ColumnType, target: ColumnType) -> None:
    return None


def _to_date(source: ColumnType, target: ColumnType) -> Conversion:
    return moments.timestamp_to_date


_T = TypeFamily
_TABLE: dict[tuple[TypeFamily, TypeFamily], _Factory] = {
    **{(_T.TEXT, family): _parsed for family in _FROM_TEXT},
    **{(family, _T.TEXT): _as_text for family in TypeFamily},
    (_T.BOOLEAN, _T.TEXT): _boolean_to_text,
    (_T.INTEGER, _T.INTEGER): _integer_to_integer,
    (_T.INTEGER, _T.DECIMAL): _integer_to_decimal,
    (_T.INTEGER, _T.FLOAT): _parsed,
    (_T.INTEGER, _T.BOOLEAN): truth.from_integer,
    (_T.DECIMAL, _T.INTEGER): _parsed,
    (_T.DECIMAL, _T.DECIMAL): _decimal_to_decimal,
    (_T.DECIMAL, _T.FLOAT): _parsed,
    (_T.FLOAT, _T.INTEGER): _parsed,
    (_T.FLOAT, _T.DECIMAL): _parsed,
    (_T.FLOAT, _T.FLOAT): _float_to_float,
    (_T.BOOLEAN, _T.BOOLEAN): _same,
    (_T.BOOLEAN, _T.INTEGER): truth.to_integer,
    (_T.BOOLEAN, _T.DECIMAL): truth.to_decimal,
    (_T.DECIMAL, _T.BOOLEAN): truth.from_decimal,
    (_T.BOOLEAN, _T.ENUM): truth.to_enum,
    (_T.ENUM, _T.BOOLEAN): truth.from_enum,
    (_T.BINARY, _T.TEXT): _to_base64,
    (_T.TEXT, _T.BINARY): _from_base64,
    (_T.DATE, _T.DATE): _same,
    (_T.DATE, _T.TIMESTAMP): _date_to_timestamp,
    (_T.DATE, _T.TIMESTAMPTZ): _date_to_timestamp,
    (_T.TIMESTAMP, _T.DATE): _to_date,
    (_T.TIMESTAMPTZ, _T.DATE): _to_date,
    (_T.TIMESTAMP, _T.TIMESTAMP): _moment_to_moment,
    (_T.TIMESTAMP, _T.TIMESTAMPTZ): _moment_to_moment,
    (_T.TIMESTAMPTZ, _T.TIMESTAMP): _moment_to_moment,
    (_T.TIMESTAMPTZ, _T.TIMESTAMPTZ): _moment_to_moment,
    (_T.TIME, _T.TIME): _moment_to_moment,
    (_T.UUID, _T.UUID): _same,
    (_T.BINARY, _T.BINARY): _same,
    (_T.JSON, _T.JSON): _same,
    (_T.ENUM, _T.ENUM): _parsed,
    (_T.OTHER, _T.OTHER): _same,
}
