"""What `driven verify` shows: one line that says it all, then what one has to know to find the culprit."""

from __future__ import annotations

import msgspec

from driven import VerificationReport
from driven.entrypoints.drawing.plain import plain_text
from driven.entrypoints.drawing.verify import verify_page
from driven.verification.report import CommandDifference, CommandSummary, FieldDifference, NotComparable

SAME = VerificationReport(
    application="census",
    log_id="4a9c",
    first_position=1,
    last_position=1_200,
    workers=2,
    took_s=1.5,
    same=400,
    different=0,
    not_comparable=0,
    commands=(CommandSummary("census.MeasureFile", 400, 0, 0),),
    differences=(),
    reasons=(),
)
LONG = "x" * 60
DIFFERENT = msgspec.structs.replace(
    SAME,
    workers=0,
    different=12,
    not_comparable=3,
    commands=(CommandSummary("census.MeasureFile", 400, 12, 3),),
    differences=(
        CommandDifference(
            position=7,
            name="census.MeasureFile",
            id="mine",
            correlation=1,
            given="path='a.py'",
            fields=(FieldDifference("event 1: worst", "3", ""), FieldDifference("event 1: name", LONG, LONG)),
            more=2,
            traceback="\n".join(f"line {number}" for number in range(9)),
        ),
    ),
    reasons=(NotComparable("census.MeasureFile", "its workers died or were killed", 3),),
)


def test_a_log_that_verifies_takes_a_line_and_a_table() -> None:
    """X2: whoever is well needs no more."""
    assert plain_text(verify_page(SAME)) == (
        "verification of census  log 4a9c, positions 1 to 1,200\n"
        "  400 commands run again on 2 workers in 1.50 s: all do what they did\n"
        "\n"
        "commands\n"
        "  command      run again  same  different  not compared\n"
        "  MeasureFile  400        400   0          0\n"
    )


def test_differences_are_told_with_all_that_leads_to_the_culprit() -> None:
    """X2: what is short stands beside each other, what is long below; the end of a traceback; what was left out."""
    shown = plain_text(verify_page(DIFFERENT))

    assert "  412 commands run again in this process in 1.50 s: 12 different\n" in shown
    assert "not compared\n  MeasureFile  3  its workers died or were killed\n" in shown
    assert shown.endswith(
        "differences  the first 1 of 12: recorded -> now\n"
        "  MeasureFile at position 7, id mine, of the root at 1\n"
        "    path='a.py'\n"
        "    event 1: worst: 3 -> (nothing)\n"
        "    event 1: name:\n"
        f"      - {LONG}\n"
        f"      + {LONG}\n"
        "    and 2 further places\n"
        "      line 3\n      line 4\n      line 5\n      line 6\n      line 7\n      line 8\n"
    )


def test_nothing_to_verify_is_not_called_well() -> None:
    """X2: a log of another application would else look like a success."""
    nothing = msgspec.structs.replace(SAME, same=0, commands=())

    assert "no command of this part of the log could be run again" in plain_text(verify_page(nothing))
