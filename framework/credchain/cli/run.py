"""What the commands share: running a coroutine, and telling an error as a sentence."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import click

from credchain.errors import ClientAuthenticationError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

FAILED = 1
WRONG_USE = 2
BROKEN = 3


class Told(click.ClickException):
    """An error that is told in its own words, without a traceback."""

    def __init__(self, message: str, *, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.code = exit_code

    def show(self, file: Any = None) -> None:
        """Print the words and end with the code; click would end with 1 always."""
        click.echo(self.message, err=True)
        raise SystemExit(self.code)


def run(main: Coroutine[Any, Any, T]) -> T:
    """The result of *main*. Errors that a user can do something about become sentences and exit codes.

    Exit codes: 1 for no token, 2 for a wrong argument, 3 for a wrong setting, 130 if interrupted.
    """
    try:
        return asyncio.run(main)
    except ClientAuthenticationError as error:
        raise Told(str(error.message)) from None
    except ConfigurationError as error:
        raise Told(f"Error: {error}", exit_code=BROKEN) from None
    except ValueError as error:
        raise Told(f"Error: {error}", exit_code=WRONG_USE) from None
    except KeyboardInterrupt:
        raise Told("Interrupted.", exit_code=130) from None
