"""Layers of settings: the last that says something wins, and each value keeps where it came from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from credchain.settings import Allowed, Layer, Policy, Value, merge

values = st.builds(Value, st.integers(0, 3), st.sampled_from(["here", "there"]))
origins = st.sampled_from(["here", "there"])
keyed = st.dictionaries(st.sampled_from(["a", "b", "c"]), values, max_size=3)
allowed = st.none() | st.builds(
    Allowed, st.frozensets(st.sampled_from(["v", "w"])), st.lists(origins, min_size=1, unique=True).map(tuple)
)
layers = st.builds(
    Layer,
    order=st.none() | values,
    wanted=keyed,
    group=st.none() | values,
    only=st.none() | values,
    timeout=st.none() | values,
    observe=st.none() | values,
    places=st.dictionaries(st.sampled_from(["x", "y"]), keyed, max_size=2),
    policy=st.builds(
        Policy,
        deny=st.dictionaries(st.sampled_from(["a", "b"]), origins),
        require=st.dictionaries(st.sampled_from(["a", "b"]), origins),
        authorities=allowed,
        tenants=allowed,
        distributions=allowed,
    ),
    sources=st.dictionaries(st.sampled_from(["x", "y"]), keyed, max_size=2),
)


def said(value: object, origin: str = "the file x") -> Value:
    return Value(value, origin)


def test_a_layer_that_says_nothing_is_empty() -> None:
    """No layers and silent layers merge to the same."""
    assert merge([]) == merge([Layer(), Layer()]) == Layer()


@given(layers)
def test_silence_changes_nothing(layer: Layer) -> None:
    """Before and after a layer that speaks."""
    assert merge([layer]) == merge([Layer(), layer]) == merge([layer, Layer()]) == layer


@given(layers, layers, layers)
def test_merging_is_associative(one: Layer, two: Layer, three: Layer) -> None:
    """Merging part by part is merging at once."""
    assert merge([merge([one, two]), three]) == merge([one, two, three]) == merge([one, merge([two, three])])


@given(layers, layers)
def test_the_later_layer_wins_value_by_value(low: Layer, high: Layer) -> None:
    """Each value is the later layer's if that says something, else the earlier's; with its origin."""
    merged = merge([low, high])

    for name in ("order", "group", "only", "timeout", "observe"):
        assert getattr(merged, name) == (getattr(high, name) or getattr(low, name))
    assert merged.wanted == {**low.wanted, **high.wanted}
    for source in {*low.sources, *high.sources}:
        assert merged.sources[source] == {**low.sources.get(source, {}), **high.sources.get(source, {})}
    for source in {*low.places, *high.places}:
        assert merged.places[source] == {**low.places.get(source, {}), **high.places.get(source, {})}


@given(layers, layers, st.sampled_from(["a", "b"]), st.sampled_from(["v", "w"]))
def test_no_layer_allows_what_another_denies(low: Layer, high: Layer, name: str, value: str) -> None:
    """Policies are intersected: denied or required by one is denied or required; allowed by both alone is allowed."""
    merged = merge([low, high]).policy

    assert (name in merged.deny) == (name in low.policy.deny or name in high.policy.deny)
    assert (name in merged.require) == (name in low.policy.require or name in high.policy.require)
    for kind in ("authorities", "tenants", "distributions"):
        limits = [getattr(layer.policy, kind) for layer in (low, high)]
        allows = [limit is None or value in limit.values for limit in limits]
        both = getattr(merged, kind)
        assert (both is None or value in both.values) == all(allows)


@given(layers, layers)
def test_the_order_of_layers_does_not_matter_to_a_policy(one: Layer, other: Layer) -> None:
    """Neither comes later, as far as denying goes."""
    there, back = merge([one, other]).policy, merge([other, one]).policy

    assert set(there.deny) == set(back.deny)
    for kind in ("authorities", "tenants", "distributions"):
        assert getattr(getattr(there, kind), "values", None) == getattr(getattr(back, kind), "values", None)


def test_a_source_has_the_provider_that_it_names() -> None:
    """Else the one that is called like it; naming another source means that one's provider."""
    layer = Layer(places={"reader": {"provider": said("vault")}, "second": {"provider": said("reader")}})

    assert [layer.provider_of(name) for name in ("vault", "reader", "second")] == ["vault"] * 3


def test_an_empty_order_wins_too() -> None:
    """Saying that there is no source is saying something."""
    merged = merge([Layer(order=said(("environment",))), Layer(order=said(()))])

    assert merged.order == said(())


def test_merging_changes_no_layer() -> None:
    """Layers are values; what was merged may be merged again."""
    low = Layer(sources={"x": {"a": said(1)}})

    merge([low, Layer(sources={"x": {"a": said(2), "b": said(3)}})])

    assert low == Layer(sources={"x": {"a": said(1)}})


def test_a_value_shows_its_origin_and_not_itself() -> None:
    """A setting may be a secret."""
    shown = repr(said("hidden-value", "the keyword x"))

    assert "hidden-value" not in shown
    assert "the keyword x" in shown
