"""The shape of the code (docs/explanation/architecture.md): what the import contracts in pyproject.toml cannot say.

Reads the sources as text and syntax trees; starts nothing but one interpreter, to see what a worker imports.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = (ROOT / "src", ROOT / "workers")
FOLDERS = ("src", "workers", "examples", "benchmarks", "tools", "tests")
MODULE_LINES = 400
FUNCTION_LINES = 60
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")) + r")\b")

# Which library is imported where, and nowhere else.
CONFINED = {
    "dishka": ("driven.service.injection",),
    "matplotlib": ("driven.entrypoints.bench.charts",),
    "multiprocessing.resource_tracker": ("driven.ring.segment",),
    "multiprocessing.shared_memory": ("driven.ring.segment",),
    "pickle": ("driven.calls", "driven.executor"),
    "psutil": ("driven.pool", "driven.entrypoints.bench"),
    "rich": ("driven.entrypoints",),
    "sqlite3": ("driven.adapters.stores",),
    "stamina": ("driven.adapters.retrying",),
    "tyro": ("driven.entrypoints",),
    "uvloop": ("driven.program", "driven.entrypoints"),
}
# What users' tests are helped with may look at anything.
EVERYWHERE = ("driven.testing",)
# All that the lowest packages may import besides the standard library.
LOWEST = {
    "driven.errors": (),
    "driven.ring": ("driven.ring", "driven.errors"),
    "driven.domain": ("driven.domain", "driven.errors", "msgspec"),
}
CORE_DEPENDENCIES = ("dishka", "msgspec", "psutil", "uvloop")
OUTSIDE_THE_CORE = ("driven.adapters", "driven.entrypoints", "driven.testing")


def python_files(*folders: str) -> list[Path]:
    """Every Python file under these folders of the repository."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def product_modules() -> dict[str, Path]:
    """Each module of the two source roots, by its dotted name."""
    found = {}
    for root in SOURCE_ROOTS:
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def imported_names(tree: ast.Module) -> Iterator[str]:
    """Every dotted name that a module imports anywhere in it; `from a import b` counts as `a` and as `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_within(name: str, packages: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of these packages or inside one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def defined_names(tree: ast.Module) -> set[str]:
    """What a module makes at its top level: classes, functions and assigned names, but nothing it imports."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def in_repository(path: Path) -> str:
    """A path as a reader of the repository writes it."""
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("library", CONFINED)
def test_a_confined_library_is_imported_only_where_the_design_says(library: str) -> None:
    """docs/explanation/architecture.md: psutil in the pool, uvloop where the loop is made, and so on."""
    trespassers = [
        name
        for name, path in product_modules().items()
        if not is_within(name, (*CONFINED[library], *EVERYWHERE))
        and any(is_within(imported, (library,)) for imported in imported_names(tree_of(path)))
    ]

    assert not trespassers, f"{library} belongs to {CONFINED[library]}"


@pytest.mark.parametrize("package", LOWEST)
def test_the_lowest_packages_stand_on_the_standard_library(package: str) -> None:
    """docs/explanation/architecture.md: the ring knows bytes; the domain knows messages and aggregates."""
    strangers = {
        f"{name}: {imported}"
        for name, path in product_modules().items()
        if is_within(name, (package,))
        for imported in imported_names(tree_of(path))
        if imported.partition(".")[0] not in sys.stdlib_module_names and not is_within(imported, LOWEST[package])
    }

    assert strangers == set()


def test_the_core_imports_nothing_optional() -> None:
    """Style: `pip install driven-bus` is enough; what an extra brings is imported by entrypoints, adapters, testing."""
    ours = (*CORE_DEPENDENCIES, *(root.name for roots in SOURCE_ROOTS for root in roots.iterdir() if root.is_dir()))

    optional = {
        f"{name}: {imported}"
        for name, path in product_modules().items()
        if not is_within(name, OUTSIDE_THE_CORE)
        for imported in imported_names(tree_of(path))
        if imported.partition(".")[0] not in sys.stdlib_module_names and not is_within(imported, ours)
    }

    assert optional == set()


def test_a_worker_imports_nothing_of_the_bus_when_it_runs() -> None:
    """W1: a worker loads domain, service, wire and ring; an import contract cannot see what `import driven` brings."""
    program = (
        "import importlib, pkgutil, sys, driven, driven_worker\n"
        "for module in pkgutil.iter_modules(driven_worker.__path__):\n"
        "    if module.name != '__main__':\n"
        "        importlib.import_module(f'driven_worker.{module.name}')\n"
        "print(*sorted(name for name in sys.modules if name.startswith('driven.')))\n"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()

    above = ("bus", "pool", "adapters", "entrypoints", "bootstrap", "verification", "workforce", "program", "executor")
    forbidden = tuple(f"driven.{name}" for name in above)
    assert [name for name in loaded if is_within(name, forbidden)] == []
    assert "driven.wire" in loaded


def test_every_module_says_what_it_is() -> None:
    """Style: the first paragraph of a file says what it is, who owns it, how long it lives."""
    silent = [in_repository(path) for path in python_files(*FOLDERS) if not ast.get_docstring(tree_of(path))]

    assert not silent


def test_every_public_name_can_be_imported_and_is_listed_once() -> None:
    """docs/reference/glossary.md: one word for one thing; what `driven` lists, it has."""
    driven = importlib.import_module("driven")

    assert [name for name in driven.__all__ if not hasattr(driven, name)] == []
    assert [name for name, count in Counter(driven.__all__).items() if count > 1] == []


def test_every_public_name_is_defined_in_exactly_one_place() -> None:
    """docs/reference/glossary.md: one word for one thing, with one defining module; `driven` is the short cut."""
    driven = importlib.import_module("driven")
    defining = {name: defined_names(tree_of(path)) for name, path in product_modules().items()}

    homes = {
        public: [module for module, names in defining.items() if public in names]
        for public in driven.__all__
        if not public.startswith("__")
    }

    assert {public: modules for public, modules in homes.items() if len(modules) != 1} == {}


def test_every_public_name_is_the_very_object_of_its_defining_module() -> None:
    """docs/reference/python-api.md: `driven` leads to the thing itself, never to a copy or a wrapper."""
    driven = importlib.import_module("driven")

    strangers = {}
    for public in driven.__all__:
        home = getattr(getattr(driven, public), "__module__", None)
        if home is not None and getattr(importlib.import_module(home), public, None) is not getattr(driven, public):
            strangers[public] = home

    assert strangers == {}


def test_a_module_holds_one_thought() -> None:
    """Style: the file that goes bad is the one that integrates everything; a list of tests may be long."""
    modules = python_files(*(folder for folder in FOLDERS if folder != "tests"))

    lengths = {in_repository(path): len(path.read_text("utf-8").splitlines()) for path in modules}

    assert {name: lines for name, lines in lengths.items() if lines > MODULE_LINES} == {}


def test_a_function_fits_a_screen() -> None:
    """Style: one screen per thought."""
    too_long = [
        f"{in_repository(path)}:{node.lineno} {node.name}: {lines} lines"
        for path in python_files(*FOLDERS)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]

    assert too_long == []


def test_nothing_is_left_for_later() -> None:
    """Style: what is known to be missing is an issue with a name, never a note in the code."""
    notes = [
        f"{in_repository(path)}:{number}: {line.strip()}"
        for path in [*python_files(*FOLDERS), ROOT / "Makefile", ROOT / "pyproject.toml"]
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]

    assert notes == []


def test_the_page_of_the_architecture_names_every_package() -> None:
    """docs/explanation/architecture.md: whoever looks for the room of a change finds it there."""
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    there = {
        f"driven.{path.stem}"
        for path in (ROOT / "src" / "driven").iterdir()
        if path.stem.isidentifier() and not path.stem.startswith("__") and (path.is_dir() or path.suffix == ".py")
    }

    missing = {name for name in there | {"driven_worker"} if f"`{name}`" not in page}

    assert not missing
