"""Warming up: what an application does once in each process that runs its handlers, before the first command.

It lives for as long as a worker, or a bus without workers, takes to open. Functions decorated with ``@app.warms_up``
are called in the order in which they were registered, with what they ask for by type::

    imports -> registry -> warm up -> HELLO, commands        in each worker, replacements too
    registry -> warm up -> commands                          in the main process, where there are no workers

What they construct in scope APP is what handlers get later; a model that is loaded here costs no command its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.errors import RegistrationError

if TYPE_CHECKING:
    from driven.service.registry import Registry


def warm_up(registry: Registry) -> None:
    """Call every function that warms up, once.

    Raises:
        RegistrationError: one raised; it is named, and the cause is what it raised.

    """
    for one in registry.warm_ups:
        get = registry.injector.container.get
        try:
            one.target(**{parameter.name: get(parameter.annotation) for parameter in one.signature.parameters})
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            fault = (
                f"{one.name}, which warms up, raised {type(error).__name__}: {error}; mend it, or do this in a handler"
            )
            raise RegistrationError(registry.application.name, [fault]) from error
