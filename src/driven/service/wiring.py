"""The wiring: what an application is made of, as lines of text that two processes can compare.

A worker imports the application by name. Whatever the main program did to it afterwards, such as swapping a binding, is
not there; nor is a module that only the main program imports. Either would make the log depend on where a command
runs (O6), so each worker tells its wiring, and a bus refuses one that differs, by its first different line.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from driven.service.injection import Binding
from driven.service.naming import qualified_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.service.application import Application
    from driven.service.registry import Registry


class Recipe(msgspec.Struct, frozen=True):
    """How a worker makes the application that the bus has, and how it can be seen to be the same."""

    reference: str
    """Where it is, as ``"package.module:attribute"``."""
    modules: tuple[str, ...]
    """What else to import before it is complete: the modules that its handlers are defined in."""
    wiring: tuple[str, ...]
    """What it is made of then."""


def recipe_of(registry: Registry, reference: str) -> Recipe:
    """The recipe of an application that was found under `reference`."""
    return Recipe(reference, _modules_of(registry.application), wiring_of(registry))


def _modules_of(application: Application) -> tuple[str, ...]:
    lasting = [note for one in application.projections for note in one.projectors]
    lasting += [one.note for one in application.notifiers]
    noted = (application.handlers, application.reactions, application.projectors, lasting, application.warm_ups)
    targets = [note.target for notes in noted for note in notes] + [one.target for one in application.upcasters]
    found = dict.fromkeys(getattr(target, "__module__", None) for target in targets)
    return tuple(module for module in found if module and module != "__main__" and module in sys.modules)


def wiring_of(registry: Registry) -> tuple[str, ...]:
    """One line per handler, warm-up and binding, and one for all message types; in the order of the alphabet."""
    return tuple(sorted(_lines(registry)))


def first_difference(bus: tuple[str, ...], worker: tuple[str, ...]) -> str:
    """What only one of two wirings has, as a clause; at most one line of each."""
    only_bus = next((line for line in bus if line not in worker), None)
    only_worker = next((line for line in worker if line not in bus), None)
    parts = [f"the bus has {only_bus}"] if only_bus else []
    return ", ".join([*parts, f"the worker has {only_worker}"] if only_worker else parts)


def difference_from(recipe: Recipe, wiring: tuple[str, ...], source: str) -> str:
    """How a worker that imported `source` differs from the bus, what may have made it so, and what to do."""
    return (
        f"worker and bus run different code: {first_difference(recipe.wiring, wiring)}. The worker imported "
        f"{recipe.reference} from {source} as it is there, without what the program did to it since: put such a change "
        f'in a function of a module and open "module:function"; after a deployment, restart the bus'
    )


def _lines(registry: Registry) -> Iterator[str]:
    yield f"message types with the fingerprint {registry.catalog.fingerprint}"
    for type_id, handler in registry.handlers.items():
        options = handler.options
        loads = sorted(f"{registry.aggregate_name(aggregate)} by {field}" for aggregate, field in options.loads.items())
        emits = sorted(qualified_name(event) for event in handler.emits)
        facts = f"key {options.key}, loads {loads}, emits {emits}"
        yield f"the handler {handler.name} for {registry.name_of(type_id)} ({facts})"
    for warm_up in registry.warm_ups:
        yield f"the warm-up {warm_up.name}"
    for upcaster in registry.application.upcasters:
        yield f"the upcaster {qualified_name(upcaster.target)} of {upcaster.name} version {upcaster.version}"
    # The last binding of an interface is the one that counts.
    bindings = {one.interface if isinstance(one, Binding) else one: one for one in registry.application.bindings}
    for binding in bindings.values():
        if isinstance(binding, Binding):
            yield f"{qualified_name(binding.interface)} bound to {_described(binding.to)} in scope {binding.scope.name}"
        else:
            yield f"the provider {qualified_name(type(binding))}"


def _described(target: object) -> str:
    """A class or function by its name; a ready value by its type, as values have no name to compare."""
    return qualified_name(target) if hasattr(target, "__qualname__") else f"a {qualified_name(type(target))}"
