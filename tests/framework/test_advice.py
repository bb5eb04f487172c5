"""Advice: what to do about a refusal, on the screen and in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from credchain.advice import ADVICE, advice_for
from credchain.attempts import Attempt, Outcome
from credchain.errors import ChainStoppedError
from credchain.oauth import failure
from credchain.testing import json_response

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "troubleshooting.md"

MET_MOST = [
    7000215,
    7000222,
    700016,
    90002,
    700027,
    50034,
    50126,
    50076,
    50079,
    65001,
    70011,
    500011,
    530003,
    7000112,
    700024,
    50059,
    900023,
    7000218,
    1002012,
]


@pytest.mark.parametrize("number", MET_MOST)
def test_what_people_meet_most_has_advice(number: int) -> None:
    """A number alone helps nobody on a Saturday."""
    assert advice_for([number]) == ADVICE[number]


@pytest.mark.parametrize("number", ADVICE)
def test_advice_fits_into_one_line(number: int) -> None:
    """It ends a line of a chain's list: plain ASCII, a beginning in small letters, no full stop, no second line."""
    advice = ADVICE[number]

    assert re.fullmatch(r"[a-z][ -~]{19,159}", advice)
    assert not advice.endswith((".", ";", " "))


def test_no_two_numbers_have_the_same_advice() -> None:
    """Different mistakes have different remedies."""
    assert len(set(ADVICE.values())) == len(ADVICE)


def test_advice_is_a_constant() -> None:
    """Nobody changes what another part of the program is told."""
    with pytest.raises(TypeError):
        ADVICE[7000215] = "try again"  # type: ignore[index]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        pytest.param((), None, id="no number"),
        pytest.param((1,), None, id="an unknown number"),
        pytest.param((1, 90002), ADVICE[90002], id="a known one behind it"),
        pytest.param([7000222, 90002], ADVICE[7000222], id="the first of two"),
    ],
)
def test_the_first_number_with_advice_counts(codes: tuple[int, ...], expected: str | None) -> None:
    """Where none has any, there is none."""
    assert advice_for(codes) == expected


@pytest.mark.parametrize("number", ADVICE)
def test_a_chain_s_list_ends_with_what_to_do(number: int) -> None:
    """Source, outcome, milliseconds, reason, next step: one line for each source."""
    answer = {"error": "invalid_client", "error_description": f"AADSTS{number}: No.\r\nTrace ID: 1"}
    cause = failure(json_response(answer, status=401), source="vault", now=0.0)
    attempt = Attempt("vault", Outcome.FAILED, cause.message.removeprefix("vault: "), 0.0942)

    error = ChainStoppedError(f"stopped:\n  {attempt}", attempts=[attempt], cause=cause)

    said = f"vault (failed, 94 ms): the service answered: AADSTS{number}: No; to do: {ADVICE[number]}"
    assert str(error).splitlines() == ["stopped:", f"  {said}"]
    assert (error.advice, error.error_codes) == (ADVICE[number], (number,))


def test_the_page_for_people_in_trouble_says_the_same() -> None:
    """Its table of numbers has each number once, in the order of the code and with the words of the code."""
    rows = re.findall(r"^\| AADSTS(\d+) \| ([^|]+) \| ([^|]+) \|$", PAGE.read_text(), flags=re.MULTILINE)

    assert [(int(number), advice) for number, _, advice in rows] == list(ADVICE.items())
    assert all(meaning.strip() for _, meaning, _ in rows)
