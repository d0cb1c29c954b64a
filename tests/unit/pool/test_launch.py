"""How a worker is started: command line and environment, from the state of this interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from driven.errors import WorkersUnavailable
from driven.pool.launch import THREAD_COUNTS, command_line, interpreter_options, program_root, worker_environment


def test_a_worker_is_started_by_the_name_of_its_program() -> None:
    """W1: this interpreter, `-m driven_worker`, and one argument."""
    words = command_line("the assignment")

    assert words[0] == sys.executable
    assert words[-3:] == ["-m", "driven_worker", "the assignment"]


def test_a_program_that_embeds_python_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """W1: there is no interpreter to start."""
    monkeypatch.setattr(sys, "executable", "")

    with pytest.raises(WorkersUnavailable, match=r"sys\.executable is empty; set it"):
        command_line("{}")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["-P"]),
        (["-O"], ["-P", "-O"]),
        (["-OO", "-b"], ["-P", "-b", "-OO", "-W", "default::BytesWarning"]),
        (["-B", "-s", "-S"], ["-P", "-B", "-s", "-S"]),
        (["-W", "error", "-W", "ignore::ResourceWarning"], ["-P", "-W", "error", "-W", "ignore::ResourceWarning"]),
        (["-X", "utf8", "-X", "int_max_str_digits=5000"], ["-P", "-X", "utf8", "-X", "int_max_str_digits=5000"]),
    ],
)
def test_options_that_change_what_code_does_are_handed_on(given: list[str], expected: list[str]) -> None:
    """O6: a command does the same in a worker as inline."""
    places = [str(Path(sys.modules[name].__file__ or "").parents[1]) for name in ("driven", "msgspec")]
    program = (
        f"import sys; sys.path += {places!r}; from driven.pool.launch import interpreter_options as o; print(*o())"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    told = subprocess.run(
        [sys.executable, *given, "-c", program], env=environment, check=True, capture_output=True, text=True, timeout=60
    )

    assert told.stdout.split() == expected


def test_thread_counts_are_capped_where_the_user_did_not() -> None:
    """W10, P12: all five, and what the user says wins."""
    environment = worker_environment({"OMP_NUM_THREADS": "8", "HOME": "/home/somebody"}, blas_threads=2)

    capped = {name: environment[name] for name in THREAD_COUNTS}
    assert capped == dict.fromkeys(THREAD_COUNTS, "2") | {"OMP_NUM_THREADS": "8"}
    assert environment["HOME"] == "/home/somebody"


def test_the_program_is_found_although_only_this_process_knows_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W1: a path that was put into sys.path by hand is put before the user's PYTHONPATH, and that stays."""
    (tmp_path / "driven_worker").mkdir()
    (tmp_path / "driven_worker" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "driven_worker", raising=False)

    environment = worker_environment({"PYTHONPATH": "/somewhere"}, blas_threads=1)

    assert environment["PYTHONPATH"] == os.pathsep.join([str(tmp_path), "/somewhere"])


def test_a_way_that_every_interpreter_knows_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """W1: site-packages in PYTHONPATH would come before the standard library, and hide parts of it."""
    monkeypatch.setattr("site.getsitepackages", lambda: [str(program_root())])

    assert "PYTHONPATH" not in worker_environment({}, blas_threads=1)
    assert worker_environment({"PYTHONPATH": "/somewhere"}, blas_threads=1)["PYTHONPATH"] == "/somewhere"


def test_a_program_that_is_nowhere_is_told_where_to_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """W1: half an installation."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    with pytest.raises(WorkersUnavailable, match="driven_worker is not on the import path; install driven-bus"):
        program_root()


def test_the_options_of_this_interpreter_are_read_each_time() -> None:
    """O6: nothing is kept."""
    assert interpreter_options() == interpreter_options()
