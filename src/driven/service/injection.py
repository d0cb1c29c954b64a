"""Injection: dishka, with the two scopes that Driven knows.

``Scope.APP`` objects live as long as the process that holds them, the main process and each worker having their own;
``Scope.COMMAND`` objects live as long as one attempt of one command. Only this module knows
dishka; the rest of the framework asks `Injector`.
"""

from __future__ import annotations

import functools
import inspect
import threading
import typing
from typing import TYPE_CHECKING, Any, Final

import msgspec
from dishka import BaseScope, Container, Provider, make_container, new_scope
from dishka.entities.key import hint_to_dependency_key
from dishka.exception_base import DishkaError

from driven.domain.messages import Message
from driven.service.context import Context
from driven.service.dependencies import DependencyGraph, Key, Lifetime, Node
from driven.service.naming import shown
from driven.service.repository import Repository
from driven.service.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dishka.entities.key import DependencyKey

_UNUSABLE: Final = (DishkaError, TypeError, ValueError, NameError)
_OUR_OWN: Final = (UnitOfWork, Context, Container)
_BUS: Final = "driven.bus."


ForeignProvider = Provider
"""A provider of dishka: bindings that were made elsewhere."""


class Scope(BaseScope):
    """How long an injected object lives."""

    APP = new_scope("APP")
    COMMAND = new_scope("COMMAND")


class Binding(msgspec.Struct, frozen=True):
    """Where `interface` is asked for, `to` is constructed, called or passed."""

    interface: Any
    to: Any
    scope: Scope


def is_of_the_bus(annotation: Any) -> bool:  # noqa: ANN401 - any type annotation
    """Whether it is the bus, or a part of it, which no handler can reach (O7)."""
    return str(getattr(annotation, "__module__", "")).startswith(_BUS)


class Injector:
    """The bindings of an application in one process; made when a bus or a worker opens, closed with it."""

    def __init__(self, bindings: Iterable[Binding | ForeignProvider]) -> None:
        """What is wrong with a binding itself is said in `faults`; what needs it is not at fault for that."""
        self.faults: Final[list[str]] = []
        self._providers, broken = self._usable(bindings)
        self._graph = DependencyGraph(_nodes(self._providers) | dict.fromkeys(broken, Node()))
        self._container = self._made()

    @property
    def container(self) -> Container:
        """The container of scope APP."""
        return self._container

    def faults_of(self, annotation: Any, lifetime: Lifetime) -> list[str]:  # noqa: ANN401 - any type annotation
        """What stands in the way of injecting `annotation` into something that lives for `lifetime`."""
        key = requested(annotation)
        if key.hint is Container:
            return ["asks for the container, which hides what is needed; ask for each thing by its type"]
        if is_of_the_bus(key.hint):
            return [
                f"asks for {shown(key.hint)}, but handlers cannot reach the bus (O7); return or record an event instead"
            ]
        return self._graph.faults(key, lifetime)

    def other_faults(self, asked: Iterable[Any]) -> list[str]:
        """What is wrong among the bindings that none of the annotations in `asked` needs."""
        return self._graph.other_faults(requested(annotation) for annotation in asked)

    def container_fault(self) -> str | None:
        """What dishka finds wrong, where nothing else was found: the last net, for what foreign providers can do."""
        try:
            make_container(*self._providers, scopes=Scope).close()
        except _UNUSABLE as error:
            return _not_together(error)
        return None

    def reaches_unit_of_work(self, annotation: Any) -> bool:  # noqa: ANN401 - any type annotation
        """Whether injecting `annotation` needs a unit of work, directly or through others."""
        return self._graph.reaches(requested(annotation), Key(UnitOfWork))

    def command_scope(self, uow: UnitOfWork | None, context: Context) -> Any:  # noqa: ANN401 - dishka's context manager
        """Enter scope COMMAND for one attempt: a context manager that gives a container."""
        given: dict[Any, Any] = {Context: context}
        if uow is not None:
            given[UnitOfWork] = uow
        return self._container(context=given)

    def close(self) -> None:
        """Finalise what was constructed in scope APP."""
        self._container.close()

    def _usable(self, bindings: Iterable[Binding | ForeignProvider]) -> tuple[list[ForeignProvider], list[Key]]:
        """One provider per binding, foreign ones as they are; and what is bound, but not in a way that can be used."""
        providers, broken = [_given()], []
        for binding in _latest(bindings):
            if isinstance(binding, ForeignProvider):
                providers.append(binding)
                continue
            if not isinstance(binding, Binding):
                self.faults.append(
                    f"app.uses({shown(binding)}): is no provider of dishka; pass an object of a Provider class"
                )
                continue
            if not (faults := list(_binding_faults(binding))):
                try:
                    providers.append(_provider(binding))
                except _UNUSABLE as error:
                    faults = [f"{_told(error)}; correct what it is bound to"]
            if faults:
                self.faults.extend(f"app.binds({shown(binding.interface)}): {fault}" for fault in faults)
                broken.append(requested(binding.interface))
        return providers, broken

    def _made(self) -> Container:
        try:
            return make_container(*self._providers, scopes=Scope, skip_validation=True, lock_factory=threading.RLock)
        except _UNUSABLE as error:
            if not self._graph.other_faults(()):  # which say it better
                self.faults.append(_not_together(error))
            return make_container(_given(), scopes=Scope)


def requested(annotation: Any) -> Key:  # noqa: ANN401 - any type annotation
    """What a container is to be asked for, where `annotation` is to be injected."""
    return _key(hint_to_dependency_key(annotation), "")


def _key(key: DependencyKey, component: str) -> Key:
    return Key(key.type_hint, component if key.component is None else key.component)


def _latest(bindings: Iterable[Binding | ForeignProvider]) -> Iterable[Binding | ForeignProvider]:
    """The last binding of each interface, and every foreign provider, in order."""
    latest: dict[Any, Binding | ForeignProvider] = {}
    for binding in bindings:
        place = binding.interface if isinstance(binding, Binding) else binding
        latest.pop(place, None)
        latest[place] = binding
    return latest.values()


def _binding_faults(binding: Binding) -> Iterator[str]:
    """What no container would notice."""
    interface, target = binding.interface, binding.to
    if not isinstance(binding.scope, Scope):
        yield f"scope={binding.scope!r} is no scope of Driven; write Scope.APP or Scope.COMMAND"
    if interface in _OUR_OWN or is_of_the_bus(interface):
        yield f"{shown(interface)} is not for you to bind; drop this binding"
    elif isinstance(interface, type) and issubclass(interface, Message):
        yield "a message is handed over, not injected; drop this binding"
    if isinstance(target, functools.partial):
        yield "a partial object is neither a class, nor a function, nor a value; write a function with `def`"
    if inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target):
        yield "is made by an `async def`, but handlers are plain functions; make it with a plain `def`"
    if isinstance(target, type) and inspect.isabstract(target):
        yield f"{shown(target)} is abstract and cannot be constructed; say to= which class or function makes it"
    if isinstance(target, type) and issubclass(target, Repository) and not hasattr(target, "aggregate_type"):
        yield f"does not say what it is a repository of; write class {target.__name__}(Repository[YourAggregate])"


def _provider(binding: Binding) -> Provider:
    provider = Provider(scope=binding.scope)
    if inspect.isclass(binding.to) or inspect.isroutine(binding.to):
        provider.provide(binding.to, provides=binding.interface)
    else:
        provider.provide(lambda: binding.to, provides=binding.interface)
    return provider


def _given() -> Provider:
    """What every command brings along."""
    provider = Provider(scope=Scope.COMMAND)
    provider.from_context(provides=UnitOfWork, scope=Scope.COMMAND)
    provider.from_context(provides=Context, scope=Scope.COMMAND)
    return provider


def _nodes(providers: Iterable[Provider]) -> dict[Key, Node]:
    """How everything that the providers offer is made."""
    nodes = {Key(Container): Node()}
    for provider in providers:
        nodes.update(_offered(provider))
        for decorator in provider.decorators:
            key = _key(decorator.provides, provider.component)
            plain = nodes.get(key, Node())
            needs = (one for one in _needed_by(decorator.factory, provider.component) if one != key)
            nodes[key] = Node((*plain.needs, *needs), plain.lifetime)
    return nodes


def _offered(provider: Provider) -> Iterator[tuple[Key, Node]]:
    component = provider.component
    for factory in provider.factories:
        lifetime = Lifetime.__members__.get(getattr(factory.scope, "name", ""))
        yield _key(factory.provides, component), Node(_needed_by(factory, component), lifetime)
    for alias in provider.aliases:
        yield _key(alias.provides, component), Node((_key(alias.source, component),))
    for variable in provider.context_vars:
        yield _key(variable.provides, component), Node((), Lifetime.COMMAND)
    for union in getattr(provider, "factory_union_mode", ()):
        if union.collect:
            yield _key(union.provides, component), Node((_key(union.source, component),))


def _needed_by(factory: Any, component: str) -> tuple[Key, ...]:  # noqa: ANN401 - dishka's, which it does not export
    needed = (*factory.dependencies, *factory.kw_dependencies.values())
    return tuple(_key(key, component) for key in needed if typing.get_origin(key.type_hint) is not typing.Literal)


def _told(error: Exception) -> str:
    """An explanation of dishka's, on one line."""
    return f"{type(error).__name__}: " + " ".join(str(error).split())


def _not_together(error: Exception) -> str:
    return f"the bindings cannot be used together: {_told(error)}; correct the provider, its scopes being driven.Scope"
