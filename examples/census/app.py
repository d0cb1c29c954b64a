"""The census as an application: every handler, reaction and projector, and what they are given.

::

    StartSurvey -> SurveyStarted -> MeasureFile, one per file, on workers
                                      |-> FileMeasured ----.
                                      `-> FileUnreadable --+-> TallyFile -> ... the last one: SurveyFinished

Importing this starts nothing: workers import it as well as the main process.
"""

from census.errors import Unreadable
from census.measuring import measure
from census.messages import (
    FileMeasured,
    FileUnreadable,
    MeasureFile,
    StartSurvey,
    SurveyFinished,
    SurveyStarted,
    TallyFile,
)
from census.survey import Survey
from census.table import FileTable
from census.tree import DiskTree, SourceTree
from driven import Application, Placement, UnitOfWork

app = Application("census")
app.binds(SourceTree, to=DiskTree)
app.binds(FileTable)


@app.handles(StartSurvey, key="survey_id", emits=(SurveyStarted,), exposed=True)
def start_survey(command: StartSurvey, uow: UnitOfWork, tree: SourceTree) -> None:
    """Find the files; a root that is missing, not a folder or empty is refused."""
    uow.add(Survey.start(command.survey_id, command.root, tree.files(command.root)))


@app.reacts_to(SurveyStarted)
def measure_every_file(event: SurveyStarted) -> list[MeasureFile]:
    """Ask for each file to be measured, in the order of the listing."""
    return [MeasureFile(event.survey_id, event.root, path) for path in event.paths]


@app.handles(MeasureFile, placement=Placement.WORKER, timeout_s=60)
def measure_file(command: MeasureFile, tree: SourceTree) -> FileMeasured | FileUnreadable:
    """Measure one file; what cannot be measured is a finding, not a failure."""
    try:
        measures = measure(tree.read(command.root, command.path))
    except Unreadable as error:
        return FileUnreadable(command.survey_id, command.path, error.reason)
    return FileMeasured(command.survey_id, command.path, measures)


@app.reacts_to(FileMeasured)
def count_as_measured(event: FileMeasured) -> TallyFile:
    """Count a file that was measured."""
    return TallyFile(event.survey_id, event.path, readable=True)


@app.reacts_to(FileUnreadable)
def count_as_unreadable(event: FileUnreadable) -> TallyFile:
    """Count a file that was not."""
    return TallyFile(event.survey_id, event.path, readable=False)


@app.handles(TallyFile, key="survey_id", emits=(SurveyFinished,))
def tally_file(command: TallyFile, uow: UnitOfWork) -> None:
    """Let the survey count the file; it knows which one is the last."""
    uow.get(Survey, command.survey_id).tally(command.path, readable=command.readable)


@app.projects(SurveyStarted)
def expect_files(event: SurveyStarted, table: FileTable) -> None:
    """Note what is to come."""
    rows = table.survey(event.survey_id)
    rows.root = event.root
    rows.expected = len(event.paths)


@app.projects(FileMeasured)
def tabulate_measured(event: FileMeasured, table: FileTable) -> None:
    """Add the file to the table."""
    table.survey(event.survey_id).measured[event.path] = event.measures


@app.projects(FileUnreadable)
def tabulate_unreadable(event: FileUnreadable, table: FileTable) -> None:
    """Add the file to those without measures."""
    table.survey(event.survey_id).unreadable[event.path] = event.reason


@app.projects(SurveyFinished)
def close_survey(event: SurveyFinished, table: FileTable) -> None:
    """Mark the table as complete."""
    table.survey(event.survey_id).is_finished = True
