"""`driven run`: from what was typed to a served API. It lives as long as the service."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import driven
from driven.entrypoints.configured import as_typed, configured
from driven.entrypoints.loading import load_named
from driven.service.application import Application
from driven.settings import DEFAULT_FILE


def run_api(reference: str, *, host: str | None, port: int | None, config: Path | None, store: str | None) -> None:
    """Serve what `reference` names until a signal ends it.

    Raises:
        NoApplication: there is nothing of that name.
        RegistrationError, SettingsError: the application or the configuration is faulty.
        SystemExit: a signal ended it, as `driven.run` has it.

    """
    _show_what_happens()
    from driven.entrypoints.http import Api, asgi  # noqa: PLC0415 - needs the extra `http`
    from driven.entrypoints.http.server import serve  # noqa: PLC0415 - the same

    found = load_named(reference, Application, Api)
    settings = as_typed(configured(config, store), "http", host=host, port=port)
    driven.run(serve(asgi(found, settings), _source(config, is_typed=(host, port) != (None, None))))


def _show_what_happens() -> None:
    """On a terminal, show what the bus logs: how far recovery is, how the end goes. A pipe has warnings only."""
    if sys.stderr.isatty():
        handler = logging.StreamHandler()
        handler.addFilter(lambda _record: not logging.getLogger().handlers)  # else the application says where it goes
        logger = logging.getLogger("driven")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


def _source(config: Path | None, *, is_typed: bool) -> str:
    """Where an address that cannot be served on was said."""
    if is_typed:
        return "of the command line"
    if config is None and not Path(DEFAULT_FILE).exists():
        return "of this service"
    return str(config or DEFAULT_FILE)
