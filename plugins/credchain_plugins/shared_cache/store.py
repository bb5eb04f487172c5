"""Reading and writing the shared caches, through msal. Everything here blocks: it runs in worker threads."""

from __future__ import annotations

import base64
import json
import logging
from typing import TYPE_CHECKING, Any

import attrs

from credchain_plugins.shared_cache.accounts import CLIENT_ID, SOURCE, Refresh, known, pick, unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from credchain.tokens import AccessTokenInfo
    from credchain_plugins.shared_cache.accounts import Account
    from credchain_plugins.shared_cache.places import Place

logger = logging.getLogger("credchain")

LEAST_SECONDS = 300
"""What a cached access token must be good for to be worth taking."""

_BROKEN = (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError, AttributeError)


@attrs.frozen
class Question:
    """What is looked for.

    Attributes:
        environments: The hosts of the cloud.
        username: Whose tokens; None if there is only one account.
        tenant_id: The account's home tenant; None if that does not matter.
        scopes: Of an access token.
        realm: The tenant that an access token is asked for; ``organizations`` for the account's own.
        cae: Whether the caller handles continuous access evaluation.
        now: Seconds since the epoch.
    """

    environments: frozenset[str]
    username: str | None
    tenant_id: str | None
    scopes: tuple[str, ...]
    realm: str
    cae: bool
    now: float


@attrs.frozen
class Found:
    """An account, and the access token that is cached for the question, if there is one."""

    account: Account
    cached: Mapping[str, Any] | None = attrs.field(repr=False)


@attrs.frozen
class Redeemed:
    """What a refresh token was exchanged for.

    Attributes:
        used: The refresh token that was sent.
        account: Whose.
        url: The token endpoint.
        scopes: Those asked for and those granted.
        token: The access token; None if it does not belong in the cache that the refresh token is in.
        refresh_token: The one that replaces the used one, or None.
        family: The family of the refresh token.
    """

    used: Refresh
    account: Account
    url: str
    scopes: tuple[str, ...]
    token: AccessTokenInfo | None = attrs.field(repr=False)
    refresh_token: str | None = attrs.field(repr=False)
    family: str


def look(places: Sequence[Place], question: Question) -> Found:
    """The account that is meant, with what is cached for it.

    Raises:
        CredentialUnavailableError: No cache can be read, or there is not exactly one such account.
    """
    caches: list[tuple[Place, Any]] = []
    accounts: list[Mapping[str, Any]] = []
    refresh_tokens: list[Refresh] = []
    reasons: list[str] = []
    for place in _in_order(places, cae=question.cae):
        if not place.present():
            continue
        cache, reason = _attempt(_load, place)
        read, reason = _attempt(_entries, cache) if cache is not None else (None, reason)
        if read is None:
            reasons.append(f"{place.location} {reason}")
            continue
        caches.append((place, cache))
        accounts += read[0]
        refresh_tokens += [Refresh(place, entry) for entry in read[1]]
    if not caches:
        raise unavailable("; ".join(reasons) or missing(places))
    logger.debug("%s: read %s", SOURCE, ", ".join(place.location for place, _ in caches))
    everybody = known(accounts, refresh_tokens, environments=question.environments)
    account = pick(everybody, username=question.username, tenant_id=question.tenant_id)
    matching = [cache for place, cache in caches if place.cae == question.cae]
    return Found(account, _access_token(matching, account, question))


def missing(places: Sequence[Place]) -> str:
    """What to say where there is no cache at all."""
    if not places:
        return "there is no place for a shared token cache on this machine"
    looked = ", ".join(dict.fromkeys(place.location for place in places))
    return f"there is no token cache that Microsoft's tools share (looked for {looked})"


def keep(redeemed: Redeemed, now: float) -> None:
    """Write new tokens back, so that every tool that shares the cache has them. Failing that is worth a warning only."""

    def change(cache: Any) -> None:
        cache.add(_event(redeemed, now), now=int(now))
        if redeemed.refresh_token is not None:
            fresh = {"secret": redeemed.refresh_token, "last_modification_time": str(int(now))}
            for entry in _same(cache, redeemed.used):
                cache.modify(cache.CredentialType.REFRESH_TOKEN, entry, fresh)

    _change(redeemed.used.place, change)


def evict(used: Refresh) -> None:
    """Take out a refresh token that the service has refused for good; one that has replaced it meanwhile stays."""

    def change(cache: Any) -> None:
        for entry in _same(cache, used):
            cache.modify(cache.CredentialType.REFRESH_TOKEN, entry)

    _change(used.place, change)


def _in_order(places: Iterable[Place], *, cae: bool) -> list[Place]:
    """Without continuous access evaluation, its caches are left alone; with it, they come first."""
    return sorted((place for place in places if cae or not place.cae), key=lambda place: not place.cae)


def _load(place: Place) -> Any:
    """The msal cache of a place; takes the lock, since a writer replaces the file in place."""
    with place.lock(place.location):
        return _deserialized(place.open().load())


def _deserialized(text: str) -> Any:
    import msal

    content = _json(text)
    if not isinstance(content, dict) or not all(isinstance(part, dict) for part in content.values()):
        raise ValueError("it is no token cache")
    cache = msal.SerializableTokenCache()
    cache.deserialize(text)
    return cache


def _json(text: str) -> object:
    """What a JSON text says; None if it is none. The decoder's error holds the text, so it does not leave here."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _entries(cache: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Accounts and refresh tokens."""
    kinds = cache.CredentialType
    return [dict(one) for one in cache.search(kinds.ACCOUNT)], [dict(one) for one in cache.search(kinds.REFRESH_TOKEN)]


def _access_token(caches: Iterable[Any], account: Account, question: Question) -> Mapping[str, Any] | None:
    """A cached access token of this account, tenant and scopes that is good for a while."""
    realms = {question.realm.lower()}
    if question.realm == "organizations":
        realms.add(account.tenant_id.lower())

    def search(cache: Any) -> Mapping[str, Any] | None:
        query = {"home_account_id": account.home_account_id}
        kind = cache.CredentialType.ACCESS_TOKEN
        for entry in cache.search(kind, target=list(question.scopes), query=query, now=int(question.now)):
            if (
                str(entry.get("environment")).lower() in question.environments
                and str(entry.get("realm")).lower() in realms
                and str(entry.get("token_type") or "Bearer").lower() == "bearer"
                and float(entry["expires_on"]) - question.now > LEAST_SECONDS
                and isinstance(entry["secret"], str)
            ):
                return dict(entry)
        return None

    found = (_attempt(search, cache)[0] for cache in caches)
    return next((entry for entry in found if entry is not None), None)


def _same(cache: Any, used: Refresh) -> list[dict[str, Any]]:
    """The cache's entry of a refresh token, as long as it still holds that very token."""
    query = {"home_account_id": used.entry["home_account_id"]}
    found = cache.search(cache.CredentialType.REFRESH_TOKEN, query=query)
    return [dict(entry) for entry in found if entry.get("secret") == used.secret]


def _event(redeemed: Redeemed, now: float) -> dict[str, Any]:
    """The exchange as msal would record it. The account is there already, with more than this answer tells of it."""
    uid, _, utid = redeemed.account.home_account_id.rpartition(".")
    info = json.dumps({"uid": uid, "utid": utid}).encode()
    client_info = base64.urlsafe_b64encode(info).decode().rstrip("=")
    response: dict[str, Any] = {"client_info": client_info, "foci": redeemed.family}
    if redeemed.token is not None:
        response["access_token"] = redeemed.token.token
        response["token_type"] = redeemed.token.token_type
        response["expires_in"] = int(redeemed.token.expires_on - now)
        if redeemed.token.refresh_on is not None:
            response["refresh_in"] = int(redeemed.token.refresh_on - now)
    return {
        "client_id": CLIENT_ID,
        "environment": redeemed.used.entry["environment"],
        "token_endpoint": redeemed.url,
        "scope": list(redeemed.scopes),
        "grant_type": "refresh_token",
        "response": response,
        "skip_account_creation": True,
    }


def _change(place: Place, change: Callable[[Any], None]) -> None:
    def changed(place: Place) -> bool:
        with place.lock(place.location):
            persistence = place.open()
            cache = _deserialized(persistence.load())
            change(cache)
            persistence.save(cache.serialize())
        return True

    done, reason = _attempt(changed, place)
    if not done:
        logger.warning("%s: the change could not be written to %s, which %s", SOURCE, place.location, reason)


def _attempt(function: Callable[[Any], Any], subject: Any) -> tuple[Any, str]:
    """What a function returns, or None and the reason why not. Errors do not leave here: some of them hold the cache."""
    import msal_extensions

    try:
        return function(subject), ""
    except msal_extensions.LockError:
        return None, "is locked by another process"
    except FileNotFoundError:
        return None, "is not there"
    except PermissionError:
        return None, "may not be read and locked by this user"
    except _BROKEN as error:
        return None, f"cannot be read ({type(error).__name__})"
