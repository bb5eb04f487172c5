"""Which address belongs to which route, on each of the emulator's three ports."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs

from credchain.emulator.grants import token_endpoint
from credchain.emulator.hosts import app_service, arc, azure_ml, cloud_shell, service_fabric
from credchain.emulator.imds import imds
from credchain.emulator.metadata import instance_discovery, keys, openid_configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from credchain.emulator.wire import Answer, Call
    from credchain.emulator.world import World

TOKEN_ROUTES = frozenset({"token", "imds", "app_service", "arc", "azure_ml", "cloud_shell", "service_fabric"})
"""The routes that give tokens."""


@attrs.frozen
class Route:
    """An address and who serves it.

    Attributes:
        name: As faults and counts name it.
        pattern: What the whole path looks like.
        respond: Answers.
    """

    name: str
    pattern: re.Pattern[str]
    respond: Callable[[World, Call], Answer]


def _route(name: str, pattern: str, respond: Callable[[World, Call], Answer]) -> Route:
    return Route(name, re.compile(pattern), respond)


AUTHORITY: Sequence[Route] = (
    _route("token", r"/[^/]+/oauth2/v2\.0/token", token_endpoint),
    _route("metadata", r"/[^/]+/v2\.0/\.well-known/openid-configuration", openid_configuration),
    _route("metadata", r"/[^/]+/discovery/v2\.0/keys", keys),
    _route("metadata", r"/common/discovery/instance", instance_discovery),
)
MACHINE: Sequence[Route] = (
    _route("imds", r"/metadata/identity/oauth2/token", imds),
    _route("app_service", r"/msi/token", app_service),
    _route("arc", r"/metadata/identity/arc/token", arc),
    _route("azure_ml", r"/azure_ml/token", azure_ml),
    _route("cloud_shell", r"/cloud_shell/token", cloud_shell),
)
SERVICE_FABRIC: Sequence[Route] = (_route("service_fabric", r"/service_fabric/token", service_fabric),)


def find(routes: Sequence[Route], path: str) -> Route | None:
    """The route of a path, or None."""
    return next((route for route in routes if route.pattern.fullmatch(path)), None)
