"""What `driven log` takes, and what it does with it."""

from __future__ import annotations

import contextlib
import sys
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec

from driven.entrypoints.verbs.answer import Answer
from driven.entrypoints.verbs.arguments import ConfigFile, StoreUrl, ToPosition, WholeNumber, argument
from driven.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from driven.entrypoints.log.asked import Asked
    from driven.service.event_store import EventStore

TAIL: Final = 10
"""Messages before the end from which a log is followed."""

Moment: TypeAlias = Annotated[
    str | None, argument(metavar="TIME", help="Admitted then: 2026-11-30T08:15, or so long ago: 15m.")
]


class Log(msgspec.Struct, frozen=True):
    """Show a log: its messages, the tree of what one of them led to, or its digest. A bus may be writing to it."""

    store: StoreUrl = None
    tree: Annotated[str | None, argument(metavar="ID", help="Who caused what: of a position or a command id.")] = None
    digest: Annotated[bool, argument(help="Only the digest of all that has retired.")] = False
    follow: Annotated[bool, argument(help="Go on with what retires, until Ctrl-C; begins near the end.")] = False
    from_: Annotated[WholeNumber, argument(name="from", metavar="N", help="The first position to look at.")] = None
    to: ToPosition = None
    name: Annotated[
        tuple[str, ...], argument(metavar="NAME ...", help="Messages of these names, full or behind the dot.")
    ] = ()
    kind: Annotated[tuple[str, ...], argument(metavar="KIND ...", help="command, event, repeated.")] = ()
    status: Annotated[
        tuple[str, ...],
        argument(metavar="STATUS ...", help="succeeded, failed, parked, started, moved, waiting."),
    ] = ()
    key: Annotated[str | None, argument(metavar="KEY", help="Commands of this key.")] = None
    correlation: Annotated[
        WholeNumber, argument(metavar="N", help="All that the root command at this position led to.")
    ] = None
    since: Moment = None
    until: Moment = None
    limit: Annotated[WholeNumber, argument(metavar="N", help="So many messages, and no more.")] = None
    config: ConfigFile = None
    json: Annotated[bool, argument(help="Print JSON, for programs: one message a line.")] = False

    @property
    def is_list(self) -> bool:
        """Whether messages are listed, one after the other."""
        return self.tree is None and not self.digest

    def answer(self) -> Answer:
        """The tree or the digest."""
        from driven.entrypoints.drawing.progress import progress_bar  # noqa: PLC0415 - see the head of `verbs`

        with self._log() as store:
            if self.tree is not None:
                from driven.entrypoints.drawing.log import tree_page  # noqa: PLC0415 - see the head of `verbs`
                from driven.entrypoints.log.tree import causation_tree  # noqa: PLC0415 - the same

                with progress_bar("reading") as tell:
                    tree = causation_tree(store, self.tree, tell)
                return Answer(tree, tree_page(tree))
            from driven.entrypoints.drawing.log import digest_page  # noqa: PLC0415 - the same
            from driven.entrypoints.log.digest import digest_report  # noqa: PLC0415 - the same

            with progress_bar("reading") as tell:
                report = digest_report(store, tell)
            return Answer(report, digest_page(report))

    def write(self) -> None:
        """Write the list to standard output, as it is read."""
        from driven.entrypoints.log.printing import print_json, print_lines  # noqa: PLC0415 - see the head of `verbs`
        from driven.entrypoints.log.walking import followed, there  # noqa: PLC0415 - the same

        with self._log() as store:
            if self.limit is not None and self.limit < 0:
                raise MisuseError(f"--limit {self.limit} is no number of messages; give 0 or more")
            walk = followed if self.follow else there
            records = islice(walk(store, self._asked(store.last_position)), self.limit)
            if not (print_json if self.json else print_lines)(records) and self.limit != 0:
                sys.stderr.write(f"driven: no message is like that; the log ends at position {store.last_position}\n")

    @contextlib.contextmanager
    def _log(self) -> Iterator[EventStore]:
        from driven.entrypoints.configured import configured  # noqa: PLC0415 - see the head of `verbs`
        from driven.entrypoints.reading import log_to_read  # noqa: PLC0415 - the same

        with contextlib.closing(log_to_read(configured(self.config, self.store).store)) as store:
            yield store

    def _asked(self, last_position: int) -> Asked:
        from driven.entrypoints.log.asked import KINDS, STATUSES, Asked, known, moment_ns  # noqa: PLC0415 - as above

        now = datetime.now(UTC)
        first = self.from_ if self.from_ is not None else max(last_position - TAIL, 0) + 1 if self.follow else 1
        return Asked(
            first=max(first, 1),
            last=self.to,
            names=self.name,
            kinds=known("--kind", self.kind, KINDS),
            statuses=known("--status", self.status, STATUSES),
            key=self.key,
            correlation=self.correlation,
            since_ns=moment_ns("--since", self.since, now),
            until_ns=moment_ns("--until", self.until, now),
        )
