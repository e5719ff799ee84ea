"""Expressions that make a column's value from columns of the source (pure).

A small language: column paths, texts in quotes, numbers, `null`, `true`, `false`,
`+ - * /`, `== != < <= > >=`, `and or not`, and the functions of `functions.py`. A path
that is no plain name is written `column("...")`. Numbers are exact decimals. A null in
arithmetic and in most functions gives null, in `concat` an empty text; comparisons of
order with a null are false.

Python's own parser, through the library simpleeval, builds the tree, from a text that
consists of known tokens only; the tree may hold nothing but the above, is bounded in
length and depth, and is checked against the columns' types before the first row.
"""

from __future__ import annotations

from syncengine.mapping.expressions.checking import BoundExpression
from syncengine.mapping.expressions.errors import ExpressionError
from syncengine.mapping.expressions.parsing import ParsedExpression, parse_expression

__all__ = [
    "BoundExpression",
    "ExpressionError",
    "ParsedExpression",
    "bind_expression",
    "parse_expression",
]

bind_expression = BoundExpression.bind
