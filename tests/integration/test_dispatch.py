"""`driven dispatch`, typed as a person types it and piped into as a script does."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLICATIONS = Path(__file__).parents[1] / "applications"
LONGEST_S = 60.0
PATIENCE_S = 3.0
"""After so long nothing is read any more."""
MOST_BYTES = 8 << 20
"""Several times what a thousand commands, two pieces and a pipe hold."""


CHATTY = """
from driven import Application, Command, Placement

print("imported")
app = Application("chatty")


class Here(Command):
    number: int


class There(Command):
    number: int


@app.handles(Here)
def here(command: Here) -> None:
    print("hello from", command.number)


@app.handles(There, placement=Placement.WORKER)
def there(command: There) -> None:
    print("hello from", command.number)
"""


def command(*typed: str) -> list[str]:
    """How it is started."""
    return [sys.executable, "-W", "error", "-m", "driven", "dispatch", *typed]


def environment() -> dict[str, str]:
    """With our applications to import, and no settings, of ours or of Python's buffers."""
    places = [str(APPLICATIONS), *(place for place in sys.path if place)]
    unwanted = ("DRIVEN_", "PYTHONUNBUFFERED")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    return {**variables, "PYTHONPATH": os.pathsep.join(places)}


def dispatch(folder: Path, *typed: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run it in a folder of its own."""
    return subprocess.run(
        command(*typed),
        cwd=folder,
        env=environment(),
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
        (("shop:app", "PlaceOrder"), b"PlaceOrder has fields, and neither options nor standard input give any"),
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


@pytest.mark.parametrize("typed", [("Here", "--number", "1"), ("There", "--number", "1")], ids=["inline", "worker"])
def test_what_a_handler_prints_is_no_answer(tmp_path: Path, typed: tuple[str, ...]) -> None:
    """Whoever reads the lines reads JSON, also when a worker prints, or the module while a worker imports it."""
    (tmp_path / "chatty.py").write_text(CHATTY)

    one = dispatch(tmp_path, "chatty:app", *typed)
    many = dispatch(tmp_path, "--lines", "chatty:app", typed[0], given=b'{"number": 2}\n{"number": 3}\n')

    assert [line["status"] for line in told(one) + told(many)] == ["settled"] * 3
    assert b"hello from 1" in one.stderr
    assert b"hello from 3" in many.stderr


def test_what_was_parked_of_what_a_command_caused_is_counted(tmp_path: Path) -> None:
    """X1, F2: the command itself has settled and is no failure; what did not happen of it is told beside."""
    (tmp_path / "driven.toml").write_text("[workers]\ncount = 0\n")
    (tmp_path / "halfway.py").write_text("from parking import BROKEN, app\n\nBROKEN.add(1)\n")

    ended = dispatch(tmp_path, "parking:app", "Begin", given=b'{"items": [["a", 1], ["b", 2]]}')
    broken = dispatch(tmp_path, "halfway:app", "Begin", given=b'{"items": [["a", 1], ["b", 2]]}')

    assert ended.returncode == broken.returncode == 0
    assert {"failed", "parked"}.isdisjoint(told(ended)[0])
    assert (told(broken)[0]["status"], told(broken)[0]["parked"]) == ("settled", 2)


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
    bare = b'{"order_id": "b"}\n'
    given = line + b"\n" + line + other + bare
    ended = dispatch(tmp_path, "--lines", "--on-error", "continue", "shop:app", given=given)

    answers = told(ended)
    assert [one["line"] for one in answers] == [1, 3, 4, 5]
    assert [one.get("position") for one in answers] == [1, 1, None, None]
    assert "'Nothing' is no command" in str(answers[2]["error"])
    assert "name the command in each line, or behind the application for all" in str(answers[3]["error"])


@contextmanager
def piped(folder: Path, *typed: str) -> Iterator[subprocess.Popen[bytes]]:
    """It runs, with pipes at each end; killed at the end, if it is still there."""
    process = subprocess.Popen(
        command("--lines", "--store", "memory://", *typed),
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def asked(process: subprocess.Popen[bytes], line: bytes) -> dict[str, object]:
    """Write a line; the next one that comes back."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(line + b"\n")
    process.stdin.flush()
    answer: dict[str, object] = json.loads(process.stdout.readline())
    return answer


def test_whoever_writes_lines_can_wait_for_the_answer_to_one_before_the_next(tmp_path: Path) -> None:
    """A program that asks and is answered through pipes, and one that follows a file, see each line at once."""
    with piped(tmp_path, "shop:app", "PlaceOrder") as process:
        answers = [asked(process, b'{"order_id": "%d"}' % number) for number in range(3)]
        _, said = process.communicate(timeout=LONGEST_S)

    assert [(one["line"], one["position"]) for one in answers] == [(1, 1), (2, 4), (3, 7)]
    assert (process.returncode, said.startswith(b"3 commands carried out")) == (0, True)


def test_an_answer_does_not_wait_for_that_of_a_line_behind_it(tmp_path: Path) -> None:
    """However long that takes."""
    with piped(tmp_path, "attacked:app") as process:
        assert process.stdin is not None
        sleeping = b'{"command": "Sleep", "data": {"for_s": 600}}'
        process.stdin.write(b'{"command": "Sleep", "data": {"for_s": 0}}\n' + sleeping + b"\n")
        process.stdin.flush()
        assert process.stdout is not None
        answer = json.loads(process.stdout.readline())
        process.kill()

    assert (answer["line"], answer["status"]) == (1, "settled")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_while_it_waits_for_lines(tmp_path: Path, number: signal.Signals) -> None:
    """X4: whoever was to write them may never do so."""
    with piped(tmp_path, "shop:app", "PlaceOrder") as process:
        asked(process, b'{"order_id": "a"}')
        process.send_signal(number)
        code = process.wait(timeout=LONGEST_S)
        assert process.stderr is not None
        said = process.stderr.read()

    assert (code, b"Traceback" in said) == (128 + number, False)


def test_it_ends_when_nobody_reads_what_it_tells(tmp_path: Path) -> None:
    """As with ``| head -1``."""
    with piped(tmp_path, "shop:app", "PlaceOrder") as process:
        asked(process, b'{"order_id": "a"}')
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        process.stdin.write(b'{"order_id": "b"}\n')
        process.stdin.flush()
        code = process.wait(timeout=LONGEST_S)
        assert process.stderr is not None
        said = process.stderr.read()
        process.stdout = None

    assert (code, b"Traceback" in said) == (1, False)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        (("--lines", "shop:app", "PlaceOrder"), 0),
        (("shop:app", "PlaceOrder"), 2),
        (("shop:app", "PlaceOrder", "--order-id", "a"), 0),
    ],
)
def test_streams_that_the_caller_closed_lead_nowhere(tmp_path: Path, typed: tuple[str, ...], code: int) -> None:
    """The log does not become standard output, and nothing ends with a traceback."""
    ended = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>said', "sh", *command(*typed)],
        cwd=tmp_path,
        env=environment(),
        timeout=LONGEST_S,
        check=False,
    )

    assert ended.returncode == code
    assert "Traceback" not in (tmp_path / "said").read_text("utf-8")


def test_text_of_any_kind_is_refused_by_its_number(tmp_path: Path) -> None:
    """What Windows puts before and behind lines is not part of them; nothing else ends the rest."""
    lines = [
        b'\xef\xbb\xbf{"command": "PlaceOrder", "id": "x", "data": {"order_id": "a"}}\r',
        b"\r",
        b'{"command": "PlaceOrder", "data": {"order_id": "\xff"}}',
        b'{"command": "PlaceOrder", "data": {"order_id": "a", "more": ' + b"[" * 100_000,
        b"[" * 100_000,
        b'{"command": "PlaceOrder", "id": "x", "data": {"order_id": "b"}}',
        b'{"command": "PlaceOrder", "id": "@x", "data": {"order_id": "b"}}',
        b'{"command": "PlaceOrder", "data": {"order_id": "a", "amount": 1e999}}',
        b"\x00",
        b'{"command": "PlaceOrder", "data": {"order_id": "z"}}',
    ]
    ended = dispatch(tmp_path, "--lines", "--on-error", "continue", "shop:app", given=b"\n".join(lines))

    answers = {one["line"]: one["status"] for one in told(ended)}
    assert answers == {1: "settled", **dict.fromkeys(range(3, 10), "refused"), 10: "settled"}
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize(("on_error", "done"), [("stop", False), ("continue", True)])
def test_a_command_that_fails_among_lines_is_counted(tmp_path: Path, on_error: str, done: bool) -> None:
    """Its line says what it failed of; whether those behind it are carried out is as with a line that is none."""
    with piped(tmp_path, "--on-error", on_error, "shop:app", "PlaceOrder") as process:
        failed = asked(process, b'{"order_id": "a", "amount": 11}')
        _, said = process.communicate(b'{"order_id": "b"}\n', timeout=LONGEST_S)

    assert (failed["line"], failed["status"], failed["error"]) == (1, "failed", "shop.OutOfStock: only 10 are left")
    assert process.returncode == 1
    assert (b"1 command carried out, 1 not" in said) is done


def test_no_more_is_read_than_can_be_carried_out(tmp_path: Path) -> None:
    """Memory stays as it is, however much somebody writes while a command takes long: he is made to wait."""
    line = b'{"for_s": 600}' + b" " * 1_000 + b"\n"
    taken_bytes = 0
    with piped(tmp_path, "attacked:app", "Sleep") as process:
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        while select.select([], [process.stdin], [], PATIENCE_S)[1] and taken_bytes < MOST_BYTES:
            with contextlib.suppress(BlockingIOError):
                taken_bytes += os.write(process.stdin.fileno(), line * 16)
        process.kill()

    assert taken_bytes < MOST_BYTES
