"""DefaultAzureCredential: azure-identity's keywords become a layer of settings, and the settings a chain."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from credchain.configured import ConfiguredChain
from credchain.naming import refuse_unknown
from credchain.settings import Given, chain_keywords, default_order, keyword_layer, merge

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Never

    import aiohttp

    from credchain.host import Host
    from credchain.http import Transport
    from credchain.registry import Registry
    from credchain.settings.gather import Config


class DefaultAzureCredential(ConfiguredChain):
    """The credential that fits the machine: the sources of the default order, as the settings change it.

    In turn: a service principal (or user) from environment variables; a managed identity; on Windows the token cache
    that Microsoft's tools share. Files named ``credchain.toml``, the variables ``CREDCHAIN_...`` and
    ``AZURE_TOKEN_CREDENTIALS`` change that without touching the code; keywords win over them, and a policy over all.

    Args:
        authority: Authority of service principals and users; `KnownAuthorities` has those of other clouds. Managed
            identities have their own.
        exclude_environment_credential: Leave out the environment variables.
        exclude_managed_identity_credential: Leave out the managed identity.
        exclude_shared_token_cache_credential: Leave out the shared token cache.
        shared_cache_username: Whose tokens to take from the shared cache; ``AZURE_USERNAME`` unless given.
        shared_cache_tenant_id: Of which tenant; ``AZURE_TENANT_ID`` unless given.
        managed_identity_client_id: A user-assigned identity; ``AZURE_CLIENT_ID`` unless given.
        additionally_allowed_tenants: Tenants that a request may name beside the configured one; ``"*"`` for all.
        require_envvar: Insist that ``AZURE_TOKEN_CREDENTIALS`` is set.
        order: Names of sources; ``"..."`` stands for the rest of the default order.
        enable: Names of sources that take part beside the default order.
        disable: Names of sources that take no part.
        config: A configuration file's path, or what would stand in one; a layer above the environment.
        profile: The profile to use; ``CREDCHAIN_PROFILE`` unless given.
        observe: Names of observers that hear the chain's events.
        timeout: Seconds that finding a token may take in all; None leaves it to the sources.
        transport: The way out; stays the caller's, who closes it.
        session: An ``aiohttp.ClientSession`` to send over; stays the caller's, who closes it.
        host: The world, for tests: clock, environment, transport. Files of this machine are not read then.
        registry: Where the sources are looked up, for tests.

    Attributes:
        sources: The settings of the chain, and its sources by name.

    Raises:
        ValueError: A setting that cannot be followed, or no source is left.
        TypeError: An unknown keyword.
    """

    def __init__(
        self,
        *,
        authority: str | None = None,
        exclude_environment_credential: bool = False,
        exclude_managed_identity_credential: bool = False,
        exclude_shared_token_cache_credential: bool = False,
        shared_cache_username: str | None = None,
        shared_cache_tenant_id: str | None = None,
        managed_identity_client_id: str | None = None,
        additionally_allowed_tenants: Sequence[str] = (),
        require_envvar: bool = False,
        order: Sequence[str] | None = None,
        enable: Sequence[str] = (),
        disable: Sequence[str] = (),
        config: Config | None = None,
        profile: str | None = None,
        observe: Sequence[str] = (),
        timeout: float | None = None,
        transport: Transport | None = None,
        session: aiohttp.ClientSession | None = None,
        host: Host | None = None,
        registry: Registry | None = None,
        **unknown: Never,
    ) -> None:
        refuse_unknown(DefaultAzureCredential.__init__, unknown)
        environment = os.environ if host is None else host.environment
        if authority is not None:
            from credchain.authority import normalize_authority

            authority = normalize_authority(authority)
        if require_envvar and not environment.get("AZURE_TOKEN_CREDENTIALS", "").strip():
            raise ValueError("AZURE_TOKEN_CREDENTIALS is not set, and require_envvar insists on it")
        azure = {
            "authority": authority,
            "exclude_environment_credential": exclude_environment_credential,
            "exclude_managed_identity_credential": exclude_managed_identity_credential,
            "exclude_shared_token_cache_credential": exclude_shared_token_cache_credential,
            "shared_cache_username": shared_cache_username,
            "shared_cache_tenant_id": shared_cache_tenant_id,
            "managed_identity_client_id": managed_identity_client_id,
            "additionally_allowed_tenants": tuple(additionally_allowed_tenants),
        }
        chain = chain_keywords(order=order, enable=enable, disable=disable, observe=observe, timeout=timeout)
        layer = merge([chain, keyword_layer(azure, listed=default_order())])
        given = Given(layer, config=config, profile=profile)
        super().__init__(given, transport=transport, session=session, host=host, registry=registry)
