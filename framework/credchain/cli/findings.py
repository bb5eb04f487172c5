"""What a diagnosis consists of: frozen records without a secret in them, and their form as JSON."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from credchain.cli.witness import Exchange

SCHEMA = 1
"""The version of the JSON form; a key that goes or changes its meaning makes it another one, a new key does not."""


class State(enum.StrEnum):
    """What became of an installed or configured source."""

    SELECTED = "selected"
    IN_THE_CHAIN = "in the chain"
    DISABLED = "disabled"
    NOT_NAMED = "not named"
    SHADOWED = "shadowed"
    DENIED = "denied"
    INCOMPATIBLE = "incompatible"
    FAILED_TO_LOAD = "failed to load"


@attrs.frozen
class Variable:
    """An environment variable that a source reads.

    Attributes:
        name: Its name.
        state: ``set``, ``empty`` or ``not set``.
        value: Its value where it is an id, an address or a path, and looks like one; else None.
    """

    name: str
    state: str
    value: str | None = None


@attrs.frozen
class FileRead:
    """A file that a variable or a setting leads to.

    Attributes:
        path: Where it is.
        named_by: The variable or setting.
        state: ``readable`` or why not.
    """

    path: str
    named_by: str
    state: str


@attrs.frozen
class Setting:
    """An effective value of the configuration: its key, the value as it may be shown, and where it came from."""

    key: str
    value: object
    origin: str


@attrs.frozen
class SourceReport:
    """One source.

    Attributes:
        name: Its name.
        package: The package with its version; empty if none is installed.
        state: What became of it.
        because: Why.
        place: Its place in the chain, from 1; None if it has none.
        detection: ``applies``, ``does not apply`` or ``not asked``.
        hosting: The hosting environment that a managed identity sees; None where that means nothing.
        outcome: ``token``, ``unavailable``, ``failed`` or ``not asked``.
        reason: One sentence on the outcome; empty for a token.
        milliseconds: How long the source was asked.
        variables: What it reads of the environment.
        files: The files that these and its settings lead to.
        requests: What it has sent.
    """

    name: str
    package: str
    state: State
    because: str
    place: int | None = None
    detection: str = "not asked"
    hosting: str | None = None
    outcome: str = "not asked"
    reason: str = ""
    milliseconds: float = 0.0
    variables: tuple[Variable, ...] = ()
    files: tuple[FileRead, ...] = ()
    requests: tuple[Exchange, ...] = ()


@attrs.frozen
class TokenReport:
    """What a token says of itself. Its signature was not verified.

    Attributes:
        source: The source that gave it.
        expires_on: When it expires, in seconds since the epoch.
        opaque: Whether it cannot be read, which is fine: only the service that it is for has to.
        tid: The tenant.
        oid: The principal in the tenant.
        appid: The application.
        aud: The service that it is for.
        roles: What the application was granted there.
    """

    source: str
    expires_on: float
    opaque: bool = False
    tid: str = ""
    oid: str = ""
    appid: str = ""
    aud: str = ""
    roles: tuple[str, ...] = ()


@attrs.frozen
class Hint:
    """Something that is off.

    Attributes:
        code: What kind of thing, in a word that stays the same.
        cause: What is the matter, as a sentence.
        remedy: What to do, as a sentence.
        source: The source that it concerns, if one.
    """

    code: str
    cause: str
    remedy: str
    source: str | None = None


@attrs.frozen
class Diagnosis:
    """All that was found.

    Attributes:
        exit_code: 0 a token, 1 no source, 2 a source failed, 3 the configuration is broken.
        verdict: The outcome in a sentence.
        cause: Why, in a sentence; empty if all is well.
        remedy: What to do; empty if all is well.
        scope: What a token was asked for; None if none was asked for.
        token: What the token says of itself.
        sources: Every source, those in the chain first and in its order.
        configuration: The effective values.
        hints: What else is off.
        faults: What is wrong in the configuration, one by one.
    """

    exit_code: int
    verdict: str
    cause: str = ""
    remedy: str = ""
    scope: str | None = None
    token: TokenReport | None = None
    sources: tuple[SourceReport, ...] = ()
    configuration: tuple[Setting, ...] = ()
    hints: tuple[Hint, ...] = ()
    faults: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """The diagnosis as values that JSON has, with the version of their form as ``schema``."""
        return {"schema": SCHEMA, **attrs.asdict(self)}
