"""Structuring: settings as they are written become what the provider's class wants, and what does not fit is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs
import pytest

from credchain.errors import ConfigurationError
from credchain.settings import Value, structure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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


def test_settings_become_the_provider_s_class() -> None:
    """Values by name, defaults for the rest."""
    settings = structure(VaultSettings, {"address": said("https://vault")}, source="vault")

    assert settings == VaultSettings("https://vault")


def test_an_unknown_key_names_the_nearest_and_its_origin() -> None:
    """So that the line to change is found."""
    with pytest.raises(ConfigurationError) as caught:
        structure(VaultSettings, {"adress": said("https://vault", "the file y")}, source="vault")

    assert (
        str(caught.value.faults[0])
        == "the file y: source.vault.adress: there is no such setting; did you mean 'address'?"
    )


def test_a_needed_key_is_named() -> None:
    """A setting without a default must be given."""
    with pytest.raises(ConfigurationError, match="^the file x: source.vault.address: needs a value$"):
        structure(VaultSettings, {"path": said("/p")}, source="vault")


def test_all_needed_keys_are_named_at_once() -> None:
    """Not one per run."""

    @attrs.frozen
    class Two:
        one: str
        two: str

    with pytest.raises(ConfigurationError) as caught:
        structure(Two, {}, source="vault")

    assert [fault.key for fault in caught.value.faults] == ["source.vault.one", "source.vault.two"]


def test_a_refused_value_is_told_with_its_origin() -> None:
    """The validator's own words, and every place that may be wrong."""
    with pytest.raises(ConfigurationError) as caught:
        structure(
            VaultSettings, {"address": said("http://vault", "the file y"), "path": said("/p", "z")}, source="vault"
        )

    assert str(caught.value) == "the file y and z: source.vault: address: must use https"


def test_a_wrong_type_is_told_as_well() -> None:
    """A converter's TypeError is a wrong setting, not a crash."""

    @attrs.frozen
    class Listed:
        names: tuple[str, ...] = attrs.field(converter=tuple)

    with pytest.raises(ConfigurationError, match="^the file x: source.vault: .*iterable"):
        structure(Listed, {"names": said(5)}, source="vault")


def test_a_field_that_cannot_be_given_is_no_setting() -> None:
    """A field outside `__init__` is neither needed nor known."""

    @attrs.frozen
    class Derived:
        size: int = attrs.field(init=False, default=3)

    with pytest.raises(ConfigurationError, match="^the file x: source.vault.size: there is no such setting"):
        structure(Derived, {"size": said(5)}, source="vault")


@attrs.frozen
class Everything:
    """A setting of each kind."""

    name: str = ""
    count: int = 0
    seconds: float = 0.0
    on: bool = False
    names: tuple[str, ...] = ()
    numbers: Sequence[int] = ()
    kind: Literal["a", "b"] = "a"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    perhaps: float | None = None
    either: str | bytes | None = None
    number: int | tuple[int, ...] = 0
    secret: str = attrs.field(default="", repr=False)


def everything(form: str, **values: Any) -> Everything:
    given = {key: Value(value, "the file x", form) for key, value in values.items()}
    found = structure(Everything, given, source="all", environment={"TOKEN": "from-a-variable"})
    assert isinstance(found, Everything)
    return found


def test_a_file_s_values_keep_their_types() -> None:
    """What TOML has is what the class gets; a whole number does for a number."""
    found = everything(
        "toml", name="n", count=3, seconds=2, on=True, names=["a"], numbers=[1], kind="b", headers={"h": "v"}, perhaps=1
    )

    assert found == Everything("n", 3, 2.0, True, ("a",), (1,), "b", {"h": "v"}, 1.0)
    assert isinstance(found.seconds, float)


def test_a_variable_s_text_is_read_as_the_type_that_is_wanted() -> None:
    """Texts stay texts, lists are separated by commas or written as in TOML, the rest is written as in TOML."""
    found = everything(
        "text", name="5", count="3", seconds="2.5", on="true", names="a, b,", numbers="[1, 2]", kind="b", perhaps="1"
    )

    assert found == Everything("5", 3, 2.5, True, ("a", "b"), (1, 2), "b", {}, 1.0)


@pytest.mark.parametrize(
    ("form", "key", "given", "told"),
    [
        ("toml", "name", 5, "must be a string, not 5"),
        ("toml", "count", "5", "must be a whole number, not '5'"),
        ("toml", "count", True, "must be a whole number, not True"),
        ("toml", "count", 1.5, "must be a whole number, not 1.5"),
        ("toml", "seconds", True, "must be a number, not True"),
        ("toml", "seconds", "soon", "must be a number, not 'soon'"),
        ("toml", "on", 1, "must be true or false, not 1"),
        ("toml", "names", "a", "must be a list of strings, not 'a'"),
        ("toml", "names", ["a", 5], "must be a string, not ['a', 5]"),
        ("toml", "numbers", ["x"], "must be a whole number, not ['x']"),
        ("toml", "kind", "c", "must be one of 'a', 'b', not 'c'"),
        ("toml", "either", 5, "must be a string, not 5"),
        ("toml", "number", "x", "must be a whole number, not 'x'"),
        ("table", "count", "5", "must be a whole number, not '5'"),
        ("text", "count", "many", "must be a whole number, not 'many'"),
        ("text", "on", "yes", "must be true or false, not 'yes'"),
        ("text", "numbers", "1,x", "must be a whole number, not ['1', 'x']"),
    ],
)
def test_a_value_of_another_type_is_told(form: str, key: str, given: object, told: str) -> None:
    """With what was expected; nothing is guessed."""
    with pytest.raises(ConfigurationError) as caught:
        everything(form, **{key: given})

    assert str(caught.value) == f"the file x: source.all.{key}: {told}"


@pytest.mark.parametrize(
    ("form", "key", "given", "becomes"),
    [
        ("toml", "either", "x", "x"),
        ("text", "either", "123", "123"),
        ("toml", "number", 5, 5),
        ("toml", "number", [5, 6], (5, 6)),
        ("text", "number", "[5, 6]", (5, 6)),
    ],
)
def test_of_several_types_the_first_that_fits_is_taken(form: str, key: str, given: object, becomes: object) -> None:
    """And a text stays one where a text is wanted."""
    assert getattr(everything(form, **{key: given}), key) == becomes


def test_all_faults_are_told_at_once() -> None:
    """One error for each run of the program would be one too many."""
    with pytest.raises(ConfigurationError) as caught:
        everything("toml", nam="x", count="x", secret="literal")

    assert [fault.key for fault in caught.value.faults] == ["source.all.nam", "source.all.count", "source.all.secret"]
    assert str(caught.value).startswith("3 settings are wrong:\n  the file x: ")


def test_a_secret_does_not_stand_in_a_file() -> None:
    """The error says how to refer to it, and does not repeat it."""
    with pytest.raises(ConfigurationError) as caught:
        everything("toml", secret="hunter2")

    assert '{ env = "NAME" } or { file = "/path" }' in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("form", ["text", "table", "object"])
def test_a_secret_may_come_from_a_variable_or_from_code(form: str) -> None:
    """Neither is a file that gets copied about."""
    assert everything(form, secret="hunter2").secret == "hunter2"


@pytest.mark.parametrize("form", ["toml", "table"])
@pytest.mark.parametrize("key", ["secret", "name"])
def test_a_reference_stands_for_the_value(form: str, key: str) -> None:
    """For a secret, and for anything else."""
    assert getattr(everything(form, **{key: {"env": "TOKEN"}}), key) == "from-a-variable"


def test_a_secret_of_a_wrong_type_is_not_shown() -> None:
    """Whatever it is."""
    with pytest.raises(ConfigurationError, match="must be a string$"):
        everything("table", secret=12345)


def test_a_type_that_only_the_type_checker_knows_is_left_to_the_class() -> None:
    """A settings class with an annotation that cannot be resolved still works."""
    namespace: dict[str, Any] = {"attrs": attrs}
    source = "@attrs.frozen\nclass Odd:\n    size: 'Unknown' = 0\n"
    exec(source, namespace)

    found = structure(namespace["Odd"], {"size": Value(5, "the file x", "toml")}, source="odd")

    assert found.size == 5
