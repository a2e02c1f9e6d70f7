"""Dimensions that are computed from others, as exporters write them: ``past + sequence``, ``floor(h/2)``."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping
from fractions import Fraction
from functools import cache
from math import ceil, floor

from onnxlens.profile.graph.loading.dimensions.polynomials import Size, named

OPERATORS: Mapping[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: lambda first, second: first + second,
    ast.Sub: lambda first, second: first - second,
    ast.Mult: lambda first, second: first * second,
    ast.Div: lambda first, second: first / second,
    ast.FloorDiv: lambda first, second: Fraction(first // second),
}

FUNCTIONS: Mapping[str, Callable[..., Fraction]] = {
    "floor": lambda number: Fraction(floor(number)),
    "ceiling": lambda number: Fraction(ceil(number)),
    "ceil": lambda number: Fraction(ceil(number)),
    "Max": max,
    "max": max,
    "Min": min,
    "min": min,
}

ANONYMOUS = frozenset({"?", "None", "-1", "*"})
"""What some exporters write where a dimension has no name: the same text twice says nothing."""


@cache
def names_in(symbol: str) -> frozenset[str]:
    """The names that a dimension's symbol is computed from; itself where it is a plain name or not read."""
    tree = _parsed(symbol)
    if tree is None:
        return frozenset({symbol})
    functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return frozenset(
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in functions
    )


def evaluated(symbol: str, sizes: Mapping[str, int]) -> int | None:
    """The size that follows from those of the names in it; None where one is missing, or it is none."""
    tree = _parsed(symbol)
    if tree is None or not names_in(symbol) <= sizes.keys():
        return None
    try:
        number = _value(tree, sizes)
    except (ArithmeticError, LookupError, TypeError):
        return None
    return int(number) if number.denominator == 1 and number >= 0 else None


def computed_from(symbol: str) -> frozenset[str]:
    """The names that its size follows from; none of a plain name, or of a text that is no such expression."""
    names = names_in(symbol)
    tree = _parsed(symbol)
    if tree is None or symbol in names:
        return frozenset()
    try:
        _value(tree, dict.fromkeys(names, 1))
    except (LookupError, TypeError):
        return frozenset()
    except ArithmeticError:
        pass  # of these sizes alone
    return names


def as_size(symbol: str, plain: Collection[str]) -> Size:
    """A dimension's symbol as a polynomial in names; one that is none is a name of its own.

    Args:
        symbol: what stands in the file.
        plain: the symbols of other dimensions: ``batch-1`` is computed only where there is a ``batch``.
    """
    tree, names = _parsed(symbol), names_in(symbol)
    spelled = any(mark in symbol for mark in "+* ") and not names.isdisjoint(plain)
    if tree is None or symbol in names or not (spelled or names.issubset(plain)):
        return named(symbol)
    try:
        return _size(tree)
    except LookupError:
        return named(symbol)


def _size(node: ast.expr) -> Size:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            return named(name)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _size(left) + _size(right)
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _size(left) - _size(right)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return _size(left) * _size(right)
    raise LookupError(ast.dump(node))


@cache
def _parsed(symbol: str) -> ast.expr | None:
    try:
        return ast.parse(symbol.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr, sizes: Mapping[str, int]) -> Fraction:
    match node:
        case ast.Constant(value=int(number)):
            return Fraction(number)
        case ast.Name(id=name):
            return Fraction(sizes[name])
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, sizes)
        case ast.BinOp(left=left, op=operator, right=right):
            return OPERATORS[type(operator)](_value(left, sizes), _value(right, sizes))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return FUNCTIONS[name](*(_value(argument, sizes) for argument in arguments))
    raise LookupError(ast.dump(node))
