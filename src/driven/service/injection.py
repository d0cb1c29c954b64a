"""Injection: dishka, with the two scopes that Driven knows.

``Scope.APP`` objects live as long as the process that holds them, the main process and each worker having their own;
``Scope.COMMAND`` objects live as long as one attempt of one command. Only this module knows
dishka; the rest of the framework asks `Injector`.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import msgspec
from dishka import BaseScope, Container, Provider, make_container, new_scope
from dishka.exception_base import DishkaError

from driven.service.context import Context
from driven.service.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from collections.abc import Iterable


class Scope(BaseScope):
    """How long an injected object lives."""

    APP = new_scope("APP")
    COMMAND = new_scope("COMMAND")


class Binding(msgspec.Struct, frozen=True):
    """Where `interface` is asked for, `to` is constructed, called or passed."""

    interface: Any
    to: Any
    scope: Scope


class Injector:
    """The bindings of an application in one process, and what can be known about them without constructing anything."""

    def __init__(self, bindings: Iterable[Binding | Provider]) -> None:
        """Raises ValueError, with dishka's explanation, where the bindings make no graph at all."""
        self._providers = [_command_scope_context(), *_merged(bindings)]
        try:
            self._container = make_container(*self._providers, scopes=Scope, skip_validation=True)
        except (DishkaError, TypeError, ValueError) as error:
            text = f"the bindings cannot be used: {error}"
            raise ValueError(text) from error
        self._needs = _needs(self._providers)

    @property
    def container(self) -> Container:
        """The container of scope APP."""
        return self._container

    def missing(self, wanted: Any) -> str | None:  # noqa: ANN401
        """What stands in the way of injecting `wanted`, as a dependency path, or None when nothing does."""
        return self._walk(wanted, ())

    def reaches_unit_of_work(self, wanted: Any) -> bool:  # noqa: ANN401
        """Whether injecting `wanted` needs a unit of work, directly or through others."""
        seen: set[Any] = set()
        waiting = [wanted]
        while waiting:
            current = waiting.pop()
            if current is UnitOfWork:
                return True
            if current not in seen:
                seen.add(current)
                waiting.extend(self._needs.get(current, ()))
        return False

    def graph_fault(self) -> str | None:
        """What dishka finds wrong with the graph as a whole: cycles, scopes that outlive each other."""
        try:
            make_container(*self._providers, scopes=Scope).close()
        except (DishkaError, TypeError, ValueError) as error:
            return str(error).strip()
        return None

    def command_scope(self, uow: UnitOfWork | None, context: Context) -> Any:  # noqa: ANN401 - dishka's context manager
        """Enter scope COMMAND for one attempt: a context manager that gives a container."""
        given: dict[Any, Any] = {Context: context}
        if uow is not None:
            given[UnitOfWork] = uow
        return self._container(context=given)

    def close(self) -> None:
        """Finalise what was constructed in scope APP."""
        self._container.close()

    def _walk(self, wanted: Any, path: tuple[Any, ...]) -> str | None:  # noqa: ANN401
        if wanted in path:
            return None  # a cycle: graph_fault draws it
        here = (*path, wanted)
        if wanted not in self._needs:
            return " -> ".join(getattr(hint, "__name__", str(hint)) for hint in here)
        return next((fault for needed in self._needs[wanted] if (fault := self._walk(needed, here))), None)


def _needs(providers: Iterable[Provider]) -> dict[Any, list[Any]]:
    """What each type that is bound needs in turn; a later binding replaces an earlier one."""
    needs: dict[Any, list[Any]] = {Container: []}
    for provider in providers:
        for factory in provider.factories:
            keys = [*factory.dependencies, *factory.kw_dependencies.values()]
            needs[factory.provides.type_hint] = [key.type_hint for key in keys if not key.is_const()]
        for alias in provider.aliases:
            needs[alias.provides.type_hint] = [alias.source.type_hint]
        for variable in provider.context_vars:
            needs[variable.provides.type_hint] = []
    return needs


def _merged(bindings: Iterable[Binding | Provider]) -> list[Provider]:
    """One provider per binding, the last one of each interface; foreign providers as they are, in order."""
    latest: dict[Any, Provider] = {}
    for binding in bindings:
        if isinstance(binding, Binding):
            latest.pop(binding.interface, None)
            latest[binding.interface] = _provider(binding)
        else:
            latest[binding] = binding
    return list(latest.values())


def _provider(binding: Binding) -> Provider:
    provider = Provider(scope=binding.scope)
    if inspect.isclass(binding.to) or inspect.isroutine(binding.to):
        provider.provide(binding.to, provides=binding.interface)
    else:
        provider.provide(lambda: binding.to, provides=binding.interface)
    return provider


def _command_scope_context() -> Provider:
    provider = Provider(scope=Scope.COMMAND)
    provider.from_context(provides=UnitOfWork, scope=Scope.COMMAND)
    provider.from_context(provides=Context, scope=Scope.COMMAND)
    return provider
