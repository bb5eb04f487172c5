"""Who asks: finding the application and checking its proof (RFC 6749, section 2.3; RFC 7521, section 4.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credchain.emulator import refusals
from credchain.emulator.assertions import check_assertion
from credchain.emulator.directory import SHARED_TENANTS
from credchain.emulator.fields import required

if TYPE_CHECKING:
    from credchain.emulator.records import Application
    from credchain.emulator.wire import Call
    from credchain.emulator.world import World

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def client_of_tenant(world: World, call: Call, tenant: str) -> Application:
    """The application that asks, registered in *tenant*; in any where the tenant is a shared one.

    Raises:
        RefusedError: Nobody registered it there.
    """
    client_id = required(call, "client_id")
    find = world.directory.application_anywhere if tenant in SHARED_TENANTS else world.directory.application
    application = find(tenant, client_id)
    if application is None:
        raise refusals.unknown_application(client_id, tenant)
    return application


def client_of_any_tenant(world: World, call: Call, tenant: str) -> Application:
    """The application that asks: *tenant*'s own, else another's, as with one made for many tenants.

    Raises:
        RefusedError: Nobody registered it anywhere.
    """
    client_id = required(call, "client_id")
    application = world.directory.application_anywhere(tenant, client_id)
    if application is None:
        raise refusals.unknown_application(client_id, tenant)
    return application


def authenticate_alone(world: World, call: Call, application: Application) -> None:
    """Check an application that asks for itself: without a proof of its own it is nobody.

    Raises:
        RefusedError: No proof, or a wrong one.
    """
    if not _presents(call):
        raise refusals.no_proof(alone=True)
    authenticate(world, call, application)


def authenticate(world: World, call: Call, application: Application) -> None:
    """Check an application's proof; one that has none must show none.

    Raises:
        RefusedError: A proof is missing, wrong or out of place.
    """
    if application.public:
        if _presents(call):
            raise refusals.public_client()
        return
    if call.form.get("client_assertion"):
        _check_type(call)
        check_assertion(world, call, application, call.form["client_assertion"])
    elif call.form.get("client_secret"):
        _check_secret(call.form["client_secret"], application)
    else:
        raise refusals.no_proof(alone=False)


def _presents(call: Call) -> bool:
    return bool(call.form.get("client_secret") or call.form.get("client_assertion"))


def _check_type(call: Call) -> None:
    if required(call, "client_assertion_type") != _ASSERTION_TYPE:
        raise refusals.bad_assertion(70002, "The client_assertion_type is not supported.")


def _check_secret(secret: str, application: Application) -> None:
    if secret != application.client_secret:
        raise refusals.wrong_secret(application.client_id)
    if application.secret_expired:
        raise refusals.expired_secret(application.client_id)
