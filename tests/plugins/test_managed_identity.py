"""The managed identity: which hosting environment it is, and what goes over the wire there."""

from __future__ import annotations

import logging
import pickle
import random
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from credchain import oauth
from credchain.errors import AuthenticationFailedError, CredentialUnavailableError, TransportError
from credchain.host import Host
from credchain.http import Response
from credchain.testing import FakeClock, FakeTransport, json_response, run, token_response
from credchain_plugins.managed_identity import (
    ManagedIdentityCredential,
    ManagedIdentitySettings,
    build,
    credchain_provider,
)
from credchain_plugins.managed_identity.hosts import VARIABLES, choose
from credchain_plugins.managed_identity.identity import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credchain.http import Request

SCOPE = "https://vault.azure.net/.default"
RESOURCE = "https://vault.azure.net"
SECRET = "a-header-that-nobody-may-see"
THUMBPRINT = "0123456789abcdef0123456789ABCDEF01234567"

FABRIC = {
    "IDENTITY_ENDPOINT": "https://10.0.0.4:2377/metadata/identity/oauth2/token",
    "IDENTITY_HEADER": SECRET,
    "IDENTITY_SERVER_THUMBPRINT": THUMBPRINT,
}
APP_SERVICE = {"IDENTITY_ENDPOINT": "http://127.0.0.1:41741/msi/token", "IDENTITY_HEADER": SECRET}
ARC = {"IDENTITY_ENDPOINT": "http://localhost:40342/metadata", "IMDS_ENDPOINT": "http://localhost:40342"}
AZURE_ML = {"MSI_ENDPOINT": "http://127.0.0.1:46808/MSI/auth", "MSI_SECRET": SECRET}
CLOUD_SHELL = {"MSI_ENDPOINT": "http://localhost:50342/oauth2/token"}

HOSTS = {"service_fabric": FABRIC, "app_service": APP_SERVICE, "azure_ml": AZURE_ML, "cloud_shell": CLOUD_SHELL}
EACH_HOST = pytest.mark.parametrize("environment", HOSTS.values(), ids=HOSTS)


def credential(
    environment: Mapping[str, str], transport: FakeTransport, *, clock: FakeClock | None = None, **identity: str
) -> ManagedIdentityCredential:
    host = Host(transport=transport, clock=clock or FakeClock(), environment=environment, random=random.Random(1))
    return ManagedIdentityCredential(identity_config=identity or None, host=host)


def asked(environment: Mapping[str, str], **identity: str) -> Request:
    """The one request that a token takes."""
    transport = FakeTransport(token_response())
    clock = FakeClock()
    run(credential(environment, transport, clock=clock, **identity).get_token(SCOPE), clock=clock)
    (request,) = transport.requests
    return request


def answered(environment: Mapping[str, str], *answers: Response | Exception, **identity: str) -> Exception:
    """The error that answers lead to."""
    clock = FakeClock()
    source = credential(environment, FakeTransport(*answers), clock=clock, **identity)
    with pytest.raises(Exception) as caught:  # noqa: PT011  # each test says which one
        run(source.get_token(SCOPE), clock=clock)
    return caught.value


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        (FABRIC, "Service Fabric"),
        ({**FABRIC, **ARC, **AZURE_ML}, "Service Fabric"),
        (APP_SERVICE, "App Service"),
        (APP_SERVICE | {"IMDS_ENDPOINT": "http://localhost:40342"}, "App Service"),
        (APP_SERVICE | {"IDENTITY_SERVER_THUMBPRINT": ""}, "App Service"),
        (APP_SERVICE | AZURE_ML, "App Service"),
        (ARC, "Azure Arc"),
        (ARC | {"IDENTITY_HEADER": ""}, "Azure Arc"),
        (ARC | AZURE_ML, "Azure Arc"),
        ({"IDENTITY_ENDPOINT": "http://localhost/"}, "unknown"),
        ({"IDENTITY_ENDPOINT": "http://localhost/", "IDENTITY_SERVER_THUMBPRINT": THUMBPRINT}, "unknown"),
        ({"IDENTITY_ENDPOINT": "http://localhost/"} | AZURE_ML, "unknown"),
        (AZURE_ML, "Azure ML"),
        (AZURE_ML | {"IDENTITY_ENDPOINT": ""}, "Azure ML"),
        (CLOUD_SHELL, "Cloud Shell"),
        (CLOUD_SHELL | {"MSI_SECRET": ""}, "Cloud Shell"),
        ({}, "IMDS"),
        ({"IDENTITY_HEADER": SECRET, "MSI_SECRET": SECRET, "IMDS_ENDPOINT": "x"}, "IMDS"),
        ({"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:1"}, "IMDS"),
    ],
)
def test_first_row_that_matches_is_the_hosting_environment(environment: dict[str, str], name: str) -> None:
    """The choice follows the table from top to bottom, and an empty variable is none."""
    chosen = choose(environment).NAME

    assert chosen == name


def test_choice_is_made_anew_for_each_token() -> None:
    """Variables that are set after the credential was made count."""
    environment: dict[str, str] = {}
    source = credential(environment, FakeTransport(token_response()))

    before = source.hosting
    environment |= APP_SERVICE

    assert (before, source.hosting) == ("IMDS", "App Service")


def test_choice_depends_on_the_variables_that_are_told() -> None:
    """A chain that remembers an absence looks at `variables` to learn that it may have changed."""
    read = {name for environment in (*HOSTS.values(), ARC) for name in environment}

    assert read | {"AZURE_POD_IDENTITY_AUTHORITY_HOST"} == set(VARIABLES)


def test_endpoint_alone_is_unavailable() -> None:
    """IDENTITY_ENDPOINT without anything that tells how to ask it lets a chain go on."""
    error = answered({"IDENTITY_ENDPOINT": "http://localhost/"}, token_response())

    assert isinstance(error, CredentialUnavailableError)
    assert "IDENTITY_HEADER" in error.message
    assert "IMDS_ENDPOINT" in error.message


def test_endpoint_alone_is_detected_as_unavailable() -> None:
    """A chain hears so before it asks for a token, and nothing is sent."""
    transport = FakeTransport(token_response())
    source = credential({"IDENTITY_ENDPOINT": "http://localhost/"}, transport)

    with pytest.raises(CredentialUnavailableError):
        run(source.detect(), clock=FakeClock())

    assert transport.requests == []


@pytest.mark.parametrize("environment", [*HOSTS.values(), ARC], ids=[*HOSTS, "arc"])
def test_no_probe_where_variables_are_the_proof(environment: dict[str, str]) -> None:
    """Only IMDS is probed; the other hosting environments are known by their variables."""
    transport = FakeTransport()

    run(credential(environment, transport).detect(), clock=FakeClock())

    assert transport.requests == []


def test_app_service_request() -> None:
    """App Service: GET, api-version 2019-08-01, and the header that proves the process."""
    request = asked(APP_SERVICE)

    assert (request.method, request.url) == ("GET", APP_SERVICE["IDENTITY_ENDPOINT"])
    assert request.params == {"api-version": "2019-08-01", "resource": RESOURCE}
    assert request.headers["X-IDENTITY-HEADER"] == SECRET
    assert request.form is None


def test_service_fabric_request() -> None:
    """Service Fabric: the Secret header, and a certificate that is known by its thumbprint."""
    request = asked(FABRIC)

    assert (request.method, request.url) == ("GET", FABRIC["IDENTITY_ENDPOINT"])
    assert request.params == {"api-version": "2019-07-01-preview", "resource": RESOURCE}
    assert request.headers["Secret"] == SECRET
    assert request.thumbprint == THUMBPRINT


def test_azure_ml_request() -> None:
    """Azure ML: the endpoint of 2017 and its secret header."""
    request = asked(AZURE_ML)

    assert (request.method, request.url) == ("GET", AZURE_ML["MSI_ENDPOINT"])
    assert request.params == {"api-version": "2017-09-01", "resource": RESOURCE}
    assert request.headers["secret"] == SECRET


def test_cloud_shell_request() -> None:
    """Cloud Shell: POST, the resource in a form, and the Metadata header."""
    request = asked(CLOUD_SHELL)

    assert (request.method, request.url) == ("POST", CLOUD_SHELL["MSI_ENDPOINT"])
    assert request.form == {"resource": RESOURCE}
    assert request.params == {}
    assert request.headers["Metadata"] == "true"


@EACH_HOST
def test_never_through_a_proxy(environment: dict[str, str]) -> None:
    """Link-local and loopback endpoints are asked directly, whatever proxies the environment names."""
    assert asked(environment).trust_env is False


@pytest.mark.parametrize(
    ("environment", "kind", "parameter"),
    [
        (APP_SERVICE, "client_id", "client_id"),
        (APP_SERVICE, "object_id", "object_id"),
        (APP_SERVICE, "resource_id", "mi_res_id"),
        (AZURE_ML, "client_id", "clientid"),
        ({}, "client_id", "client_id"),
        ({}, "object_id", "object_id"),
        ({}, "resource_id", "msi_res_id"),
    ],
)
def test_user_assigned_identity_is_a_parameter(environment: dict[str, str], kind: str, parameter: str) -> None:
    """Each hosting environment has its own names for a user-assigned identity."""
    request = asked(environment, **{kind: "an-identity"})

    assert set(request.params) == {"api-version", "resource", parameter}
    assert request.params[parameter] == "an-identity"


@pytest.mark.parametrize(
    ("environment", "kind", "says"),
    [
        (FABRIC, "client_id", "manifest"),
        (FABRIC, "resource_id", "manifest"),
        (CLOUD_SHELL, "client_id", "leave client_id out"),
        (CLOUD_SHELL, "object_id", "leave object_id out"),
        (AZURE_ML, "object_id", "client_id only"),
        (AZURE_ML, "resource_id", "client_id only"),
    ],
)
def test_user_assigned_identity_that_cannot_be_is_told(environment: dict[str, str], kind: str, says: str) -> None:
    """Where an identity cannot be chosen at run time, nothing is sent, and the error says what to do."""
    transport = FakeTransport(token_response())
    named: dict[str, Any] = {kind: "an-identity"}
    source = credential(environment, transport, **named)

    with pytest.raises(AuthenticationFailedError, match=says):
        run(source.get_token(SCOPE), clock=FakeClock())

    assert transport.requests == []


@pytest.mark.parametrize(
    ("scopes", "resource"),
    [
        (("https://vault.azure.net/.default",), "https://vault.azure.net"),
        (("https://servicebus.azure.net//.default",), "https://servicebus.azure.net/"),
        (("https://vault.azure.net",), "https://vault.azure.net"),
        (("api://an-application/.default",), "api://an-application"),
    ],
)
def test_resource_is_the_scope_without_default(scopes: tuple[str, ...], resource: str) -> None:
    """A double slash survives, since it is part of the resource's name."""
    transport = FakeTransport(token_response())

    run(credential(APP_SERVICE, transport).get_token(*scopes), clock=FakeClock())

    assert transport.requests[0].params["resource"] == resource


@pytest.mark.parametrize("scopes", [(), (SCOPE, "https://storage.azure.com/.default"), ("a b",), ("",)])
@pytest.mark.parametrize("environment", [*HOSTS.values(), ARC, {}], ids=[*HOSTS, "arc", "imds"])
def test_anything_but_one_scope_is_refused(environment: dict[str, str], scopes: tuple[str, ...]) -> None:
    """A managed identity's token is for one resource; another number of scopes is the caller's mistake."""
    transport = FakeTransport(token_response())

    with pytest.raises(ValueError, match="scopes"):
        run(credential(environment, transport).get_token(*scopes), clock=FakeClock())

    assert transport.requests == []


@pytest.mark.parametrize(
    ("fields", "expires_on"),
    [
        ({"expires_in": 3600}, 1_561_003_600),
        ({"expires_in": "3600"}, 1_561_003_600),
        ({"expires_on": 1_561_005_000}, 1_561_005_000),
        ({"expires_on": "1561005000"}, 1_561_005_000),
        ({"expires_on": "1561005000", "expires_in": "1"}, 1_561_005_000),
        ({"expires_on": "06/20/2019 04:57:58 +00:00"}, 1_561_006_678),
        ({"expires_on": "6/20/2019 4:57:58 AM +00:00"}, 1_561_006_678),
        ({"expires_on": "6/20/2019 4:57:58 PM +00:00"}, 1_561_049_878),
        ({"expires_on": "6/20/2019 12:57:58 PM +00:00"}, 1_561_035_478),
        ({"expires_on": "6/21/2019 12:00:00 AM +00:00"}, 1_561_075_200),
        ({"expires_on": "06/20/2019 06:57:58 +02:00"}, 1_561_006_678),
        ({"expires_on": "tomorrow", "expires_in": 3600}, 1_561_003_600),
        ({"expires_on": "13/40/2019 02:57:58 +00:00", "expires_in": 3600}, 1_561_003_600),
    ],
)
@EACH_HOST
def test_expiry_is_read_in_every_form(environment: dict[str, str], fields: dict[str, object], expires_on: int) -> None:
    """Numbers, numeric texts and both forms of dates say when a token expires; expires_on wins over expires_in."""
    clock = FakeClock(1_561_000_000.0)
    transport = FakeTransport(json_response({"access_token": "a-token"} | fields))

    token = run(credential(environment, transport, clock=clock).get_token(SCOPE), clock=clock)

    assert token.expires_on == expires_on


@pytest.mark.parametrize(
    ("text", "seconds"), [("06/20/2019 02:57:58 +00:00", 1_560_999_478), ("1/16/2020 5:24:12 AM +00:00", 1_579_152_252)]
)
def test_dates_of_azure_ml(text: str, seconds: int) -> None:
    """Month first, and hours by twelve or by twenty-four."""
    answer = plain(json_response({"access_token": "a-token", "expires_on": text}))

    assert (oauth.json_object(answer) or {})["expires_on"] == seconds


@pytest.mark.parametrize("fields", [{}, {"expires_on": "soon"}, {"expires_on": "13/40/2019 25:57:58 +00:00"}])
def test_answer_without_a_time_is_an_error(fields: dict[str, object]) -> None:
    """A token of unknown life is not cached, and not given."""
    error = answered(AZURE_ML, json_response({"access_token": "a-token"} | fields))

    assert isinstance(error, AuthenticationFailedError)
    assert "expires" in error.message
    assert "a-token" not in error.message


@pytest.mark.parametrize("echoed", [None, RESOURCE + "/", "https://storage.azure.com"])
def test_echoed_resource_is_ignored(echoed: str | None) -> None:
    """Tokens are cached by what was asked, never by what the answer says."""
    fields: dict[str, Any] = {} if echoed is None else {"resource": echoed}
    transport = FakeTransport(token_response(**fields))
    source = credential(APP_SERVICE, transport)

    async def main() -> None:
        await source.get_token(SCOPE)
        await source.get_token(SCOPE)
        await source.get_token("https://storage.azure.com/.default")

    run(main(), clock=FakeClock())

    assert [request.params["resource"] for request in transport.requests] == [RESOURCE, "https://storage.azure.com"]


def test_long_lived_token_is_refreshed_from_half_of_its_life_on() -> None:
    """A token of 24 hours is renewed in the background after twelve."""
    clock = FakeClock()
    transport = FakeTransport(token_response(expires_in=86400))

    info = run(credential(APP_SERVICE, transport, clock=clock).get_token_info(SCOPE), clock=clock)

    assert info.refresh_on == int(clock.time() + 43200)


@EACH_HOST
@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_transient_faults_are_retried(environment: dict[str, str], status: int) -> None:
    """What passes is waited for, three times."""
    clock = FakeClock()
    transport = FakeTransport(*[json_response({}, status=status)] * 3, token_response("after-all"))

    token = run(credential(environment, transport, clock=clock).get_token(SCOPE), clock=clock)

    assert token.token == "after-all"
    assert len(transport.requests) == 4


@EACH_HOST
def test_lasting_fault_stops_a_chain(environment: dict[str, str]) -> None:
    """After the retries it is a failure, not an absence: another source would be another identity."""
    error = answered(environment, json_response({}, status=500))

    assert isinstance(error, AuthenticationFailedError)
    assert error.http_status == 500


@EACH_HOST
def test_silence_stops_a_chain(environment: dict[str, str]) -> None:
    """The variables say that the endpoint is there, so that its silence is a failure."""
    error = answered(environment, TransportError("cannot connect"))

    assert isinstance(error, TransportError)
    assert error.message.startswith("managed_identity: ")


@EACH_HOST
@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ({"error": "invalid_request", "error_description": "No such identity"}, "No such identity"),
        (
            {"error": {"code": "ManagedIdentityNotFound", "message": "No identity", "correlationId": "c-1"}},
            "No identity",
        ),
        ({"error": {"code": "ManagedIdentityNotFound"}}, "ManagedIdentityNotFound"),
        ({"statusCode": 400, "message": "No MSI found"}, "No MSI found"),
        ({"error": {"code": 7, "message": ["x"]}}, "status 400"),
        ({"error": []}, "status 400"),
    ],
)
def test_refusal_tells_what_the_endpoint_said(
    environment: dict[str, str], payload: dict[str, object], says: str
) -> None:
    """Errors are read in the forms of OAuth, of Service Fabric and of App Service."""
    error = answered(environment, json_response(payload, status=400))

    assert isinstance(error, AuthenticationFailedError)
    assert says in error.message
    assert error.http_status == 400


@EACH_HOST
@pytest.mark.parametrize(
    "answer",
    [
        Response(200, headers={"content-type": "text/html"}, body=b"<html>hello</html>"),
        Response(200),
        Response(302, headers={"location": "http://elsewhere/"}),
        json_response([]),
        json_response({}),
        json_response({"access_token": ""}),
        json_response({"access_token": None, "expires_in": 3600}),
        json_response({"access_token": 7, "expires_in": 3600}),
    ],
    ids=["html", "empty", "redirect", "list", "object", "empty token", "null token", "number"],
)
def test_answer_without_a_token_is_an_error(environment: dict[str, str], answer: Response) -> None:
    """What is no token answer is told by status and content type, never by its body."""
    error = answered(environment, answer)

    assert isinstance(error, AuthenticationFailedError)
    assert f"status {answer.status}" in error.message
    assert "hello" not in error.message


@pytest.mark.parametrize(
    ("environment", "variable", "values"),
    [
        (
            APP_SERVICE,
            "IDENTITY_ENDPOINT",
            ["localhost:80", "ftp://localhost/", "http://", "http://a b/", "http://h:x/"],
        ),
        (FABRIC, "IDENTITY_ENDPOINT", ["http://10.0.0.4:2377/", "10.0.0.4"]),
        (FABRIC, "IDENTITY_SERVER_THUMBPRINT", ["abc", "z" * 40, "0" * 41]),
        (AZURE_ML, "MSI_ENDPOINT", ["localhost", "http://[::1/"]),
        (CLOUD_SHELL, "MSI_ENDPOINT", ["unix:/var/run/msi", "http://h:99999/"]),
        ({}, "AZURE_POD_IDENTITY_AUTHORITY_HOST", ["169.254.169.254", "http//imds"]),
    ],
)
def test_malformed_variable_is_named(environment: dict[str, str], variable: str, values: list[str]) -> None:
    """A variable that cannot be what it should be is told by its name, and nothing is sent."""
    for value in values:
        transport = FakeTransport(token_response())
        source = credential(environment | {variable: value}, transport)

        with pytest.raises(AuthenticationFailedError, match=variable):
            run(source.get_token(SCOPE), clock=FakeClock())

        assert transport.requests == []


@pytest.mark.parametrize("written", [THUMBPRINT, THUMBPRINT.lower(), ":".join(["ab"] * 20), f" {THUMBPRINT} "])
def test_thumbprint_in_every_notation(written: str) -> None:
    """Colons, case and blanks around do not matter."""
    request = asked(FABRIC | {"IDENTITY_SERVER_THUMBPRINT": written})

    assert request.thumbprint is not None
    assert len(request.thumbprint) == 40


@pytest.mark.parametrize("environment", [FABRIC, APP_SERVICE, AZURE_ML], ids=["fabric", "app_service", "azure_ml"])
@pytest.mark.parametrize(
    "answer",
    [
        json_response({"error": "bad", "error_description": f"header {SECRET} is wrong"}, status=401),
        json_response({"error": {"code": SECRET, "message": f"{SECRET}?"}}, status=400),
        json_response({"message": SECRET}, status=403),
        Response(500, headers={"content-type": "text/plain"}, body=SECRET.encode()),
        TransportError("cannot connect"),
    ],
    ids=["oauth", "nested", "message", "text", "silence"],
)
def test_secret_header_is_told_to_nobody(
    environment: dict[str, str], answer: Response | Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the error, its traceback, a repr or the log, even where the endpoint repeats it."""
    caplog.set_level(logging.DEBUG)

    error = answered(environment, answer)

    told = [*traceback.format_exception(error), repr(error), repr(vars(error)), caplog.text]
    told += [repr(credential(environment, FakeTransport())), repr(asked(environment))]
    assert not [text for text in told if SECRET in text]


@pytest.mark.parametrize(
    ("client_id", "config", "says"),
    [
        ("", None, "client_id"),
        (" ", None, "client_id"),
        (None, {"object_id": ""}, "object_id"),
        (None, {"name": "x"}, "client_id, object_id, resource_id"),
        ("a", {"client_id": "b"}, "twice"),
        ("a", {"object_id": "b"}, "one way only"),
        (None, {"object_id": "a", "resource_id": "b"}, "one way only"),
    ],
)
def test_bad_identity_is_refused_at_once(client_id: str | None, config: dict[str, str] | None, says: str) -> None:
    """An identity that is empty, unknown in kind, or named twice never makes a credential."""
    with pytest.raises(ValueError, match=says):
        ManagedIdentityCredential(client_id=client_id, identity_config=config)


def test_unknown_keyword_names_the_nearest() -> None:
    """A mistyped keyword is an error that helps."""
    with pytest.raises(TypeError, match="client_id"):
        ManagedIdentityCredential(client_idd="x")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["client_id", "object_id", "resource_id"])
def test_settings_name_an_identity(kind: str) -> None:
    """The settings of the source mean what the arguments mean."""
    transport = FakeTransport(token_response())
    host = Host(transport=transport, clock=FakeClock(), environment=APP_SERVICE)

    source = build(ManagedIdentitySettings(**{kind: "an-identity"}), host)
    run(source.get_token(SCOPE), clock=FakeClock())

    assert "an-identity" in transport.requests[0].params.values()


def test_provider_is_called_as_its_entry_point() -> None:
    """The provider carries the source's name."""
    assert credchain_provider().name == "managed_identity"


def test_pickled_credential_keeps_its_identity() -> None:
    """A credential that nothing of this process was given to can be sent to another one."""
    source = ManagedIdentityCredential(identity_config={"object_id": "an-identity"})

    copy = pickle.loads(pickle.dumps(source))

    assert copy._identity == source._identity


def test_credential_with_a_transport_is_not_pickled() -> None:
    """What belongs to this process stays here."""
    with pytest.raises(TypeError, match="transport"):
        pickle.dumps(credential({}, FakeTransport()))
