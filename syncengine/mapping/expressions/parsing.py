"""From the text of an expression to a tree of known parts.

The text is first cut into tokens of our own language. Names and texts are then masked
by fillers of the same length, so that Python's parser sees no name, no escape and no
keyword of the writer's, and every place in its tree is a place in the text.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from simpleeval import SimpleEval

from syncengine.mapping.expressions.errors import ExpressionError
from syncengine.mapping.expressions.functions import FUNCTIONS

MAX_LENGTH = 2_000
MAX_TOKENS = 400
MAX_DEPTH = 60

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<number>(?:\d+(?:\.\d+)?|\.\d+)(?![\w.]))
    |(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    |(?P<wrong>\*\*|//|<<|>>|<>|&&|\|\||=(?!=))
    |(?P<operator>==|!=|<=|>=|[-+*/<>(),])""",
    re.VERBOSE | re.ASCII,
)
_INSTEAD = {
    "=": "Write == to compare.",
    "<>": "Write != for unequal.",
    "&&": "Write and.",
    "||": "Write or, or concat() to join texts.",
}
_CONSTANTS = {"null": None, "true": True, "false": False}
_WORDS = ("and", "or", "not")
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.USub: "-",
    ast.UAdd: "+",
    ast.Not: "not",
    ast.And: "and",
    ast.Or: "or",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}


def operator_text(node: ast.AST) -> str:
    """An operator of the tree as it is written."""
    return _OPERATORS[type(node)]


@dataclass(frozen=True)
class ParsedExpression:
    """A tree of known parts. Columns are names whose `id` is their path; `paths` are
    all of them, each once, in the order in which they come."""

    text: str
    tree: ast.expr
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


def parse_expression(text: str) -> ParsedExpression:
    """Read an expression. ExpressionError shows the place of the first mistake."""
    return _Reader(text).read()


class _Reader:
    """Reads one expression."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: dict[int, _Token] = {}
        self._paths: dict[str, None] = {}

    def fail(self, message: str, position: int) -> NoReturn:
        """Refuse the text at this place."""
        raise ExpressionError(message, position=position, text=self._text)

    def read(self) -> ParsedExpression:
        """The tree of the whole text."""
        if len(self._text) > MAX_LENGTH:
            self.fail(f"An expression has at most {MAX_LENGTH} characters.", MAX_LENGTH)
        masked = self._mask()
        if not self._tokens:
            self.fail("The expression is empty.", 0)
        start = len(masked) - len(masked.lstrip())
        try:
            statement = SimpleEval.parse(masked)
        except (SyntaxError, MemoryError, RecursionError) as error:
            self._explain(error, start)
        if not isinstance(statement, ast.Expr):
            self.fail("This is not an expression.", start)
        tree = self._node(statement.value, start, 0)
        if not self._paths:
            self.fail(
                "The expression names no column of the source; write a constant as "
                "the line's default.",
                start,
            )
        return ParsedExpression(self._text, tree, tuple(self._paths))

    def _mask(self) -> str:
        """The text with names and texts replaced by fillers of the same length."""
        parts: list[str] = []
        position, previous = 0, ""
        while position < len(self._text):
            found = _TOKEN.match(self._text, position)
            if found is None:
                self.fail(self._unknown(position), position)
            kind, word = str(found.lastgroup), found[0]
            if kind == "wrong":
                self.fail(_INSTEAD.get(word, f"{word} is no operator."), position)
            if kind == "space":
                parts.append(" " * len(word))
            else:
                if kind == previous == "text":  # Python would join them.
                    self.fail("An operator or a comma is missing here.", position)
                previous = kind
                self._tokens[position] = _Token(kind, word)
                parts.append(_filler(kind, word))
            if len(self._tokens) > MAX_TOKENS:
                self.fail("The expression has too many parts.", position)
            position = found.end()
        return "".join(parts)

    def _unknown(self, position: int) -> str:
        char = self._text[position]
        if char in "'\"":
            return "This text is never closed."
        if char.isdigit() or char == ".":
            return "Numbers are written like 12.5."
        return f'{char} cannot stand here; write other column names as column("...").'

    def _explain(self, error: BaseException, start: int) -> NoReturn:
        offset = getattr(error, "offset", None) or 1
        position = start + offset - 1
        reason = getattr(error, "msg", "")
        if not isinstance(error, SyntaxError) or "too many nested" in reason:
            self.fail("The expression is nested too deeply.", start)
        if "never closed" in reason:
            self.fail("This bracket is never closed.", position)
        if "unmatched" in reason:
            self.fail("This bracket was never opened.", position)
        if position >= len(self._text.rstrip()):
            self.fail("The expression ends too early.", len(self._text.rstrip()))
        self.fail("A value, an operator or a comma is missing here.", position)

    def _node(self, node: ast.expr, start: int, depth: int) -> ast.expr:
        position = node.col_offset + start
        if depth > MAX_DEPTH:
            self.fail("The expression is nested too deeply.", position)

        def inner(each: ast.expr) -> ast.expr:
            return self._node(each, start, depth + 1)

        made = self._made(node, inner, position)
        made.lineno, made.col_offset = 1, position
        return made

    def _made(
        self, node: ast.expr, inner: Callable[[ast.expr], ast.expr], position: int
    ) -> ast.expr:
        """The node again, of known parts."""
        match node:
            case ast.Constant():
                return ast.Constant(self._literal(position))
            case ast.Name():
                return self._name(position)
            case ast.BinOp(left, operator, right) if type(operator) in _OPERATORS:
                return ast.BinOp(inner(left), operator, inner(right))
            case ast.UnaryOp(operator, operand) if type(operator) in _OPERATORS:
                return ast.UnaryOp(operator, inner(operand))
            case ast.BoolOp(operator, values):
                return ast.BoolOp(operator, [inner(value) for value in values])
            case ast.Compare(left, operators, others) if all(
                type(operator) in _OPERATORS for operator in operators
            ):
                return ast.Compare(inner(left), operators, [*map(inner, others)])
            case ast.Call(ast.Name() as function, arguments):
                return self._call(function, arguments, inner, position)
            case ast.Tuple():
                self.fail(
                    "A comma stands between the arguments of a function only.", position
                )
        self.fail("This cannot stand here.", position)

    def _literal(self, position: int) -> Any:
        """A text, or an exact number where Python's own tree would have a float."""
        token = self._tokens[position]
        if token.kind == "number":
            return Decimal(token.text)
        quote = token.text[0]
        return token.text[1:-1].replace(quote * 2, quote)

    def _name(self, position: int) -> ast.expr:
        name = self._tokens[position].text
        if name.lower() in _CONSTANTS:
            return ast.Constant(_CONSTANTS[name.lower()])
        return self._column(name)

    def _column(self, path: str) -> ast.Name:
        self._paths[path] = None
        return ast.Name(path, ast.Load())

    def _call(
        self,
        function: ast.Name,
        arguments: list[ast.expr],
        inner: Callable[[ast.expr], ast.expr],
        position: int,
    ) -> ast.expr:
        name = self._tokens[position].text.lower()
        made = [inner(argument) for argument in arguments]
        if name != "column":
            if name not in FUNCTIONS and name != "if":
                known = ", ".join(sorted([*FUNCTIONS, "if", "column"]))
                self.fail(f"There is no function {name}; known are {known}.", position)
            return ast.Call(ast.Name(name, ast.Load()), made, [])
        if len(made) == 1 and isinstance(made[0], ast.Constant):
            path = made[0].value
            if isinstance(path, str) and path:
                return self._column(path)
        self.fail('A column is named by a text: column("name").', position)


def _filler(kind: str, word: str) -> str:
    match kind:
        case "text":
            return f"'{'x' * (len(word) - 2)}'"
        case "number":
            return "1" * len(word)
        case "name" if word.lower() not in _WORDS:
            return "n" * len(word)
    return word.lower()
