"""`driven dispatch`, typed as a person types it and piped into as a script does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

APPLICATIONS = Path(__file__).parents[1] / "applications"
LONGEST_S = 60.0


def dispatch(
    folder: Path, *typed: str, given: bytes | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run it in a folder of its own."""
    places = [str(APPLICATIONS), *(place for place in sys.path if place)]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("DRIVEN_")}
    return subprocess.run(
        [sys.executable, "-m", "driven", "dispatch", *typed],
        cwd=folder,
        env={**variables, "PYTHONPATH": os.pathsep.join(places), **(environment or {})},
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        timeout=LONGEST_S,
        check=False,
    )


def told(ended: subprocess.CompletedProcess[bytes]) -> list[dict[str, object]]:
    """What was printed, line by line."""
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_one_command_by_its_options(tmp_path: Path) -> None:
    """Typed from its fields; what it did is printed, and kept in the log of the folder."""
    first = dispatch(tmp_path, "shop:app", "PlaceOrder", "--order-id", "a", "--amount", "3")
    second = dispatch(tmp_path, "shop:app", "shop.PlaceOrder", "--order-id", "b")

    event = {"type": "shop.OrderPlaced", "data": {"order_id": "a", "amount": 3}}
    assert told(first) == [{"line": 1, "status": "settled", "position": 1, "events": [event]}]
    assert (first.returncode, second.returncode, first.stderr) == (0, 0, b"")
    assert told(second)[0]["position"] == 4
    assert (tmp_path / "driven.db").exists()


def test_one_command_as_json_on_standard_input(tmp_path: Path) -> None:
    """For scripts; wrong input is named."""
    fine = dispatch(tmp_path, "shop:app", "PlaceOrder", given=b'{"order_id": "a"}')
    wrong = dispatch(tmp_path, "shop:app", "PlaceOrder", given=b'{"order_id": 5}')

    assert (fine.returncode, told(fine)[0]["status"]) == (0, "settled")
    assert wrong.returncode == 2
    assert b"not the JSON of PlaceOrder: Expected `str`, got `int` - at `$.order_id`" in wrong.stderr


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("shop:app", "Nothing"), b"'Nothing' is no command; name one of: shop.Hold, shop.PackOrder"),
        (("shop:app",), b"which command?"),
        (("shop:nothing", "PlaceOrder"), b"applications in shop: shop:app"),
        (("shop:app", "PlaceOrder", "--amount", "x"), b"order-id"),
        (("--lines", "shop:app", "PlaceOrder", "--amount", "1"), b"drop --amount 1"),
        (("shop:app", "PlaceOrder", "--lines", "--store=x"), b"--lines and --store=x behind the name of the command"),
        (("shop:app", "PlaceOrder", "--order-id", "a", "--wait", "handled"), b"driven dispatch --wait ..."),
        (("--store", "mysql://x", "shop:app", "PlaceOrder", "--order-id", "a"), b"is not a store"),
    ],
)
def test_what_cannot_be_dispatched_ends_with_2_and_says_why(
    tmp_path: Path, typed: tuple[str, ...], words: bytes
) -> None:
    """Nothing is opened, nothing is left."""
    ended = dispatch(tmp_path, *typed)

    assert ended.returncode == 2
    assert words in ended.stderr
    assert not (tmp_path / "driven.db").exists()


def test_a_command_that_fails_ends_with_1(tmp_path: Path) -> None:
    """What it failed of is printed."""
    ended = dispatch(tmp_path, "shop:app", "PlaceOrder", "--order-id", "a", "--amount", "11")

    assert ended.returncode == 1
    assert told(ended) == [{"line": 1, "status": "failed", "position": 1, "error": "shop.OutOfStock: only 10 are left"}]


def lines(count: int, bad: int) -> bytes:
    """JSON lines, of which one is none."""
    texts = [b'{"order_id": "%d"}' % number for number in range(1, count + 1)]
    texts[bad - 1] = b"{bad"
    return b"\n".join(texts)


def test_one_bad_line_is_named_and_the_rest_is_carried_out(tmp_path: Path) -> None:
    """--on-error continue: in order, each line once."""
    ended = dispatch(
        tmp_path, "--lines", "--on-error", "continue", "shop:app", "PlaceOrder", given=lines(3_000, bad=1_500)
    )

    answers = told(ended)
    assert ended.returncode == 1
    assert [one["line"] for one in answers] == list(range(1, 3_001))
    assert [one["line"] for one in answers if one["status"] != "settled"] == [1_500]
    positions = [int(str(one["position"])) for one in answers if one["status"] == "settled"]
    assert positions == sorted(positions)
    assert b"2,999 commands carried out, 1 not" in ended.stderr


def test_behind_a_bad_line_nothing_is_carried_out(tmp_path: Path) -> None:
    """--on-error stop, which is what happens unless something else is said."""
    ended = dispatch(tmp_path, "--lines", "shop:app", "PlaceOrder", given=lines(3_000, bad=1_500))
    next_one = dispatch(tmp_path, "--wait", "accepted", "shop:app", "PlaceOrder", "--order-id", "next")

    answers = told(ended)
    assert ended.returncode == 1
    assert [one["line"] for one in answers if one["status"] == "settled"] == list(range(1, 1_500))
    assert b"1,499 commands carried out" in ended.stderr
    assert told(next_one) == [{"line": 1, "status": "accepted", "position": 3 * 1_499 + 1}]


def test_lines_that_name_their_commands(tmp_path: Path) -> None:
    """With ids of the caller's, under which nothing happens twice (U5)."""
    line = b'{"command": "PlaceOrder", "id": "one", "data": {"order_id": "a"}}\n'
    other = b'{"command": "Nothing"}\n'
    ended = dispatch(tmp_path, "--lines", "--on-error", "continue", "shop:app", given=line + b"\n" + line + other)

    answers = told(ended)
    assert [one["line"] for one in answers] == [1, 3, 4]
    assert [one.get("position") for one in answers] == [1, 1, None]
    assert "'Nothing' is no command" in str(answers[2]["error"])
