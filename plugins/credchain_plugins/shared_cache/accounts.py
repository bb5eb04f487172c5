"""Whose tokens to take: the accounts of a cache, and the choice of one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from credchain.errors import CredentialUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from credchain_plugins.shared_cache.places import Place

SOURCE = "shared_cache"
CLIENT_ID = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
"""The public client of Azure's developer tools; as one of the family it may redeem the family's refresh tokens."""

_CLOUDS = (
    frozenset({"login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"}),
    frozenset({"login.chinacloudapi.cn", "login.partner.microsoftonline.cn"}),
    frozenset({"login.microsoftonline.us", "login.usgovcloudapi.net"}),
)


@attrs.frozen
class Refresh:
    """A refresh token that the whole family may use, and the cache that it is in."""

    place: Place
    entry: Mapping[str, Any] = attrs.field(repr=False)

    @property
    def secret(self) -> str:
        """The refresh token."""
        return str(self.entry["secret"])


@attrs.frozen
class Account:
    """Somebody who has signed in.

    Attributes:
        home_account_id: ``{object id}.{home tenant}``.
        username: Mostly an e-mail address.
        refresh_tokens: At least one, the most promising first.
    """

    home_account_id: str
    username: str
    refresh_tokens: tuple[Refresh, ...] = attrs.field(repr=False)

    @property
    def tenant_id(self) -> str:
        """The home tenant."""
        return self.home_account_id.rpartition(".")[2]


def aliases(host: str) -> frozenset[str]:
    """All hosts of the cloud that an authority's host belongs to."""
    host = host.lower()
    return next((cloud for cloud in _CLOUDS if host in cloud), frozenset({host}))


def known(
    accounts: Iterable[Mapping[str, Any]], refresh_tokens: Iterable[Refresh], *, environments: frozenset[str]
) -> list[Account]:
    """The accounts that a family refresh token belongs to; each once, in however many caches it is."""
    usable: dict[str, list[Refresh]] = {}
    for token in sorted(refresh_tokens, key=_promise):
        entry = token.entry
        if entry.get("family_id") and entry.get("secret") and _host(entry) in environments:
            usable.setdefault(_id(entry), []).append(token)
    names: dict[str, str] = {}
    for account in accounts:
        if _host(account) in environments and _id(account) in usable:
            names[_id(account)] = names.get(_id(account)) or str(account.get("username") or "")
    return [Account(key, name or "(an account without a name)", tuple(usable[key])) for key, name in names.items()]


def pick(accounts: Sequence[Account], *, username: str | None, tenant_id: str | None) -> Account:
    """The one account that is meant.

    Raises:
        CredentialUnavailableError: None or several match; the message names their usernames.
    """
    if not accounts:
        raise unavailable("nobody is signed in whose tokens Microsoft's tools share; sign in with one of them")
    matching = [
        account
        for account in accounts
        if (username is None or account.username.lower() == username.lower())
        and (tenant_id is None or account.tenant_id.lower() == tenant_id.lower())
    ]
    if len(matching) == 1:
        return matching[0]
    wanted = " and ".join(
        f"{name} {value}" for name, value in (("username", username), ("tenant_id", tenant_id)) if value is not None
    )
    if not matching:
        raise unavailable(f"no account matches {wanted}; signed in are {_names(accounts)}")
    if not wanted:
        raise unavailable(
            f"several accounts are signed in: {_names(accounts)}; choose with username (AZURE_USERNAME) or "
            f"tenant_id (AZURE_TENANT_ID)"
        )
    raise unavailable(f"several accounts match {wanted}: {_names(matching)}; give both username and tenant_id")


def unavailable(why: str) -> CredentialUnavailableError:
    """The error that lets a chain go on."""
    return CredentialUnavailableError(f"{SOURCE}: {why}")


def _names(accounts: Iterable[Account]) -> str:
    return ", ".join(sorted(f"{one.username} (tenant {one.tenant_id})" for one in accounts))


def _promise(token: Refresh) -> tuple[bool, int]:
    """The client's own first, then the newest."""
    modified = str(token.entry.get("last_modification_time") or "0")
    return token.entry.get("client_id") != CLIENT_ID, -int(modified) if modified.isdigit() else 0


def _host(entry: Mapping[str, Any]) -> str:
    return str(entry.get("environment") or "").lower()


def _id(entry: Mapping[str, Any]) -> str:
    return str(entry.get("home_account_id") or "")
