"""The records that go in and out: who is known, what goes wrong on purpose, what was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen
class Application:
    """An application registered in one tenant.

    The same ``client_id`` may be registered in several tenants, each time with credentials of its own.

    Attributes:
        tenant_id: The directory it is registered in.
        client_id: Its application id.
        client_secret: Its only secret, or None.
        certificates: The public certificates it may sign assertions with, DER or PEM.
        object_id: Its service principal in the tenant; ``oid`` and ``sub`` of its tokens.
        redirect_uris: Where authorization codes may go; none registered means anywhere.
        roles: The ``roles`` claim of its own tokens.
        secret_expired: Whether the right secret is refused as expired.
    """

    tenant_id: str
    client_id: str
    client_secret: str | None = attrs.field(repr=False)
    certificates: tuple[bytes, ...] = attrs.field(repr=False)
    object_id: str
    redirect_uris: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    secret_expired: bool = False

    @property
    def public(self) -> bool:
        """Whether it has nothing to prove itself with, as programs on a user's own machine have."""
        return self.client_secret is None and not self.certificates


@attrs.frozen
class User:
    """A person in a tenant.

    Attributes:
        tenant_id: The user's home tenant.
        username: The name to sign in with.
        password: For the password grant.
        object_id: ``oid`` and ``sub`` of the user's tokens.
        mfa: Whether a password alone is refused with a demand for more.
    """

    tenant_id: str
    username: str
    password: str = attrs.field(repr=False)
    object_id: str
    mfa: bool = False


@attrs.frozen
class MachineIdentity:
    """A managed identity of the machine that the emulator stands for.

    Attributes:
        client_id: Its application id.
        object_id: Its service principal.
        resource_id: Its Azure resource id, or None.
        tenant_id: The tenant its tokens are for.
        system_assigned: Whether it is the machine's own rather than one given to it by name.
    """

    client_id: str
    object_id: str
    resource_id: str | None
    tenant_id: str
    system_assigned: bool


def _status(fault: Fault, attribute: attrs.Attribute[int | None], value: int | None) -> None:
    if value is not None and not 200 <= value <= 599:
        raise ValueError(f"status: must lie between 200 and 599, not {value}")


def _delay(fault: Fault, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value < float("inf"):
        raise ValueError(f"delay: must be zero or more seconds, not {value}")


def _times(fault: Fault, attribute: attrs.Attribute[int | None], value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"times: must be at least 1, or None for until healed, not {value}")


@attrs.frozen
class Fault:
    """What a route does instead of its work, before it looks at the request.

    First the delay, then the first of: hang, reset, an answer made of `status` and `body`. A fault with
    nothing but a delay lets the request through afterwards.

    Attributes:
        status: The status of the answer. None with a body means 200.
        body: The body of the answer. None means an error in the usual shape; ``b""`` is an empty one.
        content_type: Of the body.
        headers: Further headers of the answer, such as ``Retry-After``.
        delay: Seconds before anything.
        reset: The connection is aborted.
        hang: No answer comes until the client gives up or the emulator stops.
        times: For how many requests; None means until healed.
    """

    status: int | None = attrs.field(default=None, validator=_status)
    body: bytes | None = None
    content_type: str = "application/json"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    delay: float = attrs.field(default=0.0, validator=_delay)
    reset: bool = False
    hang: bool = False
    times: int | None = attrs.field(default=None, validator=_times)


@attrs.frozen(eq=False)
class Recorded:
    """One request that arrived. Its values are kept, secrets included, but the repr shows none of them.

    Attributes:
        route: The route it belongs to, as `Emulator.count` names them; empty for an address nobody serves.
        method: The HTTP method.
        path: The path, without the query.
        headers: By name, in any case.
        params: The query.
        form: The fields of a form, or empty.
        at: When it arrived, in seconds of `time.monotonic`.
        status: What was answered; None before that, and for good if the connection was dropped.
    """

    route: str = attrs.field(repr=False)
    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    params: Mapping[str, str] = attrs.field(repr=False)
    form: Mapping[str, str] = attrs.field(repr=False)
    at: float = attrs.field(repr=False)
    status: int | None = None
