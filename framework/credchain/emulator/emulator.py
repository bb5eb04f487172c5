"""The emulator itself: where it is, who is known to it, what goes wrong in it, and what it has seen."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
import uuid
from typing import TYPE_CHECKING, Self

from credchain.emulator.assertions import load_certificate
from credchain.emulator.directory import Directory
from credchain.emulator.environment import entra_variables, host_variables
from credchain.emulator.fields import parse_claims
from credchain.emulator.journal import Faults, Journal
from credchain.emulator.ledger import Code, Ledger, RefreshToken
from credchain.emulator.records import Application, Fault, MachineIdentity, User
from credchain.emulator.site import check_place, put_up
from credchain.emulator.world import APPLICATION_LIFETIME, World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from credchain.emulator.records import Recorded
    from credchain.emulator.site import Site


class Emulator:
    """A local Entra ID and the managed-identity endpoints of a machine, on loopback.

    Tokens are signed with a key of its own, so that they are good for nothing elsewhere. Whatever is added
    stays over a stop and a new start; addresses and certificates are new each time, and still told after a
    stop. Adding, faults and the log may be used from other threads than the one that serves.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        token_lifetime: float | None = None,
        refresh_in: float | None = None,
        clock: Callable[[], float] = time.time,
        host: str = "127.0.0.1",
    ) -> None:
        """An emulator that has not started.

        Args:
            port: Of the authority; managed identities take the next one, Service Fabric the one after.
                0 takes free ones.
            token_lifetime: Seconds a token lives. None: an hour, and 24 hours for a managed identity's.
            refresh_in: Seconds after which answers recommend another token. None: no recommendation.
            clock: Seconds since the epoch, for the times in tokens.
            host: A loopback address.

        Raises:
            ValueError: A host beyond loopback, or a port that does not leave room for the other two.
        """
        check_place(host, port)
        self._host = host
        self._port = port
        self._world = World(clock, lifetime=token_lifetime, refresh_in=refresh_in)
        self._journal = Journal()
        self._faults = Faults()
        self._last_site: Site | None = None
        self._open: contextlib.AsyncExitStack | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Serve from now on, if it does not yet. Whoever starts it stops it, in the same loop.

        Raises:
            OSError: A port is taken.
        """
        if self._open is not None:
            return
        async with contextlib.AsyncExitStack() as stack:
            self._last_site = await put_up(
                stack, self._world, self._journal, self._faults, host=self._host, port=self._port
            )
            self._open, self._loop = stack.pop_all(), asyncio.get_running_loop()

    async def stop(self) -> None:
        """Drop every connection, free the ports and remove the files; nothing happens if it does not serve.

        Raises:
            RuntimeError: It serves in another event loop, where alone it can be stopped.
        """
        if self._open is None:
            return
        if self._loop is not asyncio.get_running_loop():
            raise RuntimeError("emulator: serves in another event loop; stop it there")
        stack, self._open, self._loop = self._open, None, None
        await stack.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def serving(self) -> bool:
        """Whether it has been started and not stopped."""
        return self._open is not None

    @property
    def authority(self) -> str:
        """Where Entra ID is, by https on localhost: for ``AZURE_AUTHORITY_HOST`` or ``authority=``."""
        return self._site.authority

    @property
    def imds_host(self) -> str:
        """Where IMDS is, by http on 127.0.0.1: for ``AZURE_POD_IDENTITY_AUTHORITY_HOST``."""
        return self._site.imds_host

    @property
    def ca_file(self) -> str:
        """A PEM file with the certificate that vouches for `authority`, there until the stop."""
        return self._site.ca_file

    @property
    def arc_key_dir(self) -> str:
        """The folder of Azure Arc's key files, there until the stop."""
        return self._site.arc_key_dir

    @property
    def service_fabric_thumbprint(self) -> str:
        """SHA-1 of Service Fabric's certificate, in upper-case hexadecimal."""
        return self._site.thumbprint

    @property
    def _site(self) -> Site:
        if self._last_site is None:
            raise RuntimeError("emulator: has no address before it is started")
        return self._last_site

    @property
    def token_lifetime(self) -> float:
        """Seconds a token lives. Once set, it holds for managed identities too (24 hours otherwise)."""
        return APPLICATION_LIFETIME if self._world.lifetime is None else self._world.lifetime

    @token_lifetime.setter
    def token_lifetime(self, seconds: float | None) -> None:
        self._world.lifetime = seconds

    @property
    def refresh_in(self) -> float | None:
        """Seconds after which an answer recommends another token; None recommends nothing."""
        return self._world.refresh_in

    @refresh_in.setter
    def refresh_in(self, seconds: float | None) -> None:
        self._world.refresh_in = seconds

    @property
    def answer_delay(self) -> float:
        """Seconds before every good answer of a token endpoint."""
        return self._world.answer_delay

    @answer_delay.setter
    def answer_delay(self, seconds: float) -> None:
        self._world.answer_delay = seconds

    @property
    def rotate_refresh_tokens(self) -> bool:
        """Whether a refresh token is void once used. Each use gives a new one in any case."""
        return self._world.rotate_refresh_tokens

    @rotate_refresh_tokens.setter
    def rotate_refresh_tokens(self, rotate: bool) -> None:
        self._world.rotate_refresh_tokens = rotate

    def require_claims(self, claims: str | None) -> None:
        """Refuse every token request whose claims parameter does not ask for *claims*; None requires nothing.

        The refusal is `interaction_required` and carries them. Whether required or not, what a request asked
        for is in its token as `requested_claims`.

        Raises:
            ValueError: They are no JSON object.
        """
        self._world.required_claims = None if claims is None else parse_claims(claims)

    def add_application(
        self,
        *,
        tenant_id: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        certificates: Sequence[bytes] = (),
        redirect_uris: Sequence[str] = (),
        roles: Sequence[str] = (),
        secret_expired: bool = False,
    ) -> Application:
        """Register an application. Ids and secret are made up where None.

        Args:
            tenant_id: None means the emulator's own tenant, the same for all that is added.
            client_id: The application id.
            client_secret: ``""`` registers none; with no certificates either, the application is public.
            certificates: Public certificates, DER or PEM.
            redirect_uris: Where codes may go; none means anywhere.
            roles: For the ``roles`` claim.
            secret_expired: Whether the right secret is refused as expired.

        Raises:
            ValueError: A certificate cannot be read, or holds no RSA key.
        """
        for certificate in certificates:
            load_certificate(certificate)
        application = Application(
            tenant_id=tenant_id or self._world.directory.home_tenant,
            client_id=client_id or str(uuid.uuid4()),
            client_secret=secrets.token_urlsafe(30) if client_secret is None else client_secret or None,
            certificates=tuple(certificates),
            object_id=str(uuid.uuid4()),
            redirect_uris=tuple(redirect_uris),
            roles=tuple(roles),
            secret_expired=secret_expired,
        )
        self._world.directory.add_application(application)
        return application

    def add_machine_identity(
        self,
        *,
        client_id: str | None = None,
        object_id: str | None = None,
        resource_id: str | None = None,
        tenant_id: str | None = None,
        system_assigned: bool = True,
    ) -> MachineIdentity:
        """Give the machine an identity; of system-assigned ones, the newest counts."""
        identity = MachineIdentity(
            client_id=client_id or str(uuid.uuid4()),
            object_id=object_id or str(uuid.uuid4()),
            resource_id=resource_id,
            tenant_id=tenant_id or self._world.directory.home_tenant,
            system_assigned=system_assigned,
        )
        self._world.directory.add_machine_identity(identity)
        return identity

    def add_user(
        self,
        *,
        tenant_id: str | None = None,
        username: str | None = None,
        password: str | None = None,
        object_id: str | None = None,
        mfa: bool = False,
    ) -> User:
        """Make a user known. With *mfa*, a password alone is refused with `interaction_required`."""
        user = User(
            tenant_id=tenant_id or self._world.directory.home_tenant,
            username=username or f"user-{secrets.token_hex(4)}@example.com",
            password=password or secrets.token_urlsafe(12),
            object_id=object_id or str(uuid.uuid4()),
            mfa=mfa,
        )
        self._world.directory.add_user(user)
        return user

    def add_resource(self, uri: str) -> None:
        """Know a resource. Until the first is added all are known, from then on only those added."""
        self._world.directory.add_resource(uri)

    def reset(self) -> None:
        """Forget whatever was added, issued, required, recorded or set to fail, and go on serving.

        Lifetimes, delays and the rotation of refresh tokens stay as they are set.
        """
        self._world.directory, self._world.ledger = Directory(), Ledger()
        self._world.required_claims = None
        self.heal()
        self.forget()

    def environment(self, application: Application | None = None, *, identity: bool = False) -> dict[str, str]:
        """The variables with which a process finds the emulator.

        Args:
            application: Also those of this application and its secret.
            identity: The machine gets an identity of its own if none was added. Without an *application*,
                `AZURE_CLIENT_ID` names a user-assigned one if there is nothing but that.
        """
        if identity and not self._world.directory.machine_identities:
            self.add_machine_identity()
        variables = entra_variables(self._site, application)
        if identity and application is None and self._world.directory.system_identity is None:
            variables["AZURE_CLIENT_ID"] = self._world.directory.machine_identities[-1].client_id
        return variables

    def host_environment(self, host: str) -> dict[str, str]:
        """The variables that a host of managed identities gives to its processes.

        Args:
            host: `imds`, `app_service`, `azure_arc`, `azure_ml`, `cloud_shell` or `service_fabric`.

        Raises:
            ValueError: Another host.
        """
        return host_variables(self._site, self._world.hosts, host)

    def issue_code(
        self,
        application: Application,
        user: User,
        *,
        redirect_uri: str,
        scope: str,
        code_challenge: str | None = None,
        code_challenge_method: str = "S256",
    ) -> str:
        """The code that a user's sign-in would send to *redirect_uri*; good for ten minutes, once.

        Raises:
            ValueError: The application does not have that redirect URI, or the method is unknown.
        """
        if application.redirect_uris and redirect_uri not in application.redirect_uris:
            raise ValueError(f"redirect_uri: {redirect_uri} is not registered for {application.client_id}")
        about = (application.client_id, user, redirect_uri, scope, code_challenge, code_challenge_method)
        return self._world.ledger.add_code(Code(*about, issued_at=self._world.clock()))

    def issue_refresh_token(
        self, application_or_client_id: Application | str, user: User, *, family: bool = False
    ) -> str:
        """A refresh token; with *family* one that Microsoft's own command-line client may redeem too."""
        asker = application_or_client_id
        client_id = asker if isinstance(asker, str) else asker.client_id
        token = RefreshToken(client_id, user, "openid offline_access", family, issued_at=self._world.clock())
        return self._world.ledger.add_refresh_token(token)

    def revoke(self, user: User) -> None:
        """Void every refresh token that the user has by now."""
        self._world.ledger.revoke(user)

    def claims_of(self, token: str) -> dict[str, object]:
        """The claims of a token whose signature is right; whether it has expired is not asked.

        Raises:
            ValueError: This emulator did not sign it.
        """
        if self._world.key is None:
            raise ValueError("token: not signed by this emulator, which has not been started yet")
        return self._world.key.claims_of(token)

    def fail(self, route: str, fault: Fault | None = None) -> None:
        """From now on a route meets this fault, by default status 503, in the place of an earlier one.

        Args:
            route: As in `count`.
            fault: Applied before the request is looked at.

        Raises:
            ValueError: Another route.
        """
        self._faults.put(route, Fault(status=503) if fault is None else fault)

    def heal(self, route: str | None = None) -> None:
        """No fault any more, on one route or on all of them.

        Raises:
            ValueError: No such route.
        """
        self._faults.heal(route)

    @property
    def requests(self) -> tuple[Recorded, ...]:
        """Every request so far, those that met a fault included; the latest 20,000."""
        return self._journal.requests

    @property
    def connections(self) -> int:
        """How many TCP connections were accepted so far."""
        return self._journal.connections

    def count(self, route: str) -> int:
        """How many requests a route has got so far.

        Args:
            route: `token`, `imds`, `app_service`, `arc`, `azure_ml`, `cloud_shell`, `service_fabric`, or
                `metadata`: what the authority tells about itself.

        Raises:
            ValueError: No such route.
        """
        return self._journal.count(route)

    def forget(self) -> None:
        """Empty the log and begin every count anew."""
        self._journal.forget()
