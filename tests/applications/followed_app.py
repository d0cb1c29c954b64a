"""A bus that is to be killed: each number goes to a table, and to a file outside that grows by one line a call.

Run as a program with the log and the file, it submits until it is killed.
"""

from __future__ import annotations

import sys
from pathlib import Path

from driven import Application, Command, Delivery, Event, Settings, StoreSettings, Tables, WorkerSettings, open_bus_sync


class Count(Command):
    number: int


class Counted(Event):
    number: int


class Outside:
    """A file: what is in it was heard."""

    path = Path()

    def hear(self, line: str) -> None:
        """Write a line at once."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


app = Application("followed")
app.binds(Outside)
numbers = app.projection("numbers", tables=["number"])


@app.handles(Count)
def count(command: Count) -> Counted:
    """One event for each."""
    return Counted(command.number)


@numbers.creates
def create(tables: Tables) -> None:
    """In the order in which they come."""
    tables.execute("CREATE TABLE {number} (place INTEGER PRIMARY KEY, number INTEGER)")


@numbers.projects(Counted)
def add(event: Counted, tables: Tables) -> None:
    """Nothing keeps a number from being added twice."""
    tables.execute("INSERT INTO {number} (number) VALUES (?)", (event.number,))


@app.notifies(Counted, attempts=1)
def tell(event: Counted, delivery: Delivery, outside: Outside) -> None:
    """Say where it stands."""
    outside.hear(f"{delivery.envelope.position} {event.number}")


def settings(log: Path) -> Settings:
    """No workers; the log in that file."""
    return Settings(workers=WorkerSettings(count=0), store=StoreSettings(url=f"sqlite:///{log}"))


def main(log: str, outside: str) -> None:
    """Submit for ever; say so when it begins."""
    Outside.path = Path(outside)
    with open_bus_sync(app, settings(Path(log))) as bus:
        sys.stdout.write("open\n")
        sys.stdout.flush()
        number = 0
        while True:
            bus.submit_all([Count(number + one) for one in range(50)])
            number += 50


if __name__ == "__main__":
    main(*sys.argv[1:])
