"""Layers of settings: the last that says something wins, and each value keeps where it came from."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from credchain.errors import ConfigurationError
from credchain.settings import Layer, Value, merge, structure

values = st.builds(Value, st.integers(0, 3), st.sampled_from(["here", "there"]))
keyed = st.dictionaries(st.sampled_from(["a", "b", "c"]), values, max_size=3)
layers = st.builds(
    Layer,
    order=st.none() | values,
    wanted=keyed,
    group=st.none() | values,
    only=st.none() | values,
    sources=st.dictionaries(st.sampled_from(["x", "y"]), keyed, max_size=2),
)


@attrs.frozen
class VaultSettings:
    """The settings of a source that needs an address."""

    address: str = attrs.field()
    path: str = "/"
    secret: str = attrs.field(default="", repr=False)

    @address.validator
    def _https(self, _attribute: object, address: str) -> None:
        if not address.startswith("https://"):
            raise ValueError("address: must use https")


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

    for name in ("order", "group", "only"):
        assert getattr(merged, name) == (getattr(high, name) or getattr(low, name))
    assert merged.wanted == {**low.wanted, **high.wanted}
    for source in {*low.sources, *high.sources}:
        assert merged.sources[source] == {**low.sources.get(source, {}), **high.sources.get(source, {})}


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


def test_settings_become_the_provider_s_class() -> None:
    """Values by name, defaults for the rest."""
    settings = structure(VaultSettings, {"address": said("https://vault")}, source="vault")

    assert settings == VaultSettings("https://vault")


def test_an_unknown_key_names_the_nearest_and_its_origin() -> None:
    """So that the line to change is found."""
    with pytest.raises(ConfigurationError) as caught:
        structure(VaultSettings, {"adress": said("https://vault", "the file y")}, source="vault")

    assert str(caught.value) == "vault: there is no setting 'adress' (the file y); did you mean 'address'?"


def test_a_needed_key_is_named() -> None:
    """A setting without a default must be given."""
    with pytest.raises(ConfigurationError, match="^vault: needs the setting address$"):
        structure(VaultSettings, {"path": said("/p")}, source="vault")


def test_all_needed_keys_are_named_at_once() -> None:
    """Not one per run."""

    @attrs.frozen
    class Two:
        one: str
        two: str

    with pytest.raises(ConfigurationError, match="^vault: needs the settings one, two$"):
        structure(Two, {}, source="vault")


def test_a_refused_value_is_told_with_its_origin() -> None:
    """The validator's own words, and every place that may be wrong."""
    with pytest.raises(ConfigurationError) as caught:
        structure(
            VaultSettings, {"address": said("http://vault", "the file y"), "path": said("/p", "z")}, source="vault"
        )

    assert str(caught.value) == "vault: address: must use https (from the file y, z)"


def test_a_wrong_type_is_told_as_well() -> None:
    """A converter's TypeError is a wrong setting, not a crash."""

    @attrs.frozen
    class Listed:
        names: tuple[str, ...] = attrs.field(converter=tuple)

    with pytest.raises(ConfigurationError, match=r"^vault: .*iterable.* \(from the file x\)$"):
        structure(Listed, {"names": said(5)}, source="vault")


def test_a_field_that_cannot_be_given_is_no_setting() -> None:
    """A field outside `__init__` is neither needed nor known."""

    @attrs.frozen
    class Derived:
        size: int = attrs.field(init=False, default=3)

    with pytest.raises(ConfigurationError, match="^vault: there is no setting 'size'"):
        structure(Derived, {"size": said(5)}, source="vault")
