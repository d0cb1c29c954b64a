"""The configuration of a verb: as the file and the environment say, and what was typed wins.

Programs that open a bus themselves keep nothing unless they say so. Whoever runs a service from the command line
expects that what it accepted is there the next time: the log is a file in the current folder, unless something else is
said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from driven.configuration import load_settings, validate
from driven.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from driven.settings import Settings

DEFAULT_STORE: Final = "sqlite:///driven.db"
"""The store of verbs that carry commands out, or look at what was, where no other is named."""


def configured(config: Path | None, store: str | None = None) -> Settings:
    """The settings of a verb; `config` and `store` are what was typed, if anything was.

    Raises:
        SettingsError: with every fault of file, environment and `store`.

    """
    return as_typed(load_settings(config, store_url=DEFAULT_STORE), "store", url=store)


def as_typed(settings: Settings, section: str, **typed: object) -> Settings:
    """The settings, with what was typed in place of what a section of them says; None was not typed.

    Raises:
        SettingsError: with every fault of what was typed.

    """
    given = {name: value for name, value in typed.items() if value is not None}
    if not given:
        return settings
    changed = msgspec.structs.replace(getattr(settings, section), **given)
    settings = msgspec.structs.replace(settings, **{section: changed})
    if faults := validate(settings):
        raise SettingsError("of the command line", faults)
    return settings
