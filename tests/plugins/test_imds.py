"""IMDS: detection, the token request, and what each answer means."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from credchain.chain import ChainedTokenCredential
from credchain.errors import (
    AuthenticationFailedError,
    ChainStoppedError,
    ClientAuthenticationError,
    CredentialUnavailableError,
    TransportError,
)
from credchain.host import Host
from credchain.http import Response
from credchain.testing import FakeClock, FakeTransport, StaticCredential, json_response, run, token_response
from credchain_plugins.managed_identity import ManagedIdentityCredential

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.http import Request

SCOPE = "https://vault.azure.net/.default"
ADDRESS = "http://169.254.169.254/metadata/identity/oauth2/token"
REFUSED = json_response({"error": "invalid_request", "error_description": "Required metadata header"}, status=400)
HTML = {"content-type": "text/html; charset=utf-8"}


class Machine:
    """A machine with a managed identity credential, a fake clock, and whatever answers at the IMDS address."""

    def __init__(
        self,
        *answers: Response | Exception,
        environment: Mapping[str, str] | None = None,
        delay: float = 0.0,
        **identity: str,
    ) -> None:
        self.clock = FakeClock()
        self.transport = FakeTransport(*answers, delay=delay)
        self.host = Host(self.transport, clock=self.clock, environment=dict(environment or {}), random=random.Random(1))
        self.credential = ManagedIdentityCredential(identity_config=identity or None, host=self.host)

    def token(self) -> str:
        return run(self.credential.get_token(SCOPE), clock=self.clock).token

    def error(self) -> ClientAuthenticationError:
        with pytest.raises(ClientAuthenticationError) as caught:
            self.token()
        return caught.value


def behind(answer: Response) -> Machine:
    """A machine whose IMDS answers the probe, and *answer* to a request for a token."""

    def reply(request: Request) -> Response:
        return answer if "Metadata" in request.headers else REFUSED

    machine = Machine()
    machine.transport.then(reply)
    return machine


def test_token_request() -> None:
    """One GET to the link-local address, with the Metadata header, past every proxy."""
    machine = Machine(token_response("an-imds-token"))

    token = machine.token()

    (request,) = machine.transport.requests
    assert token == "an-imds-token"
    assert (request.method, request.url) == ("GET", ADDRESS)
    assert request.params == {"api-version": "2018-02-01", "resource": "https://vault.azure.net"}
    assert request.headers["Metadata"] == "true"
    assert request.trust_env is False


def test_standing_alone_there_is_no_probe() -> None:
    """A managed identity that is the only source is asked for its token at once."""
    machine = Machine(token_response())

    machine.token()

    assert [request.headers.get("Metadata") for request in machine.transport.requests] == ["true"]


@pytest.mark.parametrize("written", ["http://127.0.0.1:8080", "http://127.0.0.1:8080/"])
def test_variable_replaces_the_address_only(written: str) -> None:
    """AZURE_POD_IDENTITY_AUTHORITY_HOST moves the requests elsewhere, and nothing else about them changes."""
    machine = Machine(REFUSED, token_response(), environment={"AZURE_POD_IDENTITY_AUTHORITY_HOST": written})

    run(machine.credential.detect(), clock=machine.clock)
    machine.token()

    probe, request = machine.transport.requests
    assert probe.url == request.url == "http://127.0.0.1:8080/metadata/identity/oauth2/token"
    assert probe.timeout == 1.0
    assert "Metadata" not in probe.headers


def test_probe_is_one_request_without_the_header() -> None:
    """IMDS refuses a request without the Metadata header at once; the probe has a second for everything."""
    machine = Machine(REFUSED)

    run(machine.credential.detect(), clock=machine.clock)

    (probe,) = machine.transport.requests
    assert "Metadata" not in probe.headers
    assert probe.timeout == 1.0
    assert probe.trust_env is False


@pytest.mark.parametrize("status", [200, 400, 401, 404, 410, 429, 500, 503])
def test_any_answer_to_the_probe_means_present(status: int) -> None:
    """Whatever the status: somebody is there, and the request for a token will show who. Nothing is sent twice."""
    machine = Machine(json_response({}, status=status))

    run(machine.credential.detect(), clock=machine.clock)

    assert len(machine.transport.requests) == 1


def test_silence_after_the_probe_is_unavailable_within_a_second() -> None:
    """Without IMDS a chain waits one second, once."""
    machine = Machine(REFUSED, delay=60.0)
    start = machine.clock.monotonic()

    with pytest.raises(CredentialUnavailableError, match="no IMDS answers here"):
        run(machine.credential.detect(), clock=machine.clock)

    assert machine.clock.monotonic() - start == pytest.approx(1.0, abs=0.01)
    assert len(machine.transport.requests) == 1


def test_no_connection_for_the_probe_is_unavailable() -> None:
    """A refused connection is an absence as well."""
    machine = Machine(TransportError("cannot connect (No route to host)"))

    with pytest.raises(CredentialUnavailableError, match="No route to host"):
        run(machine.credential.detect(), clock=machine.clock)


def test_what_was_found_is_not_looked_for_again() -> None:
    """Once IMDS was found, a chain asks for tokens without a probe; `reset` forgets that."""
    machine = Machine(REFUSED)

    async def main() -> None:
        await machine.credential.detect()
        await machine.credential.detect()
        machine.credential.reset()
        await machine.credential.detect()

    run(main(), clock=machine.clock)

    assert len(machine.transport.requests) == 2


@pytest.mark.parametrize(
    ("identity", "says"),
    [
        ({}, "the system-assigned identity"),
        ({"client_id": "an-id"}, "the user-assigned identity with client_id an-id"),
        ({"resource_id": "/a/b"}, "the user-assigned identity with resource_id /a/b"),
    ],
)
def test_identity_that_is_not_assigned_is_unavailable(identity: dict[str, Any], says: str) -> None:
    """A 400 means that this machine does not have the identity; the error says which one, and what IMDS answered."""
    answer = json_response({"error": "invalid_request", "error_description": "Identity not found"}, status=400)

    error = Machine(answer, **identity).error()

    assert isinstance(error, CredentialUnavailableError)
    assert says in error.message
    assert "Identity not found" in error.message


@pytest.mark.parametrize(
    "answer",
    [
        json_response({"error": "A socket operation was attempted to an unreachable network."}, status=403),
        json_response({"error_description": "the host is Unreachable"}, status=403),
        Response(403, headers=HTML, body=b"<html>unreachable</html>"),
        Response(403, headers={"content-type": "text/plain"}, body=b"connecting: unreachable network"),
    ],
    ids=["json", "capital", "html", "text"],
)
def test_unreachable_behind_a_proxy_is_unavailable(answer: Response) -> None:
    """Docker Desktop and some proxies answer for an IMDS that is not there."""
    assert isinstance(Machine(answer).error(), CredentialUnavailableError)


@pytest.mark.parametrize("status", [200, 302, 401, 403, 404, 502])
def test_page_for_people_is_unavailable(status: int) -> None:
    """A login page or a proxy's error page is not IMDS; its text is not told."""
    error = Machine(Response(status, headers=HTML, body=b"<html>please-sign-in</html>")).error()

    assert isinstance(error, CredentialUnavailableError)
    assert f"status {status}" in error.message
    assert "please-sign-in" not in error.message


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b'"text"'])
def test_answer_that_is_no_json_object_is_unavailable(body: bytes) -> None:
    """Whatever answers so is not IMDS."""
    assert isinstance(Machine(Response(200, body=body)).error(), CredentialUnavailableError)


def test_forbidden_is_a_failure() -> None:
    """A 403 of IMDS itself stops a chain."""
    error = Machine(json_response({"error": "forbidden", "error_description": "policy"}, status=403)).error()

    assert isinstance(error, AuthenticationFailedError)
    assert error.http_status == 403


@pytest.mark.parametrize("status", [404, 410, 429, 500, 502, 503, 599])
def test_transient_status_is_retried(status: int) -> None:
    """What passes is waited for, five times."""
    machine = Machine(*[json_response({}, status=status)] * 5, token_response("after-all"))

    token = machine.token()

    assert token == "after-all"
    assert len(machine.transport.requests) == 6


@pytest.mark.parametrize("body", [b"{}", b"", b"busy"], ids=["json", "empty", "text"])
@pytest.mark.parametrize("status", [404, 429, 500, 503])
def test_lasting_fault_is_a_failure(status: int, body: bytes) -> None:
    """After five retries, 0.8 s and doubling, it is an error that stops a chain."""
    machine = Machine(Response(status, body=body))
    start = machine.clock.monotonic()

    error = machine.error()

    assert isinstance(error, AuthenticationFailedError)
    assert error.http_status == status
    assert len(machine.transport.requests) == 6
    assert 0.8 * 31 * 0.8 <= machine.clock.monotonic() - start <= 0.8 * 31 * 1.2 + 1


def test_gone_is_believed_after_seventy_seconds_only() -> None:
    """A 410 tells of an update, which takes up to 70 s."""
    machine = Machine(json_response({}, status=410))
    start = machine.clock.monotonic()

    error = machine.error()

    assert isinstance(error, AuthenticationFailedError)
    assert 70.0 <= machine.clock.monotonic() - start <= 120.0


def test_bad_request_is_not_retried() -> None:
    """An identity that is not assigned will not be by the next second."""
    machine = Machine(json_response({"error": "invalid_request"}, status=400))

    machine.error()

    assert len(machine.transport.requests) == 1


def test_retry_after_is_honoured() -> None:
    """What IMDS asks for is waited for."""
    machine = Machine(json_response({}, status=429, retry_after="7"), token_response())
    start = machine.clock.monotonic()

    machine.token()

    assert machine.clock.monotonic() - start == pytest.approx(7.0, abs=0.1)


def test_chain_goes_on_where_there_is_no_imds() -> None:
    """The probe's silence lets the next source give the token."""
    machine = Machine(TransportError("cannot connect"))
    chain = ChainedTokenCredential(machine.credential, StaticCredential("the-next"), host=machine.host)

    token = run(chain.get_token(SCOPE), clock=machine.clock)

    assert token.token == "the-next"


def test_chain_stops_at_a_fault_of_imds() -> None:
    """Where IMDS is there and fails, going on would hand the process another identity."""
    machine = behind(json_response({"error": "server_error"}, status=500))
    other = StaticCredential("another-identity")
    chain = ChainedTokenCredential(machine.credential, other, host=machine.host)

    with pytest.raises(ChainStoppedError):
        run(chain.get_token(SCOPE), clock=machine.clock)

    assert other.scopes == []


def test_chain_caps_the_retries_at_ten_seconds() -> None:
    """Inside a chain a source has ten seconds."""
    machine = behind(json_response({}, status=500))
    chain = ChainedTokenCredential(machine.credential, StaticCredential("x"), host=machine.host)
    start = machine.clock.monotonic()

    with pytest.raises(ChainStoppedError):
        run(chain.get_token(SCOPE), clock=machine.clock)

    assert machine.clock.monotonic() - start <= 10.1
