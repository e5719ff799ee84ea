"""The Dataverse dialect: OData `$filter` on the table's own columns.

Comparisons `eq ne gt ge lt le`, `in ('a','b')`, `not in`, `and`, `or`, `not` before
parentheses or a function, `startswith`, `endswith`, `contains`, and for patterns none
of these can say the standard's `matchesPattern` (anchored, with `.` and `[\\s\\S]*`
only). Texts are in single quotes, a quote inside is doubled; numbers, dates and GUIDs
are bare or quoted; `now()` is the present moment.
"""

from __future__ import annotations

import re

from syncengine.mapping.filters.expression import (
    And,
    ColumnRef,
    Comparator,
    Comparison,
    Expression,
    Like,
    Literal,
    LiteralKind,
    Not,
    Or,
    Pattern,
    Wildcard,
    like,
    pattern_of,
)
from syncengine.mapping.filters.parser import Dialect, Parser
from syncengine.mapping.filters.tokens import (
    NAME,
    Kind,
    Scanner,
    Token,
    iso_time,
    shortened,
    tokenize,
    zoned,
)

_COMPARATORS = {
    "eq": Comparator.EQ,
    "ne": Comparator.NE,
    "lt": Comparator.LT,
    "le": Comparator.LE,
    "gt": Comparator.GT,
    "ge": Comparator.GE,
}
_WORDS: dict[Kind | Comparator, str] = {
    comparator: word for word, comparator in _COMPARATORS.items()
}
_KINDS = {
    "and": Kind.AND,
    "or": Kind.OR,
    "not": Kind.NOT,
    "in": Kind.IN,
    "(": Kind.OPEN,
    ")": Kind.CLOSE,
    ",": Kind.COMMA,
}
_SYMBOL = re.compile(r"[(),]")
_GUID = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?!\w)"
)
_FOREIGN = re.compile(r"==|!=|<>|<=|>=|&&|\|\||\w+|[^\s\w]")
_DATAVERSE_FUNCTION = re.compile(r"Microsoft\.Dynamics\.CRM\.\w+", re.IGNORECASE)
_DATAVERSE_CURES = {
    "in": "column in ('a','b')",
    "notin": "not (column in ('a','b'))",
    "between": "column ge 1 and column le 9",
    "notbetween": "(column lt 1 or column gt 9)",
    "today": "column ge 2026-12-31 and column lt 2027-01-01, or compare with now()",
    "on": "column ge 2026-12-31 and column lt 2027-01-01",
    "onorafter": "column ge 2026-12-31",
    "onorbefore": "column lt 2027-01-01",
}
_ANY_TEXT = r"[\s\S]*"
_ANY_CHARACTER = r"[\s\S]"
_REGEX = re.compile(
    r"(?P<any_text>\[\\s\\S\]\*|\.\*)|(?P<any>\[\\s\\S\]|\.)"
    r"|\\(?P<escaped>[^\w\s])|(?P<plain>[^\\.*+?()\[\]{}|^$])",
    re.DOTALL,
)


def parse_odata(text: str) -> Expression:
    """Read an OData filter. Raises FilterSyntaxError, and FilterColumnError for a
    column of another table."""
    return Parser(text, tokenize(text, _token), _DIALECT).parse()


def to_odata(expression: Expression) -> str:
    """The expression as OData (`parse_odata` reads the same meaning back)."""
    if isinstance(expression, And):
        return " and ".join(_operand(each) for each in expression.operands)
    if isinstance(expression, Or):
        return " or ".join(_operand(each) for each in expression.operands)
    if isinstance(expression, Not):
        if isinstance(expression.operand, Like):
            return f"not {_like(expression.operand)}"
        return f"not ({to_odata(expression.operand)})"
    if isinstance(expression, Like):
        return _like(expression)
    name = expression.column.name
    if isinstance(expression, Comparison):
        return f"{name} {_WORDS[expression.operator]} {_literal(expression.literal)}"
    values = ",".join(_literal(literal) for literal in expression.literals)
    return f"{name} in ({values})"


def _operand(expression: Expression) -> str:
    text = to_odata(expression)
    return f"({text})" if isinstance(expression, And | Or) else text


def _literal(literal: Literal) -> str:
    value = literal.value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        return format(value, "f")
    if literal.kind in (LiteralKind.GUID, LiteralKind.NOW):
        return value
    if literal.kind is LiteralKind.TIME:
        return zoned(iso_time(value))
    return _quoted(value)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _like(expression: Like) -> str:
    name = expression.column.name
    match expression.pattern:
        case (Wildcard.ANY_TEXT,):
            return f"contains({name},'')"
        case (str(start), Wildcard.ANY_TEXT):
            return f"startswith({name},{_quoted(start)})"
        case (Wildcard.ANY_TEXT, str(end)):
            return f"endswith({name},{_quoted(end)})"
        case (Wildcard.ANY_TEXT, str(middle), Wildcard.ANY_TEXT):
            return f"contains({name},{_quoted(middle)})"
    regex = "".join(_regex(part) for part in expression.pattern)
    return f"matchesPattern({name},{_quoted(f'^{regex}$')})"


def _regex(part: str | Wildcard) -> str:
    if isinstance(part, Wildcard):
        return _ANY_TEXT if part is Wildcard.ANY_TEXT else _ANY_CHARACTER
    return re.sub(r"([\\.*+?()\[\]{}|^$/-])", r"\\\1", part)


def _call(parser: Parser) -> tuple[ColumnRef, Token, str]:
    parser.expect(Kind.OPEN)
    name = parser.expect(Kind.NAME)
    parser.expect(Kind.COMMA)
    token = parser.token
    text = parser.text_literal()
    parser.expect(Kind.CLOSE)
    return ColumnRef(name.text, name.position), token, text


def _starts_with(parser: Parser, name: Token) -> Expression:
    column, _, text = _call(parser)
    return Like(column, pattern_of(text, Wildcard.ANY_TEXT))


def _ends_with(parser: Parser, name: Token) -> Expression:
    column, _, text = _call(parser)
    return Like(column, pattern_of(Wildcard.ANY_TEXT, text))


def _contains(parser: Parser, name: Token) -> Expression:
    column, _, text = _call(parser)
    return Like(column, pattern_of(Wildcard.ANY_TEXT, text, Wildcard.ANY_TEXT))


def _matches_pattern(parser: Parser, name: Token) -> Expression:
    column, token, text = _call(parser)
    pattern = _read_regex(text)
    if pattern is None:
        raise parser.error(
            "found a regular expression of a kind not possible here, expected plain"
            " text with . and .* between ^ and $.",
            token,
        )
    return like(column, pattern)


def _read_regex(text: str) -> Pattern | None:
    if not (text.startswith("^") and text.endswith("$")):
        return None
    parts: list[str | Wildcard] = []
    position, end = 1, len(text) - 1
    while position < end:
        match = _REGEX.match(text, position, end)
        if match is None:
            return None
        if match["any_text"]:
            parts.append(Wildcard.ANY_TEXT)
        elif match["any"]:
            parts.append(Wildcard.ANY_CHARACTER)
        else:
            parts.append(match["escaped"] or match["plain"])
        position = match.end()
    return pattern_of(*parts)


_DIALECT = Dialect(
    spelling={
        **_WORDS,
        Kind.IN: "in",
        Kind.AND: "and",
        Kind.OR: "or",
        Kind.NOT: "not",
    },
    cures={
        "=": "eq",
        "==": "eq",
        "!=": "ne",
        "<>": "ne",
        "<": "lt",
        "<=": "le",
        ">": "gt",
        ">=": "ge",
        "&&": "and",
        "&": "and",
        "||": "or",
        "|": "or",
        "!": "not",
        "like": "contains(column,'text')",
        "datetime": "the date alone, such as 2026-12-31 or 2026-12-31T10:30:00Z",
        "datetimeoffset": "the moment alone, such as 2026-12-31T10:30:00Z",
        "guid": "the GUID alone, without the word",
    },
    functions={
        "startswith": _starts_with,
        "endswith": _ends_with,
        "contains": _contains,
        "matchespattern": _matches_pattern,
    },
)


def _token(scanner: Scanner) -> Token:
    start = scanner.position
    literal = _scan_literal(scanner)
    if literal is not None:
        shown = scanner.text[start : scanner.position]
        return Token(Kind.LITERAL, shown, start, literal=literal)
    _refuse_dataverse_function(scanner)
    scanner.refuse_path()
    word = scanner.take(NAME) or scanner.take(_SYMBOL)
    if word is not None:
        comparator = _COMPARATORS.get(word.lower())
        if comparator is not None:
            return Token(Kind.COMPARE, word, start, comparator=comparator)
        return Token(_KINDS.get(word.lower(), Kind.NAME), word, start)
    scanner.unknown(_FOREIGN, _DIALECT.cures)


def _refuse_dataverse_function(scanner: Scanner) -> None:
    start = scanner.position
    found = scanner.take(_DATAVERSE_FUNCTION)
    if found is None:
        return
    word = found.rpartition(".")[2].lower()
    cure = _DATAVERSE_CURES.get(word, "standard operators, or leave this test out")
    raise scanner.error(
        f"found {shortened(found)}, a function that only Dataverse itself knows; write"
        f" {cure}.",
        start,
    )


def _scan_literal(scanner: Scanner) -> Literal | None:
    start = scanner.position
    guid = scanner.take(_GUID)
    if guid is not None:
        return Literal(LiteralKind.GUID, guid.lower(), start)
    if scanner.text[start] == '"':
        raise scanner.error(
            "found a double quote, expected a text in single quotes such as 'text'."
        )
    quoted = scanner.take_text()
    if quoted is not None:
        return Literal(LiteralKind.TEXT, quoted, start)
    literal = scanner.take_time() or scanner.take_now()
    if literal is not None:
        return literal
    scanner.refuse_foreign_date("a date is written 2026-12-31")
    return scanner.take_number() or scanner.take_constant()
