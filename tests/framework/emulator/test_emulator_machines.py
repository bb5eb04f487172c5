"""Managed-identity endpoints: what each host asks for before it gives a token, and how it words its answer."""

from __future__ import annotations

import re
import ssl
import stat
from hashlib import sha1
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from credchain.emulator import Emulator, serve_in_thread

VAULT = "https://vault.azure.net"
RESOURCE_ID = "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reader"
METADATA = {"Metadata": "true"}


@pytest.fixture
def imds(local, ask):
    """Asks the metadata service; a parameter that is None stays away."""

    def get(headers=METADATA, method="GET", **changes):
        params = {"api-version": "2018-02-01", "resource": VAULT, **changes}
        params = {name.replace("_version", "-version"): value for name, value in params.items() if value is not None}
        return ask(method, f"{local.imds_host}/metadata/identity/oauth2/token", params=params, headers=headers)

    return get


@pytest.fixture
def machine(local):
    """The machine's own identity."""
    return local.add_machine_identity()


@pytest.fixture
def reader(local):
    """An identity that was given to the machine by name."""
    return local.add_machine_identity(resource_id=RESOURCE_ID, system_assigned=False)


def bearer(local, reply):
    """The application id in the token of an answer."""
    return local.claims_of(str(reply.json["access_token"]))["appid"]


def test_imds_answers_in_texts(local, machine, imds):
    """Every member of the metadata service's answer is a text, and a machine's token lives for a day."""
    reply = imds()

    answer = reply.json
    claims = local.claims_of(str(answer.pop("access_token")))
    assert reply.status == 200
    assert answer == {
        "client_id": machine.client_id,
        "expires_in": "86399",
        "expires_on": str(claims["exp"]),
        "ext_expires_in": "86399",
        "not_before": str(claims["nbf"]),
        "resource": VAULT,
        "token_type": "Bearer",
    }
    assert (claims["aud"], claims["tid"], claims["oid"]) == (VAULT, machine.tenant_id, machine.object_id)


def test_an_explicit_lifetime_is_the_machines_too(ask):
    """A lifetime that was set, even the usual one, holds for managed identities as well."""
    with serve_in_thread(Emulator(token_lifetime=3600)) as emulator:
        emulator.add_machine_identity()
        emulator.refresh_in = 60

        url = f"{emulator.imds_host}/metadata/identity/oauth2/token"
        params = {"api-version": "2018-02-01", "resource": VAULT}
        answer = ask("GET", url, params=params, headers=METADATA).json

    assert (answer["expires_in"], answer["refresh_in"]) == ("3599", "60")


@pytest.mark.parametrize(
    ("change", "description"),
    [
        ({"headers": {}}, "Required metadata header not specified"),
        ({"headers": {"Metadata": "yes"}}, "Required metadata header not specified"),
        ({"headers": {**METADATA, "X-Forwarded-For": "10.0.0.1"}}, "X-Forwarded-For"),
        ({"api-version": None}, "'api-version' is missing"),
        ({"api-version": "2017-01-01"}, "2017-01-01 is not supported"),
        ({"api-version": "latest"}, "latest is not supported"),
        ({"resource": None}, "'resource' is missing"),
        ({"client_id": "x", "object_id": "y"}, "Only one of"),
        ({"client_id": "somebody else"}, "Identity not found"),
    ],
)
def test_imds_refuses_what_it_cannot_serve(machine, imds, change, description):
    """Each mistake is a 400 that says which it is, in the metadata service's own words and shape."""
    reply = imds(**change)

    assert (reply.status, reply.json["error"]) == (400, "invalid_request")
    assert description in str(reply.json["error_description"])


def test_a_machine_without_identity_says_so(local, imds):
    """Where no identity is assigned, the answer is 400 and not silence: the service is there."""
    reply = imds()

    assert (reply.status, reply.json["error_description"]) == (400, "Identity not found")


@pytest.mark.parametrize(
    ("selector", "attribute"),
    [("client_id", "client_id"), ("object_id", "object_id"), ("msi_res_id", "resource_id")],
)
def test_imds_serves_the_identity_that_is_named(local, machine, reader, imds, *, selector, attribute):
    """An identity may be named by its client, object or resource id, in any case; unnamed is the machine's own."""
    named = imds(**{selector: getattr(reader, attribute).upper()})
    unnamed = imds()

    assert bearer(local, named) == named.json["client_id"] == reader.client_id
    assert bearer(local, unnamed) == machine.client_id


def test_the_token_names_the_azure_resource(local, reader, imds):
    """A user-assigned identity's resource id is in its token."""
    claims = local.claims_of(str(imds(client_id=reader.client_id).json["access_token"]))

    assert claims["xms_mirid"] == RESOURCE_ID


def test_the_only_user_assigned_identity_needs_no_name(local, reader, imds):
    """Without a system-assigned identity the only other one is served, and several are ambiguous."""
    alone = imds()
    local.add_machine_identity(system_assigned=False)
    several = imds()

    assert bearer(local, alone) == reader.client_id
    assert several.status == 400
    assert "Multiple user assigned identities" in str(several.json["error_description"])


def test_the_newest_system_assigned_identity_counts(local, machine, imds):
    """A machine has one identity of its own."""
    newest = local.add_machine_identity()

    assert bearer(local, imds()) == newest.client_id


def test_imds_knows_the_added_resources(local, machine, imds):
    """An unknown resource is refused in the token service's words."""
    local.add_resource("https://management.azure.com")

    reply = imds()

    assert (reply.status, reply.json["error"]) == (400, "invalid_resource")
    assert str(reply.json["error_description"]).startswith("AADSTS500011")


def test_imds_takes_gets_only(machine, imds):
    """Any other method is not allowed."""
    assert imds(method="POST").status == 405


@pytest.fixture
def app_service(local, ask):
    """Asks App Service's endpoint as its environment says."""
    variables = local.host_environment("app_service")

    def get(secret=None, version="2019-08-01", resource=VAULT, **params):
        headers = {"X-IDENTITY-HEADER": variables["IDENTITY_HEADER"] if secret is None else secret}
        params = {"api-version": version, "resource": resource, **params}
        return ask("GET", variables["IDENTITY_ENDPOINT"], params=params, headers=headers)

    return get


def test_app_service_answers_with_an_absolute_time(local, machine, reader, app_service):
    """App Service tells when a token expires as a text of seconds, and takes the resource id as `mi_res_id`."""
    own = app_service().json
    named = [
        app_service(**params)
        for params in (
            {"client_id": reader.client_id},
            {"object_id": reader.object_id},
            {"mi_res_id": RESOURCE_ID},
        )
    ]

    claims = local.claims_of(str(own.pop("access_token")))
    assert own == {
        "client_id": machine.client_id,
        "expires_on": str(claims["exp"]),
        "resource": VAULT,
        "token_type": "Bearer",
    }
    assert {bearer(local, reply) for reply in named} == {reader.client_id}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"secret": "guessed"}, 401),
        ({"version": "2017-09-01"}, 400),
        ({"resource": ""}, 400),
        ({"client_id": "somebody else"}, 400),
    ],
)
def test_app_service_refuses_in_its_own_shape(machine, app_service, change, status):
    """Secret, version, resource and identity are checked, and an error has a status code and a message."""
    reply = app_service(**change)

    assert (reply.status, reply.json["statusCode"]) == (status, status)
    assert reply.json["message"]


def test_app_service_has_no_identity_by_guess(reader, app_service):
    """Without a system-assigned identity, App Service wants the name of another."""
    assert app_service().status == 400


@pytest.fixture
def arc(local, ask):
    """Asks Azure Arc's endpoint as its environment says."""
    variables = local.host_environment("azure_arc")

    def get(headers=METADATA, version="2020-06-01", resource=VAULT, **params):
        params = {"api-version": version, "resource": resource, **params}
        return ask("GET", variables["IDENTITY_ENDPOINT"], params=params, headers=headers)

    return get


def key_of(reply):
    """The key file that a challenge names."""
    return Path(reply.headers["www-authenticate"].removeprefix("Basic realm="))


def answering(challenge):
    """The headers that answer a challenge."""
    return {**METADATA, "Authorization": f"Basic {key_of(challenge).read_text()}"}


def test_arc_challenges_who_cannot_read_its_files(local, machine, reader, arc):
    """The first answer names a key file that this user alone reads; its text buys the token."""
    challenge = arc()
    key = key_of(challenge)
    found = key.stat()
    reply = arc(answering(challenge), client_id=reader.client_id)

    assert challenge.status == 401
    assert (str(key.parent), key.suffix) == (local.arc_key_dir, ".key")
    assert (stat.S_IMODE(found.st_mode), found.st_size <= 4096) == (0o600, True)
    assert bearer(local, reply) == reader.client_id


def test_an_arc_key_is_good_once(machine, arc):
    """Every challenge has a file of its own, and its text is good for one request."""
    first, second = arc(), arc()
    shown = answering(first)

    replies = [arc(shown), arc(shown)]

    assert key_of(first) != key_of(second)
    assert [reply.status for reply in replies] == [200, 401]
    assert "www-authenticate" not in replies[1].headers
    assert [key_of(each).exists() for each in (first, second)] == [False, True]


@pytest.mark.parametrize(
    "change", [{"headers": {}}, {"version": "2018-02-01"}, {"resource": ""}], ids=["metadata", "version", "resource"]
)
def test_arc_refuses_before_it_challenges(machine, arc, change):
    """A request that could not succeed is not worth a key file."""
    assert arc(**change).status == 400


def test_arc_does_not_guess_an_identity(machine, arc):
    """An identity that the machine does not have is refused after the challenge."""
    shown = answering(arc())

    assert arc(shown, client_id="somebody else").status == 404


def test_arc_keeps_a_hundred_keys(local, machine, arc):
    """Challenges that nobody answers do not fill the disk."""
    for _ in range(103):
        arc()

    assert len(list(Path(local.arc_key_dir).iterdir())) <= 100


@pytest.fixture
def azure_ml(local, ask):
    """Asks Azure ML's endpoint as its environment says."""
    variables = local.host_environment("azure_ml")

    def get(secret=None, version="2017-09-01", resource=VAULT, **params):
        headers = {"secret": variables["MSI_SECRET"] if secret is None else secret}
        params = {"api-version": version, "resource": resource, **params}
        return ask("GET", variables["MSI_ENDPOINT"], params=params, headers=headers)

    return get


@pytest.mark.parametrize(
    ("now", "date"),
    [
        (1_579_065_852 - 86_400, "1/15/2020 5:24:12 AM +00:00"),
        (1_579_046_400 - 86_400, "1/15/2020 12:00:00 AM +00:00"),
        (1_577_797_445 - 86_400, "12/31/2019 1:04:05 PM +00:00"),
    ],
)
def test_azure_ml_tells_a_date(ask, now, date):
    """Azure ML's time of expiry is an American date in universal time, with a clock of twelve hours."""
    with serve_in_thread(Emulator(clock=lambda: now)) as emulator:
        emulator.add_machine_identity()
        variables = emulator.host_environment("azure_ml")

        params = {"api-version": "2017-09-01", "resource": VAULT}
        reply = ask("GET", variables["MSI_ENDPOINT"], params=params, headers={"secret": variables["MSI_SECRET"]})

    assert reply.json["expires_on"] == date


def test_azure_ml_takes_clientid(local, machine, reader, azure_ml):
    """The identity is named by `clientid`; unnamed is the machine's own."""
    assert bearer(local, azure_ml(clientid=reader.client_id)) == reader.client_id
    assert bearer(local, azure_ml()) == machine.client_id


@pytest.mark.parametrize(
    ("change", "status"),
    [({"secret": "guessed"}, 401), ({"version": "2019-08-01"}, 400), ({"resource": ""}, 400), ({"clientid": "x"}, 400)],
)
def test_azure_ml_refuses_what_is_wrong(machine, azure_ml, change, status):
    """Secret, version, resource and identity are checked."""
    assert azure_ml(**change).status == status


@pytest.fixture
def cloud_shell(local, ask):
    """Asks Cloud Shell's endpoint as its environment says."""

    def post(headers=METADATA, method="POST", **form):
        url = local.host_environment("cloud_shell")["MSI_ENDPOINT"]
        return ask(method, url, form={"resource": VAULT, **form}, headers=headers)

    return post


def test_cloud_shell_takes_a_form(local, machine, cloud_shell):
    """The resource comes in a form, and the shell's only identity answers."""
    reply = cloud_shell()

    assert bearer(local, reply) == machine.client_id
    assert str(reply.json["expires_on"]).isdigit()


@pytest.mark.parametrize(
    ("change", "status"),
    [({"headers": {}}, 400), ({"resource": ""}, 400), ({"client_id": "x"}, 400), ({"method": "GET"}, 405)],
)
def test_cloud_shell_refuses_what_is_wrong(machine, cloud_shell, change, status):
    """Method, header and resource are checked, and no identity can be named."""
    assert cloud_shell(**change).status == status


def test_cloud_shell_without_identity_says_so(local, cloud_shell):
    """Nobody's shell has no token."""
    assert cloud_shell().status == 400


@pytest.fixture
def service_fabric(local, ask, tmp_path):
    """Asks Service Fabric's endpoint as its environment says, trusting the certificate it shows."""
    variables = local.host_environment("service_fabric")
    parts = urlsplit(variables["IDENTITY_ENDPOINT"])
    pem = tmp_path / "fabric.pem"
    pem.write_text(ssl.get_server_certificate((parts.hostname, parts.port)))

    def get(secret=None, version="2019-07-01-preview", resource=VAULT):
        headers = {"Secret": variables["IDENTITY_HEADER"] if secret is None else secret}
        params = {"api-version": version, "resource": resource}
        return ask("GET", variables["IDENTITY_ENDPOINT"], params=params, headers=headers, ca_file=str(pem))

    return get


def test_service_fabric_answers_with_a_number(local, machine, reader, service_fabric):
    """Service Fabric's time of expiry is a number, and the machine's own identity answers."""
    reply = service_fabric()

    claims = local.claims_of(str(reply.json["access_token"]))
    assert reply.json["expires_on"] == claims["exp"]
    assert claims["appid"] == machine.client_id


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"secret": "guessed"}, 401, "InvalidSecret"),
        ({"version": "2019-08-01"}, 400, "InvalidApiVersion"),
        ({"resource": ""}, 400, "ArgumentNullOrEmpty"),
    ],
)
def test_service_fabric_refuses_by_code(machine, service_fabric, change, status, code):
    """Secret, version and resource are checked, and an error has a code."""
    reply = service_fabric(**change)

    assert reply.status == status
    assert reply.json["error"]["code"] == code


def test_service_fabric_without_identity_says_so(local, service_fabric):
    """An application without a managed identity is not found."""
    assert service_fabric().json["error"]["code"] == "ManagedIdentityNotFound"


def test_service_fabric_is_known_by_its_thumbprint_alone(local):
    """Its certificate is the one whose SHA-1 the environment tells, and the emulator's authority does not vouch."""
    variables = local.host_environment("service_fabric")
    parts = urlsplit(variables["IDENTITY_ENDPOINT"])

    pem = ssl.get_server_certificate((parts.hostname, parts.port))

    thumbprint = sha1(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
    assert thumbprint == variables["IDENTITY_SERVER_THUMBPRINT"] == local.service_fabric_thumbprint
    with pytest.raises(ssl.SSLCertVerificationError), ssl_connection(local, parts):
        pass


def ssl_connection(local, parts):
    """A TLS connection that trusts the emulator's authority."""
    import socket

    context = ssl.create_default_context(cafile=local.ca_file)
    raw = socket.create_connection((parts.hostname, parts.port), timeout=5)
    try:
        return context.wrap_socket(raw, server_hostname=parts.hostname)
    except ssl.SSLError:
        raw.close()
        raise


@pytest.mark.parametrize("host", ["app_service", "azure_arc", "azure_ml", "cloud_shell", "service_fabric"])
def test_every_host_refuses_unknown_resources(local, machine, host, request):
    """A resource that was not added is refused wherever the machine stands."""
    local.add_resource("https://management.azure.com")
    asking = request.getfixturevalue({"azure_arc": "arc"}.get(host, host))

    reply = asking(answering(asking())) if host == "azure_arc" else asking()

    assert (reply.status, reply.json["error"]) == (400, "invalid_resource")


def test_every_hosts_environment_is_its_own(local):
    """Each host is told by the variables that select it, and an unknown one by its nearest name."""
    names = {host: set(local.host_environment(host)) for host in ("imds", "app_service", "azure_arc", "azure_ml")}

    assert names == {
        "imds": {"AZURE_POD_IDENTITY_AUTHORITY_HOST"},
        "app_service": {"IDENTITY_ENDPOINT", "IDENTITY_HEADER"},
        "azure_arc": {"IDENTITY_ENDPOINT", "IMDS_ENDPOINT"},
        "azure_ml": {"MSI_ENDPOINT", "MSI_SECRET"},
    }
    assert set(local.host_environment("cloud_shell")) == {"MSI_ENDPOINT"}
    with pytest.raises(ValueError, match=re.escape("did you mean 'azure_arc'?")):
        local.host_environment("azure_ark")
