"""Measuring: small sources with known answers, and everything that may be wrong with a file."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import msgspec
import pytest

from census import measuring
from census.errors import Unreadable
from census.measuring import HIGHEST_TREE, Measures, measure


def measured(source: str) -> Measures:
    """The measures of a source that is indented as it stands in a test."""
    return measure(textwrap.dedent(source).encode())


def complexity_of(body: str) -> int:
    """The complexity of one function with this body."""
    return measure(b"async def f():\n" + textwrap.indent(textwrap.dedent(body), "    ").encode()).worst_complexity


@pytest.mark.parametrize(
    ("body", "complexity"),
    [
        ("pass", 1),
        ("if a: pass", 2),
        ("if a: pass\nelse: pass", 2),
        ("if a: pass\nelif b: pass\nelif c: pass\nelse: pass", 4),
        ("for a in b: pass\nelse: pass", 2),
        ("async for a in b: pass", 2),
        ("while a: pass\nelse: pass", 2),
        ("with a: pass", 1),
        ("async with a: pass", 1),
        ("try: a\nexcept B: pass\nexcept C: pass\nelse: pass\nfinally: pass", 3),
        ("try: a\nexcept* B: pass", 2),
        ("try: a\nfinally: pass", 1),
        ("assert a", 1),
        ("return a if b else c", 2),
        ("return a and b", 2),
        ("return a and b and c or d", 4),
        ("return [a for a in b]", 2),
        ("return {a: b for a in b if c if d for e in f}", 5),
        ("return (a async for a in b if c or d)", 4),
        ("return a < b < c", 1),
        ("return not a", 1),
        ("return lambda: a if b else c", 2),
        ("return f'{a if b else c:{d or e}}'", 3),
        ("x[a or b]: c = (yield d or e)", 3),
        ("print(*a or b, **c or d)", 3),
        ("{**a, b: c or d}", 2),
        ("match a:\n case 1: pass\n case 2 | 3: pass\n case _: pass", 3),
        ("match a:\n case [1, *_] if b: pass\n case {'k': v, **rest}: pass\n case C(d=1): pass", 5),
        ("match a:\n case x if b and c: pass\n case x: pass", 3),
        ("match a:\n case 1 as x: pass", 2),
        ("class C:\n a = b if c else d", 2),
    ],
)
def test_each_decision_counts_once(body: str, complexity: int) -> None:
    """The definition of McCabe 1976, as the module's docstring spells it out."""
    assert complexity_of(body) == complexity


def test_a_nested_function_is_measured_by_itself() -> None:
    """McCabe 1976: a function's paths are its own."""
    result = measured(
        """
        def outer(a):
            def inner(b):
                if b: pass
                if b: pass
            if a: pass
        """
    )

    assert (result.functions, result.worst_function, result.worst_complexity) == (2, "outer.inner", 3)
    assert result.total_complexity == 5


def test_decorators_defaults_and_annotations_count_where_they_run() -> None:
    """They are evaluated in the function around the definition."""
    result = measured(
        """
        def outer():
            @decorated(a or b)
            def inner(x: (c or d) = e or f, *, y=g or h) -> i or j:
                pass
        """
    )

    assert (result.worst_function, result.worst_complexity, result.total_complexity) == ("outer", 6, 7)


def test_methods_are_named_by_their_class() -> None:
    """A report of ``parse`` alone would say little."""
    result = measured(
        """
        class Parser:
            class Inner:
                async def parse(self):
                    if self: pass
        """
    )

    assert result.worst_function == "Parser.Inner.parse"


def test_the_first_of_equally_complex_functions_is_the_worst() -> None:
    """O6: equal input gives equal output, so a tie needs a rule."""
    result = measured(
        """
        def zeta():
            def deep(): return a or b
        def alpha(): return a or b
        def beta(): return a or b
        """
    )

    assert result.worst_function == "zeta.deep"


def test_decisions_outside_of_functions_count_in_the_total_only() -> None:
    """There is no function to blame for them."""
    result = measured("if a: pass\nclass C:\n    b = c or d\n")

    assert (result.functions, result.worst_complexity, result.worst_function) == (0, 0, "")
    assert result.total_complexity == 2


@pytest.mark.parametrize(
    ("source", "deepest"),
    [
        ("a = [b for b in c]", 0),
        ("if a: pass", 1),
        ("if a: pass\nelif b: pass\nelif c: pass", 1),
        ("if a: pass\nelif b:\n    if c: pass", 2),
        ("if a: pass\nelse:\n    if b: pass", 2),
        ("for a in b:\n  while c:\n    with d:\n      try: e\n      finally: f", 4),
        ("try: a\nexcept B:\n  for c in d: pass", 2),
        ("try: a\nexcept* B:\n  async def f(): pass\n  with c: pass", 2),
        ("match a:\n  case 1:\n    if b: pass", 2),
        ("if a:\n  def f():\n    if b: pass", 1),
        ("if a:\n  class C:\n    for b in c:\n      if d: pass", 2),
    ],
)
def test_nesting_counts_blocks_inside_one_another(source: str, deepest: int) -> None:
    """An ``elif`` is no block further in, and a definition begins anew."""
    assert measured(source).deepest_nesting == deepest


def test_docstrings_are_those_of_modules_classes_and_functions() -> None:
    """PEP 257: a string that is the first statement of a definition."""
    result = measured(
        '''
        """Module."""
        class A:
            """Class."""
            def b(self): "Method."
            def c(self):
                x = 1
                "Too late."
        async def d(): f"not a {constant}"
        def e(): ""
        '''
    )

    assert (result.documented, result.documentable) == (3, 6)


def test_the_longest_function_is_counted_from_def_to_its_last_line() -> None:
    """Decorators stand before ``def``."""
    result = measured(
        """
        @one
        @two
        def long(
            a,
        ):
            return '''
            text
            '''

        def short(): pass
        """
    )

    assert result.longest_function_lines == 6


def test_functions_are_counted_in_bands_of_complexity() -> None:
    """The limits are inclusive: 5 is still simple, 6 is not."""
    functions = "".join(
        f"def f{n}():\n" + "    if a: pass\n" * (n - 1) + "    pass\n" for n in (1, 5, 6, 10, 20, 50, 51)
    )

    assert measure(functions.encode()).bands == (2, 2, 1, 1, 1)


def test_an_empty_file_has_nothing_to_measure_and_nothing_to_document() -> None:
    """An empty ``__init__.py`` is no gap in the documentation."""
    nothing = Measures(
        lines=0,
        functions=0,
        worst_complexity=0,
        worst_function="",
        total_complexity=0,
        deepest_nesting=0,
        documented=0,
        documentable=0,
        longest_function_lines=0,
        bands=(0, 0, 0, 0, 0),
    )

    assert measure(b"") == nothing
    assert measure(b"# only a comment") == msgspec.structs.replace(nothing, lines=1)


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        (b"a", 1),
        (b"a\n", 1),
        (b"a\n\n", 2),
        (b"a\r\nb\r\n", 2),
        (b"a\rb", 2),
        (b"a\n\x0cb\n", 2),
        (b"'\xe2\x80\xa8'\n", 1),
    ],
)
def test_lines_end_where_the_language_ends_them(source: bytes, lines: int) -> None:
    """A form feed or a Unicode line separator ends no line of Python."""
    assert measure(source).lines == lines


@pytest.mark.parametrize(
    "source",
    [
        b"\xef\xbb\xbfdef f(): pass\n",
        b"\xef\xbb\xbf# coding: utf-8\ndef f(): pass\n",
        b"# -*- coding: latin-1 -*-\ndef f(): return '\xe9'\n",
        b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\ndef f(): return '\x80'\n",
        "def größe(): return '🐍'\n".encode(),
        b"def f():\n\treturn 1\n",
        b"def f():\r\n    return 1\r\n",
        b"def f():\n    return '\\d'\n",
        b"def f(): return 1 is 1\n",
        b"def f[T](x: T) -> T: return x\n" if sys.version_info >= (3, 12) else b"def f(): pass",
    ],
)
def test_source_is_decoded_and_parsed_as_the_interpreter_does(source: bytes) -> None:
    """PEP 263: byte order mark, coding cookie, else UTF-8; what merely deserves a warning is no fault."""
    assert measure(source).functions == 1


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"def f(:\n", "does not parse: invalid syntax (line 1)"),
        (b"if a:\n\tb\n        c\n", "inconsistent use of tabs"),
        (b"print 'two'\n", "does not parse"),
        (b"a\0b", "not text: it has null bytes"),
        ("a = 1".encode("utf-16"), "not text: it has null bytes"),
        (b"\x7fELF\x02\x01\x01\xff\xfe\xfd", "does not decode"),
        (b"a = '\xff'\n", "does not decode"),
        (b"a\nb\nc = '\xff'\n", "does not decode: 'utf-8' codec can't decode byte 0xff"),
        (b"\xef\xbb\xbf# coding: latin-1\n", "does not decode: encoding problem"),
        (b"# coding: no-such-thing\n", "does not decode: unknown encoding: no-such-thing"),
        (b"# coding: hex\n", "does not decode: 'hex' is not a text encoding"),
        (b"# coding: undefined\n", "does not decode"),
        (b"# coding: utf-7\na = '+2AA-'\n", "does not parse"),
        (b"a = " + b"9" * 5_000, "does not parse"),
        (b"(" * 10_000 + b")" * 10_000, "does not parse: too many nested parentheses"),
        (b"-" * 100_000 + b"1", "nested too deeply"),
        (b"lambda: " * 5_000 + b"1", "nested too deeply"),
        (b"a" + b".b" * 100_000, "nested too deeply"),
        (b"+".join([b"1"] * 20_000), "nested too deeply"),
        (b"if a: pass\n" + b"elif b: pass\n" * 5_000, "nested too deeply"),
    ],
)
def test_what_is_no_python_is_unreadable_with_a_reason(source: bytes, reason: str) -> None:
    """A file that cannot be measured is a finding about the file, never a failure of the command."""
    with pytest.raises(Unreadable) as caught:
        measure(source)

    assert reason in caught.value.reason
    assert "\n" not in caught.value.reason


def test_how_deep_is_too_deep_does_not_depend_on_the_callers_stack() -> None:
    """O6: inline and in a worker the same file is readable or is not, however deep the stack that calls."""
    fits, too_deep = (b"a" + b".b" * (HIGHEST_TREE - levels) for levels in (3, 2))

    def at_depth(frames: int, source: bytes) -> int | str:
        if frames:
            return at_depth(frames - 1, source)
        try:
            return measure(source).lines
        except Unreadable as error:
            return error.reason

    assert [at_depth(frames, fits) for frames in (0, 200)] == [1, 1]
    assert {at_depth(frames, too_deep) for frames in (0, 200)} == {"nested too deeply to be measured"}


def test_the_same_source_gives_the_same_measures_in_another_process() -> None:
    """O6: nothing depends on hash seeds, on what was measured before, or on the process."""
    program = (
        "import pathlib, msgspec, sys; from census.measuring import measure;"
        "sys.stdout.buffer.write(msgspec.json.encode(measure(pathlib.Path(sys.argv[1]).read_bytes())))"
    )
    source = Path(measuring.__file__)

    outputs = {
        subprocess.run(
            [sys.executable, "-c", program, str(source)],
            env={**os.environ, "PYTHONPATH": str(source.parents[1]), "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert outputs == {msgspec.json.encode(measure(source.read_bytes()))}


def test_measures_survive_the_wire() -> None:
    """R1: what travels is the same after encoding and decoding."""
    measures = measured("def f(): return a or b")

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(measures), type=Measures) == measures


def test_a_file_at_the_limit_is_measured() -> None:
    """A file of 5 MB is large, and no reason to give up."""
    line = b"x = 1  # " + b"-" * 240 + b"\n"
    source = b"def f(): pass\n" + line * 19_999

    result = measure(source.ljust(5_000_000, b"#"))

    assert (result.lines, result.functions) == (20_001, 1)


def test_warnings_of_the_measured_source_reach_nobody() -> None:
    """A file with a bad escape is its author's matter, and warnings as errors do not make it unreadable."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        measure(b"a = '\\d'\nassert (a, 'always true')\n")

    assert caught == []


def test_a_thread_measures_like_the_main_thread() -> None:
    """O6, W9: a worker may be a thread, whose stack is smaller."""
    source = b"a" + b".b" * (HIGHEST_TREE - 3)
    results: list[Measures] = []

    thread = threading.Thread(target=lambda: results.append(measure(source)))
    thread.start()
    thread.join()

    assert results == [measure(source)]
