"""The interpreter for CPython's own tests: found, and given what our code needs. Used by a test and by `make`.

`python3.13` is looked for in DRIVEN_PYTHON_313, on PATH, and among the versions of pyenv. Its environment is made once
for each set of dependencies, beside the checkout's own environment, and then kept.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("msgspec>=0.21", "psutil>=7.1", "cloudpickle>=3")
PROBE = "import sys, test.test_concurrent_futures.util; sys.exit(sys.version_info[:2] != (3, 13))"

# Read by every interpreter of that environment, isolated ones included, which ignore PYTHONPATH.
SITE = '''"""Where the checkout is, and our executor under the name by which CPython's tests import it."""
import os
import sys

checkout = os.environ.get("DRIVEN_CHECKOUT")
if checkout:
    sys.path[1:1] = [os.path.join(checkout, *place) for place in (("src",), ("workers",), ("tests", "executor"))]

    import concurrent.futures as module

    standard = module.__getattr__

    def lookup(name):
        if name == "DrivenExecutor":
            from stand_in import DrivenExecutor
            return DrivenExecutor
        return standard(name)

    module.__getattr__ = lookup
'''


def python_313() -> str | None:
    """An interpreter with CPython 3.13's own tests; None: there is none here."""
    return next((python for python in _candidates() if _is_fit(python)), None)


def environment_of(python: str) -> Path:
    """The interpreter of an environment with our dependencies; made when it is not there."""
    key = hashlib.blake2b(f"{python} {NEEDED} {SITE}".encode(), digest_size=8).hexdigest()
    home = ROOT / f".venv-cpython-tests-{key}"
    made = home / "bin" / "python"
    if not (home / "ready").exists():
        subprocess.run([python, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run([made, "-m", "pip", "--disable-pip-version-check", "-qq", "install", *NEEDED], check=True)
        [packages] = (home / "lib").glob("python*/site-packages")
        (packages / "sitecustomize.py").write_text(SITE, encoding="utf-8")
        (home / "ready").touch()
    return made


def _candidates() -> Iterator[str]:
    if named := os.environ.get("DRIVEN_PYTHON_313"):
        yield named
    yield "python3.13"
    root = os.environ.get("PYENV_ROOT") or _pyenv_root()
    if root:
        yield from sorted(str(path) for path in Path(root).glob("versions/3.13.*/bin/python"))


def _pyenv_root() -> str | None:
    pyenv = shutil.which("pyenv")
    if pyenv is None:
        return None
    told = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False)
    return told.stdout.strip() or None


def _is_fit(python: str) -> bool:
    try:
        return subprocess.run([python, "-c", PROBE], capture_output=True, check=False, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def main(arguments: list[str]) -> int:
    """Run CPython's tests as `run_cpython` does; 0 with a word when there is no interpreter for it."""
    python = python_313()
    if python is None:
        sys.stdout.write("skipped: no CPython 3.13 with its test package; name one in DRIVEN_PYTHON_313\n")
        return 0
    command = [str(environment_of(python)), str(ROOT / "tests" / "executor" / "run_cpython.py"), *arguments]
    return subprocess.run(command, env={**os.environ, "DRIVEN_CHECKOUT": str(ROOT)}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
