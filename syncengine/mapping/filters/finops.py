"""The FinOps dialect: range expressions such as `(PartyType == "Organization")`.

`&&` binds tighter than `||`, `!` stands before parentheses. Texts are in double or
single quotes, a quote inside is doubled. `like` takes `*` (any text) and `?` (any one
character); `\\*`, `\\?` and `\\\\` stand for the characters themselves. There are also
`in ("A", "B")`, `not in` and `not like`. An enumeration value `Enum::Value` stands for
its name. Dates are `2026-03-31` or `31\\03\\2026`; `now()` is the present moment.
"""

from __future__ import annotations

import re

from syncengine.mapping.filters.expression import (
    And,
    Comparator,
    Comparison,
    Expression,
    In,
    Literal,
    LiteralKind,
    Not,
    Or,
    Pattern,
    Wildcard,
    pattern_of,
)
from syncengine.mapping.filters.parser import Dialect, Parser
from syncengine.mapping.filters.tokens import (
    NAME,
    Kind,
    Scanner,
    Token,
    iso_time,
    tokenize,
)

_SYMBOLS = re.compile(r"==|!=|<=|>=|<(?!>)|>|&&|\|\||!|[(),]")
_KINDS = {
    "&&": Kind.AND,
    "||": Kind.OR,
    "!": Kind.NOT,
    "(": Kind.OPEN,
    ")": Kind.CLOSE,
    ",": Kind.COMMA,
}
_ENUM = re.compile(r"[^\W\d]\w*::\w+")
_DATE = re.compile(r"(\d{1,2})\\(\d{1,2})\\(\d{4})(?!\w)", re.ASCII)
_NOT = re.compile(r"not(?=\s+(?:in|like)\b)", re.IGNORECASE)
_WORDS = {"in": Kind.IN, "like": Kind.LIKE}
_FOREIGN = re.compile(r"<>|\.\.|\w+|[^\s\w]")
_ESCAPED = re.compile(r"\\([*?\\])|([*?])", re.DOTALL)


def parse_finops(text: str) -> Expression:
    """Read a range expression. Raises FilterSyntaxError, and FilterColumnError for a
    column of another table."""
    return Parser(text, tokenize(text, _token), _DIALECT).parse()


def to_finops(expression: Expression) -> str:
    """The expression as a range expression (`parse_finops` reads it back)."""
    if isinstance(expression, And):
        return " && ".join(_operand(each) for each in expression.operands)
    if isinstance(expression, Or):
        return " || ".join(_operand(each) for each in expression.operands)
    if isinstance(expression, Not):
        if isinstance(expression.operand, In):
            return _in(expression.operand, "not in")
        return f"!({to_finops(expression.operand)})"
    if isinstance(expression, In):
        return _in(expression, "in")
    name = expression.column.name
    if isinstance(expression, Comparison):
        return f"{name} {expression.operator.value} {_literal(expression.literal)}"
    return f"{name} like {_quoted(_like_text(expression.pattern))}"


def _in(expression: In, word: str) -> str:
    values = ", ".join(_literal(literal) for literal in expression.literals)
    return f"{expression.column.name} {word} ({values})"


def _operand(expression: Expression) -> str:
    return f"({to_finops(expression)})"


def _literal(literal: Literal) -> str:
    value = literal.value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return format(value, "f")
    if literal.kind is LiteralKind.ENUM:
        return f"{literal.enum}::{value}"
    if literal.kind is LiteralKind.TIME:
        return iso_time(value)
    if literal.kind is LiteralKind.NOW:
        return value
    return _quoted(value)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _like_text(pattern: Pattern) -> str:
    return "".join(
        part.value if isinstance(part, Wildcard) else re.sub(r"([*?\\])", r"\\\1", part)
        for part in pattern
    )


def _like_pattern(text: str) -> Pattern:
    parts: list[str | Wildcard] = []
    end = 0
    for match in _ESCAPED.finditer(text):
        parts.append(text[end : match.start()])
        parts.append(match.group(1) or Wildcard(match.group(2)))
        end = match.end()
    return pattern_of(*parts, text[end:])


_DIALECT = Dialect(
    spelling={
        **{comparator: comparator.value for comparator in Comparator},
        Kind.LIKE: "like",
        Kind.IN: "in",
        Kind.AND: "&&",
        Kind.OR: "||",
        Kind.NOT: "!",
    },
    cures={
        "=": "==",
        "<>": "!=",
        "&": "&&",
        "|": "||",
        "and": "&&",
        "or": "||",
        "not": "!",
        "eq": "==",
        "ne": "!=",
        "lt": "<",
        "le": "<=",
        "gt": ">",
        "ge": ">=",
        "contains": 'like "*text*"',
        "startswith": 'like "text*"',
        "endswith": 'like "*text"',
        "..": 'both ends as comparisons, such as (Code >= "A") && (Code <= "C")',
        "\\": "a date as 31\\12\\2026 (day\\month\\year) or 2026-12-31",
    },
    like=_like_pattern,
)


def _token(scanner: Scanner) -> Token:
    start = scanner.position
    literal = _scan_literal(scanner)
    if literal is not None:
        shown = scanner.text[start : scanner.position]
        return Token(Kind.LITERAL, shown, start, literal=literal)
    symbol = scanner.take(_SYMBOLS)
    if symbol is not None:
        if symbol in _KINDS:
            return Token(_KINDS[symbol], symbol, start)
        return Token(Kind.COMPARE, symbol, start, comparator=Comparator(symbol))
    scanner.refuse_path()
    negation = scanner.take(_NOT)
    if negation is not None:
        return Token(Kind.NOT, negation, start)
    name = scanner.take(NAME)
    if name is not None:
        return Token(_WORDS.get(name.lower(), Kind.NAME), name, start)
    scanner.unknown(_FOREIGN, _DIALECT.cures)


def _scan_literal(scanner: Scanner) -> Literal | None:
    start = scanner.position
    quoted = scanner.take_text()
    if quoted is not None:
        return Literal(LiteralKind.TEXT, quoted, start)
    date = scanner.take(_DATE)
    if date is not None:
        day, month, year = date.split("\\")
        iso = f"{year}-{month.zfill(2)}-{day.zfill(2)}"
        return Literal(LiteralKind.TIME, iso, start)
    literal = scanner.take_time() or scanner.take_now()
    if literal is not None:
        return literal
    scanner.refuse_foreign_date("a date is written 31\\12\\2026 or 2026-12-31")
    literal = scanner.take_number()
    if literal is not None:
        return literal
    enum = scanner.take(_ENUM)
    if enum is not None:
        enum_name, _, value = enum.partition("::")
        return Literal(LiteralKind.ENUM, value, start, enum_name)
    return scanner.take_constant()
