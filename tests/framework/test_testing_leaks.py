"""assert_no_token_leaks finds what gets out, by whichever way, and does not let it out itself."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from credchain.aio import ClientSecretCredential
from credchain.errors import AuthenticationFailedError
from credchain.testing import FakeTransport, assert_no_token_leaks, json_response, token_response

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "a secret/that nobody+may see"
QUOTED = "a%20secret%2Fthat%20nobody%2Bmay%20see"
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."

logger = logging.getLogger("an.application")


def log_with_traceback() -> None:
    try:
        raise RuntimeError(SECRET)
    except RuntimeError:
        logger.info("it failed", exc_info=True)


def raise_it() -> None:
    raise RuntimeError("a request failed") from ValueError(SECRET)


def raise_with_an_attribute() -> None:
    error = RuntimeError("a request failed")
    error.request = SECRET  # type: ignore[attr-defined]
    raise error


def print_in_pieces() -> None:
    sys.stdout.write(SECRET[:5])
    sys.stdout.write(SECRET[5:])


def print_everywhere() -> None:
    print(SECRET)
    print(SECRET)
    print(SECRET, file=sys.stderr)


def chat() -> None:
    print("hello")
    print("trouble", file=sys.stderr)
    logger.debug("hello")
    warnings.warn("an old thing", stacklevel=1)


WAYS: dict[str, tuple[Callable[[], object], str]] = {
    "log record": (lambda: logger.debug("sent %s", SECRET), r"a log record of 'an.application' \(DEBUG, test_testing"),
    "log traceback": (log_with_traceback, r"a log record of 'an.application' \(INFO"),
    "log stack": (lambda: logger.warning(SECRET, stack_info=True), r"a log record .* \(WARNING"),
    "url": (lambda: logger.info("GET https://x/?code=%s", QUOTED), "a log record"),
    "output": (lambda: print(SECRET), "the standard output"),
    "output in pieces": (print_in_pieces, "the standard output"),
    "error output": (lambda: print(SECRET, file=sys.stderr), "the standard error output"),
    "warning": (
        lambda: warnings.warn(f"{SECRET} is old", stacklevel=1),
        r"a UserWarning of .*test_testing_leaks.py:\d+",
    ),
    "exception's cause": (raise_it, "an exception that left the block"),
    "exception's attribute": (raise_with_an_attribute, "an exception that left the block"),
}


@pytest.mark.parametrize(("way", "where"), WAYS.values(), ids=WAYS)
def test_secret_that_gets_out_is_found(way: Callable[[], object], where: str) -> None:
    """Whichever way a secret takes, the error says where it was, and shows nothing of it."""
    with (
        pytest.raises(AssertionError, match=f"secret 2 of 2 is in {where}") as caught,
        assert_no_token_leaks("x" * 9, SECRET),
    ):
        way()

    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in str(caught.value)
    assert SECRET not in shown


@pytest.mark.parametrize("way", [print, logger.debug, lambda text: warnings.warn(text, stacklevel=1)])
def test_token_is_found_without_being_named(way: Callable[[str], Any]) -> None:
    """What looks like a JWT is a leak, whoever's it is."""
    with pytest.raises(AssertionError, match="what looks like a token is in ") as caught, assert_no_token_leaks():
        way(f"Authorization: Bearer {JWT}")

    assert JWT not in str(caught.value)


def test_all_leaks_are_told_at_once() -> None:
    """One run names every place, each once."""
    with pytest.raises(AssertionError) as caught, assert_no_token_leaks(SECRET):
        print_everywhere()

    assert str(caught.value) == (
        "secret 1 of 1 is in the standard output; secret 1 of 1 is in the standard error output"
    )


def test_block_without_a_leak_is_left_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """Output gets through, warnings are given, and logging and output are set as before."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers), sys.stdout, sys.stderr)

    with pytest.warns(UserWarning, match="an old thing"), assert_no_token_leaks(SECRET):
        chat()

    assert (root.level, list(root.handlers), sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("hello\n", "trouble\n")


def test_exception_without_a_secret_gets_through() -> None:
    """The block's own error is told as it is."""
    error = LookupError("nothing there")

    with pytest.raises(LookupError) as caught, assert_no_token_leaks(SECRET):
        raise error

    assert caught.value is error


def test_logging_is_put_back_after_a_leak() -> None:
    """One failed test does not change the next one."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers), sys.stdout, sys.stderr)

    with pytest.raises(AssertionError), assert_no_token_leaks(SECRET):
        print(SECRET)

    assert (root.level, list(root.handlers), sys.stdout, sys.stderr) == before


def test_empty_secret_is_refused() -> None:
    """It would be found everywhere."""
    with pytest.raises(ValueError, match="non-empty"), assert_no_token_leaks("x", ""):
        pass


def test_credential_does_not_leak() -> None:
    """A token and a refusal of a real credential pass, and do not with a careless program around them."""

    async def program() -> str:
        transport = FakeTransport(token_response(JWT), json_response({"error": "invalid_client"}, status=401))
        credential = ClientSecretCredential("a-tenant", "a-client", SECRET, transport=transport)
        token = await credential.get_token("https://x/.default")
        with pytest.raises(AuthenticationFailedError, match="invalid_client"):
            await credential.get_token("https://y/.default")
        return token.token

    with assert_no_token_leaks(SECRET, JWT):
        token = asyncio.run(program())

    with pytest.raises(AssertionError, match="secret 2 of 2"), assert_no_token_leaks(SECRET, JWT):
        print(token)


def test_leaks_are_found_without_pytest() -> None:
    """It is of use in any test runner."""
    script = (
        "from credchain.testing import assert_no_token_leaks\n"
        "with assert_no_token_leaks('hunted'):\n    print('hunted')"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert ended.stderr.strip().endswith("AssertionError: secret 1 of 1 is in the standard output")
