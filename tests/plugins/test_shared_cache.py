"""The shared token cache: where it is, whose tokens it gives, how they are renewed, and that msal still understands it."""

from __future__ import annotations

import base64
import json
import logging
import os
import random
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import msal
import msal_extensions
import pytest

from credchain.chain import ChainedTokenCredential
from credchain.errors import (
    AuthenticationFailedError,
    ClientAuthenticationError,
    CredentialUnavailableError,
    TransportError,
)
from credchain.host import Host
from credchain.testing import FakeClock, FakeTransport, StaticCredential, json_response, run, token_response
from credchain_plugins.shared_cache import (
    SharedCacheSettings,
    SharedTokenCacheCredential,
    build,
    credchain_provider,
    places,
)
from credchain_plugins.shared_cache.accounts import CLIENT_ID

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import nullcontext

    from credchain.http import Request, Response
    from credchain_plugins.shared_cache.places import Place

SCOPE = "https://management.azure.com/.default"
VISUAL_STUDIO = "872cd9fa-d31f-45e0-9eab-6e460a02d1f1"
REFRESH = "a-refresh-token-that-nobody-may-see"
ACCESS = "an-access-token-that-nobody-may-see"
ALICE = ("alice@example.com", "alice-oid", "tenant-a")
BOB = ("bob@example.com", "bob-oid", "tenant-b")
PUBLIC = "login.microsoftonline.com"


def b64(value: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


class Shared:
    """A cache file that msal writes, and a credential that reads it."""

    def __init__(self, folder: Path, *answers: Response | Exception, name: str = "msal.cache") -> None:
        self.folder = folder
        self.path = folder / name
        self.clock = FakeClock()
        self.transport = FakeTransport(*(answers or (token_response("redeemed"),)))
        self.environment: dict[str, str] = {}

    def write(self, change: Any, *, name: str | None = None) -> None:
        """Let msal change a cache file."""
        path = self.folder / name if name else self.path
        cache = msal.SerializableTokenCache()
        cache.deserialize(path.read_text() if path.exists() else None)
        change(cache)
        path.write_text(cache.serialize())

    def sign_in(
        self,
        who: tuple[str, str, str] = ALICE,
        *,
        environment: str = PUBLIC,
        foci: str | None = "1",
        refresh_token: str | None = REFRESH,
        client_id: str = VISUAL_STUDIO,
        name: str | None = None,
    ) -> None:
        """Somebody signs in with one of the tools."""
        username, uid, utid = who
        claims = {"preferred_username": username, "oid": uid, "sub": "s", "tid": utid}
        response: dict[str, Any] = {
            "id_token": f"{b64({'alg': 'none'})}.{b64(claims)}.",
            "client_info": b64({"uid": uid, "utid": utid}),
        }
        if refresh_token is not None:
            response["refresh_token"] = refresh_token
        if foci is not None:
            response["foci"] = foci
        event = {
            "client_id": client_id,
            "scope": ["openid"],
            "environment": environment,
            "token_endpoint": f"https://{environment}/{utid}/oauth2/v2.0/token",
            "grant_type": "authorization_code",
            "response": response,
        }
        self.write(lambda cache: cache.add(event, now=int(self.clock.time())), name=name)

    def cache_token(
        self,
        token: str = ACCESS,
        *,
        who: tuple[str, str, str] = ALICE,
        realm: str | None = None,
        scopes: Sequence[str] = (SCOPE,),
        expires_in: int = 3600,
        name: str | None = None,
        **fields: object,
    ) -> None:
        """One of the tools gets an access token."""
        _, uid, utid = who
        response = {
            "access_token": token,
            "expires_in": expires_in,
            "token_type": "Bearer",
            "client_info": b64({"uid": uid, "utid": utid}),
        }
        event = {
            "client_id": CLIENT_ID,
            "scope": list(scopes),
            "token_endpoint": f"https://{PUBLIC}/{realm or utid}/oauth2/v2.0/token",
            "response": response | fields,
            "skip_account_creation": True,
        }
        self.write(lambda cache: cache.add(event, now=int(self.clock.time())), name=name)

    def find(self, *_: object) -> tuple[Place, ...]:
        return tuple(places.plain_file(str(self.folder / name)) for name in places.NAMES)

    def credential(self, username: str | None = None, **keywords: Any) -> SharedTokenCacheCredential:
        return SharedTokenCacheCredential(username, host=self.host(), **({"_find": self.find} | keywords))

    def host(self) -> Host:
        return Host(self.transport, clock=self.clock, environment=self.environment, random=random.Random(1))

    def token(self, username: str | None = None, **keywords: Any) -> str:
        return run(self.credential(username, **keywords).get_token(SCOPE), clock=self.clock).token

    def error(self, username: str | None = None, **keywords: Any) -> ClientAuthenticationError:
        with pytest.raises(ClientAuthenticationError) as caught:
            self.token(username, **keywords)
        return caught.value

    def entries(self, kind: str, *, name: str = "msal.cache") -> list[dict[str, Any]]:
        content: dict[str, dict[str, Any]] = json.loads((self.folder / name).read_text())
        return list(content.get(kind, {}).values())

    def refresh_tokens(self, *, name: str = "msal.cache") -> list[str]:
        return [entry["secret"] for entry in self.entries("RefreshToken", name=name)]


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    return Shared(tmp_path)


# What is cached already


def test_cached_access_token_is_taken(shared: Shared) -> None:
    """A token that another tool got for the same account, tenant and scope serves here; nothing is sent."""
    shared.sign_in()
    shared.cache_token()

    info = run(shared.credential().get_token_info(SCOPE), clock=shared.clock)

    assert (info.token, info.expires_on, info.token_type) == (ACCESS, int(shared.clock.time()) + 3600, "Bearer")
    assert shared.transport.requests == []


def test_refresh_time_of_a_cached_token_is_kept(shared: Shared) -> None:
    """When the service would have it refreshed goes with the token."""
    shared.sign_in()
    shared.cache_token(refresh_in=600)

    info = run(shared.credential().get_token_info(SCOPE), clock=shared.clock)

    assert info.refresh_on == int(shared.clock.time()) + 600


@pytest.mark.parametrize(
    "other",
    [
        {"who": BOB},
        {"realm": "tenant-b"},
        {"scopes": ["https://vault.azure.net/.default"]},
        {"expires_in": -10},
        {"expires_in": 200},
        {"token_type": "pop"},
    ],
    ids=["account", "tenant", "scope", "expired", "soon expired", "bound to a key"],
)
def test_another_access_token_is_not_taken(other: dict[str, Any], shared: Shared) -> None:
    """Account, tenant and scopes must all be the right ones, and the token good for a while; else it is redeemed anew."""
    shared.sign_in()
    shared.cache_token(**other)

    assert shared.token() == "redeemed"


def test_several_scopes_must_all_be_granted(shared: Shared) -> None:
    """A token for more scopes serves, one for fewer does not."""
    shared.sign_in()
    shared.cache_token("both", scopes=["https://x/a", "https://x/b"])
    source = shared.credential()

    async def main() -> list[str]:
        one = await source.get_token("https://x/a")
        three = await source.get_token("https://x/a", "https://x/b", "https://x/c")
        return [one.token, three.token]

    assert run(main(), clock=shared.clock) == ["both", "redeemed"]


def test_organizations_means_the_account_s_own_tenant(shared: Shared) -> None:
    """Without a tenant, tokens of the home tenant and of `organizations` are alike, and those of a guest's are not."""
    shared.sign_in()
    shared.cache_token("guest", realm="tenant-b")
    shared.cache_token("own", realm="organizations")

    assert shared.token() == "own"


def test_tenant_s_token_must_be_of_that_tenant(shared: Shared) -> None:
    """With a tenant, a token of `organizations` does not do."""
    shared.sign_in()
    shared.cache_token("of-organizations", realm="organizations")

    assert shared.token(tenant_id="tenant-a") == "redeemed"


def test_claims_challenge_never_reads_the_cache(shared: Shared) -> None:
    """A challenge asks for a new token."""
    shared.sign_in()
    shared.cache_token()

    token = run(shared.credential().get_token(SCOPE, claims='{"access_token":{}}'), clock=shared.clock)

    assert token.token == "redeemed"
    assert shared.transport.requests[0].form is not None
    assert shared.transport.requests[0].form["claims"] == '{"access_token":{}}'


def test_rejected_token_is_not_taken_again(shared: Shared) -> None:
    """After `invalidate`, the token that lies in the cache is not the answer again."""
    shared.sign_in()
    shared.cache_token()
    source = shared.credential()

    async def main() -> list[str]:
        first = await source.get_token(SCOPE)
        source.invalidate(first.token)
        return [first.token, (await source.get_token(SCOPE)).token]

    assert run(main(), clock=shared.clock) == [ACCESS, "redeemed"]


# Redeeming


def test_refresh_token_is_redeemed(shared: Shared) -> None:
    """The family's refresh token, as the public client of the developer tools, in `organizations`."""
    shared.sign_in()

    assert shared.token() == "redeemed"

    (request,) = shared.transport.requests
    assert (request.method, request.url) == ("POST", f"https://{PUBLIC}/organizations/oauth2/v2.0/token")
    assert request.form == {
        "client_id": "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        "grant_type": "refresh_token",
        "refresh_token": REFRESH,
        "client_info": "1",
        "scope": SCOPE,
    }


def url_of(shared: Shared, source: SharedTokenCacheCredential, **options: Any) -> str:
    run(source.get_token(SCOPE, **options), clock=shared.clock)
    return shared.transport.requests[-1].url.removeprefix("https://")


def test_tenant_of_the_credential_is_asked(shared: Shared) -> None:
    """A configured tenant is where the token comes from."""
    shared.sign_in()

    assert url_of(shared, shared.credential(tenant_id="tenant-a")) == f"{PUBLIC}/tenant-a/oauth2/v2.0/token"


@pytest.mark.parametrize("allowed", [["tenant-c"], ["*"]])
def test_tenant_of_the_request_is_asked_where_allowed(allowed: list[str], shared: Shared) -> None:
    """A request may name a tenant that the credential allows."""
    shared.sign_in()
    source = shared.credential(additionally_allowed_tenants=allowed)

    assert url_of(shared, source, tenant_id="tenant-c") == f"{PUBLIC}/tenant-c/oauth2/v2.0/token"


@pytest.mark.parametrize("tenant_id", [None, "tenant-a"])
def test_tenant_that_is_not_allowed_is_refused(tenant_id: str | None, shared: Shared) -> None:
    """The default `organizations` opens no tenant either."""
    shared.sign_in()

    with pytest.raises(AuthenticationFailedError, match="additionally_allowed_tenants"):
        url_of(shared, shared.credential(tenant_id=tenant_id), tenant_id="tenant-c")

    assert shared.transport.requests == []


def test_multitenant_switch_keeps_the_configured_tenant(shared: Shared) -> None:
    """AZURE_IDENTITY_DISABLE_MULTITENANTAUTH makes requests' tenants count for nothing."""
    shared.sign_in()
    shared.environment["AZURE_IDENTITY_DISABLE_MULTITENANTAUTH"] = "true"

    url = url_of(shared, shared.credential(tenant_id="tenant-a"), tenant_id="tenant-c")

    assert url == f"{PUBLIC}/tenant-a/oauth2/v2.0/token"


def test_own_refresh_token_goes_first_then_the_newest(shared: Shared) -> None:
    """Of several refresh tokens, the public client's own is the most promising, then the newest."""
    refused = json_response({"error": "invalid_grant", "error_description": "expired"}, status=400)
    shared.transport.then(refused, refused, token_response("third"))
    shared.sign_in(client_id="an-old-tool", refresh_token="old")
    shared.clock.advance(60)
    shared.sign_in(client_id="a-new-tool", refresh_token="new")
    shared.sign_in(client_id=CLIENT_ID, refresh_token="own")

    assert shared.token() == "third"
    sent = [request.form["refresh_token"] for request in shared.transport.requests if request.form]
    assert sent == ["own", "new", "old"]


# Writing back


def test_new_token_is_written_back(shared: Shared) -> None:
    """The next process finds the token in the cache and sends nothing."""
    shared.sign_in()
    shared.token()
    other = Shared(shared.folder)
    other.clock = shared.clock

    token = other.token()

    assert token == "redeemed"
    assert other.transport.requests == []


def test_rotated_refresh_token_replaces_the_old_one(shared: Shared) -> None:
    """There is one refresh token afterwards, the new one, and it is of the family still."""
    shared.transport.then(token_response("redeemed", refresh_token="rotated", foci="1"))
    shared.sign_in()

    shared.token()

    (entry,) = shared.entries("RefreshToken")
    assert (entry["secret"], entry["family_id"], entry["client_id"]) == ("rotated", "1", VISUAL_STUDIO)


def test_refresh_token_that_another_process_has_replaced_stays(shared: Shared) -> None:
    """Between reading and writing back somebody else may have been faster; their token is left alone."""

    def answer(_: Request) -> Response:
        shared.sign_in(refresh_token="of-the-other-process")
        return token_response("redeemed", refresh_token="rotated")

    shared.transport.then(answer)
    shared.sign_in()

    assert shared.token() == "redeemed"
    assert shared.refresh_tokens() == ["of-the-other-process"]


def test_account_is_left_as_it_is(shared: Shared) -> None:
    """An answer without an id token does not rob the account of its name."""
    shared.sign_in()
    before = shared.entries("Account")

    shared.token()

    assert shared.entries("Account") == before


def test_family_is_kept_where_the_answer_is_silent(shared: Shared) -> None:
    """The client stays a member of the family in the cache's metadata."""
    shared.sign_in(client_id=CLIENT_ID)

    shared.token()

    assert [entry["family_id"] for entry in shared.entries("AppMetadata")] == ["1"]


@pytest.mark.parametrize("suberror", [{}, {"suberror": "bad_token"}, {"suberror": "token_expired"}])
def test_dead_refresh_token_is_taken_out(suberror: dict[str, str], shared: Shared) -> None:
    """invalid_grant evicts the refresh token, so that nobody tries it again."""
    shared.transport.then(
        json_response({"error": "invalid_grant", "error_description": "AADSTS70008"} | suberror, status=400)
    )
    shared.sign_in()

    error = shared.error()

    assert isinstance(error, AuthenticationFailedError)
    assert shared.refresh_tokens() == []


@pytest.mark.parametrize(
    "payload",
    [
        {"error": "invalid_grant", "suberror": "consent_required"},
        {"error": "invalid_grant", "suberror": "basic_action"},
        {"error": "interaction_required", "suberror": "basic_action"},
        {"error": "invalid_scope"},
        {"error": "unauthorized_client"},
    ],
)
def test_refresh_token_stays_where_only_the_request_is_refused(payload: dict[str, str], shared: Shared) -> None:
    """What lacks a consent or a second factor says nothing against the token, which other requests still need."""
    shared.transport.then(json_response(payload, status=400))
    shared.sign_in()

    shared.error()

    assert shared.refresh_tokens() == [REFRESH]
    assert len(shared.transport.requests) == 1


def test_refused_token_that_was_replaced_meanwhile_stays(shared: Shared) -> None:
    """Eviction takes the refused token, never its successor."""

    def answer(_: Request) -> Response:
        shared.sign_in(refresh_token="successor")
        return json_response({"error": "invalid_grant"}, status=400)

    shared.transport.then(answer)
    shared.sign_in()

    shared.error()

    assert shared.refresh_tokens() == ["successor"]


@attrs.frozen
class ReadOnly:
    """A persistence that can be read only."""

    path: str

    def load(self) -> str:
        return Path(self.path).read_text()

    def save(self, _content: str) -> None:
        raise PermissionError(13, "Permission denied")


def test_token_is_given_though_it_cannot_be_written_back(shared: Shared, caplog: pytest.LogCaptureFixture) -> None:
    """A cache that cannot be written is worth a warning, not a failure."""
    shared.sign_in()
    path = str(shared.path)
    place = attrs.evolve(places.plain_file(path), open=lambda: ReadOnly(path))

    token = shared.token(_find=lambda *_: (place,))

    assert token == "redeemed"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "could not be written" in caplog.text


def test_other_writers_are_kept_out(shared: Shared) -> None:
    """Reading and writing hold the lock file that msal-extensions' writers take."""
    shared.sign_in()
    path = str(shared.path)
    seen = []

    @attrs.frozen
    class Watching(ReadOnly):
        def load(self) -> str:
            seen.append(os.path.exists(path + ".lockfile"))
            return super().load()

        def save(self, _content: str) -> None:
            seen.append(os.path.exists(path + ".lockfile"))

    place = attrs.evolve(places.plain_file(path), open=lambda: Watching(path))

    shared.token(_find=lambda *_: (place,))

    assert seen == [True, True, True]
    assert not os.path.exists(path + ".lockfile")


# Failing


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (
            json_response({"error": "invalid_grant", "error_description": "AADSTS700082"}, status=400),
            AuthenticationFailedError,
        ),
        (json_response({"error": "invalid_client"}, status=401), AuthenticationFailedError),
        (TransportError("no answer"), TransportError),
    ],
)
def test_failed_refresh_standing_alone(answer: Response | Exception, kind: type, shared: Shared) -> None:
    """A credential by itself tells the failure."""
    shared.transport.then(answer)
    shared.sign_in()

    error = shared.error()

    assert type(error) is kind
    assert error.message.startswith("shared_cache: ")


@pytest.mark.parametrize(
    "answer",
    [
        json_response({"error": "invalid_grant", "error_description": "AADSTS700082: expired"}, status=400),
        json_response({}, status=500),
        TransportError("no answer"),
    ],
)
def test_failed_refresh_in_the_default_chain_is_unavailable(answer: Response | Exception, shared: Shared) -> None:
    """A developer's stale sign-in keeps nobody from the sources after it."""
    shared.transport.then(answer)
    (shared.folder / ".IdentityService").mkdir()
    shared.folder /= ".IdentityService"
    shared.path = shared.folder / "msal.cache"
    shared.sign_in()
    shared.environment["HOME"] = str(shared.folder.parent)
    member = build(SharedCacheSettings(allow_unencrypted_storage=True), shared.host())
    member._find = shared.find
    chain = ChainedTokenCredential(member, StaticCredential("the-next"), host=shared.host())

    token = run(chain.get_token(SCOPE), clock=shared.clock)

    assert token.token == "the-next"
    assert shared.transport.requests


def test_missing_cache_is_unavailable(shared: Shared) -> None:
    """Where no tool has written a cache, a chain goes on; looking creates neither file nor folder."""
    folder = shared.folder / "none"
    shared.folder = folder

    error = shared.error()

    assert isinstance(error, CredentialUnavailableError)
    assert "no token cache" in error.message
    assert not folder.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no json " + REFRESH.encode(),
        b"[]",
        b"null",
        b'{"Account": []}',
        b'{"Account": {"a": 7}}',
        b'{"RefreshToken": {"a": "x"}}',
        b"\xff\xfe\x00",
        b'{"Account": {"a": {}',
    ],
)
def test_unreadable_cache_is_unavailable(content: bytes, shared: Shared) -> None:
    """Whatever is in the file, a chain goes on, and nothing of it is told, not even inside the error."""
    shared.path.write_bytes(content)

    error = shared.error()

    assert isinstance(error, CredentialUnavailableError)
    assert "cannot be read" in error.message
    assert error.__context__ is None
    assert REFRESH not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("entry", [{}, {"expires_on": "soon"}, {"expires_on": None}, {"expires_on": "9999999999"}])
def test_broken_access_token_is_passed_over(entry: dict[str, Any], shared: Shared) -> None:
    """An access token that another tool has written badly does not stand in the way of the refresh token."""
    shared.sign_in()
    content = json.loads(shared.path.read_text())
    content["AccessToken"] = {"k": {"home_account_id": "alice-oid.tenant-a", "target": SCOPE} | entry}
    shared.path.write_text(json.dumps(content))

    assert shared.token() == "redeemed"


def test_cache_that_may_not_be_read_is_unavailable(shared: Shared) -> None:
    """A file of somebody else's is as good as none, and the error says why."""
    shared.sign_in()

    def refuse() -> Any:
        raise PermissionError(13, "Permission denied")

    place = attrs.evolve(places.plain_file(str(shared.path)), open=refuse)

    error = shared.error(_find=lambda *_: (place,))

    assert isinstance(error, CredentialUnavailableError)
    assert "may not be read" in error.message


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        (msal_extensions.LockError("held"), "is locked"),
        (RuntimeError("no keyring daemon"), "cannot be read"),
        (ImportError("gi"), "cannot be read"),
        (OSError(5, "Input/output error"), "cannot be read"),
    ],
)
def test_locked_cache_is_unavailable(trouble: Exception, says: str, shared: Shared) -> None:
    """A lock that another process holds, or a keyring that does not answer, lets a chain go on."""
    shared.sign_in()

    def held(_location: str) -> nullcontext[None]:
        raise trouble

    place = attrs.evolve(places.plain_file(str(shared.path)), lock=held)

    error = shared.error(_find=lambda *_: (place,))

    assert isinstance(error, CredentialUnavailableError)
    assert says in error.message


def test_one_readable_cache_is_enough(shared: Shared) -> None:
    """A broken file beside a good one does not hide it."""
    shared.path.write_text("broken")
    shared.sign_in(name="msal.cache.nocae")

    assert shared.token() == "redeemed"


def test_secrets_are_told_to_nobody(shared: Shared, caplog: pytest.LogCaptureFixture) -> None:
    """Neither refresh nor access tokens are in the log, a repr, an error or its traceback."""
    caplog.set_level(logging.DEBUG)
    shared.sign_in()
    shared.cache_token(who=BOB)
    shared.transport.then(
        token_response(ACCESS + "-2", refresh_token=REFRESH + "-2", expires_in=30), json_response({}, status=400)
    )
    source = shared.credential()

    async def main() -> Exception:
        await source.get_token(SCOPE)
        with pytest.raises(AuthenticationFailedError) as caught:
            await source.get_token("https://vault.azure.net/.default")
        return caught.value

    error = run(main(), clock=shared.clock)

    told = [caplog.text, repr(source), repr(error), repr(vars(error)), *traceback.format_exception(error)]
    told.append(repr(shared.transport.requests))
    assert REFRESH + "-2" in shared.path.read_text()
    assert not [text for text in told if REFRESH in text or ACCESS in text]


# The choice of the account


def message(shared: Shared, *arguments: str, **keywords: str) -> str:
    error = shared.error(*arguments, **keywords)
    assert isinstance(error, CredentialUnavailableError)
    return error.message


def test_nobody_signed_in(shared: Shared) -> None:
    """A cache without an account is unavailable, and the error says what to do."""
    shared.path.write_text("{}")

    assert "sign in" in message(shared)


@pytest.mark.parametrize(
    "without", [{"foci": None}, {"refresh_token": None}, {"environment": "login.chinacloudapi.cn"}]
)
def test_account_that_does_not_count(without: dict[str, Any], shared: Shared) -> None:
    """Only accounts of this cloud with a family refresh token count."""
    shared.sign_in(**without)

    assert "nobody is signed in" in message(shared)


def test_accounts_that_do_not_count_are_not_in_the_way(shared: Shared) -> None:
    """One account with a family refresh token is the one, whoever else is in the cache."""
    shared.sign_in(BOB, foci=None)
    shared.sign_in(ALICE)

    assert shared.token() == "redeemed"


def test_several_accounts_and_no_choice(shared: Shared) -> None:
    """The error names them, and the two ways of choosing."""
    shared.sign_in(ALICE)
    shared.sign_in(BOB)

    told = message(shared)

    assert "alice@example.com" in told
    assert "bob@example.com" in told
    assert "AZURE_USERNAME" in told
    assert "AZURE_TENANT_ID" in told


@pytest.mark.parametrize(
    "choice",
    [
        {"username": "BOB@example.com"},
        {"tenant_id": "Tenant-B"},
        {"username": "bob@example.com", "tenant_id": "tenant-b"},
    ],
)
def test_choice_by_username_or_home_tenant(choice: dict[str, str], shared: Shared) -> None:
    """Either is enough where it leaves one; case does not matter."""
    shared.sign_in(ALICE, refresh_token="of-alice")
    shared.sign_in(BOB, refresh_token="of-bob")

    shared.token(**choice)

    (request,) = shared.transport.requests
    assert request.form is not None
    assert request.form["refresh_token"] == "of-bob"


@pytest.mark.parametrize(
    "choice",
    [
        {"username": "carol@example.com"},
        {"tenant_id": "tenant-c"},
        {"username": "alice@example.com", "tenant_id": "tenant-b"},
    ],
)
def test_choice_that_nobody_matches(choice: dict[str, str], shared: Shared) -> None:
    """The error says what was looked for, and who is there."""
    shared.sign_in(ALICE)
    shared.sign_in(BOB)

    told = message(shared, **choice)

    assert "no account matches" in told
    assert all(value in told for value in choice.values())
    assert "alice@example.com" in told
    assert "bob@example.com" in told


def test_choice_that_several_match(shared: Shared) -> None:
    """One username in two tenants needs the tenant as well; the error names those that match only."""
    shared.sign_in(ALICE)
    shared.sign_in(("alice@example.com", "alice-guest", "tenant-b"))
    shared.sign_in(BOB)

    told = message(shared, "alice@example.com")

    assert "several accounts match" in told
    assert "alice@example.com (tenant tenant-a)" in told
    assert "bob" not in told


@pytest.mark.parametrize(
    ("authority", "environment", "same"),
    [
        (PUBLIC, "login.windows.net", True),
        (PUBLIC, "login.microsoft.com", True),
        (PUBLIC, "sts.windows.net", True),
        (PUBLIC, "login.microsoftonline.us", False),
        ("login.chinacloudapi.cn", "login.partner.microsoftonline.cn", True),
        ("login.microsoftonline.us", "login.usgovcloudapi.net", True),
        ("login.microsoftonline.us", PUBLIC, False),
        ("entra.example.com", "entra.example.com", True),
        ("entra.example.com", PUBLIC, False),
    ],
)
def test_cloud_of_an_account(authority: str, environment: str, same: bool, shared: Shared) -> None:
    """Accounts of every host of the authority's cloud count, and of no other cloud."""
    shared.sign_in(environment=environment)

    if same:
        assert shared.token(authority=authority) == "redeemed"
    else:
        assert "nobody is signed in" in message(shared, authority=authority)


# Places


def test_suffixed_file_is_read_too(shared: Shared) -> None:
    """Newer tools write msal.cache.nocae; an account in it is as good."""
    shared.sign_in(name="msal.cache.nocae")
    shared.cache_token(name="msal.cache.nocae")

    assert shared.token() == ACCESS


def test_account_in_two_files_is_one(shared: Shared) -> None:
    """The same person in the old and the new file is no ambiguity."""
    shared.sign_in()
    shared.sign_in(name="msal.cache.nocae")

    assert shared.token() == "redeemed"


def test_tokens_for_continuous_access_evaluation_are_kept_apart(shared: Shared) -> None:
    """A caller that handles it gets tokens of the .cae file only, other callers never get one of those."""
    shared.sign_in()
    shared.cache_token("plain")
    shared.sign_in(name="msal.cache.cae")
    shared.cache_token("with-cae", name="msal.cache.cae")
    source = shared.credential()

    async def main() -> list[str]:
        return [(await source.get_token(SCOPE, enable_cae=cae)).token for cae in (False, True)]

    assert run(main(), clock=shared.clock) == ["plain", "with-cae"]


def test_cae_file_alone_does_not_serve_others(shared: Shared) -> None:
    """A caller that does not handle continuous access evaluation leaves that file alone."""
    shared.sign_in(name="msal.cache.cae")

    assert "no token cache" in message(shared) or "nobody" in message(shared)


def test_cae_token_is_not_written_among_the_others(shared: Shared) -> None:
    """With an account of the common file, the new token serves the caller and does not get into that file."""
    shared.transport.then(token_response("with-cae", refresh_token="rotated"))
    shared.sign_in()

    token = run(shared.credential().get_token(SCOPE, enable_cae=True), clock=shared.clock)

    assert token.token == "with-cae"
    assert shared.entries("AccessToken") == []
    assert shared.refresh_tokens() == ["rotated"]


def test_places_on_windows() -> None:
    """Below LOCALAPPDATA; without that variable there is no place."""
    found = places.find({"LOCALAPPDATA": "base"}, "win32", False)

    assert [Path(place.location) for place in found] == [
        Path("base", ".IdentityService", name) for name in ("msal.cache", "msal.cache.nocae", "msal.cache.cae")
    ]
    assert [place.cae for place in found] == [False, False, True]
    assert places.find({}, "win32", True) == ()


def test_place_on_macos() -> None:
    """One item of the keychain, which is there or not only when asked."""
    (place,) = places.find({"HOME": "/at-home"}, "darwin", False)

    assert (place.location, place.cae, place.present()) == ("/at-home/.IdentityService/msal.cache", False, True)


def test_plain_file_on_linux_only_where_allowed(tmp_path: Path) -> None:
    """A cache that is not encrypted is read with allow_unencrypted_storage only."""
    (tmp_path / ".IdentityService").mkdir()
    (tmp_path / ".IdentityService" / "msal.cache").write_text("{}")
    environment = {"HOME": str(tmp_path)}

    strict = places.find(environment, "linux", False)
    lax = places.find(environment, "linux", True)

    assert len(strict) == 3
    assert [place.location for place in lax[3:]] == [place.location for place in strict]
    assert [place.present() for place in lax[3:]] == [True, False, False]


def test_detection_looks_for_the_files_only(shared: Shared) -> None:
    """A chain learns cheaply whether there is a cache; what is in it is for its turn."""
    source = shared.credential()

    with pytest.raises(CredentialUnavailableError, match=r"msal\.cache"):
        run(source.detect(), clock=shared.clock)
    shared.path.write_text("whatever")
    run(source.detect(), clock=shared.clock)

    assert shared.transport.requests == []


def test_no_place_at_all_is_unavailable(shared: Shared) -> None:
    """A machine without a known place says so."""
    with pytest.raises(CredentialUnavailableError, match="no place"):
        run(shared.credential(_find=lambda *_: ()).detect(), clock=shared.clock)


# msal and we


def application(shared: Shared) -> msal.PublicClientApplication:
    cache = msal.SerializableTokenCache()
    cache.deserialize(shared.path.read_text())
    return msal.PublicClientApplication(
        CLIENT_ID,
        authority=f"https://{PUBLIC}/organizations",
        token_cache=cache,
        instance_discovery=False,
        http_client=NoNetwork(),
    )


class NoNetwork:
    """An HTTP client of msal's that answers the one document msal wants, and counts anything else as a mistake."""

    def get(self, url: str, **_: Any) -> Any:
        if "openid-configuration" not in url:
            raise AssertionError(f"msal asked for {url}")
        base = f"https://{PUBLIC}/organizations"
        document = {
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "issuer": f"https://{PUBLIC}/tenant-a/v2.0",
        }
        return Answered(text=json.dumps(document))

    def post(self, url: str, **_: Any) -> Any:
        raise AssertionError(f"msal sent something to {url}")

    def close(self) -> None:
        pass


@attrs.frozen
class Answered:
    text: str
    status_code: int = 200
    headers: dict[str, str] = attrs.field(factory=dict)

    def raise_for_status(self) -> None:
        pass


def test_msal_reads_what_we_write(shared: Shared) -> None:
    """Accounts and access tokens that we have written back serve an application on msal, without a network."""
    import time

    shared.clock = FakeClock(time.time())  # msal reads the wall clock
    shared.transport.then(token_response("redeemed", refresh_token="rotated", foci="1"))
    shared.sign_in()
    shared.token()

    reader = application(shared)
    (account,) = reader.get_accounts()
    result = reader.acquire_token_silent([SCOPE], account=account)

    assert account["username"] == "alice@example.com"
    assert result is not None
    assert result["access_token"] == "redeemed"
    assert result["token_source"] == "cache"


def test_msal_extensions_reads_what_we_write(shared: Shared) -> None:
    """A persisted cache of msal-extensions sees our tokens."""
    shared.sign_in()
    shared.token()

    cache = msal_extensions.PersistedTokenCache(msal_extensions.FilePersistence(str(shared.path)))
    found = list(cache.search("AccessToken", target=[SCOPE], now=int(shared.clock.time())))

    assert [entry["secret"] for entry in found] == ["redeemed"]


def test_we_read_what_msal_extensions_writes(shared: Shared) -> None:
    """A cache that a tool on msal-extensions has written serves us."""
    plain = Shared(shared.folder, name="by-msal")
    plain.sign_in()
    plain.cache_token()
    cache = msal_extensions.PersistedTokenCache(msal_extensions.FilePersistence(str(shared.path)))
    for kind, entries in json.loads(plain.path.read_text()).items():
        for entry in entries.values():
            cache.modify(kind, entry, entry)

    assert shared.token() == ACCESS


# Settings and arguments


def test_settings_are_filled_in_from_the_environment(shared: Shared) -> None:
    """In a chain, AZURE_USERNAME and AZURE_TENANT_ID choose the account unless the settings do."""
    shared.environment |= {"AZURE_USERNAME": "bob@example.com", "AZURE_TENANT_ID": "tenant-b"}

    by_environment = build(SharedCacheSettings(), shared.host())
    by_settings = build(SharedCacheSettings(username="alice@example.com", tenant_id="tenant-a"), shared.host())

    assert (by_environment._username, by_environment._tenant_id) == ("bob@example.com", "tenant-b")
    assert (by_settings._username, by_settings._tenant_id) == ("alice@example.com", "tenant-a")


def test_credential_by_hand_does_not_read_these_variables(shared: Shared) -> None:
    """Standing alone, the arguments say everything."""
    shared.environment |= {"AZURE_USERNAME": "bob@example.com", "AZURE_TENANT_ID": "tenant-b"}
    shared.sign_in(ALICE)

    assert shared.token() == "redeemed"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"username": ""}, "username"),
        ({"tenant_id": "a/b"}, "tenant_id"),
        ({"tenant_id": ""}, "tenant_id"),
        ({"authority": "http://insecure"}, "https"),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments: dict[str, Any], says: str) -> None:
    """What cannot be a name, a tenant or an authority never makes a credential."""
    with pytest.raises(ValueError, match=says):
        SharedTokenCacheCredential(**arguments)


def test_unknown_keyword_names_the_nearest() -> None:
    """A mistyped keyword is an error that helps."""
    with pytest.raises(TypeError, match="tenant_id"):
        SharedTokenCacheCredential(tenantid="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("scopes", [(), ("a b",)])
def test_bad_scopes_are_refused_before_the_cache_is_read(scopes: tuple[str, ...], shared: Shared) -> None:
    """What cannot be a scope is the caller's mistake, whatever the cache holds."""
    with pytest.raises(ValueError, match="scopes"):
        run(shared.credential().get_token(*scopes), clock=shared.clock)


def test_provider_is_called_as_its_entry_point() -> None:
    """The provider carries the source's name."""
    assert credchain_provider().name == "shared_cache"


def test_transport_that_was_given_stays_open(shared: Shared) -> None:
    """Closing the credential leaves its owner's transport alone."""
    transport = FakeTransport()

    run(SharedTokenCacheCredential(transport=transport).close(), clock=shared.clock)

    assert transport.closed == 0
