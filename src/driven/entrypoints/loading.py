"""From ``module:app``, as it was typed, to an application: importing it, and saying well why that failed.

Runs once, at the start of a command. The current folder is put on the import path, as whoever types
``driven check shop:app`` stands in the folder that holds ``shop.py``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import driven
from driven.errors import DrivenError, RegistrationError
from driven.service import registry
from driven.service.application import Application

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_NOT_THE_USERS: Final = (f"{Path(driven.__file__).parent}{os.sep}", importlib.__file__, "<frozen ")
"""How the names of files begin whose lines tell the user nothing."""


class NoApplication(DrivenError):
    """There is no application under the name that was typed; `reason` says why, where, and what there is instead."""

    def __init__(self, reference: str, reason: str) -> None:
        self.reference = reference
        self.reason = reason
        super().__init__(reason)


def load_application(reference: str) -> Application:
    """Import ``"package.module:attribute"``. What the module prints meanwhile goes to standard error.

    Raises:
        NoApplication: it cannot be imported, is not there, or is something else.

    """
    return _loaded(reference, registry.resolve_application, (Application,))


def load_named(reference: str, *kinds: type) -> Any:  # noqa: ANN401 - one of `kinds`
    """Import what is one of `kinds`, or a function that returns one; otherwise as `load_application`."""

    def resolve(name: str) -> Any:  # noqa: ANN401 - as above
        found = registry.import_named(name, *kinds)
        if not isinstance(found, kinds):
            known = " or ".join(kind.__qualname__ for kind in kinds)
            fault = f"{name!r} is of type {type(found).__name__}; name {known}, or a function that returns one"
            raise RegistrationError(name, [fault])
        return found

    return _loaded(reference, resolve, kinds)


def _loaded(reference: str, resolve: Callable[[str], T], kinds: tuple[type, ...]) -> T:
    folder = str(Path.cwd())
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return resolve(reference)
    except RegistrationError as error:
        raise NoApplication(reference, _explained(reference, error, kinds)) from error
    except SystemExit as error:
        reason = (
            f"importing {reference!r} ends the program (SystemExit: {error.code}); "
            f'put what it runs under `if __name__ == "__main__":`'
        )
        raise NoApplication(reference, reason) from error


def _explained(reference: str, error: RegistrationError, kinds: tuple[type, ...]) -> str:
    module_name, _, attribute = reference.partition(":")
    if attribute or module_name not in sys.modules:
        lines = [error.faults[0]]
    else:
        lines = [f'{reference!r} names a module; give an application in it, as "package.module:attribute"']
    if error.__cause__ is not None and (place := _place(error.__cause__)):
        lines.append(f"raised at {place}")
    if (meant := _meant(module_name)) and attribute:
        lines.append(f"did you mean {meant}:{attribute}?")
    for kind in kinds:
        if there := _of_kind(module_name, kind):
            lines.append(f"{kind.__name__.lower()}s in {module_name}: {', '.join(there)}")
    return "\n  ".join(lines)


def _place(error: BaseException) -> str:
    """Where in the user's code it was raised; empty when Python's import or we ourselves raised it."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {(error.text or '').strip()}"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_NOT_THE_USERS)
    ]
    return f"{frames[-1].filename}, line {frames[-1].lineno}: {frames[-1].line}" if frames else ""


def _meant(module_name: str) -> str:
    """The module that was named as a file, if there is such a file; empty: it was not, or there is none."""
    meant = module_name.removeprefix("./").removesuffix(".py").replace("/", ".")
    return meant if meant != module_name and Path(meant.replace(".", "/") + ".py").is_file() else ""


def _of_kind(module_name: str, kind: type) -> list[str]:
    module = sys.modules.get(module_name)
    names = vars(module).items() if module else ()
    return [f"{module_name}:{name}" for name, value in names if isinstance(value, kind)]
