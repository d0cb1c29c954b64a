"""An application of timers: what a plan says happens at once or when it is due, and leads to more of it."""

from __future__ import annotations

import msgspec

from driven import Aggregate, Application, Command, Context, Event, Later, Placement, UnitOfWork


class Timer(msgspec.Struct, frozen=True):
    """One command that is due `after_s` seconds after its event; None: it follows at once."""

    number: int
    after_s: float | None = None
    then: tuple[Timer, ...] = ()


class Fire(Command):
    """Stateful, ordered by key."""

    key: str
    timer: Timer


class Fired(Event):
    key: str
    then: tuple[Timer, ...]


class Bell(Aggregate):
    """What rang, in order, and when."""

    rung: list[tuple[int, int]] = []  # noqa: RUF012 - a field, which msgspec copies

    def ring(self, number: int, now_ns: int) -> None:
        """Once more."""
        self.rung.append((number, now_ns))


app = Application("timers")


@app.handles(Fire, key="key", placement=Placement.WORKER)
def fire(command: Fire, context: Context, uow: UnitOfWork) -> Fired:
    """Ring."""
    bell = uow.find(Bell, command.key)
    if bell is None:
        uow.add(bell := Bell(command.key))
    bell.ring(command.timer.number, context.envelope.recorded_at_ns)
    return Fired(command.key, command.timer.then)


@app.reacts_to(Fired)
def wind_up(event: Fired) -> list[Fire | Later[Fire]]:
    """What follows at once, and what is due later."""
    return [
        Fire(event.key, one) if one.after_s is None else Later(Fire(event.key, one), after_s=one.after_s)
        for one in event.then
    ]
