"""The drawing of what leads to what: a tree from each message that nothing leads to, commands and events in turn.

::

    StartSurvey
    -> SurveyStarted
       -> MeasureFile
          -> FileMeasured
             <- back to MeasureFile, a cycle

Each message is drawn with all that follows it once; where it is met again, the drawing refers to that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from driven.entrypoints.drawing.page import Branch, Phrase, Tone, Tree
from driven.entrypoints.words import short
from driven.placement import Placement

if TYPE_CHECKING:
    from driven.entrypoints.reports.check import CheckReport


def message_tree(report: CheckReport) -> Tree:
    """Draw the graph of an application that has no faults."""
    artist = _Artist(report)
    commands = [command.name for command in report.commands]
    names = [*commands, *(name for name in report.edges if name not in commands)]
    led_to = {target for targets in report.edges.values() for target in targets}
    # What is left after the beginnings leads round in circles; any point will do to begin with.
    for name in [*(name for name in names if name not in led_to), *names]:
        if name not in artist.drawn:
            artist.roots.append(artist.branch(name, ()))
    return Tree(tuple(artist.roots))


class _Artist:
    """Draws one tree, and remembers what is on it."""

    def __init__(self, report: CheckReport) -> None:
        self.roots: list[Branch] = []
        self.drawn: set[str] = set()
        self._report = report
        self._commands = {command.name: command for command in report.commands}

    def branch(self, name: str, ancestors: tuple[str, ...]) -> Branch:
        """The message `name` and all that follows it; `ancestors` lead from the root to it."""
        if name in ancestors:
            return self._back_to(name)
        phrases = [Phrase(self._short(name), Tone.COMMAND if name in self._commands else Tone.EVENT)]
        targets = self._report.edges[name]
        if name in self.drawn and targets:
            return Branch((*phrases, Phrase("  (goes on as above)", Tone.FAINT)))
        self.drawn.add(name)
        command = self._commands.get(name)
        if command is not None and command.placement is not Placement.INLINE:
            phrases.append(Phrase(f"  {command.placement.value}", Tone.FAINT))
        return Branch(tuple(phrases), tuple(self.branch(target, (*ancestors, name)) for target in targets))

    def _back_to(self, name: str) -> Branch:
        back = Phrase(f"back to {self._short(name)}, a cycle", Tone.CAUTION, f"↩ back to {self._short(name)}, a cycle")
        return Branch((back,), arrow="<-")

    def _short(self, name: str) -> str:
        return short(name, self._report.application)
