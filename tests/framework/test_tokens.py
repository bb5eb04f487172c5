"""The question and the answer: cache keys that never mix, and tokens that never show."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import attrs
import pytest
from azure.core.credentials import AccessToken as CoreToken
from azure.core.credentials import AccessTokenInfo as CoreInfo
from hypothesis import given
from hypothesis import strategies as st

from credchain.credential import cache_key, requested
from credchain.tokens import AccessToken, AccessTokenInfo, TokenRequest, to_info, to_token

scope_lists = st.lists(st.sampled_from(["a", "b", "c", "home", "True"]), min_size=1, max_size=3, unique=True).map(tuple)
tenants = st.sampled_from([None, "", "a", "home", "True"])


@given(scopes=scope_lists, tenant=tenants, cae=st.booleans(), data=st.data())
def test_the_order_of_scopes_is_irrelevant(
    scopes: tuple[str, ...], tenant: str | None, cae: bool, data: st.DataObject
) -> None:
    """The same scopes in another order are the same question."""
    shuffled = tuple(data.draw(st.permutations(scopes)))

    assert cache_key(scopes, tenant, cae) == cache_key(shuffled, tenant, cae)


@given(
    one=st.tuples(scope_lists, tenants, st.booleans()),
    other=st.tuples(scope_lists, tenants, st.booleans()),
)
def test_scopes_tenants_and_cae_never_cross(
    one: tuple[tuple[str, ...], str | None, bool], other: tuple[tuple[str, ...], str | None, bool]
) -> None:
    """Two keys are equal exactly if the same scopes are asked for, in the same tenant, with the same capability."""

    def meaning(scopes: tuple[str, ...], tenant: str | None, cae: bool) -> object:
        return frozenset(scopes), tenant or None, cae

    assert (cache_key(*one) == cache_key(*other)) == (meaning(*one) == meaning(*other))


def test_the_usual_question_is_its_own_key() -> None:
    """One scope in the own tenant costs no tuple; an empty tenant is the own one."""
    assert cache_key(("scope",), None, False) == "scope"
    assert cache_key(("scope",), "", False) == "scope"


def test_a_request_with_claims_is_another_request() -> None:
    """Requests as a whole do differ by their claims, so that they do not share a flight."""
    assert TokenRequest(("a",), claims='{"x":1}') != TokenRequest(("a",))


def test_a_request_is_frozen() -> None:
    """A question does not change while it is answered."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        TokenRequest(("a",)).tenant_id = "other"  # type: ignore[misc]


@pytest.mark.parametrize("scopes", [(), [], ("",), ("a", ""), (None,), (b"a",), (5,)], ids=repr)
def test_scopes_are_at_least_one_and_texts(scopes: tuple[str, ...]) -> None:
    """A question without a scope is the caller's error."""
    with pytest.raises(ValueError, match="^scopes: "):
        requested(scopes, None, None, False)


def test_claims_are_not_shown() -> None:
    """A challenge may tell of a session."""
    assert "hidden" not in repr(TokenRequest(("a",), claims='{"hidden":1}'))


@pytest.mark.parametrize(
    "token",
    [AccessToken("hidden", 5), AccessTokenInfo("hidden", 5, token_type="Bearer", refresh_on=4)],
    ids=["AccessToken", "AccessTokenInfo"],
)
def test_tokens_are_not_shown(token: AccessToken | AccessTokenInfo) -> None:
    """Neither in repr, nor in str, nor in a format; the expiry is."""
    shown = f"{token} {token!r} {[token]} %s" % (token,)

    assert "hidden" not in shown.replace("<hidden>", "")
    assert "expires_on=5" in shown


def test_tokens_are_azure_core_s() -> None:
    """Graph sends no token at all unless it is an AccessToken of azure-core's, and that unpacks as a pair."""
    token = AccessToken("t", 5)

    text, expires_on = token

    assert isinstance(token, CoreToken)
    assert isinstance(AccessTokenInfo("t", 5), CoreInfo)
    assert (text, expires_on) == ("t", 5)
    assert token == CoreToken("t", 5)


def test_a_token_survives_pickling() -> None:
    """As azure-core's does."""
    token = pickle.loads(pickle.dumps(AccessToken("t", 5)))

    assert (type(token), token.token, token.expires_on) == (AccessToken, "t", 5)


@pytest.mark.parametrize(
    ("given_token", "expected"),
    [
        pytest.param(CoreToken("t", 5), ("t", 5, "Bearer", None), id="azure-core's AccessToken"),
        pytest.param(AccessToken("t", 5), ("t", 5, "Bearer", None), id="our AccessToken"),
        pytest.param(CoreInfo("t", 5, token_type="pop", refresh_on=3), ("t", 5, "pop", 3), id="azure-core's info"),
        pytest.param(AccessTokenInfo("t", 5, token_type="pop", refresh_on=3), ("t", 5, "pop", 3), id="our info"),
        pytest.param(SimpleNamespace(token="t", expires_on=5.9), ("t", 5, "Bearer", None), id="look-alike"),
        pytest.param(SimpleNamespace(token="t", expires_on="5", token_type=None), ("t", 5, "Bearer", None), id="texts"),
    ],
)
def test_whatever_a_credential_returned_becomes_ours(
    given_token: object, expected: tuple[str, int, str, int | None]
) -> None:
    """Either of azure-core's types, or a look-alike; all fields are kept, and the repr hides the token."""
    info, token = to_info(given_token), to_token(given_token)

    assert (info.token, info.expires_on, info.token_type, info.refresh_on) == expected
    assert (token.token, token.expires_on) == expected[:2]
    assert (type(info), type(token)) == (AccessTokenInfo, AccessToken)


def test_the_text_of_a_token_is_an_exact_str() -> None:
    """A subclass of str breaks several clients."""

    class Text(str):
        __slots__ = ()

    given_token = CoreToken(Text("t"), 5)

    assert type(to_token(given_token).token) is str
    assert type(to_info(given_token).token) is str
