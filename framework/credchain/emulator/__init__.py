"""A local Entra ID and the managed-identity endpoints of a machine on loopback, for tests and demonstrations.

It refuses what the real services refuse, with errors of the same shape and numbers, goes wrong on demand,
and keeps a log of what it was asked::

    async with Emulator() as emulator:
        application = emulator.add_application()
        run_program(environment=emulator.environment(application))
        assert emulator.count("token") == 1

Importing it starts nothing, and it serves loopback addresses only. Its tokens are good for nothing elsewhere.
"""

from __future__ import annotations

from credchain.emulator.emulator import Emulator
from credchain.emulator.records import Application, Fault, MachineIdentity, Recorded, User
from credchain.emulator.threads import serve_in_thread

__all__ = [
    "Application",
    "Emulator",
    "Fault",
    "MachineIdentity",
    "Recorded",
    "User",
    "serve_in_thread",
]
