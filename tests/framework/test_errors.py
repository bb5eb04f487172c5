"""The error tree: whose children errors are, what they carry, and what they never carry."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from azure.core.exceptions import ClientAuthenticationError as CoreError

from credchain import errors
from credchain.attempts import Attempt, Outcome
from credchain.errors import (
    AuthenticationFailedError,
    ChainStoppedError,
    ChainUnavailableError,
    ConfigurationError,
    CredentialUnavailableError,
    ProviderLoadError,
    TransportError,
    is_unavailable,
)

ATTEMPTS = (Attempt("one", Outcome.UNAVAILABLE, "not here"), Attempt("two", Outcome.FAILED, "refused"))

FIELDS = {
    "error": "invalid_client",
    "error_codes": (7000215,),
    "suberror": "basic_action",
    "correlation_id": "c-1",
    "trace_id": "t-1",
    "claims": "{}",
    "retry_after": 3.0,
    "http_status": 401,
    "advice": "give the secret's value",
}

PLANTED = '{"access_token": {"acrs": {"value": "planted-claim"}}}'


def refusal() -> AuthenticationFailedError:
    """A failure with every field set."""
    return AuthenticationFailedError(
        "two: refused",
        error="invalid_client",
        error_codes=[7000215],
        suberror="basic_action",
        correlation_id="c-1",
        trace_id="t-1",
        claims="{}",
        retry_after=3.0,
        http_status=401,
        advice="give the secret's value",
        source="two",
    )


def each() -> list[Exception]:
    """One error of each kind."""
    return [
        CredentialUnavailableError("one: not here"),
        ChainUnavailableError("no source", attempts=ATTEMPTS),
        refusal(),
        TransportError("two: no answer"),
        ChainStoppedError("stopped", attempts=ATTEMPTS, cause=refusal()),
        ConfigurationError("order: wrong"),
        ProviderLoadError("vault: broken", source="vault", distribution="acme 1.0"),
    ]


@pytest.mark.parametrize(
    ("kind", "parents"),
    [
        (CredentialUnavailableError, (CoreError, AzureError)),
        (ChainUnavailableError, (CredentialUnavailableError,)),
        (AuthenticationFailedError, (CoreError, AzureError)),
        (TransportError, (AuthenticationFailedError,)),
        (ChainStoppedError, (AuthenticationFailedError,)),
        (ConfigurationError, (ValueError,)),
        (ProviderLoadError, (ConfigurationError,)),
    ],
)
def test_the_tree_is_as_drawn(kind: type[Exception], parents: tuple[type[Exception], ...]) -> None:
    """Programs that catch azure-core's errors catch these; wrong settings are ValueErrors."""
    assert issubclass(kind, parents)
    assert kind.__name__ in (errors.__doc__ or "")


def test_unavailable_and_failed_exclude_each_other() -> None:
    """A chain goes on after the one and stops at the other."""
    kinds = [type(error) for error in each()]

    both = [
        kind
        for kind in kinds
        if issubclass(kind, CredentialUnavailableError) and issubclass(kind, AuthenticationFailedError)
    ]

    assert both == []


def test_every_public_name_exists() -> None:
    """`__all__` promises nothing that is not there."""
    assert [name for name in errors.__all__ if not hasattr(errors, name)] == []


def test_a_failure_carries_what_the_service_said() -> None:
    """As attributes of an exact type: codes are a tuple."""
    error = refusal()

    assert {name: getattr(error, name) for name in FIELDS} == FIELDS
    assert error.message == "two: refused"


def test_what_the_service_did_not_say_is_none() -> None:
    """Each attribute is there in any case."""
    error = TransportError("two: no answer")

    assert {name: getattr(error, name) for name in FIELDS} == {**dict.fromkeys(FIELDS), "error_codes": ()}


def test_a_stopped_chain_tells_what_its_source_said() -> None:
    """The fields of the failure are copied, so that a caller need not look for the cause."""
    error = ChainStoppedError("stopped", attempts=list(ATTEMPTS), cause=refusal())

    assert {name: getattr(error, name) for name in FIELDS} == FIELDS
    assert error.attempts == ATTEMPTS
    assert error.source == "two"


def test_a_stopped_chain_survives_a_stranger_s_error() -> None:
    """A cause without our fields, or with objects of azure-core's in their place, leaves them None."""
    cause = CoreError(message="no")
    cause.error = object()  # type: ignore[assignment]

    error = ChainStoppedError("stopped", attempts=ATTEMPTS, cause=cause)

    assert {name: getattr(error, name) for name in FIELDS} == {**dict.fromkeys(FIELDS), "error_codes": ()}


@pytest.mark.parametrize("error", each(), ids=lambda error: type(error).__name__)
def test_a_message_is_what_was_said(error: Exception) -> None:
    """str() is the message alone; azure-core adds nothing to it."""
    assert str(error) == error.args[0]


@pytest.mark.parametrize("error", each(), ids=lambda error: type(error).__name__)
def test_no_error_holds_an_answer(error: Exception) -> None:
    """Nothing in an error must be kept from a log: no response, no parsed body."""
    assert getattr(error, "response", None) is None
    assert getattr(error, "model", None) is None


@pytest.mark.parametrize("error", each(), ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("remade", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy], ids=["pickle", "copy"])
def test_an_error_crosses_to_another_process(error: Exception, remade: object) -> None:
    """A worker process hands its errors back by pickling; message and fields arrive."""
    again = remade(error)  # type: ignore[operator]

    assert type(again) is type(error)
    assert str(again) == str(error)
    for name in (*FIELDS, "attempts", "source", "distribution"):
        assert getattr(again, name, None) == getattr(error, name, None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(
            CredentialUnavailableError("one: not here"),
            {"kind": "CredentialUnavailableError", "message": "one: not here"},
            id="unavailable",
        ),
        pytest.param(
            ChainUnavailableError("no source", attempts=ATTEMPTS[:1]),
            {
                "kind": "ChainUnavailableError",
                "message": "no source",
                "attempts": [{"source": "one", "outcome": "unavailable", "seconds": 0.0, "reason": "not here"}],
            },
            id="a chain of unavailable ones",
        ),
        pytest.param(
            refusal(),
            {
                "kind": "AuthenticationFailedError",
                "message": "two: refused",
                "source": "two",
                "error": "invalid_client",
                "error_codes": [7000215],
                "suberror": "basic_action",
                "correlation_id": "c-1",
                "trace_id": "t-1",
                "retry_after": 3.0,
                "http_status": 401,
                "advice": "give the secret's value",
                "claims_challenge": True,
            },
            id="refused",
        ),
        pytest.param(
            AuthenticationFailedError("two: busy", error="", retry_after=0.0, http_status=503),
            {"kind": "AuthenticationFailedError", "message": "two: busy", "retry_after": 0.0, "http_status": 503},
            id="what was not said is left out, a zero is not",
        ),
        pytest.param(
            TransportError("two: no answer"), {"kind": "TransportError", "message": "two: no answer"}, id="no answer"
        ),
        pytest.param(
            ChainStoppedError("stopped", attempts=ATTEMPTS, cause=TransportError("two: no answer", http_status=502)),
            {
                "kind": "ChainStoppedError",
                "message": "stopped",
                "source": "two",
                "http_status": 502,
                "attempts": [
                    {"source": "one", "outcome": "unavailable", "seconds": 0.0, "reason": "not here"},
                    {"source": "two", "outcome": "failed", "seconds": 0.0, "reason": "refused"},
                ],
            },
            id="a stopped chain",
        ),
        pytest.param(
            ChainStoppedError("stopped", attempts=(), cause=ValueError("no")),
            {"kind": "ChainStoppedError", "message": "stopped"},
            id="a chain that asked nobody",
        ),
        pytest.param(
            ConfigurationError("order: wrong"), {"kind": "ConfigurationError", "message": "order: wrong"}, id="setting"
        ),
        pytest.param(
            ProviderLoadError("vault: broken", source="vault", distribution="acme 1.0"),
            {
                "kind": "ProviderLoadError",
                "message": "vault: broken",
                "source": "vault",
                "distribution": "acme 1.0",
            },
            id="a broken package",
        ),
        pytest.param(
            ProviderLoadError("vault: unknown", source="vault"),
            {"kind": "ProviderLoadError", "message": "vault: unknown", "source": "vault"},
            id="no package",
        ),
    ],
)
def test_a_structured_log_gets_plain_values(error: Any, expected: dict[str, object]) -> None:
    """to_dict() has what the error says, no more, and all of it survives JSON."""
    found = error.to_dict()

    assert found == expected
    assert json.loads(json.dumps(found)) == expected


def test_a_claims_challenge_is_mentioned_and_not_told() -> None:
    """What a policy demands is for the next request, not for a log."""
    error = AuthenticationFailedError("two: refused", claims=PLANTED)
    chain = ChainStoppedError("stopped", attempts=ATTEMPTS, cause=error)

    told = json.dumps([error.to_dict(), chain.to_dict()])

    assert told.count('"claims_challenge": true') == 2
    assert "planted" not in told


def test_every_error_has_plain_values_in_a_child_of_a_stranger() -> None:
    """Somebody's own kind of error is told by its own name."""

    class NoVaultError(CredentialUnavailableError):
        pass

    assert NoVaultError("vault: sealed").to_dict() == {"kind": "NoVaultError", "message": "vault: sealed"}


def _stranger(name: str, parent: type[CoreError] = CoreError) -> CoreError:
    error: CoreError = type(name, (parent,), {})(message="no")
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(CredentialUnavailableError("no"), True, id="ours"),
        pytest.param(ChainUnavailableError("no", attempts=()), True, id="a chain's"),
        pytest.param(_stranger("CredentialUnavailableError"), True, id="azure-identity's"),
        pytest.param(_stranger("Child", type(_stranger("CredentialUnavailableError"))), True, id="a child of it"),
        pytest.param(AuthenticationFailedError("no"), False, id="a failure"),
        pytest.param(TransportError("no"), False, id="a dead network"),
        pytest.param(CoreError(message="no"), False, id="azure-core's"),
        pytest.param(ProviderLoadError("no", source="x"), False, id="a setting"),
        pytest.param(ValueError("CredentialUnavailableError"), False, id="only in words"),
    ],
)
def test_unavailable_is_told_by_kind(error: Exception, expected: bool) -> None:
    """azure-identity's exception counts, without that package being imported."""
    assert is_unavailable(error) is expected


def test_an_attempt_reads_as_one_line() -> None:
    """Source, outcome, time, and why."""
    assert str(Attempt("one", Outcome.UNAVAILABLE, "not here", 0.25)) == "one (unavailable, 250 ms): not here"
    assert str(Attempt("one", Outcome.TOKEN)) == "one (token, 0 ms)"


def test_an_attempt_is_plain_values() -> None:
    """For structured logs; the outcome is a text and nothing else, and what is empty is left out."""
    full = Attempt("one", Outcome.FAILED, "refused", 0.25, "acme 1.0").to_dict()
    bare = Attempt("one", Outcome.TOKEN).to_dict()

    assert full == {
        "source": "one",
        "outcome": "failed",
        "seconds": 0.25,
        "reason": "refused",
        "distribution": "acme 1.0",
    }
    assert type(full["outcome"]) is str
    assert bare == {"source": "one", "outcome": "token", "seconds": 0.0}
