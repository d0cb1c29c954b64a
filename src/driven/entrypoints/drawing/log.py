"""How a log looks: a line for each message; or the tree of what one led to, alike branches drawn once and counted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from driven.entrypoints.drawing.page import Branch, Heading, Paragraph, Phrase, Tone, Tree, line
from driven.entrypoints.drawing.top import duration
from driven.entrypoints.log.entries import WAITING, fields_of, moment_of, status_of
from driven.entrypoints.words import counted
from driven.verification.differences import shown_fields

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driven.entrypoints.drawing.page import Line, Page
    from driven.entrypoints.log.digest import DigestReport
    from driven.entrypoints.log.tree import CausationTree, Node
    from driven.service.event_store import LogRecord

TITLES: Final = f"{'position':>8}  {'admitted (UTC)':18}  {'name':28}  {'status':9}  {'cause':>8}  fields"
"""Of the columns of a list."""

ALIKE: Final = 5
"""Branches of one name below one message that are drawn; of the others those with trouble."""

TROUBLES: Final = 20
"""Branches with trouble that are drawn beside those."""

TONES: Final = {"command": Tone.COMMAND, "event": Tone.EVENT, "repeated": Tone.EVENT}
STATUS_TONES: Final = {
    "succeeded": Tone.GOOD,
    "failed": Tone.BAD,
    "parked": Tone.BAD,
    "started": Tone.CAUTION,
    "moved": Tone.FAINT,
    WAITING: Tone.CAUTION,
}
FINE: Final = {"succeeded", "moved"}
_NANOSECONDS: Final = 1_000_000_000


def record_line(record: LogRecord) -> Line:
    """One message, as a line of a list."""
    message, envelope, status = record.message, record.message.envelope, status_of(record)
    moment = moment_of(envelope.recorded_at_ns).strftime("%m-%d %H:%M:%S.%f")[:-3]
    cause = f"<- {envelope.causation}" if envelope.causation else "-"
    key = f"[{envelope.key}] " if envelope.key is not None else ""
    failures = "" if record.outcome is None else "; ".join(f"{one.message}" for one in record.outcome.failures)
    return (
        Phrase(f"{envelope.position:>8}  ", Tone.STRONG),
        Phrase(f"{moment:18}  ", Tone.FAINT),
        Phrase(f"{message.name:28}  ", TONES[message.kind.value]),
        Phrase(f"{status:9}  ", STATUS_TONES[status]),
        Phrase(f"{cause:>8}  ", Tone.FAINT),
        Phrase(key, Tone.STRONG),
        Phrase(shown_fields(fields_of(message.body))),
        Phrase(f"  {failures}" if failures else "", Tone.BAD),
    )


def tree_page(tree: CausationTree) -> Page:
    """Draw what a message led to, and what led to it."""
    return tuple(_tree_parts(tree))


def digest_page(report: DigestReport) -> Page:
    """Draw a digest."""
    remark = f"{counted(report.last_position, 'message')}"
    return (
        Heading(f"log {report.log_id}", remark),
        Paragraph(((Phrase("digest  "), Phrase(report.digest, Tone.STRONG)),)),
    )


def _tree_parts(tree: CausationTree) -> Iterator[Heading | Paragraph | Tree]:
    top = tree.top
    is_root = not tree.ancestors
    remark = f"{counted(tree.messages, 'message')}, admitted {moment_of(top.recorded_at_ns):%Y-%m-%d %H:%M:%S} UTC"
    yield Heading(f"{'root' if is_root else 'message'} {top.position:,}", remark)
    if not is_root:
        way = (f"{one.name} at {one.position:,}" for one in tree.ancestors)
        yield Paragraph((line(f"caused by: {' -> '.join(way)}", Tone.FAINT),))
    yield Tree((_branch(top, top.recorded_at_ns),))
    if tree.left_out:
        yield Paragraph((line(f"{counted(tree.left_out, 'message')} further down left out", Tone.CAUTION),))


def _branch(node: Node, began_ns: int) -> Branch:
    return Branch(_node_line(node, began_ns), tuple(_below(node.branches, began_ns)))


def _below(nodes: Sequence[Node], began_ns: int) -> Iterator[Branch]:
    """Branches, the first of each name and those with trouble; the rest as a count, where it would begin."""
    drawn: Counter[str] = Counter()
    rest: dict[str, list[Node]] = {}
    troubles = 0
    for node in nodes:
        has_trouble = node.status not in FINE and troubles < TROUBLES
        if drawn[node.name] < ALIKE or has_trouble:
            drawn[node.name] += 1
            troubles += has_trouble
            yield _branch(node, began_ns)
        else:
            rest.setdefault(node.name, []).append(node)
    for name, left in rest.items():
        states = Counter(node.status for node in left)
        told = ", ".join(f"{count:,} {status}" for status, count in sorted(states.items()))
        more = sum(map(_size, left)) - len(left)
        below = f"; {counted(more, 'message')} below them" if more else ""
        yield Branch(line(f"... and {len(left):,} more {name}: {told}{below}", Tone.FAINT))


def _size(node: Node) -> int:
    total, left = 0, [node]
    while left:
        one = left.pop()
        total += 1
        left.extend(one.branches)
    return total


def _node_line(node: Node, began_ns: int) -> Line:
    after_s = max(node.recorded_at_ns - began_ns, 0) / _NANOSECONDS
    took = "" if node.took_ns is None else f", took {duration(node.took_ns / _NANOSECONDS)}"
    attempts = f" at attempt {node.attempts}" if node.attempts > 1 else ""
    key = f" [{node.key}]" if node.key is not None else ""
    return (
        Phrase(node.name, TONES[node.kind]),
        Phrase(f" {node.position:,}{key}", Tone.STRONG),
        Phrase(f"  {node.status}{attempts}", STATUS_TONES[node.status]),
        Phrase(f"  +{duration(after_s)}{took}", Tone.FAINT),
        Phrase(f"  {node.told}" if node.told else "", Tone.FAINT),
        Phrase(f"  {node.failure}" if node.failure else "", Tone.BAD),
    )
