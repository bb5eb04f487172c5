"""A source for credchain: whoever is signed in to the Azure CLI, by azure-identity's own credential."""

from azure.identity.aio import AzureCliCredential

from credchain import Provider, hookimpl


@hookimpl
def credchain_provider() -> Provider:
    """This source."""
    return Provider(name="az", build=lambda settings, host: AzureCliCredential(), summary="the Azure CLI's account")
