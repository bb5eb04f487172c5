"""The layer that environment variables make: what each says, and that empty ones say nothing."""

from __future__ import annotations

import pytest

from credchain.errors import ConfigurationError
from credchain.settings import Layer, Listed, Value, environment_layer

LISTED = (
    Listed("environment", "prod", "EnvironmentCredential", "exclude_environment_credential"),
    Listed("managed_identity", "prod", "ManagedIdentityCredential", "exclude_managed_identity_credential"),
    Listed("cli", "dev", "AzureCliCredential", "exclude_cli_credential"),
)


def value(what: object, variable: str) -> Value:
    return Value(what, f"the environment variable {variable}")


def layer(**environment: str) -> Layer:
    return environment_layer(environment, LISTED)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"PATH": "/bin", "AZURE_TENANT_ID": "t"},
        dict.fromkeys(
            ("AZURE_TOKEN_CREDENTIALS", "CREDCHAIN_ORDER", "CREDCHAIN_ENABLE", "CREDCHAIN_DISABLE", "AZURE_CLIENT_ID"),
            "",
        ),
        {"AZURE_TOKEN_CREDENTIALS": "  ", "CREDCHAIN_ORDER": " , ,", "CREDCHAIN_ENABLE": ","},
    ],
    ids=["none", "others", "empty", "blank"],
)
def test_empty_variables_say_nothing(environment: dict[str, str]) -> None:
    """A variable that a shell has set to nothing is no wish."""
    assert environment_layer(environment, LISTED) == Layer()


def test_the_order_is_a_list_of_names() -> None:
    """Separated by commas; spaces do not count, and "..." is a name like any other here."""
    found = layer(CREDCHAIN_ORDER=" vault, ... ,environment,")

    assert found == Layer(order=value(("vault", "...", "environment"), "CREDCHAIN_ORDER"))


def test_names_are_enabled_and_disabled() -> None:
    """Each with the variable that says it."""
    found = layer(CREDCHAIN_ENABLE="vault,cli", CREDCHAIN_DISABLE="environment")

    assert found.wanted == {
        "vault": value(True, "CREDCHAIN_ENABLE"),
        "cli": value(True, "CREDCHAIN_ENABLE"),
        "environment": value(False, "CREDCHAIN_DISABLE"),
    }


def test_disabling_wins_over_enabling() -> None:
    """Who says both is taken to mean the careful one."""
    found = layer(CREDCHAIN_ENABLE="vault", CREDCHAIN_DISABLE="vault")

    assert found.wanted == {"vault": value(False, "CREDCHAIN_DISABLE")}


@pytest.mark.parametrize("said", ["dev", "DEV", " prod ", "Prod"])
def test_a_group_is_selected_in_any_case(said: str) -> None:
    """AZURE_TOKEN_CREDENTIALS=dev or prod."""
    found = layer(AZURE_TOKEN_CREDENTIALS=said)

    assert found == Layer(group=value(said.strip().lower(), "AZURE_TOKEN_CREDENTIALS"))


@pytest.mark.parametrize(
    "said", ["ManagedIdentityCredential", "managedidentitycredential", " MANAGEDIDENTITYCREDENTIAL "]
)
def test_one_source_is_selected_by_its_class_in_any_case(said: str) -> None:
    """AZURE_TOKEN_CREDENTIALS as a credential's class."""
    found = layer(AZURE_TOKEN_CREDENTIALS=said)

    assert found == Layer(only=value("managed_identity", "AZURE_TOKEN_CREDENTIALS"))


def test_an_unknown_selection_names_the_nearest_and_all() -> None:
    """What was said, what was perhaps meant, and what there is."""
    with pytest.raises(ConfigurationError) as caught:
        layer(AZURE_TOKEN_CREDENTIALS="ManagedIdentityCredentials")

    message = str(caught.value)
    assert message.startswith("AZURE_TOKEN_CREDENTIALS: ")
    assert "'ManagedIdentityCredentials'; did you mean 'ManagedIdentityCredential'?" in message
    for known in ("dev", "prod", *(one.credential_class for one in LISTED)):
        assert known in message


def test_the_client_id_is_a_setting_of_the_managed_identity() -> None:
    """AZURE_CLIENT_ID names the user-assigned identity."""
    found = layer(AZURE_CLIENT_ID="id")

    assert found == Layer(sources={"managed_identity": {"client_id": value("id", "AZURE_CLIENT_ID")}})
