"""The catalogue of refusals: each error of the token endpoint with its OAuth code, AADSTS number and status.

RFC 6749, section 5.2, in the shape and with the numbers of Entra ID's reference of error codes.
"""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING

from credchain.emulator.wire import Answer, json_answer

if TYPE_CHECKING:
    from credchain.emulator.wire import Call


class RefusedError(Exception):
    """A request that the token endpoint turns down."""

    def __init__(
        self,
        error: str,
        number: int,
        text: str,
        *,
        status: int = 400,
        suberror: str | None = None,
        claims: str | None = None,
    ) -> None:
        super().__init__(f"AADSTS{number}: {text}")
        self.error = error
        self.number = number
        self.status = status
        self.suberror = suberror
        self.claims = claims


def error_answer(refusal: RefusedError, call: Call, *, now: float) -> Answer:
    """The refusal as Entra ID words it, with fresh trace and the caller's correlation id."""
    trace_id, correlation_id = str(uuid.uuid4()), _correlation_id(call)
    timestamp = f"{datetime.datetime.fromtimestamp(now, datetime.UTC):%Y-%m-%d %H:%M:%S}Z"
    payload: dict[str, object] = {
        "error": refusal.error,
        "error_description": (
            f"{refusal} Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}"
        ),
        "error_codes": [refusal.number],
        "timestamp": timestamp,
        "trace_id": trace_id,
        "correlation_id": correlation_id,
        "error_uri": f"{call.authority}/error?code={refusal.number}",
    }
    if refusal.suberror is not None:
        payload["suberror"] = refusal.suberror
    if refusal.claims is not None:
        payload["claims"] = refusal.claims
    return json_answer(payload, status=refusal.status, headers={"x-ms-request-id": trace_id})


def unknown_tenant(tenant: str) -> RefusedError:
    """Nothing was ever added in that tenant."""
    return RefusedError(
        "invalid_request",
        90002,
        f"Tenant '{tenant}' not found. Check that the tenant id and the cloud are the right ones.",
    )


def no_tenant() -> RefusedError:
    """An application on its own named a tenant that stands for the user's."""
    return RefusedError("invalid_request", 50059, "No tenant-identifying information found in the request.")


def missing(name: str) -> RefusedError:
    """A field of the form is not there."""
    return RefusedError("invalid_request", 900144, f"The request body must contain the following parameter: '{name}'.")


def malformed(what: str) -> RefusedError:
    """A field cannot be read."""
    return RefusedError("invalid_request", 9002313, f"Invalid request. Request is malformed or invalid: {what}.")


def unsupported_grant(grant: str) -> RefusedError:
    """No such grant."""
    return RefusedError("unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{grant}'.")


def common_password() -> RefusedError:
    """The password grant needs a tenant or `organizations`."""
    text = "The grant type is not supported over /common; use /organizations or a tenant of its own."
    return RefusedError("invalid_request", 9001023, text)


def unknown_application(client_id: str, tenant: str) -> RefusedError:
    """No such application in the tenant."""
    return RefusedError(
        "unauthorized_client",
        700016,
        f"Application with identifier '{client_id}' was not found in the directory '{tenant}'.",
    )


def wrong_secret(client_id: str) -> RefusedError:
    """Not the application's secret."""
    text = f"Invalid client secret provided for app '{client_id}'."
    return RefusedError("invalid_client", 7000215, text, status=401)


def expired_secret(client_id: str) -> RefusedError:
    """The right secret, too late."""
    text = f"The provided client secret keys for app '{client_id}' are expired."
    return RefusedError("invalid_client", 7000222, text, status=401)


def no_proof(*, alone: bool) -> RefusedError:
    """An application with a secret or certificate showed neither; *alone* if it asks for itself."""
    number = 7000216 if alone else 7000218
    text = "The request must contain the following parameter: 'client_assertion' or 'client_secret'."
    return RefusedError("invalid_client", number, text, status=401)


def public_client() -> RefusedError:
    """An application without credentials showed some."""
    text = "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."
    return RefusedError("invalid_client", 700025, text, status=401)


def scope_without_default(scope: str) -> RefusedError:
    """An application on its own asks for everything it was granted, never for one permission."""
    return RefusedError(
        "invalid_scope",
        1002012,
        f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value "
        "with /.default suffixed to the resource identifier (application ID URI).",
    )


def invalid_scope(scope: str, why: str) -> RefusedError:
    """The scopes do not go together."""
    return RefusedError(
        "invalid_scope",
        70011,
        f"The provided value for the input parameter 'scope' is not valid: {scope} {why}.",
    )


def unknown_resource(resource: str, tenant: str) -> RefusedError:
    """Resources were added, and this is none of them."""
    text = f"The resource principal named {resource} was not found in the tenant named {tenant}."
    return RefusedError("invalid_resource", 500011, text)


def bad_assertion(number: int, text: str) -> RefusedError:
    """A client assertion that proves nothing."""
    return RefusedError("invalid_client", number, text, status=401)


def invalid_grant(number: int, text: str) -> RefusedError:
    """A code, refresh token or password that is good for nothing."""
    return RefusedError("invalid_grant", number, text)


def redirect_mismatch(redirect_uri: str, client_id: str) -> RefusedError:
    """The redirect URI is not the one the code was issued for."""
    text = f"The redirect URI '{redirect_uri}' specified in the request does not match the one of '{client_id}'."
    return RefusedError("invalid_request", 50011, text)


def interaction_required(claims: str) -> RefusedError:
    """More is demanded than what was shown."""
    text = "Due to a configuration change made by the administrator, multi-factor authentication must be used."
    return RefusedError("interaction_required", 50076, text, suberror="basic_action", claims=claims)


def _correlation_id(call: Call) -> str:
    for name in ("client-request-id", "x-ms-client-request-id"):
        try:
            return str(uuid.UUID(call.headers.get(name, "")))
        except ValueError:
            continue
    return str(uuid.uuid4())
