"""A chain's place for one source, and what is remembered of one that does not apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@attrs.define(eq=False)
class Link:
    """A chain's place for one source.

    Attributes:
        name: The source's name, or the class name of a credential that was given as an object.
        open: Gives the credential; called when the chain first reaches the link.
        distribution: The package the source came from, if known.
        explicit: Whether the user named this very source: then it is not asked whether it applies, and that it does
            not is not remembered.
        timeout: Seconds for one turn; None takes the chain's usual 10 s, or no limit where the link is alone.
        on_failure: ``"continue"`` goes on after a failure, where the settings say so.
        credential: What `open` gave.
        absent: What is remembered of a source that does not apply.
    """

    name: str
    open: Callable[[], Awaitable[Any]]
    distribution: str | None = None
    explicit: bool = False
    timeout: float | None = None
    on_failure: str = "stop"
    credential: Any = None
    absent: Absence | None = None
    absences: int = 0


@attrs.frozen
class Absence:
    """That a source does not apply: why, until when that is believed, and what the environment was."""

    reason: str
    until: float
    variables: tuple[str | None, ...]


def link_of(credential: Any) -> Link:
    """A link for a credential that was given as an object.

    Raises:
        TypeError: It cannot give tokens.
    """
    if isinstance(credential, type) or not (hasattr(credential, "get_token") or hasattr(credential, "get_token_info")):
        raise TypeError(f"credentials: each needs a method get_token or get_token_info, unlike {credential!r:.80}")

    async def given() -> Any:
        return credential

    name = getattr(type(credential), "source", None)
    return Link(name if isinstance(name, str) else type(credential).__name__, given, credential=credential)
