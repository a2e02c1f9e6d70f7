"""Change one term of a counting rule's source, and see whether the cases notice.

A mutant is the module of a family with one expression replaced: a factor dropped, ``*`` made ``+``, a number
made its neighbor, an attribute its default or 1, a condition turned, a term left out. It is compiled in this
process, and its table must miss what at least one case expects.
"""

from __future__ import annotations
import __future__

import ast
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, ModuleType
from typing import Any

from onnxlens.profile.count.rules import Work
from onnxlens.profile.count.rules.work import RuleTable
from onnxlens.profile.graph.node_view import NodeView

UNTOUCHED_FIELDS = frozenset({"annotation", "returns", "decorator_list"})
DEFINITIONS = (ast.FunctionDef, ast.ClassDef)
NEIGHBORS: Mapping[type, type] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
SWAPPED_NAMES = {"VECTOR": "SPECIAL", "SPECIAL": "VECTOR", "NOTHING": "VECTOR"}


@dataclass(frozen=True)
class Mutant:
    """A module not run yet, one statement changed; ``name`` is the function, the old term and the new one."""

    name: str
    code: Sequence[CodeType]


Refusal = type[Exception]
Expectations = Sequence[tuple[NodeView, Work | Refusal]]


def outcome(rules: RuleTable, node: NodeView) -> Work | Refusal:
    """The result of the table for a node: its work, or the kind of error it raises."""
    try:
        return rules[node.domain][node.op_type](node)
    except Exception as refusal:
        return type(refusal)


Outcome = Callable[[Any, NodeView], Any]
"""From a module's table, and a node, to what its function makes of the node."""


def mutants_of(module: ModuleType) -> Iterator[Mutant]:
    """Every mutant of the module, one at a time: one of its statements is changed, compiled and put back."""
    scope = module.__name__.removeprefix("onnxlens.profile.count.rules.")
    statements = [ast.Module([each], []) for each in ast.parse(inspect.getsource(module)).body]
    whole = [_compiled(each, module.__name__) for each in statements]
    for index, statement in enumerate(statements):
        for term in _terms(statement, scope):
            replacements = _replacements(term.old)
            before = ast.unparse(term.shown) if replacements else ""
            for new in replacements:
                term.put(ast.copy_location(new, term.old))
                shown = new if term.shown is term.old else term.shown
                name = f"{term.scope}: {before} -> {ast.unparse(shown)}"
                changed = _compiled(statement, module.__name__)
                term.put(term.old)
                yield Mutant(name, [*whole[:index], changed, *whole[index + 1 :]])


def survives(
    mutant: Mutant, module: ModuleType, expected: Sequence[tuple[NodeView, Any]], outcome: Outcome = outcome
) -> bool:
    """Whether the mutant's table still has the expected result for every node."""
    namespace: dict[str, Any] = {"__name__": module.__name__}
    try:
        for statement in mutant.code:
            exec(statement, namespace)
    except Exception:
        return False
    return all(outcome(namespace["RULES"], node) == expectation for node, expectation in expected)


def _compiled(tree: ast.Module, name: str) -> CodeType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # "1 is not None"
        return compile(
            ast.fix_missing_locations(tree),
            name,
            "exec",
            __future__.annotations.compiler_flag,
            dont_inherit=True,
        )


@dataclass(frozen=True)
class _Term:
    """A term of the syntax tree: its function, its node, how to replace and show it."""

    scope: str
    old: ast.AST
    put: Callable[[ast.AST], None]
    shown: ast.AST


def _terms(tree: ast.AST, scope: str) -> Iterator[_Term]:
    """Every expression and statement of the tree; an expression is shown within the one around it."""
    for field, value in ast.iter_fields(tree):
        if field in UNTOUCHED_FIELDS:
            continue
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if isinstance(child, ast.AST) and not isinstance(child, ast.Import | ast.ImportFrom):
                inner = f"{scope}.{child.name}" if isinstance(child, DEFINITIONS) else scope
                put = _setter(tree, field, index if isinstance(value, list) else None)
                yield _Term(inner, child, put, child if isinstance(tree, ast.stmt | ast.mod) else tree)
                yield from _terms(child, inner)


def _setter(parent: ast.AST, field: str, index: int | None) -> Callable[[ast.AST], None]:
    def put(child: ast.AST) -> None:
        if index is None:
            setattr(parent, field, child)
        else:
            getattr(parent, field)[index] = child

    return put


def _replacements(old: ast.AST) -> Sequence[ast.AST]:
    """The terms that it may be changed to."""
    replacements: Mapping[type, Callable[[Any], Sequence[ast.AST]]] = {
        ast.BinOp: _binary,
        ast.BoolOp: lambda term: term.values,
        ast.Compare: _comparison,
        ast.Constant: _number,
        ast.Call: _call,
        ast.IfExp: lambda term: [term.body, term.orelse],
        ast.UnaryOp: lambda term: [term.operand],
        ast.Name: _name,
        ast.AugAssign: lambda term: [ast.Pass()],
        ast.If: lambda term: [_if(term, True), _if(term, False)],
    }
    return replacements.get(type(old), lambda term: [])(old)


def _binary(term: ast.BinOp) -> Sequence[ast.AST]:
    halves: list[ast.AST] = [term.left, term.right]
    if isinstance(term.op, ast.Mult):
        return [*halves, ast.BinOp(term.left, ast.Add(), term.right)]
    return halves


def _comparison(term: ast.Compare) -> Sequence[ast.AST]:
    turned = NEIGHBORS[type(term.ops[0])]
    return [ast.Compare(term.left, [turned()], term.comparators)]


def _number(term: ast.Constant) -> Sequence[ast.AST]:
    """The numbers next to it; 0 has one neighbor, as the index -1 would be the same for a sole input."""
    if isinstance(term.value, bool) or not isinstance(term.value, int | float):
        return []
    return [ast.Constant(term.value + 1), *([ast.Constant(term.value - 1)] if term.value else [])]


def _call(term: ast.Call) -> Sequence[ast.AST]:
    """1 for a product, and for an attribute its default or 1."""
    called = ast.unparse(term.func)
    if called == "prod":
        return [ast.Constant(1)]
    if called == "node.attribute":
        return [*term.args[1:], ast.Constant(1)]
    return []


def _name(term: ast.Name) -> Sequence[ast.AST]:
    swapped = SWAPPED_NAMES.get(term.id) if isinstance(term.ctx, ast.Load) else None
    return [ast.Name(swapped, ast.Load())] if swapped else []


def _if(term: ast.If, outcome: bool) -> ast.If:
    return ast.If(ast.Constant(outcome), term.body, term.orelse)
