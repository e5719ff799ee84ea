"""The grammar both dialects share: or, and, not, parentheses, comparisons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

from syncengine.mapping.filters.errors import FilterSyntaxError, place_in_words
from syncengine.mapping.filters.expression import (
    And,
    ColumnRef,
    Comparator,
    Comparison,
    Expression,
    In,
    Literal,
    LiteralKind,
    Not,
    Or,
    Pattern,
    depth,
    leaves,
    like,
)
from syncengine.mapping.filters.tokens import Kind, Token

MAX_NESTING = 100
MAX_DEPTH = 40
"""Lower than the nesting, so that a printed filter can be read again."""


class FunctionParser(Protocol):
    """Reads a function call such as `contains(name,'x')`."""

    def __call__(self, parser: Parser, name: Token) -> Expression: ...


@dataclass(frozen=True)
class Dialect:
    """How a dialect spells things, for the parser and for its messages.

    `cures` gives for a word of some other language what this dialect writes; `like`
    reads the text after `like` into a pattern.
    """

    spelling: Mapping[Kind | Comparator, str]
    cures: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, FunctionParser] = field(default_factory=dict)
    like: Callable[[str], Pattern] | None = None

    @property
    def comparisons(self) -> str:
        """All comparisons, as a message lists them."""
        words = [self.spelling[comparator] for comparator in Comparator]
        return f"a comparison ({', '.join([*words, *self._tests])})"

    @property
    def negatable(self) -> str:
        """What may follow `column not`, as a message lists it."""
        return " or ".join(self._tests)

    @property
    def _tests(self) -> list[str]:
        return [self.spelling[k] for k in (Kind.LIKE, Kind.IN) if k in self.spelling]


class Parser:
    """Recursive descent over the tokens of one filter."""

    def __init__(self, text: str, tokens: Sequence[Token], dialect: Dialect) -> None:
        self._text = text
        self._tokens = tokens
        self._dialect = dialect
        self._at = 0
        self._depth = 0

    @property
    def token(self) -> Token:
        """The token that comes next."""
        return self._tokens[self._at]

    def parse(self) -> Expression:
        """The whole filter."""
        expression = self._or()
        if self.token.kind is not Kind.END:
            spelling = self._dialect.spelling
            self.refuse(
                f"{spelling[Kind.AND]}, {spelling[Kind.OR]} or {Kind.END.value}"
            )
        if depth(expression) > MAX_DEPTH:
            raise self._too_deep(self._deep_leaf(expression), MAX_DEPTH)
        return expression

    def advance(self) -> Token:
        """Take the next token."""
        token = self.token
        self._at += 1
        return token

    def expect(self, kind: Kind, expected: str | None = None) -> Token:
        """Take the next token, which must be of that kind."""
        if self.token.kind is not kind:
            self.refuse(expected or kind.value)
        return self.advance()

    def refuse(self, expected: str, cure: str = "") -> NoReturn:
        """Fail at the next token, saying what was expected there."""
        token = self.token
        word = self._dialect.cures.get(token.text.lower())
        if word:
            cure = f"write {word}"
        message = f"found {token.shown}, expected {expected}"
        raise self.error(f"{message}; {cure}." if cure else f"{message}.", token)

    def error(self, message: str, token: Token) -> FilterSyntaxError:
        """A failure at a token."""
        return FilterSyntaxError(message, position=token.position, text=self._text)

    def _too_deep(self, position: int, most: int) -> FilterSyntaxError:
        return FilterSyntaxError(
            f"nested too deeply; expected at most {most} levels.",
            position=position,
            text=self._text,
        )

    def _deep_leaf(self, expression: Expression) -> int:
        """Where the first test stands that lies deepest."""
        while isinstance(expression, And | Or | Not):
            if isinstance(expression, Not):
                expression = expression.operand
            else:
                expression = max(expression.operands, key=depth)
        return next(leaves(expression)).column.position

    def _or(self) -> Expression:
        operands = [self._and()]
        while self.token.kind is Kind.OR:
            self.advance()
            operands.append(self._and())
        return operands[0] if len(operands) == 1 else Or(tuple(operands))

    def _and(self) -> Expression:
        operands = [self._unary()]
        while self.token.kind is Kind.AND:
            self.advance()
            operands.append(self._unary())
        return operands[0] if len(operands) == 1 else And(tuple(operands))

    def _unary(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise self._too_deep(self.token.position, MAX_NESTING)
        try:
            if self.token.kind is Kind.NOT:
                return self._not()
            if self.token.kind is Kind.OPEN:
                return self._parentheses()
            if self._at_call():
                name = self.advance()
                function = self._dialect.functions.get(name.text.lower())
                if function is None:
                    raise self._unknown_function(name)
                return function(self, name)
            return self._comparison()
        finally:
            self._depth -= 1

    def _parentheses(self) -> Expression:
        opened = self.advance()
        expression = self._or()
        spelling = self._dialect.spelling
        if self.token.kind is not Kind.CLOSE:
            self.refuse(
                f'{spelling[Kind.AND]}, {spelling[Kind.OR]} or ")"',
                f'the "(" at {place_in_words(self._text, opened.position)} is still'
                " open",
            )
        self.advance()
        return expression

    def _unknown_function(self, name: Token) -> FilterSyntaxError:
        known = ", ".join(self._dialect.functions)
        expected = f"one of the functions {known}" if known else "a column"
        cure = self._dialect.cures.get(name.text.lower())
        message = f"found the function {name.text}, expected {expected}"
        return self.error(
            f"{message}; write column {cure}." if cure else f"{message}.", name
        )

    def _at_call(self) -> bool:
        return (
            self.token.kind is Kind.NAME
            and self._tokens[self._at + 1].kind is Kind.OPEN
        )

    def _not(self) -> Expression:
        word = self.advance()
        if self.token.kind not in (Kind.OPEN, Kind.NOT) and not self._at_call():
            self.refuse(
                f'"(" after {word.shown}',
                f"put what {word.shown} applies to in parentheses",
            )
        return Not(self._unary())

    def _comparison(self) -> Expression:
        first = self.token
        if first.kind is Kind.NAME:
            self.advance()
            column = ColumnRef(first.text, first.position)
            if self.token.kind is Kind.NOT:
                self.advance()
                if self.token.kind not in (Kind.IN, Kind.LIKE):
                    self.refuse(self._dialect.negatable)
                return Not(self._membership(column))
            if self.token.kind in (Kind.IN, Kind.LIKE):
                return self._membership(column)
            operator = self._operator()
            return self._compare(column, operator, self._literal("a value"))
        literal = self._literal('a column, "(" or ' + self._dialect.spelling[Kind.NOT])
        operator = self._operator()
        if self.token.kind is Kind.LITERAL:
            self.refuse("a column", "a filter compares a column with a value")
        name = self.expect(Kind.NAME)
        column = ColumnRef(name.text, name.position)
        return self._compare(column, operator.flipped, literal)

    def _operator(self) -> Comparator:
        if self.token.comparator is None:
            self.refuse(self._dialect.comparisons)
        comparator = self.advance().comparator
        assert comparator is not None  # noqa: S101
        return comparator

    def _literal(self, expected: str) -> Literal:
        literal = self.token.literal
        if literal is None:
            cure = ""
            if self.token.kind is Kind.NAME:
                cure = (
                    "a filter compares a column with a value, and a text is written"
                    " in quotes"
                )
            self.refuse(expected, cure)
        self.advance()
        return literal

    def text_literal(self) -> str:
        """Take a quoted text."""
        literal = self.token.literal
        if (
            literal is None
            or literal.kind is not LiteralKind.TEXT
            or not isinstance(literal.value, str)
        ):
            self.refuse("a text in quotes")
        self.advance()
        return literal.value

    def _membership(self, column: ColumnRef) -> Expression:
        word = self.advance()
        if word.kind is Kind.LIKE and self._dialect.like is not None:
            return like(column, self._dialect.like(self.text_literal()))
        self.expect(Kind.OPEN, 'a list of values in parentheses, such as "(1, 2)"')
        literals = [self._literal("a value")]
        while self.token.kind is Kind.COMMA:
            self.advance()
            literals.append(self._literal("a value"))
        self.expect(Kind.CLOSE, '"," or ")"')
        return In(column, tuple(literals))

    def _compare(
        self, column: ColumnRef, operator: Comparator, literal: Literal
    ) -> Expression:
        if literal.kind is LiteralKind.NULL and operator.orders:
            spelling = self._dialect.spelling
            raise FilterSyntaxError(
                f"found null after {spelling[operator]}, expected a value; null can"
                f" be compared with {spelling[Comparator.EQ]} and"
                f" {spelling[Comparator.NE]} only.",
                position=literal.position,
                text=self._text,
            )
        return Comparison(column, operator, literal)
