"""The reference of the command line keeps its word: its tables name every field of every record, and every fact."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from driven.bus.parked_messages import ParkedMessage
from driven.entrypoints.bench.contenders import CATALOGUE
from driven.entrypoints.bench.record import BenchReport
from driven.entrypoints.bench.samples import Measure, Sample
from driven.entrypoints.log.digest import DigestReport
from driven.entrypoints.log.entries import LogEntry
from driven.entrypoints.log.tree import CausationTree, Node
from driven.entrypoints.parked import RedriveReport
from driven.entrypoints.reports.check import (
    CheckReport,
    CommandReport,
    EventReport,
    NotifierReport,
    ProjectorReport,
    ReactionReport,
)
from driven.entrypoints.reports.doctor import DoctorReport, doctor_report
from driven.entrypoints.reports.finding import Finding, Machine
from driven.entrypoints.reports.placement import GroupReport, PlacedCommand, PlacementReport
from driven.entrypoints.reports.top import TopReport
from driven.entrypoints.schema.comparison import TypeChange
from driven.entrypoints.schema.document import SchemaDocument
from driven.entrypoints.schema.report import SchemaReport
from driven.pool.cpus import CpuCount
from driven.verification.report import CommandDifference, VerificationReport

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[3] / "docs/reference/command-line.md"


def rows(heading: str) -> Iterator[list[str]]:
    """The cells of the table right below a heading, without its own heading."""
    below = re.split(r"^#+ ", PAGE.read_text("utf-8").partition(f"\n{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    table = [line for line in below.splitlines() if line.startswith("|")]
    return ([cell.strip() for cell in line.strip("|").split("|")] for line in table[2:])


@pytest.mark.parametrize(
    ("heading", "record"),
    [
        ("## The record of a check", CheckReport),
        ("### Commands", CommandReport),
        ("### Events", EventReport),
        ("### Reactions", ReactionReport),
        ("### Projectors", ProjectorReport),
        ("### Notifiers", NotifierReport),
        ("## The record of a placement", PlacementReport),
        ("### CPUs", CpuCount),
        ("### Groups", GroupReport),
        ("### Placed commands", PlacedCommand),
        ("## The record of a look at a bus", TopReport),
        ("## The record of a verification", VerificationReport),
        ("### Differences", CommandDifference),
        ("## The record of a message", LogEntry),
        ("## The record of a digest", DigestReport),
        ("## The record of a tree", CausationTree),
        ("### Nodes", Node),
        ("## The record of schemas", SchemaReport),
        ("### Changes of types", TypeChange),
        ("### The document", SchemaDocument),
        ("### Parked messages", ParkedMessage),
        ("### Redrives", RedriveReport),
        ("## The record of the doctor", DoctorReport),
        ("### Findings", Finding),
        ("## The record of a run of benchmarks", BenchReport),
        ("### Samples", Sample),
    ],
)
def test_each_table_names_the_fields_of_its_record(heading: str, record: type[msgspec.Struct]) -> None:
    """Field names are a promise to programs: a renamed one shows here."""
    assert [cells[0].strip("`") for cells in rows(heading)] == [field.name for field in msgspec.structs.fields(record)]


def test_every_measure_and_every_contender_can_be_looked_up() -> None:
    """What `driven bench` takes, the page tells."""
    told = re.findall(r"^\| `([\w-]+)` \| ", PAGE.read_text("utf-8").partition("## What is measured")[2], re.MULTILINE)

    expected = [*sorted(measure.value for measure in Measure), *sorted(one.key for one in CATALOGUE)]
    count = len(Measure)
    assert [*sorted(told[:count]), *sorted(told[count : count + len(CATALOGUE)])] == expected


def test_the_table_of_facts_names_what_the_doctor_finds() -> None:
    """The same findings in the same order, with the same facts."""
    told = {cells[0].strip("`"): re.findall(r"`(\w+)`", cells[1]) for cells in rows("### Facts")}

    found = {finding.name: list(finding.facts) for finding in doctor_report(Machine()).findings}

    assert list(told) == list(found)
    assert told == found
