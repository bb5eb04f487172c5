"""The plan: settings and the default order become places, and every source that has none has a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credchain.errors import ConfigurationError
from credchain.settings import Layer, Listed, Plan, Value, plan

LISTED = (
    Listed("environment", "prod", "EnvironmentCredential", "exclude_environment_credential"),
    Listed(
        "managed_identity", "prod", "ManagedIdentityCredential", "exclude_managed_identity_credential", timeout=10.0
    ),
    Listed(
        "shared_cache",
        "dev",
        "SharedTokenCacheCredential",
        "exclude_shared_token_cache_credential",
        platforms=("win32",),
    ),
    Listed("cli", "dev", "AzureCliCredential", "exclude_cli_credential"),
)
EVERYWHERE = [one.name for one in LISTED if not one.platforms]
NAMES = [*(one.name for one in LISTED), "vault", "acme/vault"]


def value(what: object, origin: str = "the file x") -> Value:
    return Value(what, origin)


def made(platform: str = "linux", **fields: object) -> Plan:
    return plan(Layer(**fields), LISTED, platform=platform)  # type: ignore[arg-type]


def names(found: Plan) -> list[str]:
    return [place.name for place in found.places]


orders = st.lists(st.sampled_from([*NAMES, "..."]), max_size=6, unique=True).map(tuple)
settings = st.builds(
    Layer,
    order=st.none() | orders.map(lambda order: value(order, "ORDER")),
    wanted=st.dictionaries(st.sampled_from(NAMES), st.booleans().map(lambda wish: value(wish, "WANTED"))),
    group=st.none() | st.sampled_from(["dev", "prod"]).map(lambda group: value(group, "GROUP")),
    only=st.none() | st.sampled_from([one.name for one in LISTED]).map(lambda name: value(name, "ONLY")),
)
platforms = st.sampled_from(["linux", "win32", "darwin"])


def planned(layer: Layer, platform: str) -> Plan | None:
    """The plan, or None where the settings leave no source."""
    try:
        return plan(layer, LISTED, platform=platform)
    except ConfigurationError:
        return None


def test_without_settings_the_plan_is_the_default_order() -> None:
    """Nothing explicit; what does not belong to the platform is left out with the reason."""
    found = made()

    assert names(found) == EVERYWHERE
    assert not any(place.explicit for place in found.places)
    assert found.left_out == {"shared_cache": "in the default order on win32 only; enable it by name"}


def test_each_platform_has_its_own_default_order() -> None:
    """On the platforms that a source names, it takes its place in the list."""
    assert names(made(platform="win32")) == [one.name for one in LISTED]


@given(settings, platforms)
def test_every_source_is_placed_or_left_out(layer: Layer, platform: str) -> None:
    """Each source of the default order, and each that the settings speak of, is in exactly one of the two."""
    found = planned(layer, platform)
    if found is None:
        return
    order = () if layer.order is None else layer.order.value
    spoken_of = {*(one.name for one in LISTED), *layer.wanted, *order} - {"..."}

    assert len(set(names(found))) == len(names(found))
    assert set(names(found)).isdisjoint(found.left_out)
    assert {*names(found), *found.left_out} == spoken_of


@given(settings, platforms)
def test_a_disabled_source_never_takes_part(layer: Layer, platform: str) -> None:
    """Whatever else names it, and the reason is who disabled it."""
    found = planned(layer, platform)
    if found is None:
        return

    for name, wanted in layer.wanted.items():
        if not wanted.value:
            assert found.left_out[name] == f"disabled by {wanted.origin}"


@given(settings, platforms)
def test_the_chain_keeps_the_order(layer: Layer, platform: str) -> None:
    """Names in the order given; the rest in the default order where "..." stands, and enabled ones after all."""
    found = planned(layer, platform)
    if found is None or layer.order is None:
        return
    placed = names(found)
    given_names = [name for name in layer.order.value if name in placed]
    rest = [name for name in placed if name not in layer.order.value]
    listed_rest = [one.name for one in LISTED if one.name in rest]

    assert [name for name in placed if name in layer.order.value] == given_names
    if "..." in layer.order.value:
        assert [name for name in rest if name in listed_rest] == listed_rest
    else:
        assert placed == [*given_names, *rest]
        assert all(layer.wanted[name].value for name in rest)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        pytest.param(("managed_identity", "environment"), ["managed_identity", "environment"], id="only these"),
        pytest.param(("cli", "..."), ["cli", "environment", "managed_identity"], id="one first"),
        pytest.param(("...", "environment"), ["managed_identity", "cli", "environment"], id="one last"),
        pytest.param(
            ("environment", "vault", "managed_identity", "..."),
            ["environment", "vault", "managed_identity", "cli"],
            id="a stranger between",
        ),
        pytest.param(("...",), EVERYWHERE, id="the rest of nothing"),
        pytest.param(("shared_cache",), ["shared_cache"], id="one of another platform"),
    ],
)
def test_the_order_is_data(order: tuple[str, ...], expected: list[str]) -> None:
    """Three dots stand for what of the default order is not named."""
    assert names(made(order=value(order))) == expected


def test_an_order_without_the_rest_leaves_it_out() -> None:
    """With the origin of the order as reason."""
    found = made(order=value(("environment",), "the keyword order"))

    assert found.left_out["managed_identity"] == "not named in the order of the keyword order"


def test_a_stranger_named_in_the_order_must_be_usable() -> None:
    """Naming it is asking for it; a listed source in the order is where it was, only elsewhere."""
    found = {place.name: place for place in made(order=value(("vault", "environment"))).places}

    assert found["vault"].explicit
    assert not found["environment"].explicit


def test_an_enabled_stranger_comes_last() -> None:
    """It is explicit, and says who enabled it."""
    found = made(wanted={"vault": value(True, "the keyword enable")})

    assert names(found) == [*EVERYWHERE, "vault"]
    assert found.places[-1].explicit
    assert found.places[-1].because == "enabled by the keyword enable"


def test_an_enabled_source_of_the_list_keeps_its_place() -> None:
    """On any platform, and explicit."""
    found = made(wanted={"shared_cache": value(True)})

    assert names(found) == [one.name for one in LISTED]
    assert [place.name for place in found.places if place.explicit] == ["shared_cache"]


def test_a_group_is_a_part_of_the_default_order() -> None:
    """The others say which group was selected and which is theirs."""
    found = made(group=value("prod", "the environment variable AZURE_TOKEN_CREDENTIALS"))

    assert names(found) == ["environment", "managed_identity"]
    assert found.left_out["cli"] == (
        "the environment variable AZURE_TOKEN_CREDENTIALS selects the group prod; it is in dev"
    )


def test_an_enabled_source_joins_a_group() -> None:
    """Enabling by name is finer than a group."""
    found = made(group=value("prod"), wanted={"cli": value(True)})

    assert names(found) == ["environment", "managed_identity", "cli"]


def test_one_source_alone_is_explicit() -> None:
    """It is not probed, whatever its platform; the others say who was named."""
    found = made(only=value("shared_cache", "the environment variable AZURE_TOKEN_CREDENTIALS"))

    assert [(place.name, place.explicit) for place in found.places] == [("shared_cache", True)]
    assert found.left_out["cli"] == "the environment variable AZURE_TOKEN_CREDENTIALS names shared_cache alone"


def test_nothing_left_names_every_reason() -> None:
    """Who disabled what, so that the setting to change is found."""
    wanted = {one.name: value(False, f"origin-of-{one.name}") for one in LISTED}

    with pytest.raises(ConfigurationError, match="^no source is enabled") as caught:
        made(wanted=wanted)

    for one in LISTED:
        assert f"{one.name}: disabled by origin-of-{one.name}" in str(caught.value)


def test_an_empty_order_is_told_as_such() -> None:
    """The error names the order's origin."""
    with pytest.raises(ConfigurationError, match=r"^no source is enabled \(the keyword order\)"):
        made(order=value((), "the keyword order"))


def test_a_source_of_the_default_order_has_its_time() -> None:
    """So that those behind it get their turn; one that was named explicitly, or stands alone, takes its own time."""
    listed = {place.name: place.timeout for place in made().places}
    enabled = {place.name: place.timeout for place in made(wanted={"managed_identity": value(True)}).places}
    alone = made(order=value(("managed_identity",)))

    assert (listed["environment"], listed["managed_identity"]) == (None, 10.0)
    assert enabled["managed_identity"] is None
    assert [place.timeout for place in alone.places] == [None]


def test_a_listed_source_keeps_its_time_at_another_place() -> None:
    """The order says where it stands, not how long it may take; on any platform."""
    first = Listed("first", "prod", "FirstCredential", "exclude_first", timeout=5.0, platforms=("win32",))
    settings = Layer(order=value(("managed_identity", "first", "environment")))

    found = plan(settings, (*LISTED, first), platform="linux")

    assert {place.name: place.timeout for place in found.places} == {
        "managed_identity": 10.0,
        "first": 5.0,
        "environment": None,
    }
