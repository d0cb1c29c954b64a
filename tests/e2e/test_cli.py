"""The command line as users meet it: the real program, in a folder with an application, piped and on a terminal."""

from __future__ import annotations

import contextlib
import importlib
import os
import pty
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

import driven
import driven_worker
from driven.entrypoints import cli
from driven.entrypoints.reports.check import CheckReport
from driven.entrypoints.reports.doctor import DoctorReport
from driven.entrypoints.reports.placement import PlacementReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

REPOSITORY = Path(__file__).parents[2]
BOUND_S = 60
ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[(?:\d+;)*[349][0-7][;m]")
DRAWING_CHARACTERS = range(0x2500, 0x2580)

SHOP = """
    from driven import Application, Command, Event, Placement

    print("the shop is imported")
    app = Application("shop")

    class Reserve(Command):
        order_id: str

    class Missing(Event):
        order_id: str

    @app.handles(Reserve, placement=Placement.WORKER, timeout_s=5)
    def reserve(command: Reserve) -> Missing | None: ...

    @app.reacts_to(Missing)
    def try_again(event: Missing) -> Reserve: ...
"""
FAULTY = """
    from driven import Application, Command

    app = Application("faulty")

    class Nothing(Command):
        pass

    @app.handles(Nothing)
    def first(command: Nothing) -> None: ...

    @app.handles(Nothing)
    def second(command: Nothing) -> None: ...

    @app.handles(Nothing, retries=-1)
    def third(command: Nothing) -> None: ...
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two applications; nothing of it is on the import path."""
    for name, text in {"shop.py": SHOP, "faulty.py": FAULTY}.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    return tmp_path


def environment(**changes: str) -> dict[str, str]:
    """The environment of a user who has installed Driven and set nothing else."""
    roots = (str(Path(package.__path__[0]).parent) for package in (driven, driven_worker))
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("DRIVEN_", "PYTHON"))}
    for unwanted in ("COLUMNS", "FORCE_COLOR", "NO_COLOR"):
        ours.pop(unwanted, None)
    return {**ours, "PYTHONPATH": os.pathsep.join(roots), "TERM": "xterm-256color", **changes}


def run(folder: Path, *arguments: str, program: Sequence[str] = ("-m", "driven")) -> subprocess.CompletedProcess[str]:
    """Type a command in this folder, with its output piped."""
    return subprocess.run(
        [sys.executable, "-W", "error", *program, *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )


def on_terminal(folder: Path, *arguments: str, variables: Mapping[str, str]) -> tuple[int, str]:
    """Type a command on a terminal; return the exit code and all that was shown."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "driven", *arguments],
        cwd=folder,
        env=environment(COLUMNS="100", **variables),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that the other side has closed
            while part := os.read(ours, 65_536):
                shown += part
        os.close(ours)
        return process.wait(BOUND_S), shown.decode()


def is_plain(text: str) -> bool:
    """Whether a text has neither colours nor drawing characters."""
    return ESCAPE not in text and not any(ord(character) in DRAWING_CHARACTERS for character in text)


def test_the_version_is_told(folder: Path) -> None:
    """What a bug report begins with."""
    told = run(folder, "--version")

    assert (told.returncode, told.stdout, told.stderr) == (0, f"driven {driven.__version__}\n", "")


def test_the_installed_script_is_the_same_program() -> None:
    """`driven` and `python -m driven` begin in the same function."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    module, _, function = project["scripts"]["driven"].partition(":")

    assert getattr(importlib.import_module(module), function) is cli.main


def test_an_application_of_the_current_folder_is_checked(folder: Path) -> None:
    """R1, R3: parts, drawing and cycle on standard output, as plain text, and exit code 0: a cycle is no fault."""
    checked = run(folder, "check", "shop:app")

    assert checked.returncode == 0, checked.stderr
    assert "application shop  shop:app; no faults" in checked.stdout
    assert "<- back to Reserve, a cycle" in checked.stdout
    assert is_plain(checked.stdout)


def test_all_faults_of_an_application_are_listed(folder: Path) -> None:
    """R1: exit code 1, and every fault with its number."""
    checked = run(folder, "check", "faulty:app")

    assert checked.returncode == 1
    assert "faulty.second" in checked.stdout
    assert "retries=-1" in checked.stdout
    assert "  2. " in checked.stdout
    assert checked.stderr == ""


def test_json_is_the_record_and_nothing_else(folder: Path) -> None:
    """What the application prints when it is imported goes to standard error."""
    checked = run(folder, "check", "shop:app", "--json")

    report = msgspec.json.decode(checked.stdout, type=CheckReport)
    assert (report.application, report.reference, report.is_ok) == ("shop", "shop:app", True)
    assert report.cycles == (("shop.Missing", "shop.Reserve", "shop.Missing"),)
    assert checked.stderr == "the shop is imported\n"


def test_faults_are_in_the_json_as_well(folder: Path) -> None:
    """R1: a pipeline reads the faults from the same record."""
    checked = run(folder, "check", "faulty:app", "--json")

    assert checked.returncode == 1
    assert len(msgspec.json.decode(checked.stdout, type=CheckReport).faults) >= 2


def test_the_placement_follows_the_configuration_that_is_named(folder: Path) -> None:
    """docs/reference/command-line.md: decorator and section together, with the reason for each."""
    (folder / "here.toml").write_text("[workers]\ncount = 1\n[commands.Reserve]\ntimeout_s = 9\n")

    told = run(folder, "placement", "shop:app", "--config", "here.toml", "--json")

    report = msgspec.json.decode(told.stdout, type=PlacementReport)
    assert (told.returncode, report.config, report.groups[0].workers) == (0, "here.toml", 1)
    assert (report.commands[0].timeout_s, report.commands[0].decided_by) == (9, "[commands.Reserve]")


def test_workers_that_would_not_start_are_a_fault(folder: Path) -> None:
    """docs/reference/command-line.md: a group on a CPU that is not there; exit code 1."""
    (folder / "driven.toml").write_text("[workers.groups.far]\ncount = 1\ncpus = [60000]\n")

    told = run(folder, "placement", "shop:app")

    assert told.returncode == 1
    assert "[workers.groups.far] cpus: CPU 60000 is not there" in " ".join(told.stdout.split())
    assert is_plain(told.stdout)


def test_the_doctor_finds_that_driven_works_here(folder: Path) -> None:
    """W1, W8: everything that the tests need is looked at, and well."""
    plain, json = run(folder, "doctor"), run(folder, "doctor", "--json")

    assert plain.returncode == json.returncode == 0, plain.stdout
    assert "Driven works here" in plain.stdout
    assert is_plain(plain.stdout)
    assert msgspec.json.decode(json.stdout, type=DoctorReport).is_ok


def test_the_doctor_finds_what_keeps_driven_from_working(folder: Path) -> None:
    """S2, W8: no file may be large enough for a ring, in shared memory or elsewhere: a problem, with its remedy."""
    starved = ["sh", "-c", 'ulimit -f 64; exec "$@"', "sh", sys.executable, "-B", "-m", "driven", "doctor", "--json"]

    told = subprocess.run(
        starved, cwd=folder, env=environment(), capture_output=True, text=True, timeout=BOUND_S, check=False
    )

    assert told.returncode == 1, told.stderr
    findings = msgspec.json.decode(told.stdout, type=DoctorReport).findings
    (backing,) = (finding for finding in findings if finding.name == "ring_backing")
    assert (backing.verdict, backing.facts["backing"]) == ("problem", None)
    assert "larger /dev/shm or more memory" in backing.remedy


@pytest.mark.parametrize("missing", ["dishka", "psutil"])
def test_the_doctor_comes_to_those_whose_installation_is_broken(folder: Path, missing: str) -> None:
    """Style: a missing library is a problem with a remedy; the other commands could not even be imported."""
    program = f"import sys; sys.modules[{missing!r}] = None; from driven.entrypoints.cli import main; sys.exit(main())"

    told = run(folder, "doctor", "--json", program=("-c", program))

    assert told.returncode == 1, told.stderr
    findings = msgspec.json.decode(told.stdout, type=DoctorReport).findings
    assert [finding.name for finding in findings if finding.verdict == "problem"] == [missing]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "nowhere:app"], "No module named 'nowhere'"),
        (["check", "shop"], "applications in shop: shop:app"),
        (["placement", "shop:app", "--config", "missing.toml"], "missing.toml"),
        (["placement", "nowhere:app"], "No module named 'nowhere'"),
        (["check"], "module:app"),
        (["frobnicate"], "check, placement, doctor"),
        ([], "check, placement, doctor"),
    ],
    ids=["no module", "no attribute", "no configuration", "no module to place", "no argument", "no command", "nothing"],
)
def test_what_cannot_be_done_is_said_without_a_traceback(folder: Path, arguments: list[str], said: str) -> None:
    """Style: the culprit and the remedy, on standard error, and exit code 2."""
    told = run(folder, *arguments)

    assert (told.returncode, told.stdout.replace("the shop is imported\n", "")) == (2, "")
    assert said in told.stderr
    assert "Traceback" not in told.stderr
    assert is_plain(told.stderr)


def test_a_faulty_application_cannot_be_placed(folder: Path) -> None:
    """R1: the same faults as the check finds, on standard error, and exit code 1."""
    told = run(folder, "placement", "faulty:app")

    assert (told.returncode, told.stdout) == (1, "")
    assert "faulty.second" in told.stderr
    assert "Traceback" not in told.stderr


CLI = "driven: the command line needs more than the library: pip install 'driven-bus[cli]'"
HTTP = "driven: serving over HTTP needs more than the command line: pip install 'driven-bus[http]'"


@pytest.mark.parametrize(
    ("typed", "missing", "words"),
    [
        (("doctor",), "tyro", CLI),
        (("doctor",), "rich", CLI),
        (("run", "shop:app"), "starlette", HTTP),
        (("run", "shop:app"), "uvicorn", HTTP),
        (("run", "shop:app"), "prometheus_client", HTTP),
    ],
)
def test_without_the_extra_its_name_is_told(folder: Path, typed: tuple[str, ...], missing: str, words: str) -> None:
    """Style: nothing optional is imported by the core; the line that installs it is the whole message."""
    program = f"import sys; sys.modules[{missing!r}] = None; from driven.entrypoints.cli import main; sys.exit(main())"

    told = run(folder, *typed, program=("-c", program))

    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.splitlines() == [words]


def test_an_api_without_the_extra_says_what_to_install(folder: Path) -> None:
    """Whoever checks an application that has an `Api` is told of the extra, not of a library that he never named."""
    (folder / "served.py").write_text("from driven.entrypoints.http import Api\n")
    program = "import sys; sys.modules['starlette'] = None; from driven.entrypoints.cli import main; sys.exit(main())"

    told = run(folder, "check", "served:app", program=("-c", program))

    assert told.returncode == 2
    assert "HTTP needs starlette, which comes with the extra: pip install 'driven-bus[http]'" in told.stderr
    assert "served.py, line 1: from driven.entrypoints.http import Api" in told.stderr


def test_help_is_plain_when_it_is_piped(folder: Path) -> None:
    """Each command is there with a sentence about it."""
    told = run(folder, "--help")

    assert told.returncode == 0
    assert all(command in told.stdout for command in ("check", "placement", "doctor", "--version"))
    assert is_plain(told.stdout)


def test_help_tells_a_default_only_where_that_tells_something(folder: Path) -> None:
    """What is left out is nothing: `(default: None)` would be noise; of a field, its default is part of the model."""
    of_a_verb = run(folder, "log", "--help").stdout + run(folder, "parked", "--help").stdout
    of_a_command = run(folder, "dispatch", "shop:app", "Reserve", "--help").stdout

    assert re.findall(r"\(default: .*\)", of_a_verb) == ["(default: 100)"]
    assert "Carry out Reserve." in of_a_command
    assert "--order-id STR" in of_a_command


def told_into(output: int, folder: Path, *typed: str) -> subprocess.CompletedProcess[bytes]:
    """What `driven` says on standard error while its standard output goes where nothing can be written."""
    return subprocess.run(
        [sys.executable, "-m", "driven", *typed],
        cwd=folder,
        env=environment(),
        stdout=output,
        stderr=subprocess.PIPE,
        timeout=BOUND_S,
        check=False,
    )


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_a_reader_that_has_left_is_no_accident(folder: Path, form: list[str]) -> None:
    """`driven check shop:app | true` ends without the traceback of a broken pipe."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        told = told_into(writer, folder, "check", "shop:app", *form)
    finally:
        os.close(writer)

    assert told.stderr == b"the shop is imported\n"


@pytest.mark.parametrize(
    "typed",
    [
        ["check", "shop:app"],
        ["check", "shop:app", "--json"],
        ["--help"],
        ["dispatch", "shop:app", "Reserve", "--order-id=a"],
    ],
    ids=["text", "json", "help", "dispatch"],
)
def test_a_full_disk_under_standard_output_is_named(folder: Path, typed: list[str]) -> None:
    """A report that is not there is no report: exit code 1, one line, no traceback."""
    with Path("/dev/full").open("wb") as full:
        told = told_into(full.fileno(), folder, *typed)

    assert told.returncode == 1
    assert told.stderr.decode().splitlines()[-1] == (
        "driven: standard output cannot be written: No space left on device; make room, or write elsewhere"
    )
    assert b"Traceback" not in told.stderr


def test_a_terminal_is_drawn_on(folder: Path) -> None:
    """Style: beautiful where somebody looks; the same words in colour, with branches and an arrow back."""
    exit_code, shown = on_terminal(folder, "check", "shop:app", variables={})

    assert exit_code == 0
    assert f"{ESCAPE}[1;36mReserve" in shown
    assert "└── " in shown
    assert "↩ back to Reserve, a cycle" in shown


@pytest.mark.parametrize("arguments", [["check", "shop:app"], ["--help"]], ids=["page", "help"])
def test_no_color_is_honoured(folder: Path, arguments: list[str]) -> None:
    """no-color.org: no colour codes, whatever the terminal could show."""
    _, shown = on_terminal(folder, *arguments, variables={"NO_COLOR": "1"})

    assert "check" in shown or "Reserve" in shown
    assert not COLOUR.search(shown)


def test_a_dumb_terminal_gets_plain_text(folder: Path) -> None:
    """A terminal inside an editor shows escape codes as garbage."""
    exit_code, shown = on_terminal(folder, "doctor", variables={"TERM": "dumb"})

    assert exit_code == 0
    assert is_plain(shown)


def test_what_is_typed_in_a_shell_can_be_completed(folder: Path) -> None:
    """Verbs, their options, and the values of these: by the script that bash is given."""
    for shell in ("bash", "zsh", "fish"):
        assert run(folder, "--tyro-write-completion", shell, f"complete.{shell}").returncode == 0
    asked = 'source complete.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tyro_driven; echo "${COMPREPLY[@]}"'
    lines = [("driven", "d"), ("driven", "dispatch", "--wait", ""), ("driven", "run", "--po")]
    found = [
        subprocess.run(
            ["/bin/bash", "-c", asked, "bash", *line],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=True,
        ).stdout.split()
        for line in lines
    ]

    assert found == [["dispatch", "doctor", "due"], ["accepted", "handled", "settled"], ["--port"]]
    assert all((folder / f"complete.{shell}").read_text("utf-8") for shell in ("zsh", "fish"))


@pytest.mark.parametrize("typed", [("--tyro-write-completion", "ksh", "script"), ("--tyro-print-completion", "tcsh")])
def test_a_shell_that_is_not_known_is_named(folder: Path, typed: tuple[str, ...]) -> None:
    """With those that are."""
    told = run(folder, *typed)

    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == f"driven: completion is not written for {typed[1]!r}; name one of bash, zsh, fish\n"


def test_a_completion_that_cannot_be_written_says_why(folder: Path) -> None:
    """What was typed is wrong, so no traceback."""
    told = run(folder, "--tyro-write-completion", "bash", "not_there/script")

    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == "driven: not_there/script cannot be written: No such file or directory; name another file\n"
