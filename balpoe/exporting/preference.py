"""An order of the user's own: arithmetic on metrics, such as `val/accuracy - 0.5*val/ece`.

Numbers, names of metrics, `+ - * / **` and brackets; nothing else is understood, and nothing
is executed. A slash between letters belongs to a name, any other one divides.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

from balpoe.config.wording import unknown
from balpoe.errors import UserError

_LONGEST: Final = 200  # so that no nesting is too deep
_METRIC: Final = re.compile(r"[A-Za-z_]\w*(?:/[A-Za-z_]\w*)+", re.ASCII)
_BINARY: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
}
_UNARY: Final[Mapping[type[ast.unaryop], Callable[[float], float]]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}

_Term = Callable[[Mapping[str, float]], float]


class Preference:
    """How much a trial is liked: the value of `expression` for its metrics; more is better.

    Raises:
        UserError: it is no such expression; the message shows the place.
    """

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self._term = self._compiled(self._parsed())

    def value(self, metrics: Mapping[str, float]) -> float:
        """What the expression amounts to for `metrics`.

        Raises:
            UserError: it names a metric that is not there, or the result is no finite number.
        """
        try:
            value = self._term(metrics)
        except (ArithmeticError, ValueError) as error:
            raise UserError(f"--prefer {self.expression}: cannot be computed: {error}") from error
        if not math.isfinite(value):
            raise UserError(f"--prefer {self.expression}: must be a finite number, got {value}")
        return value

    def _parsed(self) -> ast.expr:
        """The tree, in whose names slashes are underscores: they keep their places."""
        text = self.expression
        if len(text) > _LONGEST or not text.isascii():
            raise UserError(f"--prefer: must be at most {_LONGEST} ASCII characters")
        plain = _METRIC.sub(lambda name: name[0].replace("/", "_"), text)
        try:
            return ast.parse(plain, mode="eval").body
        except SyntaxError as error:
            raise self._refusal((error.offset or 1) - 1, "is no arithmetic") from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise UserError(f"--prefer {text!r}: is no arithmetic: {error}") from error

    def _compiled(self, node: ast.expr) -> _Term:
        match node:
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _applied(_BINARY[type(op)], self._compiled(left), self._compiled(right))
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return _applied(_UNARY[type(op)], self._compiled(operand))
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return lambda metrics: float(number)
            case ast.Name():
                return self._metric(node)
        raise self._refusal(node.col_offset, "must be a metric, a number or + - * / **")

    def _metric(self, node: ast.Name) -> _Term:
        name = self.expression[node.col_offset : node.end_col_offset]
        if name.startswith("test/"):
            raise self._refusal(node.col_offset, "the test set is for the final evaluation alone")

        def value(metrics: Mapping[str, float]) -> float:
            if name not in metrics:
                raise self._refusal(node.col_offset, unknown(f"metric {name}", name, list(metrics)))
            return metrics[name]

        return value

    def _refusal(self, place: int, reason: str) -> UserError:
        """The error, with a caret below its place."""
        marked = f"--prefer  {self.expression}\n{' ' * (len('--prefer  ') + place)}^"
        return UserError(f"{marked}\n{reason}")


def _applied(function: Callable[..., float], *terms: _Term) -> _Term:
    return lambda metrics: function(*(term(metrics) for term in terms))
