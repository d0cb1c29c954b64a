"""Measuring: what one Python file is like, from its bytes alone.

Pure functions over `ast`: no file is opened, nothing is kept, and the same bytes give the same `Measures` in
any process. The tree is walked once, level by level, without recursion.

Cyclomatic complexity is McCabe's ("A Complexity Measure", IEEE Transactions on Software Engineering SE-2(4),
1976, pages 308-320): the number of independent paths through a function, for structured code its decisions
plus one; a compound condition counts each of its parts. Decisions are

===========================================  ======================================
``if``, ``elif``, ``for``, ``while``          1 each
``x if c else y``                             1
``and``, ``or``                               1 for each operand after the first
``except``                                    1 for each clause
``for`` and ``if`` in a comprehension         1 each
``case``                                      1, unless it matches everything; its ``if`` 1 more
===========================================  ======================================

``else``, ``finally``, ``with`` and ``match`` itself decide nothing. ``assert`` states a fact and vanishes under
``-O``: not a path. What a lambda or a class body decides counts for the function it stands in; a nested
function is measured by itself; its decorators and defaults count where they run, outside of it.
"""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from census.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BAND_LIMITS = (5, 10, 20, 50)
"""Functions are counted in bands of complexity: 1-5, 6-10, 11-20, 21-50 and more.

The limits 10, 20 and 50 are those of the C4 Software Technology Reference Guide (Software Engineering Institute,
1997, "Cyclomatic Complexity"): without much risk, moderate, high, very high risk. The lowest band is cut in two.
"""

HIGHEST_TREE = 1_000
"""Levels a syntax tree may have. The parser's own limit is higher, but it shrinks with the depth of the call stack:
a limit of ours, below it, gives every process the same answer."""

_TOO_DEEP = "nested too deeply to be measured"


class Measures(msgspec.Struct, frozen=True):
    """What one file is like; counts, all of them whole numbers."""

    lines: int
    functions: int
    """``def`` and ``async def``, methods and nested functions included."""
    worst_complexity: int
    """The highest cyclomatic complexity of one function; 0 without functions."""
    worst_function: str
    """The function that has it, e.g. ``Parser.parse``; the first one where several do; empty without functions."""
    total_complexity: int
    """The sum over all functions, plus the decisions made outside of functions."""
    deepest_nesting: int
    """The most ``if``, ``for``, ``while``, ``try``, ``with`` and ``match`` blocks inside one another in one body."""
    documented: int
    """How many of the `documentable` have a docstring."""
    documentable: int
    """The module, unless it is empty, its classes and its functions, private and nested ones too."""
    longest_function_lines: int
    """Lines from ``def`` to the end of the body, decorators not counted."""
    bands: tuple[int, ...]
    """How many functions are in each band of `BAND_LIMITS`, the open one last."""


def measure(source: bytes) -> Measures:
    """Measure a file of Python source; raises `Unreadable` where it does not decode or parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a file does wrong is its author's matter
        text = _decode(source)
        module = _parse(text)
    walk = _Walk()
    walk.over(module)
    return walk.measures(_count_lines(text))


def _decode(source: bytes) -> str:
    """Decode as the interpreter does (PEP 263): byte order mark, coding cookie, else UTF-8."""
    if b"\0" in source:
        raise Unreadable("not text: it has null bytes")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        return source.decode(encoding)
    except (SyntaxError, UnicodeError, LookupError) as error:
        raise Unreadable(f"does not decode: {error}") from error


def _parse(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (RecursionError, MemoryError) as error:
        raise Unreadable(_TOO_DEEP) from error
    except SyntaxError as error:
        raise Unreadable(f"does not parse: {error.msg} (line {error.lineno})") from error
    except ValueError as error:  # characters that no source may have, such as half of a surrogate pair
        raise Unreadable(f"does not parse: {error}") from error


def _count_lines(text: str) -> int:
    ends = text.count("\n") + text.count("\r") - text.count("\r\n")
    return ends + (text[-1:] not in {"", "\n", "\r"})


class _Function:
    """One function while it is being measured."""

    __slots__ = ("column", "complexity", "line", "lines", "name")

    def __init__(self, name: str, line: int, column: int, lines: int) -> None:
        self.name = name
        self.line = line
        self.column = column
        self.lines = lines
        self.complexity = 1


class _Place(NamedTuple):
    """Where a node stands: whose decisions its own are, how names begin there, and inside how many blocks."""

    function: _Function
    prefix: str
    blocks: int


if TYPE_CHECKING:
    Located = tuple[Any, _Place]
    Visit = Callable[["_Walk", Any, _Place], Iterable[Located]]


class _Walk:
    """One walk over one tree, and the counts so far."""

    def __init__(self) -> None:
        self.outside = _Function("", line=0, column=0, lines=0)
        self.functions: list[_Function] = []
        self.deepest_nesting = 0
        self.documented = 0
        self.documentable = 0

    def over(self, module: ast.Module) -> None:
        """Visit every node, one level of the tree after the other."""
        level: list[Located] = [(module, _Place(self.outside, "", 0))]
        for _ in range(HIGHEST_TREE):
            level = self.next_level(level)
            if not level:
                return
        raise Unreadable(_TOO_DEEP)

    def next_level(self, level: list[Located]) -> list[Located]:
        """Visit the nodes of a level; returns their children. Runs once per node of the tree: kept flat."""
        below: list[Located] = []
        for node, place in level:
            kind = type(node)
            visit = _VISITS.get(kind)
            if visit is not None:
                below.extend(visit(self, node, place))
                continue
            for field in _CHILD_FIELDS[kind]:
                child = getattr(node, field)
                if type(child) is list:
                    below.extend([(each, place) for each in child])
                elif child is not None:
                    below.append((child, place))
        return below

    def document(self, node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Count `node` among those that may have a docstring, and see whether it has one."""
        self.documentable += 1
        self.documented += bool(ast.get_docstring(node, clean=False))

    def inside(self, place: _Place) -> _Place:
        """The place one block further in."""
        blocks = place.blocks + 1
        self.deepest_nesting = max(self.deepest_nesting, blocks)
        return place._replace(blocks=blocks)

    def measures(self, lines: int) -> Measures:
        """What the walk found, as a value; the first of equally complex functions is the worst."""
        worst = min(self.functions, key=lambda each: (-each.complexity, each.line, each.column), default=None)
        bands = [0] * (len(BAND_LIMITS) + 1)
        for function in self.functions:
            bands[bisect_left(BAND_LIMITS, function.complexity)] += 1
        return Measures(
            lines=lines,
            functions=len(self.functions),
            worst_complexity=worst.complexity if worst else 0,
            worst_function=worst.name if worst else "",
            total_complexity=sum(each.complexity for each in self.functions) + self.outside.complexity - 1,
            deepest_nesting=self.deepest_nesting,
            documented=self.documented,
            documentable=self.documentable,
            longest_function_lines=max((each.lines for each in self.functions), default=0),
            bands=tuple(bands),
        )


class _ChildFields(dict[type, tuple[str, ...]]):
    """Which fields of a kind of node may lead to a decision or a definition; found out once per kind."""

    BARREN = frozenset({"ctx", "op", "ops", "names", "id", "attr", "arg", "name", "kind", "conversion", "type_ignores"})

    def __missing__(self, kind: type) -> tuple[str, ...]:
        fields = () if kind is ast.Constant else getattr(kind, "_fields", ())
        self[kind] = tuple(field for field in fields if field not in self.BARREN)
        return self[kind]


_CHILD_FIELDS = _ChildFields()


def _children(node: ast.AST, place: _Place) -> list[Located]:
    return [(child, place) for child in ast.iter_child_nodes(node)]


def _visit_module(walk: _Walk, node: ast.Module, place: _Place) -> list[Located]:
    if node.body:
        walk.document(node)
    return _children(node, place)


def _visit_function(walk: _Walk, node: ast.FunctionDef | ast.AsyncFunctionDef, place: _Place) -> list[Located]:
    walk.document(node)
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    function = _Function(place.prefix + node.name, node.lineno, node.col_offset, lines)
    walk.functions.append(function)
    return _split_definition(node, place, _Place(function, f"{function.name}.", 0))


def _visit_class(walk: _Walk, node: ast.ClassDef, place: _Place) -> list[Located]:
    walk.document(node)
    return _split_definition(node, place, _Place(place.function, f"{place.prefix}{node.name}.", 0))


def _split_definition(
    node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, outside: _Place, inside: _Place
) -> list[Located]:
    """The body belongs to the definition; decorators, defaults, annotations and bases to what is around it."""
    body = set(map(id, node.body))
    return [(child, inside if id(child) in body else outside) for child in ast.iter_child_nodes(node)]


def _visit_block(walk: _Walk, node: ast.stmt, place: _Place) -> list[Located]:
    return _children(node, walk.inside(place))


def _visit_loop(walk: _Walk, node: ast.stmt, place: _Place) -> list[Located]:
    place.function.complexity += 1
    return _children(node, walk.inside(place))


def _visit_if(walk: _Walk, node: ast.If, place: _Place) -> list[Located]:
    """An ``elif`` is, in the tree, an ``if`` alone in the ``else`` of another: it is no block further in."""
    place.function.complexity += 1
    inside = walk.inside(place)
    chained = _elif_of(node)
    return [(child, place if child is chained else inside) for child in ast.iter_child_nodes(node)]


def _elif_of(node: ast.If) -> ast.If | None:
    match node.orelse:
        case [ast.If() as only] if only.col_offset == node.col_offset:  # an `if` within `else:` stands further right
            return only
    return None


def _visit_decision(_walk: _Walk, node: ast.AST, place: _Place) -> list[Located]:
    place.function.complexity += 1
    return _children(node, place)


def _visit_boolean(_walk: _Walk, node: ast.BoolOp, place: _Place) -> list[Located]:
    place.function.complexity += len(node.values) - 1
    return [(value, place) for value in node.values]


def _visit_comprehension(_walk: _Walk, node: ast.comprehension, place: _Place) -> list[Located]:
    place.function.complexity += 1 + len(node.ifs)
    return _children(node, place)


def _visit_case(_walk: _Walk, node: ast.match_case, place: _Place) -> list[Located]:
    matches_everything = isinstance(node.pattern, ast.MatchAs) and node.pattern.pattern is None
    place.function.complexity += (not matches_everything) + (node.guard is not None)
    return _children(node, place)


_VISITS: dict[type, Visit] = {
    ast.Module: _visit_module,
    ast.FunctionDef: _visit_function,
    ast.AsyncFunctionDef: _visit_function,
    ast.ClassDef: _visit_class,
    ast.If: _visit_if,
    ast.For: _visit_loop,
    ast.AsyncFor: _visit_loop,
    ast.While: _visit_loop,
    ast.Try: _visit_block,
    ast.TryStar: _visit_block,
    ast.With: _visit_block,
    ast.AsyncWith: _visit_block,
    ast.Match: _visit_block,
    ast.ExceptHandler: _visit_decision,
    ast.IfExp: _visit_decision,
    ast.BoolOp: _visit_boolean,
    ast.comprehension: _visit_comprehension,
    ast.match_case: _visit_case,
}
