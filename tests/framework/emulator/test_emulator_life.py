"""The emulator's life: starting, stopping, failing on demand, remembering, and staying out of the way."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import os.path
import socket
import ssl
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import aiohttp
import pytest

from credchain.emulator import Application, Emulator, Fault, MachineIdentity, Recorded, User, serve_in_thread

SCOPE = "https://vault.azure.net/.default"
HOSTS = ("app_service", "azure_arc", "azure_ml", "cloud_shell", "service_fabric", "imds")


def form(application):
    """The form of a request that succeeds."""
    return {
        "client_id": application.client_id,
        "client_secret": application.client_secret,
        "grant_type": "client_credentials",
        "scope": SCOPE,
    }


def imds_url(emulator):
    """Where the metadata service gives tokens."""
    return f"{emulator.imds_host}/metadata/identity/oauth2/token"


def existing(*paths):
    """How many of the paths there are."""
    return sum(os.path.exists(each) for each in paths)


def test_importing_it_starts_nothing():
    """Importing the emulator starts no thread, opens no socket and imports no other part of credchain."""
    program = """
import sys, threading, socket
opened = []
sys.addaudithook(lambda event, _: opened.append(event) if event == "socket.bind" else None)
import credchain.emulator
rest = [name for name in sys.modules if name.startswith("credchain.") and "emulator" not in name]
assert not opened and threading.active_count() == 1, (opened, threading.enumerate())
assert not set(rest) & {"credchain.oauth", "credchain.credential", "credchain.chain", "credchain._aiohttp"}, rest
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_it_serves_loopback_only():
    """An emulator gives tokens to anybody, so that it must not be reachable from elsewhere."""
    with pytest.raises(ValueError, match="loopback"):
        Emulator(host="0.0.0.0")
    with pytest.raises(ValueError, match="port"):
        Emulator(port=65534)


def test_starting_and_stopping_twice_is_fine(caplog):
    """Both are idempotent; in debug mode neither leaves a warning, a task or a file behind."""
    left = {}

    async def life():
        asyncio.get_running_loop().slow_callback_duration = 10  # the machine's load is not this test's concern
        emulator = Emulator()
        await emulator.stop()
        await emulator.start()
        authority = emulator.authority
        await emulator.start()
        assert (emulator.authority, emulator.serving) == (authority, True)
        left["before"] = existing(emulator.ca_file, emulator.arc_key_dir)
        await emulator.stop()
        await emulator.stop()
        left["tasks"] = asyncio.all_tasks() - {asyncio.current_task()}
        left["after"] = existing(emulator.ca_file, emulator.arc_key_dir)

    with caplog.at_level(logging.WARNING):
        asyncio.run(life(), debug=True)

    assert left == {"tasks": set(), "before": 2, "after": 0}
    assert not caplog.records


def test_it_stops_at_once_whatever_hangs(caplog):
    """Idle, hanging, delayed and half-open connections are dropped, without waiting and without a warning."""

    async def life():
        asyncio.get_running_loop().slow_callback_duration = 10  # the machine's load is not this test's concern
        async with Emulator() as emulator:
            application = emulator.add_application()
            emulator.fail("imds", Fault(hang=True))
            emulator.fail("app_service", Fault(delay=60))
            emulator.answer_delay = 60
            context = ssl.create_default_context(cafile=emulator.ca_file)
            parts = urlsplit(emulator.authority)
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
                async with session.get(f"{emulator.authority}/common/discovery/v2.0/keys") as idle:
                    await idle.read()
                _, half_open = await asyncio.open_connection("127.0.0.1", parts.port)
                url = f"{emulator.authority}/{application.tenant_id}/oauth2/v2.0/token"
                waiting = [
                    asyncio.create_task(session.get(imds_url(emulator))),
                    asyncio.create_task(session.get(f"{emulator.imds_host}/msi/token")),
                    asyncio.create_task(session.post(url, data=form(application))),
                ]
                await arrived(emulator, 4)
                begun = time.monotonic()
                await emulator.stop()
                took = time.monotonic() - begun
                outcomes = await asyncio.gather(*waiting, return_exceptions=True)
                half_open.close()
                with contextlib.suppress(ConnectionError):
                    await half_open.wait_closed()
        return took, outcomes, emulator.requests

    with caplog.at_level(logging.WARNING):
        took, outcomes, requests = asyncio.run(life(), debug=True)

    assert took < 1
    assert all(isinstance(each, aiohttp.ClientError) for each in outcomes), outcomes
    assert [each.status for each in requests] == [200, None, None, None]
    assert not caplog.records


async def arrived(emulator, number):
    """Return once so many requests are in the log."""
    async with asyncio.timeout(5):
        while len(emulator.requests) < number:  # noqa: ASYNC110 (the log has no event to wait for)
            await asyncio.sleep(0.001)


def test_it_comes_back_elsewhere_and_knows_everybody(ask):
    """After a stop and a start the addresses are new, and whoever was added is still known."""
    emulator = Emulator()
    application = emulator.add_application()

    with serve_in_thread(emulator):
        first = emulator.authority
    with serve_in_thread(emulator):
        url = f"{emulator.authority}/{application.tenant_id}/oauth2/v2.0/token"
        reply = ask("POST", url, form=form(application), ca_file=emulator.ca_file)

    assert first != emulator.authority
    assert reply.status == 200
    assert emulator.claims_of(str(reply.json["access_token"]))["appid"] == application.client_id


def test_the_ports_can_be_chosen():
    """`port` is the authority's, the next is the machine's, the one after Service Fabric's; taken is an OSError."""
    port = free_ports()
    emulator = Emulator(port=port)

    with serve_in_thread(emulator):
        fabric = emulator.host_environment("service_fabric")["IDENTITY_ENDPOINT"]
        with pytest.raises(OSError, match=str(port)), serve_in_thread(Emulator(port=port)):
            pass

    assert emulator.authority == f"https://localhost:{port}"
    assert emulator.imds_host == f"http://127.0.0.1:{port + 1}"
    assert urlsplit(fabric).port == port + 2
    with serve_in_thread(emulator):
        assert emulator.authority == f"https://localhost:{port}"


def free_ports():
    """The first of three neighbouring ports that are free."""
    for _ in range(50):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        if port > 65533:
            continue
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for number in range(port, port + 3):
                stack.enter_context(socket.create_server(("127.0.0.1", number)))
            return port
    raise AssertionError("no three free ports in a row")


def test_a_failed_start_leaves_the_first_port_free():
    """When the second port is taken, the first one is given back."""
    port = free_ports()

    with (
        socket.create_server(("127.0.0.1", port + 1)),
        pytest.raises(OSError, match=str(port + 1)),
        serve_in_thread(Emulator(port=port)),
    ):
        pass

    socket.create_server(("127.0.0.1", port)).close()


def test_a_thread_of_its_own_ends_with_it():
    """`serve_in_thread` leaves no thread behind, and refuses an emulator that serves already."""
    before = threading.active_count()

    with serve_in_thread(Emulator()) as emulator:
        during = threading.active_count()
        with pytest.raises(RuntimeError, match="already"), serve_in_thread(emulator):
            pass
        assert emulator.serving

    assert (during, threading.active_count()) == (before + 1, before)


def test_it_is_stopped_where_it_was_started():
    """Another event loop cannot stop it, and says why."""
    with serve_in_thread(Emulator()) as emulator, pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(emulator.stop())


def test_an_address_needs_a_start():
    """Before the first start there is no address to tell."""
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = Emulator().authority


def test_certificates_are_good_for_strict_clients(local):
    """A client that insists on every rule of X.509 trusts the authority under each of its loopback names."""
    context = ssl.create_default_context(cafile=local.ca_file)
    context.verify_flags |= ssl.VERIFY_X509_STRICT

    for name in ("localhost", "127.0.0.1"):
        with (
            socket.create_connection(("127.0.0.1", urlsplit(local.authority).port), timeout=5) as raw,
            context.wrap_socket(raw, server_hostname=name) as connection,
        ):
            assert connection.version() == "TLSv1.3"


def test_a_distrustful_client_harms_nobody(local, application, ask):
    """A client that refuses the certificate or speaks no TLS fails alone."""
    port = urlsplit(local.authority).port
    with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        ssl.create_default_context().wrap_socket(raw, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")

    url = f"{local.authority}/{application.tenant_id}/oauth2/v2.0/token"
    assert ask("POST", url, form=form(application), ca_file=local.ca_file).status == 200


def test_a_fault_comes_before_the_request_is_looked_at(local, ask):
    """A route out of order answers so to anybody, with the headers and body that were asked for."""
    local.fail("imds", Fault(status=429, headers={"Retry-After": "7"}, body=b"busy", content_type="text/plain"))

    reply = ask("GET", imds_url(local))

    assert (reply.status, reply.body) == (429, b"busy")
    assert (reply.headers["retry-after"], reply.headers["content-type"]) == ("7", "text/plain")


def test_a_plain_failure_is_503_with_an_error_in_it(local, application, ask):
    """Without a description of the fault a route is unavailable, in the shape of an OAuth error."""
    local.fail("token")

    reply = ask("POST", f"{local.authority}/x/oauth2/v2.0/token", form=form(application), ca_file=local.ca_file)

    assert (reply.status, reply.json["error"]) == (503, "temporarily_unavailable")


def test_an_empty_body_is_empty(local, ask):
    """`b""` is an answer without a body, and a body without a status is a good answer."""
    local.fail("imds", Fault(status=502, body=b""))
    empty = ask("GET", imds_url(local))
    local.fail("imds", Fault(body=b"<html>"))
    page = ask("GET", imds_url(local))

    assert (empty.status, empty.body) == (502, b"")
    assert (page.status, page.body) == (200, b"<html>")


def test_a_fault_lasts_as_often_as_it_says(local, ask):
    """`times` counts down, then the route works again; every request is in the log."""
    local.fail("imds", Fault(status=500, times=2))

    statuses = [ask("GET", imds_url(local)).status for _ in range(3)]

    assert statuses == [500, 500, 400]
    assert [each.status for each in local.requests] == statuses
    assert local.count("imds") == 3


def test_healing_ends_a_fault(local, ask):
    """One route is healed by its name, all of them without a name."""
    local.fail("imds")
    local.fail("app_service")

    local.heal("imds")
    one = ask("GET", imds_url(local)).status, ask("GET", f"{local.imds_host}/msi/token").status
    local.heal()
    both = ask("GET", imds_url(local)).status, ask("GET", f"{local.imds_host}/msi/token").status

    assert one == (400, 503)
    assert both == (400, 401)


@pytest.mark.parametrize("address", ["authority", "imds_host"])
def test_a_reset_is_a_reset(local, address):
    """A reset connection ends in an error of the socket, over TLS as without, and has no status."""
    local.fail("metadata", Fault(reset=True))
    local.fail("imds", Fault(reset=True))
    parts = urlsplit(getattr(local, address))
    path = "/common/discovery/v2.0/keys" if parts.scheme == "https" else "/metadata/identity/oauth2/token"
    connection = (
        http.client.HTTPSConnection(parts.netloc, context=ssl.create_default_context(cafile=local.ca_file))
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.netloc)
    )

    with contextlib.closing(connection):
        connection.request("GET", path)
        with pytest.raises(ConnectionResetError):
            connection.getresponse()

    assert [each.status for each in local.requests] == [None]


def test_a_hanging_request_ends_when_the_client_gives_up(local):
    """A hung request leaves the emulator as soon as its client does, and harms no other."""
    local.fail("imds", Fault(hang=True, times=1))
    parts = urlsplit(local.imds_host)
    patient = http.client.HTTPConnection(parts.netloc, timeout=0.05)

    with contextlib.closing(patient):
        patient.request("GET", "/metadata/identity/oauth2/token")
        with pytest.raises(TimeoutError):
            patient.getresponse()
    with contextlib.closing(http.client.HTTPConnection(parts.netloc, timeout=5)) as other:
        other.request("GET", "/metadata/identity/oauth2/token")
        status = other.getresponse().status

    assert status == 400
    assert [each.status for each in local.requests] == [None, 400]


@pytest.mark.parametrize("settled", [True, False], ids=["answer_delay", "fault"])
def test_an_answer_can_be_late(local, ask, settled):
    """A delay holds up a good answer that is otherwise the same; an error is not held up by `answer_delay`."""
    local.add_machine_identity()
    if settled:
        local.answer_delay = 0.05
    else:
        local.fail("imds", Fault(delay=0.05, times=1))
    params = {"api-version": "2018-02-01", "resource": "https://vault.azure.net"}

    begun = time.monotonic()
    reply = ask("GET", imds_url(local), params=params, headers={"Metadata": "true"})
    took = time.monotonic() - begun
    local.answer_delay = 60 if settled else 0
    error = ask("GET", imds_url(local))
    local.answer_delay = 0

    assert reply.status == 200
    assert took >= 0.05
    assert error.status == 400


@pytest.mark.parametrize(
    "bad",
    [{"status": 99}, {"status": 600}, {"delay": -1.0}, {"delay": float("inf")}, {"delay": float("nan")}, {"times": 0}],
)
def test_an_impossible_fault_is_refused(bad):
    """A status, delay or number of times that cannot be is refused when the fault is made."""
    with pytest.raises(ValueError, match=next(iter(bad))):
        Fault(**bad)


@pytest.mark.parametrize("use", [lambda each: each.fail("tokens"), lambda each: each.heal("tokens")])
def test_a_route_that_is_none_is_refused(local, use):
    """A mistyped route is told with the nearest name, or a test would pass for nothing."""
    with pytest.raises(ValueError, match="did you mean 'token'"):
        use(local)
    with pytest.raises(ValueError, match="no route is named 'tokens'"):
        local.count("tokens")


def test_the_log_keeps_what_was_sent(local, ask):
    """A request is recorded with its values, headers in any case; its repr shows no secret."""
    before = time.monotonic()
    url = f"{local.authority}/x/oauth2/v2.0/token"

    ask(
        "POST",
        url,
        form={"client_secret": "hunter2"},
        params={"q": "hunter2"},
        headers={"X-Mark": "hunter2"},
        ca_file=local.ca_file,
    )

    (found,) = local.requests
    assert (found.route, found.method, found.path, found.status) == ("token", "POST", "/x/oauth2/v2.0/token", 400)
    assert (found.form["client_secret"], found.params["q"]) == ("hunter2", "hunter2")
    assert found.headers["x-mark"] == found.headers["X-MARK"] == "hunter2"
    assert before <= found.at <= time.monotonic()
    assert "hunter2" not in repr(found)


def test_forgetting_begins_anew(local, ask):
    """Log and counts can be emptied; addresses that nobody serves are in the log, and in no count."""
    ask("GET", imds_url(local))
    ask("GET", f"{local.imds_host}/nowhere")
    before = len(local.requests), local.count("imds"), local.connections

    local.forget()

    assert before == (2, 1, 2)
    assert (local.requests, local.count("imds"), local.connections) == ((), 0, 0)


def test_connections_are_counted_as_they_are_kept(local):
    """Two requests over one connection are one connection."""
    with contextlib.closing(http.client.HTTPConnection(urlsplit(local.imds_host).netloc, timeout=5)) as kept:
        for _ in range(2):
            kept.request("GET", "/metadata/identity/oauth2/token")
            kept.getresponse().read()

    assert (local.connections, local.count("imds")) == (1, 2)


def test_the_environment_leads_a_process_to_it(local):
    """The variables name the authority, its certificate, the metadata service, and the application's secret."""
    application, public = local.add_application(), local.add_application(client_secret="")

    assert local.environment(application) == {
        "AZURE_AUTHORITY_HOST": local.authority,
        "AZURE_POD_IDENTITY_AUTHORITY_HOST": local.imds_host,
        "SSL_CERT_FILE": local.ca_file,
        "AZURE_TENANT_ID": application.tenant_id,
        "AZURE_CLIENT_ID": application.client_id,
        "AZURE_CLIENT_SECRET": application.client_secret,
    }
    assert "AZURE_CLIENT_SECRET" not in local.environment(public)
    assert set(local.environment()) == {"AZURE_AUTHORITY_HOST", "AZURE_POD_IDENTITY_AUTHORITY_HOST", "SSL_CERT_FILE"}


def test_the_environment_can_give_the_machine_an_identity(local, ask):
    """`identity` makes the metadata service answer; a sole user-assigned identity is named by its client id."""
    params = {"api-version": "2018-02-01", "resource": "https://vault.azure.net"}

    variables = local.environment(identity=True)
    given = ask("GET", imds_url(local), params=params, headers={"Metadata": "true"})
    local.reset()
    reader = local.add_machine_identity(system_assigned=False)

    assert "AZURE_CLIENT_ID" not in variables
    assert given.status == 200
    assert local.environment(identity=True)["AZURE_CLIENT_ID"] == reader.client_id
    assert local.environment(local.add_application(), identity=True)["AZURE_CLIENT_ID"] != reader.client_id


def test_everything_added_without_a_tenant_is_in_one(local):
    """Applications, users and identities share the emulator's own tenant unless another is named."""
    tenants = {local.add_application().tenant_id, local.add_user().tenant_id, local.add_machine_identity().tenant_id}

    assert len(tenants) == 1


def test_secrets_stay_out_of_sight(local, ask, caplog):
    """No repr of a record and no log line shows a secret or a token."""
    application = local.add_application(client_secret="hunter2")
    user = User("tenant", "ann@example.com", "hunter2", "oid")
    url = f"{local.authority}/{application.tenant_id}/oauth2/v2.0/token"

    with caplog.at_level(logging.DEBUG):
        reply = ask("POST", url, form=form(application), ca_file=local.ca_file)

    token = str(reply.json["access_token"])
    assert any(record.name == "credchain.emulator" for record in caplog.records)
    assert "hunter2" not in repr(application) + repr(user) + caplog.text
    assert token not in caplog.text


def test_records_are_values(local):
    """What was added is equal by its values and cannot be changed."""
    one = Application("t", "c", "s", (), "o")
    identity = MachineIdentity("c", "o", None, "t", system_assigned=True)

    assert one == Application("t", "c", "s", (), "o")
    assert identity == MachineIdentity("c", "o", None, "t", system_assigned=True)
    with pytest.raises(AttributeError):
        one.client_id = "other"


def test_the_log_is_a_snapshot_for_other_threads(local, ask):
    """Reading the log while requests arrive is safe, and what was read does not change."""
    seen = []

    def read():
        while len(local.requests) < 20:
            seen.append(len(local.requests))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        ask("GET", imds_url(local))
    reader.join()

    assert seen == sorted(seen)
    assert all(isinstance(each, Recorded) for each in local.requests)


def test_every_route_records_and_fails_by_its_own_name(local, ask):
    """A fault on one host's route is met there and nowhere else."""
    routes = {"imds": "imds", "app_service": "app_service", "azure_arc": "arc", "azure_ml": "azure_ml"}

    for host, route in routes.items():
        variables = local.host_environment(host)
        url = variables.get("IDENTITY_ENDPOINT") or variables.get("MSI_ENDPOINT") or imds_url(local)
        local.fail(route, Fault(status=410, times=1))
        assert [ask("GET", url).status == 410 for _ in range(2)] == [True, False]
        assert local.count(route) == 2
