"""Metrics: the statistics of a bus in the text format of Prometheus, made when somebody asks and kept nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric

    from driven.bus.histogram import Durations
    from driven.bus.statistics import BusStatistics, CommandStatistics

BOUNDS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
"""Upper bounds of the buckets that are told, in seconds; the histograms behind them are finer."""
_NANOSECONDS: Final = 1_000_000_000


def exposition(seen: BusStatistics, open_roots: int) -> tuple[bytes, str]:
    """The body and the media type of an answer."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Seen(seen, open_roots))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Seen:
    """One look at a bus, as a collector of prometheus-client."""

    def __init__(self, seen: BusStatistics, open_roots: int) -> None:
        self._seen = seen
        self._open_roots = open_roots

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        seen = self._seen
        yield _counter("driven_messages_admitted", "Messages that were given a position.", seen.admitted)
        yield _counter("driven_messages_retired", "Messages that retired.", seen.retired)
        yield _counter("driven_messages_parked", "Messages that were set aside.", seen.parked)
        yield GaugeMetricFamily("driven_queue_messages", "Messages that have not retired.", seen.queued)
        yield GaugeMetricFamily("driven_in_flight_commands", "Commands on workers, without an outcome.", seen.in_flight)
        yield GaugeMetricFamily("driven_reorder_buffer_outcomes", "Outcomes that wait for their turn.", seen.early)
        yield GaugeMetricFamily("driven_http_open_roots", "Commands from HTTP that have not settled.", self._open_roots)
        age_s = seen.head.age_s if seen.head else 0.0
        yield GaugeMetricFamily("driven_head_age_seconds", "How long the head of the queue has waited.", age_s)
        yield from _of_commands(seen.commands)
        yield from _of_workers(seen)


def _counter(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(name, words, value)


def _of_commands(commands: Iterable[CommandStatistics]) -> Iterator[Metric]:
    retired = CounterMetricFamily(
        "driven_commands_retired", "Commands that retired, by how.", labels=["command", "status"]
    )
    deaths = CounterMetricFamily("driven_command_deaths", "Workers that died of a command.", labels=["command"])
    waiting = HistogramMetricFamily(
        "driven_command_waiting_seconds", "From admission to the start of the run that counted.", labels=["command"]
    )
    running = HistogramMetricFamily("driven_command_running_seconds", "How long that run took.", labels=["command"])
    for one in commands:
        for status in ("succeeded", "failed", "parked"):
            retired.add_metric([one.name, status], getattr(one, status))
        deaths.add_metric([one.name], one.deaths)
        waiting.add_metric([one.name], _buckets(one.waiting), one.waiting.total_s)
        running.add_metric([one.name], _buckets(one.running), one.running.total_s)
    yield from (retired, deaths, waiting, running)


def _of_workers(seen: BusStatistics) -> Iterator[Metric]:
    labels = ["worker", "group"]
    state = GaugeMetricFamily("driven_worker_state", "1 for the state that a worker is in.", labels=[*labels, "state"])
    completed = CounterMetricFamily("driven_worker_commands", "Commands that a worker has finished.", labels=labels)
    memory = GaugeMetricFamily("driven_worker_resident_bytes", "Physical memory of a worker.", labels=labels)
    cpu = CounterMetricFamily("driven_worker_cpu_seconds", "CPU time of a worker.", labels=labels)
    for worker in seen.workers:
        who = [str(worker.worker_id), worker.group]
        state.add_metric([*who, worker.state], 1)
        completed.add_metric(who, worker.completed)
        memory.add_metric(who, worker.rss_bytes)
        cpu.add_metric(who, worker.cpu_s)
    yield from (state, completed, memory, cpu)


def _buckets(durations: Durations) -> list[tuple[str, float]]:
    """Cumulative counts at `BOUNDS_S`."""
    told, seen, fine = [], 0, list(durations.buckets)
    for bound_s in BOUNDS_S:
        while fine and fine[0][0] <= bound_s * _NANOSECONDS:
            seen += fine.pop(0)[1]
        told.append((str(bound_s), float(seen)))
    return [*told, ("+Inf", float(durations.count))]
