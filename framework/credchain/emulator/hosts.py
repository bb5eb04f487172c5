"""The other homes of a managed identity: App Service, Azure Arc, Azure ML, Cloud Shell and Service Fabric."""

from __future__ import annotations

import datetime
import os
import secrets
import uuid
from typing import TYPE_CHECKING

from credchain.emulator.imds import SELECTORS, machine_token, named, pick, unknown_resource
from credchain.emulator.wire import Answer, json_answer, not_allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from credchain.emulator.issue import Issued
    from credchain.emulator.records import MachineIdentity
    from credchain.emulator.wire import Call
    from credchain.emulator.world import World

_APP_SERVICE_SELECTORS: Mapping[str, str] = {
    "client_id": "client_id",
    "object_id": "object_id",
    "mi_res_id": "resource_id",
}
_AZURE_ML_SELECTORS: Mapping[str, str] = {"clientid": "client_id"}
_ARC_VERSIONS = frozenset({"2019-11-01", "2020-06-01"})
_KEYS_KEPT = 100


def app_service(world: World, call: Call) -> Answer:
    """`GET /msi/token`, api-version 2019-08-01."""
    if call.method != "GET":
        return not_allowed("GET")
    if call.headers.get("X-IDENTITY-HEADER") != world.hosts.app_service:
        return _app_service_error(401, "The X-IDENTITY-HEADER header is missing or wrong.")
    if call.params.get("api-version") != "2019-08-01":
        return _app_service_error(400, "The api-version is missing or not supported.")
    if not call.params.get("resource"):
        return _app_service_error(400, "The resource parameter is missing.")
    found = pick(world, call.params, _APP_SERVICE_SELECTORS)
    if len(found) != 1:
        text = "No managed identity was found for the specified client id, resource id or principal id."
        return _app_service_error(400, text)
    return _answer(world, found[0], call.params["resource"], lambda issued: str(issued.expires_on))


def azure_ml(world: World, call: Call) -> Answer:
    """`GET /azure_ml/token`, api-version 2017-09-01; it tells the time of expiry as a date."""
    if call.method != "GET":
        return not_allowed("GET")
    if call.headers.get("secret") != world.hosts.azure_ml:
        return _coded_error(401, "Unauthorized", "The secret header is missing or wrong.")
    if call.params.get("api-version") != "2017-09-01":
        return _coded_error(400, "InvalidApiVersion", "The api-version is missing or not supported.")
    if not call.params.get("resource"):
        return _coded_error(400, "MissingResource", "The resource parameter is missing.")
    found = pick(world, call.params, _AZURE_ML_SELECTORS)
    if len(found) != 1:
        return _coded_error(400, "IdentityNotFound", "No managed identity was found for the specified client id.")
    return _answer(world, found[0], call.params["resource"], lambda issued: _american(issued.expires_on))


def cloud_shell(world: World, call: Call) -> Answer:
    """`POST /cloud_shell/token`; the shell has one identity, and no other can be named."""
    if call.method != "POST":
        return not_allowed("POST")
    if call.headers.get("Metadata", "").lower() != "true":
        return _coded_error(400, "MissingMetadataHeader", "The Metadata header must be 'true'.")
    if not call.form.get("resource"):
        return _coded_error(400, "MissingResource", "The form field 'resource' is missing.")
    if named(call.form, {**SELECTORS, **_APP_SERVICE_SELECTORS}):
        return _coded_error(400, "BadRequest", "The shell's identity is the only one here.")
    own = world.directory.system_identity
    if own is None:
        return _coded_error(400, "IdentityNotFound", "There is no identity.")
    return _answer(world, own, call.form["resource"], lambda issued: str(issued.expires_on))


def service_fabric(world: World, call: Call) -> Answer:
    """`GET /service_fabric/token`, api-version 2019-07-01-preview; the deployment says which identity."""
    if call.method != "GET":
        return not_allowed("GET")
    if "Secret" not in call.headers:
        return _coded_error(400, "SecretHeaderNotFound", "The Secret header is missing.")
    if call.headers["Secret"] != world.hosts.service_fabric:
        return _coded_error(401, "InvalidSecret", "The Secret header is wrong.")
    if call.params.get("api-version") != "2019-07-01-preview":
        return _coded_error(400, "InvalidApiVersion", "The api-version is missing or not supported.")
    if not call.params.get("resource"):
        return _coded_error(400, "ArgumentNullOrEmpty", "The parameter 'resource' is missing.")
    own = world.directory.system_identity
    if own is None:
        return _coded_error(404, "ManagedIdentityNotFound", "The application has no managed identity.")
    return _answer(world, own, call.params["resource"], lambda issued: issued.expires_on)


def arc(world: World, call: Call) -> Answer:
    """`GET /metadata/identity/arc/token`: first a challenge that names a key file, then a token."""
    if call.method != "GET":
        return not_allowed("GET")
    if call.headers.get("Metadata", "").lower() != "true":
        return _coded_error(400, "MissingMetadataHeader", "The Metadata header must be 'true'.")
    if call.params.get("api-version") not in _ARC_VERSIONS:
        return _coded_error(400, "InvalidApiVersion", "The api-version is missing or not supported.")
    if not call.params.get("resource"):
        return _coded_error(400, "MissingResource", "The parameter 'resource' is missing.")
    shown = call.headers.get("Authorization")
    if shown is None:
        return _challenge(world)
    key_file = world.arc_keys.pop(shown.removeprefix("Basic "), None)
    if key_file is None:
        return _coded_error(401, "Unauthorized", "The Authorization header holds no key that is good now.")
    key_file.unlink(missing_ok=True)
    found = pick(world, call.params, SELECTORS)
    if len(found) != 1:
        return _coded_error(404, "IdentityNotFound", "The machine has no such identity.")
    return _answer(world, found[0], call.params["resource"], lambda issued: str(issued.expires_on))


def _challenge(world: World) -> Answer:
    if world.arc_folder is None:
        raise RuntimeError("emulator: key files are written only while it runs")
    path = world.arc_folder / f"{uuid.uuid4()}.key"
    key = secrets.token_urlsafe(48)
    _write_key(path, key)
    world.arc_keys[key] = path
    while len(world.arc_keys) > _KEYS_KEPT:
        world.arc_keys.pop(next(iter(world.arc_keys))).unlink(missing_ok=True)
    return Answer(401, headers={"WWW-Authenticate": f"Basic realm={path}"})


def _write_key(path: Path, key: str) -> None:
    """Readable for this user alone from the first moment on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key)


def _answer(
    world: World,
    identity: MachineIdentity,
    resource: str,
    expiry: Callable[[Issued], object],
) -> Answer:
    refused = unknown_resource(world, resource, identity)
    if refused is not None:
        return refused
    issued = machine_token(world, identity, resource)
    payload: dict[str, object] = {
        "access_token": issued.token,
        "client_id": identity.client_id,
        "expires_on": expiry(issued),
        "resource": resource,
        "token_type": "Bearer",
    }
    return json_answer(payload)


def _american(epoch: int) -> str:
    """A date such as `1/16/2020 5:24:12 AM +00:00`."""
    at = datetime.datetime.fromtimestamp(epoch, datetime.UTC)
    half = "AM" if at.hour < 12 else "PM"
    return f"{at.month}/{at.day}/{at.year} {at.hour % 12 or 12}:{at:%M:%S} {half} +00:00"


def _app_service_error(status: int, message: str) -> Answer:
    payload = {"statusCode": status, "message": message, "correlationId": str(uuid.uuid4())}
    return json_answer(payload, status=status)


def _coded_error(status: int, code: str, message: str) -> Answer:
    content: Mapping[str, object] = {"correlationId": str(uuid.uuid4()), "code": code, "message": message}
    return json_answer({"error": content}, status=status)
