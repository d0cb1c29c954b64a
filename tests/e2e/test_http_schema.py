"""Schemathesis against a running service: what the OpenAPI document says is what is done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from http_service import running

LONGEST_S = 280.0
"""A minute and more where CPUs are busy."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("token", ["", "a-token"])
def test_schemathesis_finds_nothing(tmp_path: Path, token: str) -> None:
    """Neither an answer that is not in the document, nor a value that is refused although it says otherwise."""
    with running(tmp_path, "kiosk:api", "--store", "memory://", DRIVEN_HTTP_TOKEN=token) as service:
        done = subprocess.run(
            [
                str(Path(sys.executable).parent / "schemathesis"),
                "run",
                f"{service.url}/openapi.json",
                *("--max-examples", "40", "--seed", "1", "--no-color", "--generation-database", "none"),
                *("--suppress-health-check", "too_slow"),  # that says how busy the machine is
                *(["--header", f"Authorization: Bearer {token}"] if token else []),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )

    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr
    assert "4 selected" in done.stdout or "Selected: 4" in done.stdout
