"""HTTP as values: they show nothing, change nothing, and any object with two methods is a way out."""

from __future__ import annotations

import attrs
import pytest

from credchain.http import ONCE, Request, Response, RetryPlan, Transport
from credchain.testing import FakeTransport

SECRET = "hidden-value"


@pytest.mark.parametrize(
    "value",
    [
        Request("GET", "https://host/path", headers={"secret": SECRET}),
        Request("GET", "https://host/path", params={"secret": SECRET}),
        Request("POST", "https://host/path", form={"client_secret": SECRET}),
        Response(200, headers={"set-cookie": SECRET}),
        Response(200, body=SECRET.encode()),
    ],
    ids=["headers", "params", "form", "answer's headers", "body"],
)
def test_what_may_be_secret_is_not_shown(value: Request | Response) -> None:
    """Requests and answers end up in logs; what they carry does not."""
    assert SECRET not in f"{value} {value!r}"


@pytest.mark.parametrize(
    "value", [Request("GET", "https://host"), Response(200), RetryPlan()], ids=lambda v: type(v).__name__
)
def test_values_are_frozen(value: Request | Response | RetryPlan) -> None:
    """A value that was handed out does not change."""
    name = attrs.fields(type(value))[0].name

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, name, "other")


def test_a_request_is_plain_unless_said_otherwise() -> None:
    """No body, half a minute, proxies as the environment has them, certificates as usual."""
    request = Request("GET", "https://host")

    assert (request.form, request.timeout, request.trust_env, request.thumbprint) == (None, 30.0, True, None)
    assert (request.headers, request.params) == ({}, {})


def test_defaults_are_not_shared() -> None:
    """Two requests do not have one dictionary between them."""
    assert Request("GET", "https://host").headers is not Request("GET", "https://host").headers


def test_the_usual_plan_is_that_of_the_service() -> None:
    """Three retries, 0.8 s, on what passes by itself."""
    plan = RetryPlan()

    assert (plan.retries, plan.first) == (3, 0.8)
    assert plan.statuses == {408, 429, 500, 502, 503, 504}
    assert plan.at_least == {}
    assert ONCE.retries == 0


def test_a_transport_is_whatever_sends_and_closes() -> None:
    """By structure, not by inheritance."""

    class HalfATransport:
        async def close(self) -> None:
            """Nothing to release."""

    assert isinstance(FakeTransport(), Transport)
    assert not isinstance(HalfATransport(), Transport)
