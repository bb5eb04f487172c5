"""What to do about a refusal of Entra ID: one sentence for each AADSTS number that people meet most.

The numbers are those of Entra ID's reference of error codes; what they mean stands beside each.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ADVICE", "advice_for"]

ADVICE: Final[Mapping[int, str]] = MappingProxyType(
    {
        # the secret or certificate
        7000215: (  # wrong secret
            "give the secret's value, not the secret's id, with nothing before or after it"
        ),
        7000222: (  # expired secret
            "make a new secret for the application and give its value; a managed identity has none that expires"
        ),
        7000216: (  # an application on its own without proof
            "give a client secret or a certificate: an application on its own needs one"
        ),
        7000218: (  # an application with proof did not show it
            "give a client secret or a certificate, or, where a user signs in without one, allow public client flows "
            "in the application's registration"
        ),
        700027: (  # signature of an assertion
            "register this certificate with the application that client_id names; a new registration is known "
            "everywhere after some minutes"
        ),
        700024: (  # assertion too early or too late
            "set this machine's clock; if the assertion was made elsewhere, get a fresh one"
        ),
        # the application
        700016: (  # unknown in the tenant
            "compare client_id and tenant_id with the application's registration; an application of another tenant "
            "must be added to this one first"
        ),
        7000112: (  # disabled
            "have an administrator enable the application, unless it was disabled on purpose"
        ),
        65001: (  # no consent
            "have an administrator of the tenant consent to the application's permissions, or the user sign in and "
            "consent"
        ),
        # the tenant
        90002: (  # unknown
            "compare tenant_id with the tenant's id in the portal; if it is right, name the cloud it is in with authority"
        ),
        900023: (  # neither an id nor a domain
            "give tenant_id as the tenant's id or domain name, such as contoso.onmicrosoft.com, with nothing around it"
        ),
        50059: (  # no tenant to be seen
            "name the tenant with tenant_id, by its id or domain name; common and organizations are for users alone"
        ),
        # the scope
        70011: (  # not valid
            "ask for the resource's identifier with /.default behind it, such as https://vault.azure.net/.default"
        ),
        1002012: (  # single permissions for an application
            "ask for the resource with /.default behind it, not for single permissions: an application on its own gets "
            "all that it was granted"
        ),
        500011: (  # unknown resource
            "compare the scope, before /.default, with the resource's identifier; if it is right, look whether the "
            "tenant is the one that has the resource"
        ),
        # the user
        50034: (  # unknown
            "compare the user name and tenant_id: the account must be in that tenant"
        ),
        50126: (  # wrong name or password
            "sign in as this user in a browser to see whether the name and the password are right"
        ),
        50076: (  # second factor
            "use a service principal or a managed identity, which need no second factor, or have the user sign in again"
        ),
        50079: (  # second factor not set up
            "have the user set up multifactor authentication, or use a service principal or a managed identity"
        ),
        # conditional access
        53003: (  # a policy
            "look for the policy in the tenant's sign-in logs, by the correlation_id; an administrator can change it"
        ),
        530003: (  # a policy of devices
            "sign in from a device that the organization manages, or use a service principal or a managed identity"
        ),
    }
)
"""What to do, by number. Each is one line that begins with a verb and ends without a full stop."""


def advice_for(codes: Sequence[int]) -> str | None:
    """What to do about an answer with these numbers: the advice for the first that has one, or None."""
    return next((ADVICE[code] for code in codes if code in ADVICE), None)
