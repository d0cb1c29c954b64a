"""The census as an application: the whole way of a survey on a bus without workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from census.app import app, count_as_measured, count_as_unreadable, measure_every_file
from census.measuring import measure
from census.messages import FileMeasured, FileUnreadable, MeasureFile, StartSurvey, SurveyStarted, TallyFile
from census.table import FileTable, SurveyRows
from census.tree import DiskTree, SourceTree, standard_library
from driven import AggregateExists, CommandFailed, Settings, WorkerSettings, open_bus

if TYPE_CHECKING:
    from pathlib import Path

    from driven import Application

INLINE = Settings(workers=WorkerSettings(count=0))


async def survey(root: Path, application: Application = app) -> tuple[SurveyRows, str]:
    """Survey a tree inline; the rows and the digest of the log."""
    async with open_bus(application, INLINE, clock_ns=lambda: 0) as bus:
        receipt = await bus.submit(StartSurvey("s1", str(root)))
        await receipt.handled()
        await receipt.settled()
        return bus.resolve(FileTable).survey("s1"), bus.log_digest()


async def test_every_file_of_the_tree_comes_in(tmp_path: Path) -> None:
    """Each file is measured or has a reason, and the last one finishes the survey."""
    (tmp_path / "good.py").write_text("def f(): return a or b\n")
    (tmp_path / "binary.py").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "large.py").write_bytes(b"#" * 5_000_001)

    rows, _ = await survey(tmp_path)

    assert rows.is_finished
    assert rows.expected == rows.done == 4
    assert rows.measured["good.py"].worst_complexity == 2
    assert rows.unreadable == {
        "binary.py": "not text: it has null bytes",
        "broken.py": "does not parse: invalid syntax (line 1)",
        "large.py": "larger than 5,000,000 bytes; split it to have it measured",
    }


async def test_two_surveys_of_one_tree_leave_the_same_log(tmp_path: Path) -> None:
    """O6: whatever the clock says, the digest is that of what happened."""
    (tmp_path / "a.py").write_text("def f(): pass\n")

    (_, first), (_, second) = await survey(tmp_path), await survey(tmp_path)

    assert first == second


@pytest.mark.parametrize(
    ("root", "error", "remedy"),
    [
        ("nowhere", "census.errors.RootMissing", "give a folder that exists"),
        ("file.txt", "census.errors.RootNotFolder", "give the folder that holds"),
        ("empty", "census.errors.EmptyTree", "give a folder that holds *.py files"),
    ],
)
async def test_a_bad_root_fails_the_command_with_a_remedy(tmp_path: Path, root: str, error: str, remedy: str) -> None:
    """F1: the submitter is told what is wrong and what to do."""
    (tmp_path / "file.txt").write_text("text")
    (tmp_path / "empty").mkdir()

    with pytest.raises(CommandFailed) as caught:
        await survey(tmp_path / root)

    assert caught.value.error_type == error
    assert root in caught.value.error_message
    assert remedy in caught.value.error_message


async def test_a_survey_id_is_used_once(tmp_path: Path) -> None:
    """U1: the second survey of that name fails, and the first stays as it is."""
    (tmp_path / "a.py").write_text("")
    async with open_bus(app, INLINE) as bus:
        await (await bus.submit(StartSurvey("s1", str(tmp_path)))).settled()
        second = await bus.submit(StartSurvey("s1", str(tmp_path)))

        with pytest.raises(CommandFailed) as caught:
            await second.handled()

        assert caught.value.error_type.endswith(AggregateExists.__name__)
        assert bus.resolve(FileTable).survey("s1").done == 1


class TreeOfOne(DiskTree):
    """A tree with one file, and no disk."""

    def files(self, root: str) -> tuple[str, ...]:
        """The one file, whatever the root."""
        return (f"{root}.py",)

    def read(self, root: str, path: str) -> bytes:
        """Its source."""
        return f"def {root}(): return '{path}'\n".encode()


async def test_another_source_tree_is_one_binding_away() -> None:
    """docs/how-to/swap-an-implementation.md: handlers ask for the interface and never learn what they got."""
    twin = app.copy()
    twin.binds(SourceTree, to=TreeOfOne)

    async with open_bus(twin, INLINE) as bus:
        await (await bus.submit(StartSurvey("s1", "only"))).settled()

        rows = bus.resolve(FileTable).survey("s1")
        assert list(rows.measured) == ["only.py"]
        assert rows.measured["only.py"].worst_function == "only"


def test_the_default_root_is_the_standard_library() -> None:
    """The demonstration needs no argument."""
    assert StartSurvey("s1").root == standard_library()


def test_files_are_measured_in_the_order_of_the_listing() -> None:
    """O3: the reaction's order is the order of positions."""
    commands = measure_every_file(SurveyStarted("s1", "/srv", ("b.py", "a.py")))

    assert commands == [MeasureFile("s1", "/srv", "b.py"), MeasureFile("s1", "/srv", "a.py")]


def test_an_unreadable_file_is_counted_as_such() -> None:
    """R2: the reactions only ask for a count; which count it is, the event says."""
    readable = count_as_measured(FileMeasured("s1", "a.py", measure(b"")))
    unreadable = count_as_unreadable(FileUnreadable("s1", "b.py", "binary"))

    assert (readable, unreadable) == (TallyFile("s1", "a.py", readable=True), TallyFile("s1", "b.py", readable=False))
