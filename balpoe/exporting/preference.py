"""User-defined orders of trials: arithmetic on metrics.

An example is `val/balanced_accuracy - 0.5*val/balanced_ece`.

An expression consists of numbers, names of metrics, `+ - * / **` and parentheses; no code is
executed. A slash between letters is part of a name, any other slash is a division. A name in
quotes may hold any characters: `'val/class/Great Tit/recall' - 0.5*val/ece`.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

from balpoe.config.earlier_names import weighted_classes
from balpoe.config.wording import unknown
from balpoe.errors import UserError

_LONGEST: Final = 200  # characters outside of quotes; also bounds the depth of nesting
_QUOTED: Final = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
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

_HINT: Final = "names with other characters are given in quotes: 'val/class/Great Tit/recall'"

_Term = Callable[[Mapping[str, float]], float]


class Preference:
    """An arithmetic expression of metrics that orders trials, the highest value first.

    Raises:
        UserError: `expression` is invalid; the message marks the position.
    """

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self._term = self._compiled(self._parsed())

    def value(self, metrics: Mapping[str, float]) -> float:
        """Return the value of the expression for `metrics`.

        Raises:
            UserError: a metric is missing, or the result is not finite.
        """
        try:
            value = self._term(metrics)
        except (ArithmeticError, ValueError) as error:
            raise UserError(f"--prefer {self.expression}: cannot be computed: {error}") from error
        if not math.isfinite(value):
            raise UserError(f"--prefer {self.expression}: must be a finite number, got {value}")
        return value

    def _parsed(self) -> ast.expr:
        """Return the syntax tree, in which plain names stand for metrics; positions stay."""
        text = self.expression
        bare = _QUOTED.sub("", text)
        if len(bare) > _LONGEST or not bare.isascii():
            raise UserError(
                f"--prefer: must be at most {_LONGEST} ASCII characters, apart from names in quotes"
            )
        plain = _QUOTED.sub(lambda quoted: "_" * len(quoted[0]), text)
        plain = _METRIC.sub(lambda name: name[0].replace("/", "_"), plain)
        try:
            return ast.parse(plain, mode="eval").body
        except SyntaxError as error:
            reason = f"is not an arithmetic expression; {_HINT}"
            raise self._error((error.offset or 1) - 1, reason) from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise UserError(
                f"--prefer {text!r}: is not an arithmetic expression: {error}"
            ) from error

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
        raise self._error(node.col_offset, "must be a metric, a number or + - * / **")

    def _metric(self, node: ast.Name) -> _Term:
        name = self.expression[node.col_offset : node.end_col_offset]
        if _QUOTED.fullmatch(name):
            name = name[1:-1]
            if "/" not in name:
                raise self._error(node.col_offset, f"'{name}' is not a metric")
        elif "'" in name or '"' in name:
            raise self._error(node.col_offset, "is not an arithmetic expression")
        if name.startswith("test/"):
            raise self._error(node.col_offset, "the test set is reserved for the final evaluation")

        def value(metrics: Mapping[str, float]) -> float:
            if name not in metrics:
                earlier = weighted_classes([name], metrics)
                reason = unknown(f"metric {name}", name, list(map(_written, metrics)))
                if earlier:
                    reason = f"there is no metric {name}{earlier}"
                raise self._error(node.col_offset, reason)
            return metrics[name]

        return value

    def _error(self, position: int, reason: str) -> UserError:
        """Return the error for an invalid expression, with a caret below the position."""
        marked = f"--prefer  {self.expression}\n{' ' * (len('--prefer  ') + position)}^"
        return UserError(f"{marked}\n{reason}")


def _applied(function: Callable[..., float], *terms: _Term) -> _Term:
    return lambda metrics: function(*(term(metrics) for term in terms))


def _written(name: str) -> str:
    """Return the name of a metric as an expression needs it, in quotes if necessary."""
    if _METRIC.fullmatch(name):
        return name
    return f'"{name}"' if "'" in name else f"'{name}'"
