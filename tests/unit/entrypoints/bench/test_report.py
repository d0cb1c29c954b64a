"""The report of a run that is made up: its parts and their order, its figures, and what a picture needs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec
import pytest

from driven.entrypoints.bench.calibration import Calibration
from driven.entrypoints.bench.cells import number
from driven.entrypoints.bench.contenders import CATALOGUE
from driven.entrypoints.bench.folder import NO_CHARTS, write_folder
from driven.entrypoints.bench.machine import CpuTimes, Machine, Noise, processor, stolen
from driven.entrypoints.bench.markdown import aims_markdown, ceiling_markdown, markdown
from driven.entrypoints.bench.plan import make_plan
from driven.entrypoints.bench.record import BenchReport, entrant
from driven.entrypoints.bench.runner import noise_notes
from driven.entrypoints.bench.samples import Figure, Measure, Problem, Sample
from driven.entrypoints.bench.tables import tables
from driven.entrypoints.drawing.bench import bench_page
from driven.entrypoints.drawing.plain import plain_text

KEYS = ("bus", "executor", "bare-rings", "bare-bus", "ppe", "pool", "pool-chunks")
SPEED = {
    "bus": 100_000.0,
    "executor": 104_000.0,
    "bare-rings": 400_000.0,
    "bare-bus": 160_000.0,
    "ppe": 5_000.0,
    "pool": 20_000.0,
    "pool-chunks": 900_000.0,
}
ROUNDS = (1, 2, 3)


def samples() -> list[Sample]:
    """Figures of contenders that cost a fixed time per task, with a machine that is slower in every round."""
    made = []
    for turn in ROUNDS:
        for key in KEYS:
            cost_us = 1e6 / SPEED[key] * (1 + turn / 10)
            made.append(Sample(key, turn, Figure.RATE, 1e6 / cost_us))
            if key == "pool-chunks":
                continue
            made += [Sample(key, turn, Figure.P50_US, 10 * cost_us), Sample(key, turn, Figure.P99_US, 20 * cost_us)]
            made += [Sample(key, turn, figure, cost_us) for figure in (Figure.MAIN_CPU_US, Figure.THREAD_CPU_US)]
            made += [Sample(key, turn, Figure.MIXED_RATE, 1e6 / (500 + cost_us))]
            made += [Sample(key, turn, Figure.SCALED_RATE, workers * 1_900.0, workers) for workers in (1.0, 2.0)]
            made += [Sample(key, turn, Figure.ECHO_US, cost_us + body / 1e3, body) for body in (64.0, 1024.0)]
            made += [
                Sample(key, turn, Figure.EFFICIENCY, 2.0**step / (2.0**step + cost_us), 2.0**step) for step in range(14)
            ]
    return made


@pytest.fixture
def report() -> BenchReport:
    """A run of three rounds in which pebble failed."""
    return BenchReport(
        command="driven bench --quick",
        machine=Machine("A processor", 2, "affinity: 2", 4 << 30, "Linux 6.1 x86_64", "CPython 3.11.7", "0.1.0"),
        noise=Noise(0.021, 600, 0.003, 0.1, 1.2, Calibration(38.5, 1.93)),
        plan=make_plan(is_quick=True, workers=2, measures=tuple(Measure), contenders=KEYS),
        entrants=tuple(entrant(one) for one in CATALOGUE),
        samples=tuple(samples()),
        problems=(Problem("pebble", 1, "Traceback (most recent call last):\nits process ended with exit code 1"),),
        notes=("time was up in round 3 of 3: figures have fewer rounds",),
        took_s=71.2,
    )


def headings(text: str) -> list[str]:
    """The headings of a page."""
    return re.findall(r"^##? (.+)$", text, re.MULTILINE)


def test_the_report_has_its_parts_in_this_order(report: BenchReport) -> None:
    """The summary first, then what it was measured on; problems last."""
    assert headings(markdown(report)) == [
        "Driven, measured here",
        "Summary",
        "Machine",
        "Against the aims",
        "Against the ceiling",
        "Round trip",
        "METG",
        "Payload, time",
        "Payload, bandwidth",
        "Order",
        "Scaling",
        "Footnote: batches",
        "Contenders",
        "Problems",
    ]


def test_what_the_figures_are_worth_is_said_before_the_first(report: BenchReport) -> None:
    """A restless machine, a round that is missing: at the end nobody would read it."""
    text = markdown(report)

    assert text.index("- time was up in round 3 of 3") < text.index("## Summary")
    assert "its process ended with exit code 1" in text[text.index("## Problems") :]
    assert "time was up" not in text[text.index("## Summary") :]


def test_every_figure_has_its_spread(report: BenchReport) -> None:
    """A median alone says nothing about the machine it was made on."""
    (ours,) = [row for row in tables(report)[0].rows if row[0] == "Driven bus, strict order"]

    assert ours[1] == "83,333 (76,923 - 90,909)"
    assert all(re.fullmatch(r"[\d.,]+ \([\d.,]+ - [\d.,]+\)", cell) for cell in ours[1:])


def test_every_section_of_figures_names_the_command_that_makes_it_again(report: BenchReport) -> None:
    """Figures that nobody can reproduce are anecdotes."""
    text = markdown(report)

    assert all(f"`driven bench --only {measure.value}`" in text for measure in Measure)
    assert "driven bench --quick" in text


def test_the_aims_are_ratios_made_round_by_round(report: BenchReport) -> None:
    """The made-up machine slows down, for all alike: ratios of throughput and round trips do not move."""
    text = aims_markdown(report)

    assert text.count("| 20.0 x (20.0 x - 20.0 x) |") == 2
    assert "| 5.00 x (5.00 x - 5.00 x) |" in text
    assert "`driven bench --only metg --contenders bus ppe`" in text
    assert "price of order" in text


def test_the_ceiling_says_how_near_the_bus_is_and_how_far_a_rival(report: BenchReport) -> None:
    """More tasks per second are better, shorter round trips are; both ratios are made round by round."""
    text = ceiling_markdown(report)
    rates = [line for line in text.splitlines() if line.startswith("| no-op")]
    trips = [line for line in text.splitlines() if line.startswith("| round trip")]

    assert ["25.0 %" in line for line in rates] == [True, False], "of bare rings"
    for line in (rates[1], trips[1]):
        assert "| 62.5 % (62.5 % - 62.5 %) | >= 50 % | 32.0 x | 8.00 x |" in line
    assert "METG(50 %)" in text
    assert "`driven bench --only round-trip --contenders bus bare-bus ppe pool`" in text


def test_a_ceiling_is_in_no_chart_and_no_fault_of_the_run(report: BenchReport) -> None:
    """It would leave nothing to see of the others; and where a system has no eventfd it is not there."""
    without = msgspec.structs.replace(
        report,
        samples=tuple(one for one in report.samples if not one.contender.startswith("bare")),
        problems=(Problem("bare-bus", 1, "no eventfd"),),
    )

    assert {one.key for one in report.present()} - {one.key for one in report.drawn()} == {"bare-rings", "bare-bus"}
    assert "Against the ceiling" not in markdown(without)
    assert without.is_ok


def test_what_was_not_measured_has_no_row(report: BenchReport) -> None:
    """Nothing is shown as zero that is unknown."""
    only = msgspec.structs.replace(
        report, samples=tuple(one for one in report.samples if one.figure is Figure.RATE), problems=(), notes=()
    )

    text = markdown(only)

    assert "METG(50 %), µs | -" not in text
    kept = ["Summary", "Machine", "Against the aims", "Against the ceiling", "Footnote: batches", "Contenders"]
    assert headings(text) == ["Driven, measured here", *kept]


def test_the_machine_is_told_and_how_noisy_it_was(report: BenchReport) -> None:
    """Figures of one machine at one time."""
    text = markdown(report)

    for part in (
        "A processor",
        "CPython 3.11.7",
        "1.93",
        "variation 2.1 %",
        "0.3 %",
        "0.10 before, 1.20 after",
        "4 GiB",
    ):
        assert part in text


def test_a_contender_that_failed_is_told_with_its_error(report: BenchReport) -> None:
    """And it is no fault of the run, unless it is one of ours."""
    ours = msgspec.structs.replace(report, problems=(Problem("bus", 2, "it did not end"),))

    assert "pebble, round 1:" in markdown(report)
    assert "its process ended with exit code 1" in plain_text(bench_page(report, Path("here")))
    assert report.is_ok
    assert not ours.is_ok


def test_the_record_is_the_same_when_it_is_read_again(report: BenchReport) -> None:
    """Tables and charts can be made from `results.json` at any time."""
    read = msgspec.json.decode(msgspec.json.encode(report), type=BenchReport)

    assert read == report
    assert markdown(read) == markdown(report)


def test_a_folder_holds_the_page_its_charts_and_the_record(report: BenchReport, tmp_path: Path) -> None:
    """Every chart that the page shows is there, and is a picture."""
    said: list[str] = []

    whole = write_folder(report, tmp_path / "new" / "folder", said.append)

    folder = tmp_path / "new" / "folder"
    shown = re.findall(r"\]\((\S+\.png)\)", (folder / "report.md").read_text("utf-8"))
    assert shown == ["throughput.png", "round-trip.png", "metg.png", "payload.png", "order.png", "scaling.png"]
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in shown)
    assert sorted(path.name for path in folder.iterdir()) == sorted(whole.files)
    assert not said


def test_without_matplotlib_there_are_tables_and_it_is_said_once(
    report: BenchReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pictures are an extra; the remedy is a command."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "driven.entrypoints.bench.charts", raising=False)
    said: list[str] = []

    whole = write_folder(report, tmp_path, said.append)

    assert said == [NO_CHARTS]
    assert "pip install" in NO_CHARTS
    assert whole.files == ("report.md", "results.json")
    assert "![" not in (tmp_path / "report.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0123, "0.012"), (8.312, "8.31"), (17.63, "17.6"), (99.97, "100.0"), (1_234.5, "1,234")],
)
def test_figures_are_written_with_about_three_digits(value: float, written: str) -> None:
    """More would be noise."""
    assert number(value) == written


def test_the_processor_is_named_as_the_kernel_names_it(tmp_path: Path) -> None:
    """On x86 and on ARM; nothing where nothing is said."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Some CPU @ 2 GHz\n")

    assert processor(cpuinfo) == "Some CPU @ 2 GHz"
    assert processor(tmp_path / "nothing") == ""


def test_figures_of_a_restless_machine_come_with_a_warning(report: BenchReport) -> None:
    """Whoever reads METG of a machine that was busy with something else should know."""
    busy = msgspec.structs.replace(report.noise, variation=0.4)
    robbed = msgspec.structs.replace(report.noise, steal=0.08)

    assert noise_notes(report.noise) == []
    assert noise_notes(msgspec.structs.replace(report.noise, steal=None)) == []
    assert "varied by 40 %" in noise_notes(busy)[0]
    assert "others took 8 %" in noise_notes(robbed)[0]


def test_stolen_time_is_a_part_of_the_time_that_passed() -> None:
    """Unknown where the system does not count it."""
    assert stolen(CpuTimes(100.0, 1.0), CpuTimes(200.0, 6.0)) == 0.05
    assert stolen(CpuTimes(100.0, None), CpuTimes(200.0, None)) is None
