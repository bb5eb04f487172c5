"""A request and an answer as values, so that every route is a plain function from one to the other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen(eq=False)
class Call:
    """What a route is asked.

    Attributes:
        route: Its route.
        method: The HTTP method.
        path: The path, without the query.
        headers: By name, in any case.
        params: The query.
        form: The fields of a form, or empty.
        repeated: The names of fields that came more than once (RFC 6749, section 3.2 forbids it).
        authority: The emulator's own address, for issuers and links.
    """

    route: str
    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    params: Mapping[str, str] = attrs.field(repr=False)
    form: Mapping[str, str] = attrs.field(repr=False)
    repeated: frozenset[str] = frozenset()
    authority: str = ""


@attrs.frozen(eq=False)
class Answer:
    """What a route answers."""

    status: int = 200
    body: bytes = attrs.field(default=b"", repr=False)
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = attrs.field(factory=dict)


_PRIVATE: Mapping[str, str] = {"Cache-Control": "no-store, no-cache", "Pragma": "no-cache"}


def json_answer(
    payload: Mapping[str, object], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    """*payload* as JSON, marked as nothing to be stored (RFC 6749, section 5.1)."""
    return Answer(status, json.dumps(payload).encode(), headers={**_PRIVATE, **(headers or {})})


def not_allowed(*methods: str) -> Answer:
    """The answer to a method that a route does not know (RFC 9110, section 15.5.6)."""
    return Answer(405, headers={"Allow": ", ".join(methods)})
