"""The registry: an application, checked. Made once when a bus or a worker opens; never changes.

What stands here has exactly one handler per command, unique stable names, messages that survive encoding, keys and
ids that name fields, and dependencies that resolve: `build_registry` refuses anything else (R1).
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

from driven.domain.aggregate import Aggregate
from driven.errors import MisuseError, RegistrationError
from driven.service import built_in
from driven.service.application import Application
from driven.service.catalog import Catalog
from driven.service.examination import Findings, examine
from driven.service.naming import qualified_name, stable_name
from driven.service.sourcing import is_event_sourced, snapshot_schema
from driven.service.upcasting import steps_of

if TYPE_CHECKING:
    from driven.domain.messages import Message
    from driven.service.handlers import Handler, Projector, Reaction, WarmUp
    from driven.service.injection import Injector
    from driven.service.notifier import Notifier
    from driven.service.projection import LastingProjection


FORGOTTEN_TYPE: Final = -1
"""The number of a type that stands in a log, and that the application does not have any more."""


class Registry:
    """Everything that is known about an application before it runs."""

    def __init__(self, application: Application, findings: Findings) -> None:
        """Made by `build_registry` only."""
        self.application: Final = application
        self.catalog: Final = Catalog(findings.messages, steps_of(findings.upcasters))
        self.injector: Final[Injector] = findings.injector
        self.handlers: Final[dict[int, Handler]] = {self.type_id_of(one.command): one for one in findings.handlers}
        self.handler_of: Final[dict[type[Message], Handler]] = {one.command: one for one in findings.handlers}
        self.projectors: Final[tuple[Projector, ...]] = findings.projectors
        self.projections: Final[tuple[LastingProjection, ...]] = findings.projections
        self.notifiers: Final[tuple[Notifier, ...]] = findings.notifiers
        self.warm_ups: Final[tuple[WarmUp, ...]] = findings.warm_ups
        self.reactions: Final[dict[int, tuple[Reaction, ...]]] = {}
        for reaction in findings.reactions:
            type_id = self.type_id_of(reaction.event)
            self.reactions[type_id] = (*self.reactions.get(type_id, ()), reaction)
        self._aggregate_names: Final[dict[type[Aggregate], str]] = {}
        for aggregate_type in findings.aggregates:
            self._name_aggregate(aggregate_type)
        sourced = [one for one in findings.aggregates if is_event_sourced(one)]
        self.snapshot_schemas: Final = {self.aggregate_name(one): snapshot_schema(one) for one in sourced}
        """Of the event-sourced aggregates, by name."""

    @property
    def aggregates(self) -> dict[str, type[Aggregate]]:
        """The aggregate types that are known so far, by name."""
        return {name: one for one, name in self._aggregate_names.items()}

    def aggregate_name(self, aggregate_type: type[Aggregate]) -> str:
        """The stable name of an aggregate type.

        Raises:
            MisuseError: it is none, or another aggregate type has the same name: each would read what the other stored.

        """
        name = self._aggregate_names.get(aggregate_type)
        if name is None:
            name = self._name_aggregate(aggregate_type)
            if is_event_sourced(aggregate_type):
                del self._aggregate_names[aggregate_type]
                remedy = f"say app.keeps({aggregate_type.__name__})"
                raise MisuseError(f"{name} is event-sourced and was not known when the bus opened; {remedy}")
        return name

    def name_of(self, type_id: int) -> str:
        """The stable name of a message type, or of a built-in command."""
        if type_id >= 0:
            return self.catalog.entries[type_id].name
        return built_in.NAMES.get(type_id, "a message of a type that is gone")

    def _name_aggregate(self, aggregate_type: type[Aggregate]) -> str:
        if not (isinstance(aggregate_type, type) and issubclass(aggregate_type, Aggregate)):
            shown = (
                aggregate_type.__qualname__
                if isinstance(aggregate_type, type)
                else f"a {type(aggregate_type).__name__}"
            )
            raise MisuseError(f"{shown} is no aggregate type; ask for a subclass of driven.Aggregate")
        name = stable_name(self.application.name, aggregate_type, "aggregate_name")
        for other, taken in tuple(self._aggregate_names.items()):
            if taken == name:
                names = f"{qualified_name(other)} and {qualified_name(aggregate_type)}"
                raise MisuseError(f"{names} share the stable name {name!r}; set aggregate_name in one of them")
        self._aggregate_names[aggregate_type] = name
        return name

    def type_id_of(self, message: type[Message]) -> int:
        """The number of a message type that is in the catalog."""
        entry = self.catalog.entry_of(message)
        assert entry is not None  # noqa: S101 - the catalog was made from these very types
        return entry.type_id


def build_registry(application: Application) -> Registry:
    """Check everything about an application at once.

    Raises:
        RegistrationError: with every fault that was found.

    """
    return Registry(application, examine(application))


def resolve_application(reference: str) -> Application:
    """Import ``"package.module:attribute"``; the attribute is an application or a function that returns one.

    Raises:
        RegistrationError: it cannot be imported, is not there, or is something else.

    """
    found = import_named(reference, Application)
    if not isinstance(found, Application):
        kind = type(found).__name__
        fault = f"{reference!r} is of type {kind}; name a driven.Application, or a function that returns one"
        raise RegistrationError(reference, [fault])
    return found


def import_named(reference: str, *kinds: type) -> Any:  # noqa: ANN401 - whatever is there
    """Import ``"package.module:attribute"``, and call it if it is none of `kinds` but a function.

    Raises:
        RegistrationError: it cannot be imported, or is not there.

    """
    module_name, _, attribute = reference.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        remedy = (
            f"{module_name} is there and raises that when it is imported; mend it"
            if _is_raised_within(error, module_name)
            else _REMEDY
        )
        raise _not_imported(reference, error, remedy) from error
    try:
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise _not_imported(reference, error, _REMEDY) from error
    if isinstance(found, kinds) or not callable(found):
        return found
    try:
        return found()
    except Exception as error:
        remedy = "it is called without arguments, to make one; mend it, or name another"
        raise _not_imported(reference, error, remedy) from error


_REMEDY: Final = 'give it as "package.module:attribute", of a module on the import path'


def _is_raised_within(error: Exception, module_name: str) -> bool:
    """Whether a module that is there raised it, and not the search for it."""
    if isinstance(error, ModuleNotFoundError):
        return not f"{module_name}.".startswith(f"{error.name}.")
    return all(part.isidentifier() for part in module_name.split("."))


def _not_imported(reference: str, error: Exception, remedy: str) -> RegistrationError:
    fault = f"{reference!r} cannot be imported ({type(error).__name__}: {error}); {remedy}"
    return RegistrationError(reference, [fault])


def application_reference(application: Application) -> str | None:
    """``module:attribute`` under which a worker can import the application, or None when there is none."""
    module = sys.modules.get(application.module)
    if module is None or application.module == "__main__":
        return None
    names = (name for name, value in vars(module).items() if value is application)
    return next((f"{application.module}:{name}" for name in names), None)
