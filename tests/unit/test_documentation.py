"""The pages keep their word: every block of code runs, every link leads somewhere, every table tells all of the code.

How a block in README.md or docs/ is marked says what is done with it. All blocks of a page share one folder::

    ```python                    a script, run in the folder
    # file: survey.py            (its first line) the block is this file; what it defines is imported by others
    # file: survey.py, continued (its first line) the block is added to the end of that file
    ```output                    what the script above prints
    ```console                   each line `$ python ...` is run in the folder; what it prints follows
    ```toml                      settings, which must be valid; with `# file: ...` they are written to the folder too
    ```sh, ```text, ```          for readers only

In what is printed, `...` stands for anything. A file that no block runs is run on its own at the end.
"""

from __future__ import annotations

import ast
import doctest
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pytest

import driven
import driven.errors
from driven import BusSettings, CommandSettings, GroupSettings, StoreSettings, WorkerSettings, load_settings
from driven.pool.kinds import GUARANTEES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
FENCE = re.compile(r"^```([\w-]*)[^\n]*\n(.*?)^```\s*?$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"\A# file: (?P<name>[\w./-]+)(?P<continued>, continued)?\n")
KINDS = {"python", "output", "console", "toml", "sh", "text", ""}
LONGEST_RUN_S = 60.0
OURS = ("DRIVEN_", "PYTEST_")
"""Variables that say something to these tests, and nothing to a reader's programs."""
CITED = re.compile(r"(?<![\w.-])[ORUWFXDSPB]\d{1,2}\b")
"""The number of a law or of a failure, in prose; three digits and more are a linter's codes."""
NOT_FILLED = re.compile(r"not measured yet|to be replaced|<!-- (?P<words>[\w ]+) -->\s*<!-- end of (?P=words) -->")
"""Words and pairs of marks that wait for somebody to put in what belongs there."""
PROMISE_CELLS = 4
"""A promise has four cells: what, by which law, where it holds, proved by what."""


class Block(NamedTuple):
    """One fenced block of a page: what it is, what is in it, and the line on which it begins."""

    kind: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file that the block is, or adds to."""
        marked = FILE.match(self.text)
        return marked["name"] if marked else None


def name_of(page: Path) -> str:
    """How a page is named in a test's id and in a complaint."""
    return page.relative_to(ROOT).as_posix()


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    """The fenced blocks of a page, in order."""
    text = page.read_text("utf-8")
    return tuple(Block(found[1], found[2], text.count("\n", 0, found.start()) + 1) for found in FENCE.finditer(text))


def with_code(pages: Iterable[Path]) -> list[Path]:
    """The pages that have something to run."""
    return [page for page in pages if any(block.kind in {"python", "console"} for block in blocks(page))]


class Folder:
    """The folder of one page, in which its blocks are written and run."""

    def __init__(self, path: Path) -> None:
        """Nothing is in it yet."""
        self.path = path
        self.not_run: set[str] = set()

    def write(self, block: Block) -> None:
        """Write a block that is a file, or add it to the one that is there."""
        marked = FILE.match(block.text)
        assert marked is not None
        target = self.path / marked["name"]
        target.parent.mkdir(parents=True, exist_ok=True)
        before = target.read_text("utf-8") + "\n\n" if marked["continued"] else ""
        target.write_text(before + block.text, "utf-8")
        if block.kind == "python":
            self.not_run.add(marked["name"])

    def run(self, *arguments: str) -> str:
        """Run the interpreter in the folder, with warnings as errors, and return all that it printed."""
        self.not_run.difference_update(arguments)
        sources = os.pathsep.join([str(ROOT / "src"), str(ROOT / "workers")])
        environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        result = subprocess.run(
            [sys.executable, "-B", "-W", "error", *arguments],
            cwd=self.path,
            env={**environment, "PYTHONPATH": sources, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST_RUN_S,
            check=False,
        )
        assert result.returncode == 0, f"python {' '.join(arguments)} ended with {result.returncode}:\n{result.stdout}"
        return result.stdout

    def run_the_rest(self) -> None:
        """Run every file that nothing has run yet, on its own."""
        for name in sorted(self.not_run):
            self.run(name)


def check_printed(page: Path, line: int, expected: str, printed: str) -> None:
    """Compare what a page says is printed with what was."""
    same = doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert same, f"{name_of(page)}, line {line} says:\n{expected}\nbut this was printed:\n{printed}"


def sessions(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and the lines below it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", with_code(PAGES), ids=name_of)
def test_the_code_of_a_page_runs_and_prints_what_the_page_says(page: Path, tmp_path: Path) -> None:
    """Whoever copies the blocks of a page, in order, sees what the page shows."""
    folder = Folder(tmp_path)
    printed = ""

    for number, block in enumerate(blocks(page)):
        if block.kind in {"python", "toml"} and block.file:
            folder.write(block)
        elif block.kind == "python":
            script = tmp_path / f"block_{number}.py"
            script.write_text(block.text, "utf-8")
            printed = folder.run(script.name)
        elif block.kind == "output":
            check_printed(page, block.line, block.text, printed)
        elif block.kind == "console":
            for command, expected in sessions(block.text):
                program, *arguments = command.split()
                assert program == "python", f"{name_of(page)}, line {block.line}: only python is run; mark it as sh"
                check_printed(page, block.line, expected, folder.run(*arguments))

    folder.run_the_rest()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_marked_in_the_agreed_way(page: Path) -> None:
    """A block with another mark would be one that nobody runs."""
    foreign = {block.kind for block in blocks(page)} - KINDS

    assert not foreign, f"{name_of(page)} has blocks of {foreign}; the marks are {sorted(KINDS)}"


@pytest.mark.parametrize("page", [page for page in PAGES if any(b.kind == "toml" for b in blocks(page))], ids=name_of)
def test_every_configuration_on_a_page_is_valid(page: Path, tmp_path: Path) -> None:
    """A `driven.toml` that is copied from a page is accepted as it is."""
    for block in blocks(page):
        if block.kind == "toml":
            file = tmp_path / "driven.toml"
            file.write_text(block.text, "utf-8")
            load_settings(file, environ={})


def test_every_link_leads_to_a_page_and_a_heading_that_are_there() -> None:
    """A newcomer who follows a link never meets a dead end."""
    result = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "check_links.py")], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_a_picture_of_a_report_shows_what_was_typed_and_no_folder_of_this_machine(tmp_path: Path) -> None:
    """Pictures in docs/ are drawn from real runs by a tool, and are looked at elsewhere."""
    drawn = tmp_path / "doctor.svg"
    result = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "draw_report.py"), str(drawn), "90", "doctor"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    picture = drawn.read_text("utf-8")
    assert ">driven doctor<" in " ".join(picture.replace("&#160;", " ").split())
    assert "@font-face" not in picture
    assert str(ROOT) not in picture


def test_every_page_can_be_reached_from_the_index() -> None:
    """A page that no index names is a page that nobody reads."""
    indexes = (DOCS / "README.md", DOCS / "adr" / "README.md")

    listed = {
        (index.parent / link).resolve()
        for index in indexes
        for link in re.findall(r"\]\(([^)#]+\.md)", index.read_text("utf-8"))
    }
    lost = set(DOCS.rglob("*.md")) - listed - set(indexes)
    assert not {name_of(page) for page in lost}


# Tables.


def rows(page: Path, heading: str | None = None) -> list[list[str]]:
    """The cells of every table row of a page, or of the part below one heading; header rows left out."""
    text = page.read_text("utf-8")
    if heading is not None:
        text = re.split(r"^#+ ", text.partition(f"\n{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = text.splitlines()
    table = [line for line in lines if line.startswith("|")]
    ruled = {number for number, line in enumerate(table) if re.fullmatch(r"[|\s:-]+", line)}
    kept = [line for number, line in enumerate(table) if number not in ruled and number + 1 not in ruled]
    return [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in kept]


def code(cell: str) -> str:
    """The text of a cell that is one piece of code."""
    return cell.strip("`")


def value_of(cell: str) -> object:
    """What a default means when it is written into `driven.toml`; None where it is left out."""
    text = code(cell)
    return None if text == "none" else tomllib.loads(f"value = {text}")["value"]


def builtins_of(default: object) -> object:
    """A default of the settings, as TOML knows it."""
    return list(default) if isinstance(default, tuple) else default


@pytest.mark.parametrize(
    ("heading", "kind", "prefix"),
    [
        ("## `[bus]`", BusSettings, "DRIVEN_BUS_"),
        ("## `[store]`", StoreSettings, "DRIVEN_STORE_"),
        ("## `[workers]`", WorkerSettings, "DRIVEN_WORKERS_"),
        ("## `[workers.groups.<name>]`", GroupSettings, "DRIVEN_WORKERS_GROUPS_<NAME>_"),
        ("## `[commands.<name>]`", CommandSettings, "DRIVEN_COMMANDS_<NAME>_"),
    ],
    ids=["bus", "store", "workers", "groups", "commands"],
)
def test_the_table_of_settings_tells_every_key_its_default_and_its_variable(
    heading: str, kind: type[msgspec.Struct], prefix: str
) -> None:
    """The reference cannot go stale: it names exactly what the settings have."""
    table = rows(DOCS / "reference/settings.md", heading)

    expected = [
        [field.name, builtins_of(field.default), f"{prefix}{field.name.upper()}"]
        for field in msgspec.structs.fields(kind)
        if field.default is not msgspec.NODEFAULT  # the groups have a table of their own
    ]
    assert [[code(key), value_of(default), code(variable)] for key, default, _, variable, _ in table] == expected
    assert all(unit and meaning for _, _, unit, _, meaning in table)


def test_the_page_of_errors_shows_the_tree_as_the_code_draws_it() -> None:
    """One drawing of the tree, in the code and on the page."""
    drawn = (driven.errors.__doc__ or "").partition("::\n\n")[2].partition("\n\n")[0]
    tree = "\n".join(line.removeprefix("    ") for line in drawn.splitlines())

    assert tree in (DOCS / "reference/errors.md").read_text("utf-8")


def test_the_table_of_errors_names_every_error() -> None:
    """An error that somebody meets can be looked up."""
    told = [code(row[0]) for row in rows(DOCS / "reference/errors.md", "## Each error")]

    errors = [
        value for value in vars(driven.errors).values() if isinstance(value, type) and issubclass(value, Exception)
    ]
    assert sorted(told) == sorted(error.__name__ for error in errors)


def test_the_page_of_names_tells_every_public_name_once() -> None:
    """What can be imported from `driven` is what the page lists."""
    told = [code(row[0]) for row in rows(DOCS / "reference/python-api.md")]

    assert sorted(told) == sorted(driven.__all__)


def test_every_word_of_the_glossary_names_a_module_that_is_there() -> None:
    """One word for one thing, and the place where the thing is."""
    table = rows(DOCS / "reference/glossary.md")

    assert table
    for word, _, where in table:
        for module in re.findall(r"`([\w.]+)`", where):
            assert importlib.util.find_spec(module), f"{word}: there is no {module}"


def proofs() -> list[tuple[str, str, str]]:
    """Of each promise: its words, and the file and the function of each test that proves it."""
    return [
        (row[0], file, function)
        for row in rows(DOCS / "reference/guarantees.md")
        for file, function in re.findall(r"`(tests/[\w./]+\.py)::(\w+)`", row[-1])
    ]


@cache
def functions_of(file: str) -> frozenset[str]:
    """The test functions and classes of a file; none where there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    tree = ast.parse(path.read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.lower().startswith("test")
    )


def test_every_promise_names_tests_that_are_there() -> None:
    """A promise without a test is a hope."""
    missing = [
        f"{promise}: {file}::{function}" for promise, file, function in proofs() if function not in functions_of(file)
    ]
    promises = [row for row in rows(DOCS / "reference/guarantees.md") if len(row) == PROMISE_CELLS]
    unproved = [row[0] for row in promises if "`tests/" not in row[-1]]

    assert promises
    assert not missing
    assert not unproved


# Laws and failures.


def prose(page: Path) -> str:
    """What a page says outside its blocks of code."""
    return FENCE.sub("", page.read_text("utf-8"))


@cache
def docstrings(file: Path) -> str:
    """All docstrings of a Python file."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, kinds))
    return "\n".join(ast.get_docstring(node) or "" for node in nodes)


def cited_in(folders: Iterable[str]) -> dict[str, str]:
    """Each law and failure that docstrings cite, with a file that does."""
    files = sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return {number: name_of(file) for file in files for number in CITED.findall(docstrings(file))}


def laws() -> dict[str, str]:
    """The text of each law, by its number."""
    parts = re.split(r"^### (\w+)$", (DOCS / "reference/laws.md").read_text("utf-8"), flags=re.MULTILINE)
    return {
        number: " ".join(text.partition("\n## ")[0].split())
        for number, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def failures() -> dict[str, str]:
    """What Driven does about each failure, by its number."""
    return {row[0]: row[-1] for row in rows(DOCS / "reference/failures.md")}


def test_every_law_and_failure_that_is_cited_is_told() -> None:
    """Whoever reads `O2` in a test or on a page can look it up."""
    on_pages = {number: name_of(page) for page in PAGES for number in CITED.findall(prose(page))}
    cited = {**cited_in(("src", "workers", "tests", "examples", "benchmarks")), **on_pages}

    assert {number: where for number, where in cited.items() if number not in laws() | failures()} == {}


def test_every_law_says_whether_it_is_in_this_version() -> None:
    """A plan is never taken for a promise."""
    mark = re.compile(r"\*(In this version\b[^*]*|In part: [^*]+|Not in this version)\.\*$")

    assert [number for number, text in laws().items() if not mark.search(text)] == []


def test_every_law_and_failure_that_is_kept_is_cited_by_a_test() -> None:
    """What is on these pages without a reservation has a test that names it."""
    kept = {number for number, text in laws().items() if "*In this version" in text}
    guarded = {number for number, text in failures().items() if "*Not tested in this version" not in text}

    assert (kept | guarded) - cited_in(("tests",)).keys() == set()


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_nothing_on_a_page_waits_to_be_filled_in(page: Path) -> None:
    """A page is finished, or it is not there."""
    waiting = [found[0] for found in NOT_FILLED.finditer(page.read_text("utf-8"))]

    assert not waiting, f"{name_of(page)} still has: {waiting}"


def test_the_table_of_kinds_is_the_one_that_the_doctor_prints() -> None:
    """W9: what holds for processes and for threads stands in one place, and the reference shows it."""
    text = (
        (DOCS / "reference/guarantees.md").read_text("utf-8").partition("## Kinds of worker")[2].partition("\n## ")[0]
    )
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")][2:]

    assert rows == [list(guarantee) for guarantee in GUARANTEES]
