"""CPython 3.13's own tests of executors against ours: the short suites here, all of them by `make`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

import environment

ROOT = Path(__file__).resolve().parents[2]
SHORT = ("AsCompletedTests", "InitializerMixin", "FailingInitializerMixin", "DeadlockTest")
LONGEST_RUN_S = 110.0


def test_the_short_suites_of_cpython_pass() -> None:
    """Design 8: a drop-in is what passes the tests of what it replaces; every exception has its reason."""
    python = environment.python_313()
    if python is None:
        pytest.skip("no CPython 3.13 with its test package here; name one in DRIVEN_PYTHON_313")
    try:
        made = environment.environment_of(python)
    except subprocess.CalledProcessError:
        pytest.skip("its environment cannot be made: pip finds no msgspec, psutil or cloudpickle for Python 3.13")

    result = subprocess.run(
        [made, ROOT / "tests" / "executor" / "run_cpython.py", "driven", *SHORT],
        env={**os.environ, "DRIVEN_CHECKOUT": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_S,
        check=False,
    )

    told = json.loads(result.stdout.splitlines()[-1])
    assert told["failed"] == [], result.stderr
    assert told["passed"] == told["run"] == 23
    assert result.returncode == 0
