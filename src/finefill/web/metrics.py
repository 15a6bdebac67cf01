"""What GET /metrics tells, in Prometheus's text format."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

BUCKETS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120)  # seconds


class Metrics:
    """The numbers of one server."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "finefill_requests",
            "Answered requests.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self.received = Counter(
            "finefill_received_bytes", "Of request bodies.", registry=self._registry
        )
        self.replaced = Counter(
            "finefill_workers_replaced",
            "Worker processes that were killed for the time limit, or crashed.",
            registry=self._registry,
        )
        self._seconds = Histogram(
            "finefill_completion_seconds",
            "Time in a worker, by the status of the answer.",
            ["status"],
            buckets=BUCKETS,
            registry=self._registry,
        )

    def gauges(
        self, waiting: Callable[[], int], running: Callable[[], int], jobs: Callable[[], int]
    ) -> None:
        """Ask these for what is so at the moment."""
        for name, text, function in (
            ("finefill_queue_waiting", "Completions that wait.", waiting),
            ("finefill_queue_running", "Completions in a worker.", running),
            ("finefill_jobs", "All that are known, results to be fetched included.", jobs),
        ):
            Gauge(name, text, registry=self._registry).set_function(function)

    @contextlib.contextmanager
    def completion(self) -> Iterator[Callable[[int], None]]:
        """Measure a completion; call what is yielded with its status."""
        start = time.perf_counter()
        yield lambda status: self._seconds.labels(str(status)).observe(time.perf_counter() - start)

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self._registry)
