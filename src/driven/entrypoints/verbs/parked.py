"""What `driven parked` takes, and what it does with it."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
import tyro

from driven.entrypoints.verbs.answer import Answer
from driven.entrypoints.verbs.arguments import AsJson, ConfigFile, ModuleApp, StoreUrl, argument
from driven.errors import MisuseError

What: TypeAlias = Annotated[
    Literal["list", "show", "retry", "skip", "release", "discard"],
    tyro.conf.Positional,
    argument(help="list, show one, or a verb of a redrive."),
]


class Parked(msgspec.Struct, frozen=True):
    """List what is parked; show one; or bring it back: retry, skip the oldest, release the key, discard."""

    what: What
    application: ModuleApp
    key: Annotated[str | None, argument(metavar="KEY", help="What is parked of this key.")] = None
    position: Annotated[
        int, argument(metavar="N", help="The message parked at this position, or all of its key if it has one.")
    ] = 0
    by: Annotated[str | None, argument(metavar="NAME", help="Who wants it, for the log; by default you.")] = None
    why: Annotated[str, argument(metavar="TEXT", help="The reason, for the log.")] = ""
    after: Annotated[int, argument(metavar="N", help="List what is parked behind this position.")] = 0
    limit: Annotated[int, argument(metavar="N", help="List so many, and no more.")] = 100
    store: StoreUrl = None
    config: ConfigFile = None
    json: AsJson = False

    def answer(self) -> Answer:
        """Look, or redrive and wait until it has settled."""
        from driven.entrypoints import parked  # noqa: PLC0415 - see the head of `verbs`
        from driven.entrypoints.drawing import parked as drawing  # noqa: PLC0415 - the same
        from driven.service.built_in import Verb  # noqa: PLC0415 - the same

        if self.limit < 1:
            raise MisuseError(f"--limit {self.limit} is no number of messages; give 1 or more")
        if self.what == "list":
            found = parked.parked_report(
                self.application, key=self.key, after=self.after, limit=self.limit, config=self.config, url=self.store
            )
            return Answer(found, drawing.parked_page(found))
        if self.what == "show":
            if not self.position:
                raise MisuseError("show takes --position of what is parked; see `driven parked list`")
            details = parked.details_report(self.application, self.position, config=self.config, url=self.store)
            return Answer(details, drawing.details_page(details))
        if (self.key is None) == (not self.position):
            raise MisuseError(
                f"{self.what} takes either --key or --position of what is parked; see `driven parked list`"
            )
        done = parked.redrive_report(
            self.application,
            Verb(self.what),
            key=self.key,
            position=self.position,
            by=self.by,
            why=self.why,
            config=self.config,
            url=self.store,
        )
        return Answer(done, drawing.redrive_page(done))
