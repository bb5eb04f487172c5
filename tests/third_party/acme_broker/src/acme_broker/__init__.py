"""A source for credchain: tokens from Acme's token broker."""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs

from credchain import AccessTokenInfo, Host, Provider, Request, TokenCredential, TokenRequest, hookimpl
from credchain.oauth import parse_token

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def _trimmed(address: str) -> str:
    return address.rstrip("/")


def _safe(_settings: object, _field: object, address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("address must be an https address")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("address must be an https address; http is for loopback")


@attrs.frozen
class BrokerSettings:
    """What stands in the table ``[source.broker]``.

    Attributes:
        address: Where the broker is.
        api_key: What this machine is known by there.
    """

    address: str = attrs.field(converter=_trimmed, validator=_safe)
    api_key: str | None = attrs.field(default=None, repr=False)


class BrokerCredential(TokenCredential):
    """Tokens from the broker that *settings* describe."""

    source = "broker"

    def __init__(self, settings: BrokerSettings, *, host: Host | None = None) -> None:
        super().__init__(host=host)
        self._settings = settings

    async def acquire(self, request: TokenRequest) -> AccessTokenInfo:
        """A token from the broker, which answers as an OAuth token endpoint does."""
        response = await self.send(self._asked(request))
        return parse_token(response, source=self.source, now=self.host.clock.time())

    def _asked(self, request: TokenRequest) -> Request:
        form = {"scope": " ".join(request.scopes), "tenant": request.tenant_id, "claims": request.claims}
        key = self._settings.api_key
        return Request(
            "POST",
            f"{self._settings.address}/v1/tokens",
            headers={"Authorization": f"Bearer {key}"} if key else {},
            form={name: value for name, value in form.items() if value},
            timeout=10,
            trust_env=urlsplit(self._settings.address).hostname not in _LOOPBACK,
        )


def build(settings: BrokerSettings, host: Host) -> BrokerCredential:
    """The credential of given settings."""
    return BrokerCredential(settings, host=host)


@hookimpl
def credchain_provider() -> Provider:
    """This source."""
    return Provider(name="broker", build=build, settings=BrokerSettings, summary="Acme's token broker")
