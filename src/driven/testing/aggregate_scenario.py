"""One aggregate alone: what is done to it, and what it tells of that. No application, no store; as long as a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

from driven.domain.aggregate import Aggregate, forget_record, recorded_events
from driven.domain.event_sourced import forget_places
from driven.testing.expectations import check_same

if TYPE_CHECKING:
    from collections.abc import Callable

    from driven.domain.messages import Event

A = TypeVar("A", bound=Aggregate)


def given_aggregate(aggregate: A) -> AggregateScenario[A]:
    """Begin a scenario of one aggregate; what it has recorded so far is its past, and is not looked at."""
    return AggregateScenario(aggregate)


class AggregateScenario(Generic[A]):
    """An aggregate, and what came of what was done to it last."""

    def __init__(self, aggregate: A) -> None:
        self.aggregate: Final = aggregate
        self._error: Exception | None = None

    def when(self, act: Callable[[A], object]) -> AggregateScenario[A]:
        """Do something to it: ``when(lambda account: account.withdraw(5))``."""
        forget_record(self.aggregate)
        forget_places(self.aggregate)
        self._error = None
        try:
            act(self.aggregate)
        except Exception as error:  # noqa: BLE001 - what it is, the scenario goes on to say
            self._error = error
        return self

    def then(self, *events: Event) -> AggregateScenario[A]:
        """It recorded exactly these events, in this order; none: nothing."""
        __tracebackhide__ = True
        if self._error is not None:
            raise AssertionError(f"it raised {self._error!r}") from self._error
        check_same("events", events, recorded_events(self.aggregate))
        return self

    def then_fails(self, error: type[Exception], told: str = "") -> AggregateScenario[A]:
        """It raised an error of this type whose text holds `told`, and recorded nothing."""
        __tracebackhide__ = True
        if self._error is None:
            raise AssertionError(f"it was expected to raise {error.__name__}, and recorded {self._recorded()}")
        if not isinstance(self._error, error) or told not in str(self._error):
            wanted = f"{error.__name__}: ...{told}..." if told else error.__name__
            raise AssertionError(f"it raised {self._error!r}, where {wanted} was expected") from self._error
        if recorded_events(self.aggregate):
            raise AssertionError(f"it raised {self._error!r}, and had recorded {self._recorded()} by then")
        return self

    def then_fields(self, **values: Any) -> AggregateScenario[A]:  # noqa: ANN401 - fields of any kind
        """These fields have these values now."""
        __tracebackhide__ = True
        check_same("fields", [msgspec.structs.replace(self.aggregate, **values)], [self.aggregate])
        return self

    def _recorded(self) -> str:
        return repr(list(recorded_events(self.aggregate)))
