"""The shop window: every name is there, is its owner's, and costs nothing before it is used."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys

import pytest

import credchain
from credchain import aio

MOVED = (
    "AuthorizationCodeCredential",
    "CertificateCredential",
    "SharedTokenCacheCredential",
    "AzureAuthorityHosts",
    "ChainedTokenCredential",
    "ClientSecretCredential",
    "CredentialUnavailableError",
    "DefaultAzureCredential",
    "EnvironmentCredential",
    "KnownAuthorities",
    "ManagedIdentityCredential",
    "get_bearer_token_provider",
)


def run_python(script: str) -> str:
    """What a fresh interpreter prints, in an empty environment and with warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", MOVED)
def test_a_name_of_azure_identity_is_there(name: str) -> None:
    """Moving over is changing the import."""
    assert name in aio.__all__


@pytest.mark.parametrize("name", aio.__all__)
def test_a_public_name_is_its_owner_s(name: str) -> None:
    """The window shows the thing itself, the same one each time."""
    value = getattr(aio, name)

    assert value is getattr(aio, name)
    assert value is getattr(importlib.import_module(value.__module__), name, value)
    assert inspect.getdoc(value)


@pytest.mark.parametrize("module", [aio, credchain], ids=["aio", "credchain"])
def test_names_are_listed_sorted_and_complete(module: object) -> None:
    """`dir` and `__all__` agree, so that a shell completes what can be imported."""
    names: list[str] = module.__all__  # type: ignore[attr-defined]

    assert dir(module) == sorted(names)
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", credchain.__all__)
def test_the_authors_vocabulary_is_there(name: str) -> None:
    """Each name of `credchain` resolves, the same one each time."""
    assert getattr(credchain, name) is getattr(credchain, name)


@pytest.mark.parametrize("module", ["credchain", "credchain.aio"])
def test_a_star_import_gives_every_name(module: str) -> None:
    """Lazy names are as good as any."""
    script = f"from {module} import *\nimport {module}\nprint(set({module}.__all__) <= set(globals()))"

    assert run_python(script) == "True"


@pytest.mark.parametrize("module", [aio, credchain], ids=["aio", "credchain"])
@pytest.mark.parametrize("name", ["NoSuchCredential", "_private", "__path_"])
def test_another_name_is_an_attribute_error(module: object, name: str) -> None:
    """As with any module."""
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
        getattr(module, name)


@pytest.mark.parametrize("module", ["credchain", "credchain.aio"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    """Neither aiohttp, msal nor cryptography, nor pluggy, nor any source."""
    loaded = run_python(
        f"import sys, {module}\n"
        "heavy = ('aiohttp', 'azure', 'attr', 'msal', 'cryptography', 'pluggy', 'asyncio', 'credchain_plugins')\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & set(heavy)))\n"
    )

    assert loaded == "[]"


@pytest.mark.parametrize(
    ("name", "absent"),
    [
        ("ClientSecretCredential", ("msal", "cryptography", "credchain_plugins.managed_identity")),
        ("ManagedIdentityCredential", ("msal", "cryptography", "credchain_plugins.client_secret")),
        ("KnownAuthorities", ("msal", "cryptography", "aiohttp", "credchain_plugins", "pluggy")),
    ],
)
def test_a_program_loads_the_sources_that_it_names(name: str, absent: tuple[str, ...]) -> None:
    """And no others, nor what only those need."""
    loaded = run_python(
        f"import sys\nfrom credchain.aio import {name}\nprint([n for n in {absent!r} if n in sys.modules])"
    )

    assert loaded == "[]"
