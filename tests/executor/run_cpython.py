"""Runs CPython's own tests of executors: `python3.13 run_cpython.py driven|control [suite ...]`.

The last line of its output is a JSON object: how many ran, passed, were excepted and failed. `tests/executor` has to be
importable in every interpreter that these tests start: `environment.py` makes one where it is.
"""

from __future__ import annotations

import json
import sys
import time
import unittest

import cpython_suites


def main(who: str, names: list[str]) -> int:
    """Run these suites, or all; 1 when a test failed."""
    total = unittest.TestSuite(cpython_suites.cases(who, name) for name in names or cpython_suites.SUITES)
    began_s = time.monotonic()
    result = unittest.TextTestRunner(verbosity=2, durations=5).run(total)  # type: ignore[call-arg]  # since 3.12
    failed = [str(case) for case, _ in (*result.errors, *result.failures)]
    excepted = {case.id().rpartition(".")[2]: reason for case, reason in result.skipped}
    told = {
        "who": who,
        "run": result.testsRun,
        "passed": result.testsRun - len(failed) - len(excepted),
        "excepted": excepted,
        "failed": failed,
        "seconds": round(time.monotonic() - began_s, 1),
    }
    sys.stdout.write("\n" + json.dumps(told) + "\n")  # the runner leaves its line open
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
