"""The observer `opentelemetry`: what happens becomes spans and metrics, through the real SDK."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from credchain import load_chain
from credchain.attempts import Attempt, Outcome
from credchain.errors import ChainStoppedError
from credchain.events import AttemptFinished, RefreshFailed
from credchain.host import Host
from credchain.testing import FakeTransport, json_response, run, token_response
from credchain_plugins.opentelemetry import Observer

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from credchain.events import Event
    from credchain.testing import FakeClock
    from credchain.testing.transport import Answer

SCOPE = "https://vault.azure.net/.default"
SECRET = "the-client-secret"
VARIABLES = {"AZURE_TENANT_ID": "contoso", "AZURE_CLIENT_ID": "app", "AZURE_CLIENT_SECRET": SECRET}


class Told:
    """What the SDK's exporters get to see."""

    def __init__(self, clock: FakeClock) -> None:
        self._spans = InMemorySpanExporter()
        self._metrics = InMemoryMetricReader()
        tracers = TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.observer = Observer(
            tracer_provider=tracers,
            meter_provider=MeterProvider([self._metrics]),
            now=lambda: round(clock.time() * 1e9),
        )

    def spans(self) -> list[ReadableSpan]:
        return list(self._spans.get_finished_spans())

    def metrics(self) -> dict[str, list[tuple[dict[str, Any], Any]]]:
        """The points of each metric: attributes, and the count or the sum."""
        data = self._metrics.get_metrics_data()
        assert data is not None
        return {
            metric.name: [
                (dict(point.attributes or {}), getattr(point, "value", None) or getattr(point, "sum", None))
                for point in metric.data.data_points
            ]
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


def host(clock: FakeClock, told: Told, *answers: Answer, delay: float = 0.0) -> Host:
    transport = FakeTransport(*answers, delay=delay)
    return Host(transport=transport, clock=clock, environment=VARIABLES, emit=told.observer.credchain_event)


def test_a_first_token_is_spans_and_metrics(fake_clock: FakeClock) -> None:
    """An acquisition inside an attempt, with the times at which they were; counted by source and outcome."""
    told = Told(fake_clock)
    chain = load_chain(host=host(fake_clock, told, token_response(expires_in=3600), delay=2.0))

    run(chain.get_token(SCOPE), clock=fake_clock)

    acquired, attempt = told.spans()
    assert [acquired.name, attempt.name] == ["credchain.acquire", "credchain.attempt"]
    for span in (acquired, attempt):
        assert span.end_time == round(fake_clock.time() * 1e9)
        assert (span.end_time or 0) - (span.start_time or 0) == pytest.approx(2e9, rel=0.01)
    assert dict(attempt.attributes or {}) == {
        "credchain.source": "environment",
        "credchain.outcome": "token",
        "credchain.distribution": chain.attempts[0].distribution,
    }
    metrics = told.metrics()
    assert metrics["credchain.attempts"] == [({"credchain.source": "environment", "credchain.outcome": "token"}, 1)]
    assert metrics["credchain.acquisition.duration"][0][1] == pytest.approx(2.0, rel=0.01)
    assert metrics["credchain.token.validity"][0][1] == pytest.approx(3600, abs=1)


def test_a_failure_is_an_error(fake_clock: FakeClock) -> None:
    """With the reason as the span's status."""
    told = Told(fake_clock)
    refusal = json_response({"error": "invalid_client", "error_description": "AADSTS7000215: Invalid."}, status=401)

    with pytest.raises(ChainStoppedError):
        run(load_chain(host=host(fake_clock, told, refusal)).get_token(SCOPE), clock=fake_clock)

    (attempt,) = told.spans()
    assert attempt.status.status_code is StatusCode.ERROR
    assert "AADSTS7000215" in str(attempt.status.description)
    assert told.metrics()["credchain.attempts"] == [
        ({"credchain.source": "environment", "credchain.outcome": "failed"}, 1)
    ]


@pytest.mark.parametrize(
    ("event", "name", "status"),
    [
        pytest.param(
            AttemptFinished(Attempt("environment", Outcome.UNAVAILABLE, "no variables", 0.1)),
            "credchain.attempt",
            (StatusCode.UNSET, None),
            id="a source that does not apply is none",
        ),
        pytest.param(
            RefreshFailed("environment", "no answer", 1_800_000_000.0, 17.0),
            "credchain.refresh",
            (StatusCode.ERROR, "no answer"),
            id="a refresh that failed is one",
        ),
    ],
)
def test_what_is_an_error(
    fake_clock: FakeClock, event: Event, name: str, status: tuple[StatusCode, str | None]
) -> None:
    """Only what somebody should look at."""
    told = Told(fake_clock)

    told.observer.credchain_event(event)

    (span,) = told.spans()
    assert (span.name, (span.status.status_code, span.status.description)) == (name, status)


def test_refreshes_are_counted_by_reason_and_outcome(fake_clock: FakeClock) -> None:
    """One that came, and one that failed while the token still served."""
    told = Told(fake_clock)
    down = json_response({}, status=503)
    chain = load_chain(host=host(fake_clock, told, token_response(), token_response(), down))

    async def main() -> None:
        for _ in range(3):
            await chain.get_token(SCOPE)
            await asyncio.sleep(60)
            fake_clock.advance(3200)

    run(main(), clock=fake_clock)

    refreshes = {
        tuple(sorted(attributes.items())): count for attributes, count in told.metrics()["credchain.refreshes"]
    }
    assert refreshes == {
        (("credchain.outcome", "token"), ("credchain.reason", "advisory"), ("credchain.source", "client_secret")): 1,
        (("credchain.outcome", "failed"), ("credchain.source", "client_secret")): 1,
    }


def test_no_span_or_metric_holds_a_secret(fake_clock: FakeClock) -> None:
    """Neither the token nor the secret is in what leaves."""
    told = Told(fake_clock)

    run(load_chain(host=host(fake_clock, told, token_response("the-token"))).get_token(SCOPE), clock=fake_clock)

    exported = "".join(span.to_json() for span in told.spans()) + repr(told.metrics())
    assert "environment" in exported
    assert "the-token" not in exported
    assert SECRET not in exported


def test_it_joins_when_it_is_named_and_not_before() -> None:
    """By a variable; a program that does not name it does not load it."""
    program = """
import asyncio, sys
from credchain import load_chain
from credchain.host import Host
from credchain.testing import FakeTransport, token_response

def ask(**variables):
    environment = {"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "s", **variables}
    host = Host(transport=FakeTransport(token_response()), environment=environment)
    asyncio.run(load_chain(host=host).get_token("https://vault.azure.net/.default"))
    return "credchain_plugins.opentelemetry" in sys.modules

print(ask(), ask(CREDCHAIN_OBSERVE="opentelemetry"))
"""

    ended = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)

    assert (ended.stdout, ended.stderr) == ("False True\n", "")


def test_providers_may_be_set_up_later() -> None:
    """Events go to the program's providers as soon as there are any, however long ago the observer was loaded."""
    program = """
import time
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from credchain.events import TokenAcquired
from credchain_plugins.opentelemetry import observer

observer.credchain_event(TokenAcquired("early", time.time() + 60, 0.1))

spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(spans))
metrics.set_meter_provider(MeterProvider([reader]))

observer.credchain_event(TokenAcquired("late", time.time() + 60, 0.1))

print([span.attributes["credchain.source"] for span in spans.get_finished_spans()])
told = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
print(sorted(metric.name for metric in told))
"""

    ended = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)

    assert ended.stderr == ""
    assert ended.stdout.splitlines() == ["['late']", "['credchain.acquisition.duration', 'credchain.token.validity']"]
