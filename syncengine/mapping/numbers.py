"""Numbers in canonical text form, never through a rounding step.

Decimals are plain digits, integers plain digits, floats the shortest text that reads
back as the same number, in PostgreSQL's spelling.
"""

from __future__ import annotations

import re
import struct
from decimal import Decimal

from syncengine.errors import RecordError
from syncengine.mapping.schema import ColumnType

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,6})?", re.ASCII)
_SPECIAL = {"nan": "NaN", "infinity": "Infinity", "-infinity": "-Infinity"}
_WHOLE_DIGITS = 131_072
_FRACTION_DIGITS = 16_383


def shown(value: str) -> str:
    """The value in quotes for a sentence, cut when long."""
    return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}..."'


def special(text: str) -> str | None:
    """`NaN`, `Infinity` or `-Infinity` in canonical spelling, else None."""
    return _SPECIAL.get(text.strip().casefold())


def parse(text: str) -> Decimal:
    """The exact number; RecordError `conversion_failed` when it is none."""
    stripped = text.strip()
    if not _NUMBER.fullmatch(stripped):
        raise RecordError(
            f"The value {shown(text)} is not a number.",
            code="conversion_failed",
            value=text,
        )
    number = Decimal(stripped)
    exponent = number.as_tuple().exponent
    if number.adjusted() >= _WHOLE_DIGITS or (
        isinstance(exponent, int) and -exponent > _FRACTION_DIGITS + _WHOLE_DIGITS
    ):
        raise out_of_range(text, f"a number of at most {_WHOLE_DIGITS} digits")
    return number


def out_of_range(text: str, limit: str) -> RecordError:
    """The failure for a number beyond what the column takes."""
    return RecordError(
        f"The value {shown(text)} is out of range; the column takes {limit}.",
        code="value_out_of_range",
        value=text,
    )


def imprecise(text: str, limit: str) -> RecordError:
    """The failure for a value of which the column would lose a part."""
    return RecordError(
        f"The value {shown(text)} would lose digits; the column keeps {limit}.",
        code="precision_loss",
        value=text,
    )


def plain(number: Decimal) -> str:
    """All digits, no exponent, no negative zero."""
    text = format(number, "f")
    return text.removeprefix("-") if number.is_zero() else text


def fixed(number: Decimal, type_: ColumnType, text: str) -> str:
    """`number` with the digits of a decimal column; errors show `text`."""
    if type_.precision is None:
        return plain(number)
    scale = type_.scale or 0
    if not number.is_zero() and number.adjusted() >= type_.precision - scale:
        whole = max(type_.precision - scale, 0)
        raise out_of_range(text, f"at most {whole} digits before the decimal point")
    whole_part, _, fraction = plain(number).partition(".")
    kept = max(scale, 0)
    if fraction[kept:].strip("0"):
        raise imprecise(text, f"{kept} digits after the decimal point")
    if scale < 0 and whole_part[scale:].strip("0-"):
        raise imprecise(text, f"no digits below 10^{-scale}")
    fraction = fraction[:kept].ljust(kept, "0")
    if not fraction:
        return "0" if whole_part == "-0" else whole_part
    return f"{whole_part}.{fraction}"


def integer(number: Decimal, bits: int | None, text: str) -> str:
    """`number` as a whole number of `bits` bits; errors show `text`."""
    whole, _, fraction = plain(number).partition(".")
    if fraction.strip("0"):
        raise imprecise(text, "whole numbers only")
    value = int(whole)
    limit = 1 << ((bits or 64) - 1)
    if not -limit <= value < limit:
        raise out_of_range(text, f"whole numbers from {-limit} to {limit - 1}")
    return str(value)


def floating(number: Decimal, bits: int | None, text: str) -> str:
    """`number` as a float of `bits` bits that stands for exactly these digits."""
    single = bits == 32
    value = float(number)
    try:
        shortest = _shortest_single(value) if single else repr(value)
    except OverflowError:
        raise out_of_range(text, f"floating-point numbers of {bits} bits") from None
    if shortest in ("inf", "-inf"):
        raise out_of_range(text, f"floating-point numbers of {bits or 64} bits")
    kept = Decimal(shortest)
    if kept != number and not single:
        # PostgreSQL writes large whole numbers with all 17 digits.
        kept = Decimal(f"{value:.16e}")
    if kept != number:
        raise imprecise(text, f"about {6 if single else 15} significant digits")
    return _float_text(kept, single)


def _shortest_single(value: float) -> str:
    packed = struct.pack("<f", value)
    for digits in range(6, 10):
        text = f"{value:.{digits}g}"
        if struct.pack("<f", float(text)) == packed:
            return text
    return f"{value:.9g}"


def _float_text(number: Decimal, single: bool) -> str:
    """PostgreSQL's spelling: an exponent below 1e-4 and from 1e15 (1e6) on."""
    if number.is_zero():
        return "-0" if number.is_signed() else "0"
    sign, digits, _ = number.normalize().as_tuple()
    power = number.adjusted()
    if -4 <= power < (6 if single else 15):
        return plain(number.normalize())
    mantissa = "".join(map(str, digits))
    if len(mantissa) > 1:
        mantissa = f"{mantissa[0]}.{mantissa[1:]}"
    return f"{'-' if sign else ''}{mantissa}e{'-' if power < 0 else '+'}{abs(power):02}"
