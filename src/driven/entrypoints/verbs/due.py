"""What `driven due` takes, and what it does with it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
import tyro

from driven.entrypoints.verbs.answer import Answer
from driven.entrypoints.verbs.arguments import AsJson, ConfigFile, ModuleApp, StoreUrl, argument
from driven.errors import MisuseError

What: TypeAlias = Annotated[
    Literal["list", "cancel"],
    tyro.conf.Positional,
    argument(help="list, or cancel one."),
]


class Due(msgspec.Struct, frozen=True):
    """List the commands that are due later; or cancel one."""

    what: What
    application: ModuleApp
    cause: Annotated[int, argument(metavar="N", help="Cancel what this position scheduled; `list` tells it.")] = 0
    number: Annotated[int, argument(metavar="N", help="Which one of those, from 1.")] = 1
    by: Annotated[str | None, argument(metavar="NAME", help="Who wants it, for the log; by default you.")] = None
    why: Annotated[str, argument(metavar="TEXT", help="The reason, for the log.")] = ""
    limit: Annotated[int, argument(metavar="N", help="List so many, and no more.")] = 100
    store: StoreUrl = None
    config: ConfigFile = None
    json: AsJson = False

    def answer(self) -> Answer:
        """Look, or cancel."""
        from driven.entrypoints import due  # noqa: PLC0415 - see the head of `verbs`
        from driven.entrypoints.drawing import due as drawing  # noqa: PLC0415 - the same

        if self.what == "list":
            if self.limit < 1:
                raise MisuseError(f"--limit {self.limit} is no number of commands; give 1 or more")
            found = due.due_report(self.application, limit=self.limit, config=self.config, url=self.store)
            return Answer(found, drawing.due_page(found))
        if self.cause < 1:
            raise MisuseError("cancel takes --cause, the position of what scheduled the command; see `driven due list`")
        done = due.cancel_report(
            self.application,
            self.cause,
            self.number,
            by=self.by,
            why=self.why,
            config=self.config,
            url=self.store,
        )
        return Answer(done, drawing.cancel_page(done))
