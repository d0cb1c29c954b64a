"""`driven run`: from what was typed to a served API. It lives as long as the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

import driven
from driven.entrypoints.configured import configured
from driven.entrypoints.loading import load_named
from driven.service.application import Application
from driven.settings import DEFAULT_FILE, Settings

if TYPE_CHECKING:
    from pathlib import Path


def run_api(reference: str, *, host: str | None, port: int | None, config: Path | None, store: str | None) -> None:
    """Serve what `reference` names until a signal ends it.

    Raises:
        NoApplication: there is nothing of that name.
        RegistrationError, SettingsError: the application or the configuration is faulty.
        SystemExit: a signal ended it, as `driven.run` has it.

    """
    from driven.entrypoints.http import Api, asgi  # noqa: PLC0415 - needs the extra `http`
    from driven.entrypoints.http.server import serve  # noqa: PLC0415 - the same

    found = load_named(reference, Application, Api)
    settings = _with(configured(config, store), host, port)
    driven.run(serve(asgi(found, settings), str(config or DEFAULT_FILE)))


def _with(settings: Settings, host: str | None, port: int | None) -> Settings:
    """The settings, with what was typed in place of what they say."""
    typed = {"host": host, "port": port}
    given = {name: value for name, value in typed.items() if value is not None}
    return msgspec.structs.replace(settings, http=msgspec.structs.replace(settings.http, **given))
