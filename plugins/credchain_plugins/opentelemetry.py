"""The observer `opentelemetry`: the events of credchain as spans and metrics.

It needs the extra ``opentelemetry``, and joins when it is named: ``CREDCHAIN_OBSERVE=opentelemetry``. It speaks to the tracer
and meter providers that the program has set up, whenever it has done so.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace
from opentelemetry.trace import Status, StatusCode

from credchain.attempts import Outcome
from credchain.events import AttemptFinished, RefreshFailed, TokenAcquired, TokenRefreshed
from credchain.hooks import hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from credchain.events import Event

    Attributes = Mapping[str, str]

_NAME = "credchain"


class Observer:
    """Turns events into spans and metrics.

    Spans are made when something has ended, with the times at which it began and ended.

    Args:
        tracer_provider: Where spans go; the program's own unless given.
        meter_provider: Where metrics go; the program's own unless given.
        now: Nanoseconds since the epoch.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        self._now = now
        self._attempts = meter.create_counter("credchain.attempts", description="Sources that chains asked")
        self._refreshes = meter.create_counter("credchain.refreshes", description="Tokens that were to be replaced")
        self._duration = meter.create_histogram(
            "credchain.acquisition.duration", unit="s", description="How long a source took for a token"
        )
        self._validity = meter.create_histogram(
            "credchain.token.validity", unit="s", description="For how long a token was valid when it came"
        )

    @hookimpl
    def credchain_event(self, event: Event) -> None:
        """Tell one event."""
        if isinstance(event, AttemptFinished):
            self._attempt(event)
        elif isinstance(event, TokenAcquired):
            self._token(event, "credchain.acquire", {"credchain.source": event.source})
        elif isinstance(event, TokenRefreshed):
            attributes = {"credchain.source": event.source, "credchain.reason": event.reason.value}
            self._refreshes.add(1, {**attributes, "credchain.outcome": "token"})
            self._token(event, "credchain.refresh", attributes)
        elif isinstance(event, RefreshFailed):
            self._refresh_failed(event)

    def _attempt(self, event: AttemptFinished) -> None:
        attempt = event.attempt
        attributes = {"credchain.source": attempt.source, "credchain.outcome": attempt.outcome.value}
        self._attempts.add(1, attributes)
        package = {"credchain.distribution": attempt.distribution} if attempt.distribution else {}
        failed = attempt.reason if attempt.outcome is Outcome.FAILED else None
        self._span("credchain.attempt", attempt.seconds, {**attributes, **package}, failed=failed)

    def _token(self, event: TokenAcquired | TokenRefreshed, name: str, attributes: Attributes) -> None:
        self._duration.record(event.seconds, attributes)
        self._validity.record(max(0.0, event.expires_on - self._now() / 1e9), {"credchain.source": event.source})
        self._span(name, event.seconds, attributes)

    def _refresh_failed(self, event: RefreshFailed) -> None:
        attributes = {"credchain.source": event.source, "credchain.outcome": "failed"}
        self._refreshes.add(1, attributes)
        self._span("credchain.refresh", 0.0, attributes, failed=event.reason)

    def _span(self, name: str, seconds: float, attributes: Attributes, *, failed: str | None = None) -> None:
        """A span that ends now and has taken *seconds*."""
        end = self._now()
        span = self._tracer.start_span(name, start_time=end - round(seconds * 1e9), attributes=attributes)
        if failed is not None:
            span.set_status(Status(StatusCode.ERROR, failed))
        span.end(end_time=end)


observer = Observer()
"""The one that the entry point names. The API's own providers stand in until the program has set up others."""
