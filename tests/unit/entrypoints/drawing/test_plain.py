"""Pages as plain text: what stands where, how long lines are, and that nothing needs a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from driven.entrypoints.drawing.page import Branch, Heading, Numbered, Paragraph, Phrase, Table, Tone, Tree, line
from driven.entrypoints.drawing.plain import NARROWEST, WIDTH, plain_text

LONG = "word " * 40


def test_a_page_is_its_blocks_below_each_other() -> None:
    """Each kind of block, as it stands in a log file."""
    page = (
        Heading("first", "remark"),
        Paragraph((line("some text"), (Phrase("two "), Phrase("phrases", Tone.BAD)))),
        Heading("second"),
        Table(
            ("name", "kind", "why"), ((line("a"), line("longer"), line("because")), (line("bcd"), line("x"), line("-")))
        ),
        Numbered(("one", "two"), Tone.BAD),
        Tree((Branch(line("root"), (Branch(line("leaf")), Branch(line("round"), arrow="<-"))),)),
    )

    assert plain_text(page).splitlines() == [
        "first  remark",
        "  some text",
        "  two phrases",
        "",
        "second",
        "  name  kind    why",
        "  a     longer  because",
        "  bcd   x       -",
        "  1. one",
        "  2. two",
        "  root",
        "  -> leaf",
        "  <- round",
    ]


def test_signs_for_terminals_are_left_out() -> None:
    """What is piped is read by `grep` and by people with other fonts."""
    assert plain_text((Paragraph(((Phrase("ok", Tone.GOOD, "✓ ok"),),)),)) == "  ok\n"


def test_the_last_cell_goes_on_below_itself() -> None:
    """A long sentence, and a remedy on a line of its own, stay in their column."""
    lines = plain_text((Table((), ((line("note"), line(f"{LONG}\n-> remedy")),)),)).splitlines()

    assert len(lines) == 3
    assert all(written.startswith(" " * 8) for written in lines[1:])
    assert lines[2].strip() == "-> remedy"


@given(st.lists(st.tuples(st.text("ab", max_size=30), st.text("ab \n", max_size=400)), max_size=4))
def test_no_line_of_a_table_is_much_wider_than_a_log_can_bear(rows: list[tuple[str, str]]) -> None:
    """Lines are broken between words; a single word is left whole."""
    longest_word = max((len(word) for _, text in rows for word in text.split()), default=0)

    text = plain_text((Table((), tuple((line(left), line(right)) for left, right in rows)),))

    bound = max(WIDTH, 34 + NARROWEST, 34 + longest_word)
    assert all(len(written) <= bound for written in text.splitlines())
