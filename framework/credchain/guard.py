"""A transport that lets no token request out that the policy does not allow, whichever source sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs

from credchain.errors import AuthenticationFailedError

if TYPE_CHECKING:
    from credchain.http import Request, Response, Transport
    from credchain.settings import Policy


@attrs.frozen
class GuardedTransport:
    """A transport under a policy.

    Attributes:
        inner: The way out; closed by whoever closes this one.
        policy: Which authorities and tenants token requests may go to.
    """

    inner: Transport
    policy: Policy = attrs.field(repr=False)

    async def send(self, request: Request) -> Response:
        """Send what the policy allows.

        Raises:
            AuthenticationFailedError: The policy allows neither the authority nor the tenant; nothing is sent.
        """
        why_not = refusal(self.policy, request)
        if why_not is not None:
            raise AuthenticationFailedError(why_not)
        return await self.inner.send(request)

    async def close(self) -> None:
        """Close the inner transport."""
        await self.inner.close()


def guarded(transport: Transport, policy: Policy) -> Transport:
    """*transport* under *policy*; itself, if it is already."""
    if isinstance(transport, GuardedTransport) and transport.policy == policy:
        return transport
    return GuardedTransport(transport, policy)


def refusal(policy: Policy, request: Request) -> str | None:
    """Why a request must not leave, or None. Only requests for tokens are judged (RFC 6749, section 4)."""
    if request.form is None or "grant_type" not in request.form:
        return None
    url = request.url.lower()
    allowed = policy.authorities
    if allowed is not None and not any(url.startswith(f"{authority}/") for authority in allowed.values):
        return f"policy: {urlsplit(url).netloc} is none of the authorities that {allowed.origin} allows"
    tenant = _tenant(url)
    if policy.tenants is not None and tenant not in policy.tenants.values:
        return f"policy: {tenant} is none of the tenants that {policy.tenants.origin} allows"
    return None


def _tenant(url: str) -> str:
    """The part of a token endpoint's path that names the tenant: the one before ``oauth2``."""
    parts = urlsplit(url).path.split("/")
    return parts[parts.index("oauth2") - 1] if "oauth2" in parts else parts[1] if len(parts) > 1 else ""
