"""The source `broker`, without a network: the law of a source, and what is the broker's own."""

from __future__ import annotations

import asyncio

import acme_broker
import pytest

from credchain import Host
from credchain.testing import FakeTransport, ProviderContract, token_response

KEY = "the-key-of-this-machine"


class TestBroker(ProviderContract):
    """What every source owes a chain."""

    plugin = acme_broker
    secrets = (KEY,)

    @pytest.fixture
    def settings(self) -> dict[str, object]:
        """As in a table of credchain.toml, where the key is a reference."""
        return {"address": "https://broker.acme.example", "api_key": {"env": "ACME_BROKER_KEY"}}

    @pytest.fixture
    def environment(self) -> dict[str, str]:
        """What the reference refers to."""
        return {"ACME_BROKER_KEY": KEY}


def test_request_is_what_the_broker_expects() -> None:
    """Scope, tenant and claims are in the form, the key is in the header."""
    transport = FakeTransport(token_response("a-token"))
    settings = acme_broker.BrokerSettings("https://broker.acme.example/", api_key=KEY)
    credential = acme_broker.BrokerCredential(settings, host=Host(transport=transport))

    asyncio.run(credential.get_token("scope", tenant_id="a-tenant", claims="{}"))

    (request,) = transport.requests
    assert (request.method, request.url) == ("POST", "https://broker.acme.example/v1/tokens")
    assert request.headers == {"Authorization": f"Bearer {KEY}"}
    assert request.form == {"scope": "scope", "tenant": "a-tenant", "claims": "{}"}


@pytest.mark.parametrize(
    "address", ["http://broker.acme.example", "broker.acme.example", "ftp://localhost", "https://"]
)
def test_address_without_tls_is_refused(address: str) -> None:
    """A key never leaves the machine unencrypted."""
    with pytest.raises(ValueError, match="must be an https address"):
        acme_broker.BrokerSettings(address)
