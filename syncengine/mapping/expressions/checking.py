"""An expression on real columns: what each part is, and the function over values."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from simpleeval import SimpleEval

from syncengine.errors import RecordError
from syncengine.mapping import numbers
from syncengine.mapping.expressions.errors import ExpressionError
from syncengine.mapping.expressions.functions import (
    FUNCTIONS,
    OPERATORS,
    Function,
    Kind,
    exact,
)
from syncengine.mapping.expressions.parsing import ParsedExpression, operator_text
from syncengine.mapping.schema import ColumnType, TypeFamily
from syncengine.mapping.types import is_padded

_Kind = Kind | TypeFamily
"""A kind, or the family of a type that expressions only hand on."""

_KINDS: dict[TypeFamily, Kind] = {
    TypeFamily.TEXT: Kind.TEXT,
    TypeFamily.ENUM: Kind.TEXT,
    TypeFamily.INTEGER: Kind.NUMBER,
    TypeFamily.DECIMAL: Kind.NUMBER,
    TypeFamily.FLOAT: Kind.NUMBER,
    TypeFamily.BOOLEAN: Kind.TRUTH,
}
_RESULTS: dict[_Kind, ColumnType] = {
    Kind.NUMBER: ColumnType(TypeFamily.DECIMAL, "numeric"),
    Kind.TEXT: ColumnType(TypeFamily.TEXT, "text"),
    Kind.NOTHING: ColumnType(TypeFamily.TEXT, "text"),
    Kind.TRUTH: ColumnType(TypeFamily.BOOLEAN, "boolean"),
}
_ORDERED = (
    Kind.NUMBER,
    Kind.TEXT,
    TypeFamily.DATE,
    TypeFamily.TIMESTAMP,
    TypeFamily.TIMESTAMPTZ,
    TypeFamily.TIME,
)
_NODES = (
    ast.Expr,
    ast.Constant,
    ast.Name,
    ast.BinOp,
    ast.UnaryOp,
    ast.BoolOp,
    ast.Compare,
    ast.IfExp,
    ast.Call,
)


class BoundExpression:
    """An expression on columns of known types. `type` is that of its result.

    Called with the canonical texts of the columns, in the order of `paths`, it gives
    the canonical text of the result; RecordError `conversion_failed` or
    `value_out_of_range` says why there is none.
    """

    def __init__(
        self,
        parsed: ParsedExpression,
        tree: ast.expr,
        readers: Sequence[Callable[[str], Any]],
        type_: ColumnType,
    ) -> None:
        self.paths = parsed.paths
        self.type = type_
        self._text = parsed.text
        self._tree = tree
        self._readers = tuple(readers)
        self._own = threading.local()

    @staticmethod
    def bind(
        parsed: ParsedExpression, types: Mapping[str, ColumnType]
    ) -> BoundExpression:
        """The expression on columns of these types, by path. ExpressionError shows
        the place of the first part that does not fit."""
        checker = _Checker(parsed.text, types)
        tree, kind = checker.check(parsed.tree)
        readers = [_reader(types[path]) for path in parsed.paths]
        return BoundExpression(parsed, tree, readers, _result(kind, types.values()))

    def __call__(self, values: tuple[str | None, ...]) -> str | None:
        """The result for these values."""
        names = {
            path: None if value is None else read(value)
            for path, read, value in zip(self.paths, self._readers, values, strict=True)
        }
        evaluator = getattr(self._own, "evaluator", None)
        if evaluator is None:
            evaluator = self._own.evaluator = _evaluator()
        evaluator.names = names
        return _written(evaluator.eval(self._text, self._tree))


def _evaluator() -> Any:
    """One for each thread: it holds the values of the row."""
    evaluator = SimpleEval(
        operators=OPERATORS,
        functions={name: function.call for name, function in FUNCTIONS.items()},
        names={"": None},
    )
    evaluator.nodes = {node: evaluator.nodes[node] for node in _NODES}
    return evaluator


def _reader(type_: ColumnType) -> Callable[[str], Any]:
    match _KINDS.get(type_.family):
        case Kind.NUMBER:
            return lambda text: exact(numbers.parse(text))
        case Kind.TRUTH:
            return lambda text: text == "t"
    return (lambda text: text.rstrip(" ")) if is_padded(type_) else str


def _written(value: str | Decimal | bool | None) -> str | None:
    if isinstance(value, bool):
        return "t" if value else "f"
    return numbers.plain(value) if isinstance(value, Decimal) else value


def _result(kind: _Kind, types: Iterable[ColumnType]) -> ColumnType:
    if isinstance(kind, Kind):
        return _RESULTS[kind]
    found = {type_ for type_ in types if type_.family is kind}
    return found.pop() if len(found) == 1 else ColumnType(kind, kind.value)


class _Checker:
    """Finds out what every part is, and turns `if` into a part of the tree."""

    def __init__(self, text: str, types: Mapping[str, ColumnType]) -> None:
        self._text = text
        self._types = types

    def _fail(self, message: str, node: ast.expr) -> ExpressionError:
        return ExpressionError(message, position=node.col_offset, text=self._text)

    def check(self, node: ast.expr) -> tuple[ast.expr, _Kind]:
        """The part, ready to be evaluated, and what it is."""
        match node:
            case ast.Constant(value):
                return node, self._constant(value, node)
            case ast.Name(path):
                family = self._types[path].family
                return node, _KINDS.get(family, family)
            case ast.BinOp(left, operator, right):
                return self._arithmetic(operator, left, right)
            case ast.UnaryOp(ast.Not() as operator, operand):
                return ast.UnaryOp(operator, self._truth(operand)), Kind.TRUTH
            case ast.UnaryOp(operator, operand):
                return ast.UnaryOp(operator, self._number(operator, operand)), (
                    Kind.NUMBER
                )
            case ast.BoolOp(operator, values):
                made = [self._truth(value) for value in values]
                return ast.BoolOp(operator, made), Kind.TRUTH
            case ast.Compare():
                return self._compare(node), Kind.TRUTH
            case ast.Call():
                return self._call(node)
        raise self._fail("This cannot stand here.", node)

    def _constant(self, value: object, node: ast.expr) -> Kind:
        if value is None:
            return Kind.NOTHING
        if isinstance(value, bool):
            return Kind.TRUTH
        if isinstance(value, str):
            return Kind.TEXT
        try:
            exact(value)  # type: ignore[arg-type]
        except RecordError:
            raise self._fail("This number has too many digits.", node) from None
        return Kind.NUMBER

    def _arithmetic(
        self, operator: ast.operator, left: ast.expr, right: ast.expr
    ) -> tuple[ast.expr, Kind]:
        made = [self._number(operator, each) for each in (left, right)]
        return ast.BinOp(made[0], operator, made[1]), Kind.NUMBER

    def _number(self, operator: ast.AST, node: ast.expr) -> ast.expr:
        made, kind = self.check(node)
        if kind in (Kind.NUMBER, Kind.NOTHING):
            return made
        cure = ""
        if kind is Kind.TEXT:
            joins = isinstance(operator, ast.Add)
            cure = "; join texts with concat()" if joins else "; use number()"
        raise self._fail(
            f"{operator_text(operator)} takes numbers, but this is {_name(kind)}"
            f"{cure}.",
            node,
        )

    def _truth(self, node: ast.expr) -> ast.expr:
        made, kind = self.check(node)
        if kind in (Kind.TRUTH, Kind.NOTHING):
            return made
        raise self._fail(
            f"A condition is needed here, but this is {_name(kind)}.", node
        )

    def _compare(self, node: ast.Compare) -> ast.expr:
        operands = [node.left, *node.comparators]
        parts = [self.check(each) for each in operands]
        known = {kind for _, kind in parts if kind is not Kind.NOTHING}
        if len(known) > 1:
            names = " with ".join(sorted(map(_name, known)))
            raise self._fail(
                f"This compares {names}; turn both into one kind, for example with "
                "text().",
                node,
            )
        equality = all(isinstance(each, ast.Eq | ast.NotEq) for each in node.ops)
        if not equality and not known <= set(_ORDERED):
            raise self._fail(f"{_name(known.pop())} has no order.".capitalize(), node)
        return ast.Compare(parts[0][0], node.ops, [made for made, _ in parts[1:]])

    def _call(self, node: ast.Call) -> tuple[ast.expr, _Kind]:
        name = getattr(node.func, "id", "")
        if name == "if":
            return self._if(node)
        function = FUNCTIONS[name]
        parameters = self._parameters(name, function, node)
        made: list[ast.expr] = []
        shared: _Kind = Kind.NOTHING
        for parameter, argument in zip(parameters, node.args, strict=True):
            part, kind = self.check(argument)
            made.append(part)
            if parameter is Kind.SAME:
                shared = self._same(shared, kind, argument)
            elif parameter is not Kind.ANY and kind not in (parameter, Kind.NOTHING):
                hint = "; use text()" if parameter is Kind.TEXT else ""
                raise self._fail(
                    f"{name} takes {_name(parameter)} here, but this is "
                    f"{_name(kind)}{hint}.",
                    argument,
                )
        result = shared if function.result is Kind.SAME else function.result
        return ast.Call(node.func, made, []), result

    def _parameters(
        self, name: str, function: Function, node: ast.Call
    ) -> tuple[Kind, ...]:
        given, most = len(node.args), len(function.parameters)
        least = most - function.optional
        if given < least or (given > most and not function.more):
            wanted = f"{least} or more" if function.more else f"{most}"
            if function.optional:
                wanted = f"{least} or {most}"
            plural = "" if wanted == "1" else "s"
            raise self._fail(
                f"{name} takes {wanted} argument{plural}, not {given}.", node
            )
        more = max(given - most, 0)
        return (*function.parameters, *function.parameters[-1:] * more)[:given]

    def _if(self, node: ast.Call) -> tuple[ast.expr, _Kind]:
        if len(node.args) != 3:
            raise self._fail(
                "if takes 3 arguments: a condition, a value, and the value otherwise.",
                node,
            )
        test = self._truth(node.args[0])
        (yes, first), (no, second) = (self.check(each) for each in node.args[1:])
        kind = self._same(first, second, node.args[2])
        return ast.IfExp(test, yes, no), kind

    def _same(self, known: _Kind, kind: _Kind, node: ast.expr) -> _Kind:
        if known is Kind.NOTHING:
            return kind
        if kind not in (known, Kind.NOTHING):
            raise self._fail(
                f"This is {_name(kind)}, but {_name(known)} is needed like before.",
                node,
            )
        return known


def _name(kind: _Kind) -> str:
    return kind.value if isinstance(kind, Kind) else f"of type {kind.value}"
