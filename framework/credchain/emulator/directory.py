"""Who and what is known: tenants, applications, users, the machine's identities and the resources."""

from __future__ import annotations

import uuid

from credchain.emulator.records import Application, MachineIdentity, User

FAMILY_CLIENT = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
"""Microsoft's public command-line client, present in every tenant; its refresh tokens serve a family."""

GRAPH = "00000003-0000-0000-c000-000000000000"
"""The application id of Microsoft Graph, which a scope without a resource means."""

SHARED_TENANTS = frozenset({"common", "organizations"})
"""Stand-ins for the tenant of whoever signs in; of no use to an application on its own."""


class Directory:
    """Everything that was added. Ids are compared without regard to case."""

    def __init__(self) -> None:
        self.home_tenant = str(uuid.uuid4())
        self._tenants: set[str] = set()
        self._applications: dict[tuple[str, str], Application] = {}
        self._users: dict[tuple[str, str], User] = {}
        self._machine: dict[str, MachineIdentity] = {}
        self._resources: set[str] = set()

    def add_application(self, application: Application) -> None:
        """Register it, in the place of one with the same id in the same tenant."""
        key = (application.tenant_id.lower(), application.client_id.lower())
        self._applications[key] = application
        self._tenants.add(key[0])

    def add_user(self, user: User) -> None:
        """Make the user known in the home tenant."""
        key = (user.tenant_id.lower(), user.username.lower())
        self._users[key] = user
        self._tenants.add(key[0])

    def add_machine_identity(self, identity: MachineIdentity) -> None:
        """Give the machine an identity; a machine has one of its own, so that the newest such one counts."""
        self._machine[identity.client_id.lower()] = identity
        self._tenants.add(identity.tenant_id.lower())

    def add_resource(self, uri: str) -> None:
        """Know this resource, and from the first one on no other."""
        self._resources.add(uri.rstrip("/").lower())

    def has_tenant(self, tenant: str) -> bool:
        """Whether anything was added in that tenant."""
        return tenant.lower() in self._tenants

    def has_resource(self, uri: str) -> bool:
        """Whether tokens are issued for it."""
        return not self._resources or uri.rstrip("/").lower() in self._resources

    def application(self, tenant: str, client_id: str) -> Application | None:
        """The application of that id in a tenant, or None."""
        if client_id.lower() == FAMILY_CLIENT:
            return Application(tenant, FAMILY_CLIENT, None, (), FAMILY_CLIENT)
        return self._applications.get((tenant.lower(), client_id.lower()))

    def application_anywhere(self, tenant: str, client_id: str) -> Application | None:
        """The application of that id: the tenant's own if there is one, else any other tenant's."""
        own = self.application(tenant, client_id)
        if own is not None:
            return own
        found = (each for each in tuple(self._applications.values()) if each.client_id.lower() == client_id.lower())
        return next(found, None)

    def user(self, tenant: str, username: str) -> User | None:
        """The user of that name in a tenant, or in any if the tenant is a shared one."""
        if tenant.lower() not in SHARED_TENANTS:
            return self._users.get((tenant.lower(), username.lower()))
        found = (user for user in tuple(self._users.values()) if user.username.lower() == username.lower())
        return next(found, None)

    @property
    def machine_identities(self) -> tuple[MachineIdentity, ...]:
        """All of the machine's identities, the newest last."""
        return tuple(self._machine.values())

    @property
    def system_identity(self) -> MachineIdentity | None:
        """The machine's own identity, or None."""
        own = [identity for identity in self.machine_identities if identity.system_assigned]
        return own[-1] if own else None
