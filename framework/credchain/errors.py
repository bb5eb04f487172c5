"""What can go wrong, as a tree of exceptions under azure-core's.

::

    azure.core.exceptions.ClientAuthenticationError
    ├── CredentialUnavailableError       this source does not apply here; a chain goes on to the next
    │   └── ChainUnavailableError        no source of a chain applied (`attempts`); so chains nest
    └── AuthenticationFailedError        the source applied, and was refused; a chain stops
        ├── TransportError               nobody answered in time, or the connection failed
        └── ChainStoppedError            a chain stopped at a source that failed (`attempts`)

    ValueError, TypeError                what the caller got wrong, told before anything is sent
    └── ConfigurationError (ValueError)  a setting that cannot be followed
        └── ProviderLoadError            a source that was named cannot be loaded

No error carries a request, a response, a token or a secret: there is nothing in them that a log must not show. Each
has ``to_dict()``, its values as plain data for logs that are read by programs.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import ClientAuthenticationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credchain.attempts import Attempt
    from credchain.settings.faults import Fault

__all__ = [
    "AuthenticationFailedError",
    "ChainStoppedError",
    "ChainUnavailableError",
    "ClientAuthenticationError",
    "ConfigurationError",
    "CredentialUnavailableError",
    "ProviderLoadError",
    "TransportError",
    "is_unavailable",
]


class CredentialUnavailableError(ClientAuthenticationError):  # type: ignore[misc, unused-ignore]
    """A source cannot serve on this machine or in this set-up; trying another one makes sense."""

    def __init__(self, message: str) -> None:
        super().__init__(message=message)

    def __reduce__(self) -> Any:
        return _remade, (type(self), self.message), _state(self)

    def to_dict(self) -> dict[str, object]:
        """The error as values that JSON has: ``kind`` (the name of its class) and ``message``."""
        return _plain(self, self.message, {})


class ChainUnavailableError(CredentialUnavailableError):
    """Every source of a chain said that it does not apply.

    Attributes:
        attempts: What became of each source, in the order of the chain.
    """

    def __init__(self, message: str, *, attempts: Sequence[Attempt]) -> None:
        super().__init__(message)
        self.attempts = tuple(attempts)

    def to_dict(self) -> dict[str, object]:
        """The error as values that JSON has, with its attempts as a list of such values."""
        return {**super().to_dict(), **_plain_attempts(self.attempts)}


class AuthenticationFailedError(ClientAuthenticationError):  # type: ignore[misc, unused-ignore]
    """A source applied, and did not get a token.

    The attributes are those of an OAuth 2.0 error response (RFC 6749, section 5.2) as Entra ID extends it; each is
    None (or empty) where the service did not say.

    Attributes:
        error: The OAuth error code, such as ``invalid_client``.
        error_codes: Entra's numbers, such as ``(7000215,)``.
        suberror: Entra's finer code, such as ``basic_action``.
        correlation_id: Entra's name for the exchange; its support asks for it.
        trace_id: Entra's name for its own log entry.
        claims: The claims challenge to pass on to the next token request, as JSON text.
        retry_after: Seconds that the service asked to wait.
        http_status: The status of the answer.
        advice: What to do, in one sentence that the message ends with; for numbers in `credchain.advice`.
        source: The source that was refused, where whoever raised the error named it.
    """

    error: str | None  # type: ignore[assignment]  # azure-core keeps a parsed body here; ours has none

    def __init__(
        self,
        message: str,
        *,
        error: str | None = None,
        error_codes: Sequence[int] = (),
        suberror: str | None = None,
        correlation_id: str | None = None,
        trace_id: str | None = None,
        claims: str | None = None,
        retry_after: float | None = None,
        http_status: int | None = None,
        advice: str | None = None,
        source: str | None = None,
    ) -> None:
        super().__init__(message=message)
        self.error = error
        self.error_codes = tuple(error_codes)
        self.suberror = suberror
        self.correlation_id = correlation_id
        self.trace_id = trace_id
        self.claims = claims
        self.retry_after = retry_after
        self.http_status = http_status
        self.advice = advice
        self.source = source

    def __reduce__(self) -> Any:
        return _remade, (type(self), self.message), _state(self)

    def to_dict(self) -> dict[str, object]:
        """The error as values that JSON has, without those that are None or empty.

        ``kind`` is the name of its class; the other keys are those of the attributes. Of a claims challenge it only
        says that there is one, as ``claims_challenge``: what is in it concerns the next request, not the reader.
        """
        values = {
            "source": self.source,
            "error": self.error,
            "error_codes": list(self.error_codes),
            "suberror": self.suberror,
            "correlation_id": self.correlation_id,
            "trace_id": self.trace_id,
            "retry_after": self.retry_after,
            "http_status": self.http_status,
            "advice": self.advice,
            "claims_challenge": True if self.claims else None,
        }
        return _plain(self, self.message, values)


class TransportError(AuthenticationFailedError):
    """No answer: the connection failed, broke, or was not answered in time."""


class ChainStoppedError(AuthenticationFailedError):
    """A chain stopped, because a source that applies has failed.

    Going on would hand the process another identity than the one it is set up for. The fields of the failure are
    copied here; the failure itself is ``__cause__``.

    Attributes:
        attempts: What became of each source that was asked, the failed one last.
        source: The failed one's name in the chain.
    """

    def __init__(self, message: str, *, attempts: Sequence[Attempt], cause: BaseException) -> None:
        super().__init__(
            message,
            error=_text(cause, "error"),
            error_codes=getattr(cause, "error_codes", ()),
            suberror=_text(cause, "suberror"),
            correlation_id=_text(cause, "correlation_id"),
            trace_id=_text(cause, "trace_id"),
            claims=_text(cause, "claims"),
            retry_after=getattr(cause, "retry_after", None),
            http_status=getattr(cause, "http_status", None),
            advice=_text(cause, "advice"),
            source=attempts[-1].source if attempts else None,
        )
        self.attempts = tuple(attempts)

    def to_dict(self) -> dict[str, object]:
        """The error as values that JSON has, with its attempts as a list of such values."""
        return {**super().to_dict(), **_plain_attempts(self.attempts)}


class ConfigurationError(ValueError):
    """A setting is wrong; the message names the setting and where it came from.

    Attributes:
        faults: Everything that is wrong, one by one (`credchain.settings.Fault`), where settings were gathered.
    """

    def __init__(self, message: str, *, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)

    def __reduce__(self) -> Any:
        return functools.partial(ConfigurationError, faults=self.faults), self.args

    def to_dict(self) -> dict[str, object]:
        """The error as values that JSON has: ``kind`` (the name of its class), ``message``, and ``faults`` one by one."""
        return _plain(self, str(self), {"faults": [str(fault) for fault in self.faults]})


class ProviderLoadError(ConfigurationError):
    """A source that was named explicitly cannot be loaded.

    Attributes:
        source: The source's name.
        distribution: The package that registers it, with its version, if one does.
    """

    def __init__(
        self, message: str, *, source: str, distribution: str | None = None, faults: Sequence[Fault] = ()
    ) -> None:
        super().__init__(message, faults=faults)
        self.source = source
        self.distribution = distribution

    def __reduce__(self) -> Any:
        made = functools.partial(
            ProviderLoadError, source=self.source, distribution=self.distribution, faults=self.faults
        )
        return made, self.args

    def to_dict(self) -> dict[str, object]:
        """The error as values that JSON has, with ``source`` and ``distribution``."""
        return {**super().to_dict(), **_said({"source": self.source, "distribution": self.distribution})}


def _remade(cls: type[ClientAuthenticationError], message: str) -> ClientAuthenticationError:
    """An error as it comes out of a pickle, before its attributes are set."""
    error = cls.__new__(cls, message)
    error.args = (message,)
    return error


def is_unavailable(error: BaseException) -> bool:
    """Whether *error* says that its source does not apply, whoever's credential raised it.

    azure-identity's exception of that meaning is recognised by the name of its class, so that its credentials can be
    members of a chain without that package being imported here.
    """
    if isinstance(error, CredentialUnavailableError):
        return True
    return any(base.__name__ == "CredentialUnavailableError" for base in type(error).__mro__)


def _state(error: ClientAuthenticationError) -> dict[str, Any]:
    """What of an error goes into a pickle: its values, and not where it was raised."""
    left_behind = ("exc_type", "exc_value", "exc_traceback", "exc_msg", "inner_exception")
    return {**dict.fromkeys(left_behind), **{k: v for k, v in vars(error).items() if k not in left_behind}}


def _plain(error: Exception, message: str, values: Mapping[str, object]) -> dict[str, object]:
    """An error's kind and message, and those of *values* that say something; a number says something, even 0."""
    return {"kind": type(error).__name__, "message": message, **_said(values)}


def _said(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None and value not in ("", [])}


def _plain_attempts(attempts: Sequence[Attempt]) -> dict[str, object]:
    return {"attempts": [attempt.to_dict() for attempt in attempts]} if attempts else {}


def _text(error: BaseException, name: str) -> str | None:
    value = getattr(error, name, None)
    return value if isinstance(value, str) else None
