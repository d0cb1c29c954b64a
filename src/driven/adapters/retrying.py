"""Calling again after a failure: stamina, which few applications need and nobody else imports."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from driven.errors import RegistrationError

if TYPE_CHECKING:
    from driven.bus.following.notifying import Attempts
    from driven.service.notifier import Patience
    from driven.service.registry import Registry


def check_retrying(registry: Registry) -> None:
    """Refuse notifiers that call again where nothing can make them.

    Raises:
        RegistrationError: stamina is not installed.

    """
    again = [one.name for one in registry.notifiers if one.patience.attempts != 1]
    if again and importlib.util.find_spec("stamina") is None:
        fault = (
            f"{', '.join(again)} would be called again after a failure, which needs stamina: "
            f"pip install 'driven-bus[notifiers]'; or register with attempts=1"
        )
        raise RegistrationError(registry.application.name, [fault])


def attempts_of(patience: Patience) -> Attempts:
    """One context after the other, with a pause between, until one is left without an exception or patience is out."""
    import stamina  # noqa: PLC0415 - it is an extra

    return stamina.retry_context(
        on=Exception,
        attempts=patience.attempts,
        timeout=None,
        wait_initial=patience.first_wait_s,
        wait_max=patience.longest_wait_s,
        wait_jitter=patience.first_wait_s,
    )
