"""OAuth 2.0 as Entra ID speaks it: what goes out, and what each answer means."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credchain.advice import ADVICE
from credchain.errors import AuthenticationFailedError, CredentialUnavailableError
from credchain.http import Response
from credchain.oauth import (
    failure,
    json_object,
    lifetime,
    merge_claims,
    number,
    parse_grant,
    parse_token,
    retry_after,
    token_request,
)
from credchain.testing import json_response, token_response
from credchain.tokens import TokenRequest

NOW = 1_800_000_000.0
URL = "https://login.microsoftonline.com/contoso/oauth2/v2.0/token"
SCOPE = "https://vault.azure.net/.default"
CAPABILITY = {"access_token": {"xms_cc": {"values": ["CP1"]}}}


def segment(payload: object) -> str:
    """A JSON value as base64url without padding, as in a JWT."""
    return base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=").decode()


def refused(response: Response) -> AuthenticationFailedError:
    """The error that parsing *response* raises."""
    with pytest.raises(AuthenticationFailedError) as caught:
        parse_token(response, source="here", now=NOW)
    return caught.value


# What goes out


def test_a_token_request_is_a_form_post() -> None:
    """RFC 6749, section 4.4.2, with Entra's request id and a User-Agent of our own."""
    request = token_request(URL, TokenRequest((SCOPE, "openid")), grant_type="client_credentials", client_id="app")

    assert (request.method, request.url, request.timeout) == ("POST", URL, 30.0)
    assert request.params == {}
    assert request.form == {
        "grant_type": "client_credentials",
        "client_id": "app",
        "scope": f"{SCOPE} openid",
    }
    assert request.headers["Accept"] == "application/json"
    assert request.headers["User-Agent"].startswith("credchain")
    assert str(uuid.UUID(request.headers["x-ms-client-request-id"])) == request.headers["x-ms-client-request-id"]


def test_fields_that_are_none_are_left_out() -> None:
    """An optional field is passed as None; an empty one is sent."""
    request = token_request(URL, TokenRequest((SCOPE,)), code_verifier=None, password="")

    assert request.form is not None
    assert "code_verifier" not in request.form
    assert request.form["password"] == ""


def test_each_request_has_an_id_of_its_own() -> None:
    """The id names one exchange."""
    ids = {token_request(URL, TokenRequest((SCOPE,))).headers["x-ms-client-request-id"] for _ in range(3)}

    assert len(ids) == 3


def test_scopes_leave_as_they_came() -> None:
    """A double slash survives, and so does the order."""
    request = token_request(URL, TokenRequest(("https://servicebus.azure.net//.default", "b/.default")))

    assert request.form is not None
    assert request.form["scope"] == "https://servicebus.azure.net//.default b/.default"


def test_a_scope_that_cannot_be_one_is_refused_before_anything_is_sent() -> None:
    """A space would smuggle in a second scope."""
    with pytest.raises(ValueError, match="^scopes: "):
        token_request(URL, TokenRequest(("openid profile",)))


@pytest.mark.parametrize(
    ("claims", "enable_cae", "expected"),
    [
        pytest.param(None, False, None, id="neither"),
        pytest.param("", False, None, id="empty challenge"),
        pytest.param(None, True, CAPABILITY, id="capability alone"),
        pytest.param("", True, CAPABILITY, id="empty challenge with capability"),
        pytest.param('{"userinfo": {"a": 1}}', False, {"userinfo": {"a": 1}}, id="challenge alone"),
        pytest.param(
            '{"access_token": {"nbf": {"essential": true, "value": "1604106651"}}}',
            True,
            {
                "access_token": {
                    "nbf": {"essential": True, "value": "1604106651"},
                    "xms_cc": {"values": ["CP1"]},
                }
            },
            id="challenge for the same token",
        ),
        pytest.param('{"userinfo": {}}', True, {"userinfo": {}, **CAPABILITY}, id="challenge elsewhere"),
        pytest.param("{}", True, CAPABILITY, id="challenge without content"),
        pytest.param('{"access_token": null}', True, CAPABILITY, id="null where an object belongs"),
    ],
)
def test_claims_are_the_challenge_and_the_capability(
    claims: str | None, enable_cae: bool, expected: dict[str, Any] | None
) -> None:
    """Sent whenever either is present, and then merged."""
    form = token_request(URL, TokenRequest((SCOPE,), claims=claims, enable_cae=enable_cae)).form

    assert form is not None
    assert ("claims" in form) is (expected is not None)
    assert expected is None or json.loads(form["claims"]) == expected


def test_a_challenge_without_the_capability_is_sent_as_it_stands() -> None:
    """Not even its spaces change."""
    claims = '{ "access_token" :{"acrs":{"essential":true,"value":"c1"}} }'

    assert merge_claims(claims, enable_cae=False) == claims


@pytest.mark.parametrize("claims", ["no json", "[]", '"text"', "1", "null", "{", "eyJhIjoxfQ"], ids=repr)
@pytest.mark.parametrize("enable_cae", [True, False])
def test_claims_are_a_json_object(claims: str, enable_cae: bool) -> None:
    """Anything else is the caller's error, told before anything is sent; an undecoded challenge too."""
    with pytest.raises(ValueError, match="^claims: must be a JSON object"):
        merge_claims(claims, enable_cae=enable_cae)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["acrs", "nbf", "xms_x", "groups"])
challenges = st.fixed_dictionaries(
    {},
    optional={
        "access_token": st.dictionaries(names, json_values, max_size=3),
        "id_token": json_values,
        "x": json_values,
    },
)


@given(challenges)
def test_merging_keeps_the_challenge_and_adds_the_capability(challenge: dict[str, Any]) -> None:
    """Nothing of the challenge is lost, and nothing but CP1 is added."""
    merged = json.loads(merge_claims(json.dumps(challenge), enable_cae=True) or "")

    assert merged["access_token"].pop("xms_cc") == {"values": ["CP1"]}
    assert merged == {"access_token": {}, **challenge}


# What comes back: a token


@pytest.mark.parametrize("value", [3600, 3600.0, "3600", "3600.0", " 3600 "], ids=repr)
def test_expires_in_is_a_number_or_a_text_that_is_one(value: object) -> None:
    """The service's older endpoints send texts."""
    token = parse_token(json_response({"access_token": "t", "expires_in": value}), source="here", now=NOW)

    assert (token.token, token.expires_on, token.token_type) == ("t", NOW + 3600, "Bearer")


@pytest.mark.parametrize("value", [NOW + 60, int(NOW) + 60, str(int(NOW) + 60)], ids=["float", "int", "text"])
def test_expires_on_wins(value: object) -> None:
    """The absolute time is not subject to the time that the answer took."""
    payload = {"access_token": "t", "expires_in": 3600, "expires_on": value}

    assert parse_token(json_response(payload), source="here", now=NOW).expires_on == NOW + 60


def test_an_unreadable_expires_on_leaves_expires_in() -> None:
    """What says nothing does not win."""
    assert lifetime({"expires_on": "soon", "expires_in": 60}, source="here", now=NOW) == (NOW + 60, None)


@pytest.mark.parametrize("value", [None, "", "soon", True, [], {}, "nan", "inf", 1e300, -1e300], ids=repr)
def test_a_token_without_a_time_is_an_error(value: object) -> None:
    """A token whose end nobody knows cannot be cached; the error begins with the source."""
    with pytest.raises(AuthenticationFailedError, match="^here: .*does not say when it expires"):
        lifetime({"expires_in": value}, source="here", now=NOW)


def test_a_number_beyond_every_float_is_no_time() -> None:
    """JSON integers have no limit; one that no float can hold is as unreadable as any other."""
    response = Response(200, body=b'{"access_token": "t", "expires_in": 1' + b"0" * 400 + b"}")

    assert "does not say when it expires" in refused(response).message


@pytest.mark.parametrize(
    ("fields", "refresh_on"),
    [
        pytest.param({"expires_in": 3600}, None, id="an hour"),
        pytest.param({"expires_in": 7199}, None, id="just under two hours"),
        pytest.param({"expires_in": 7200}, NOW + 3600, id="two hours"),
        pytest.param({"expires_in": "86400"}, NOW + 43200, id="a day"),
        pytest.param({"expires_on": NOW + 86400}, NOW + 43200, id="a day, absolute"),
        pytest.param({"expires_in": 3600, "refresh_in": 1800}, NOW + 1800, id="refresh_in"),
        pytest.param({"expires_in": 86400, "refresh_in": "7200"}, NOW + 7200, id="refresh_in of a day, as text"),
        pytest.param({"expires_in": 86400, "refresh_in": "soon"}, NOW + 43200, id="unreadable refresh_in"),
    ],
)
def test_when_a_token_is_to_be_refreshed(fields: dict[str, object], refresh_on: float | None) -> None:
    """refresh_in says it; without it, half of a life of two hours or more."""
    token = parse_token(json_response({"access_token": "t", **fields}), source="here", now=NOW)

    assert token.refresh_on == refresh_on


def test_times_of_a_token_are_whole_seconds() -> None:
    """azure-core's types promise integers."""
    token = parse_token(token_response(expires_in=86400.7), source="here", now=NOW + 0.5)

    assert (type(token.expires_on), type(token.refresh_on), type(token.token)) == (int, int, str)


def test_the_token_type_is_the_service_s() -> None:
    """Bearer, unless the answer says otherwise."""
    assert parse_token(token_response(token_type="pop"), source="here", now=NOW).token_type == "pop"


def test_a_grant_has_the_refresh_token_and_the_family() -> None:
    """For users the answer has more than the access token; none of it is shown."""
    grant = parse_grant(token_response("secret-t", refresh_token="secret-r", foci="1"), source="here", now=NOW)

    assert (grant.token.token, grant.refresh_token, grant.family) == ("secret-t", "secret-r", True)
    assert "secret" not in repr(grant)


def test_a_grant_for_an_application_has_a_token_alone() -> None:
    """What is not in the answer is None."""
    grant = parse_grant(token_response(), source="here", now=NOW)

    assert (grant.refresh_token, grant.home_account_id, grant.family) == (None, None, False)


@pytest.mark.parametrize(
    ("fields", "account"),
    [
        pytest.param({"client_info": segment({"uid": "u", "utid": "t"})}, "u.t", id="client_info"),
        pytest.param({"id_token": f"h.{segment({'sub': 's'})}.x"}, "s", id="id_token"),
        pytest.param(
            {"client_info": segment({"uid": "u", "utid": "t"}), "id_token": f"h.{segment({'sub': 's'})}.x"},
            "u.t",
            id="client_info wins",
        ),
        pytest.param(
            {"client_info": segment({"uid": "u"}), "id_token": f"h.{segment({'sub': 's'})}.x"},
            "s",
            id="half a client_info",
        ),
        pytest.param({"client_info": segment({"uid": "\u00fc?>", "utid": "t"})}, "\u00fc?>.t", id="url alphabet"),
        pytest.param({"client_info": "%%%"}, None, id="no base64"),
        pytest.param({"client_info": "\u00e9"}, None, id="no ASCII"),
        pytest.param({"client_info": segment("text")}, None, id="no object"),
        pytest.param({"client_info": 5, "id_token": 5}, None, id="no text"),
        pytest.param({"id_token": f"h.{segment({'sub': 's'})}"}, None, id="two segments"),
        pytest.param({"id_token": f"h.{segment({'sub': 5})}.x"}, None, id="no sub"),
    ],
)
def test_the_account_is_named_by_client_info_else_by_the_id_token(fields: dict[str, Any], account: str | None) -> None:
    """{uid}.{utid}, else sub, else unknown; what cannot be read is no reason to lose the token."""
    assert parse_grant(token_response(**fields), source="here", now=NOW).home_account_id == account


# What comes back: an error


def test_the_fields_of_an_error_are_its_attributes() -> None:
    """RFC 6749, section 5.2, and what Entra adds. The message has the first line of the description."""
    error = refused(
        json_response(
            {
                "error": "invalid_client",
                "error_description": "AADSTS7000999: Invalid client secret.\r\nTrace ID: t-1",
                "error_codes": [7000999],
                "timestamp": "2026-11-01 00:00:00Z",
                "trace_id": "t-1",
                "correlation_id": "c-1",
                "suberror": "bad_secret",
                "claims": '{"access_token":{}}',
            },
            status=401,
        )
    )

    assert error.message == "here: the service answered: AADSTS7000999: Invalid client secret."
    said = {name: getattr(error, name) for name in ("error", "error_codes", "suberror")}
    assert said == {"error": "invalid_client", "error_codes": (7000999,), "suberror": "bad_secret"}
    assert (error.trace_id, error.correlation_id, error.claims) == ("t-1", "c-1", '{"access_token":{}}')
    assert (error.http_status, error.retry_after) == (401, None)
    assert (error.source, error.advice) == ("here", None)
    assert not isinstance(error, CredentialUnavailableError)


TRACES = "Trace ID: t-1 Correlation ID: c-1 Timestamp: 2026-11-01 00:00:00Z"
DESCRIBED = "AADSTS7000215: Invalid client secret provided"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        pytest.param(
            {"error_description": f"{DESCRIBED}.\r\n{TRACES}", "error_codes": [7000215]}, DESCRIBED, id="lines"
        ),
        pytest.param({"error_description": f"{DESCRIBED}. {TRACES}", "error_codes": [7000215]}, DESCRIBED, id="line"),
        pytest.param({"error_description": f"{DESCRIBED}. {TRACES}"}, DESCRIBED, id="number in the sentence alone"),
        pytest.param({"error_description": f" {DESCRIBED}", "error_codes": []}, DESCRIBED, id="no number listed"),
        pytest.param({"error_description": DESCRIBED, "error_codes": ["7000215"]}, DESCRIBED, id="a text listed"),
        pytest.param(
            {"error_description": "Refused.", "error_codes": [7000215]}, "Refused", id="number in the list alone"
        ),
    ],
)
def test_a_refusal_ends_with_what_to_do(fields: dict[str, Any], said: str) -> None:
    """One line, wherever the number stands: the service's sentence without its trace ids, and the advice for it."""
    error = refused(json_response({"error": "invalid_client", **fields}, status=401))

    assert error.message == f"here: the service answered: {said}; to do: {ADVICE[7000215]}"
    assert (error.error_codes, error.advice) == ((7000215,), ADVICE[7000215])


def test_a_bare_number_has_advice_as_well() -> None:
    """Behind the status, where the service says nothing in words."""
    error = refused(json_response({"error": "invalid_request", "error_codes": [90002]}, status=400))

    assert error.message == (f"here: the service answered 'invalid_request' with status 400; to do: {ADVICE[90002]}")


def test_a_refusal_without_advice_keeps_its_trace_ids() -> None:
    """Whom nothing can be advised will ask the service's support, which asks for them."""
    error = refused(json_response({"error": "x", "error_description": f"AADSTS1: No. {TRACES}"}, status=400))

    assert error.message == f"here: the service answered: AADSTS1: No. {TRACES}"
    assert (error.error_codes, error.advice) == ((1,), None)


@pytest.mark.parametrize("description", ["7000215: no", "see AADSTS7000215: no", "AADSTS: no", "AADSTS" + "9" * 5000])
def test_a_number_is_one_only_where_entra_puts_it(description: str) -> None:
    """A sentence that mentions a number somewhere is about something else."""
    error = refused(json_response({"error": "x", "error_description": description}, status=400))

    assert (error.error_codes, error.advice) == ((), None)


def test_listed_numbers_win_over_the_sentence() -> None:
    """The list is the machine's part of the answer; what is no number in it is left out."""
    answer = {"error": "x", "error_description": DESCRIBED, "error_codes": [True, "7", None, 90002]}

    error = refused(json_response(answer, status=400))

    assert (error.error_codes, error.advice) == ((90002,), ADVICE[90002])


def test_what_an_error_does_not_say_is_none() -> None:
    """A bare error code is told with the status."""
    error = refused(json_response({"error": "temporarily_unavailable"}, status=503))

    assert error.message == "here: the service answered 'temporarily_unavailable' with status 503"
    assert error.error_codes == ()
    for name in ("suberror", "correlation_id", "trace_id", "claims", "retry_after", "advice"):
        assert getattr(error, name) is None


@pytest.mark.parametrize("field", ["error", "error_description", "error_codes", "suberror", "trace_id", "claims"])
@pytest.mark.parametrize("value", [None, 5, "", [], {}, ["x"], [None], True], ids=repr)
def test_a_malformed_field_of_an_error_is_still_an_error(field: str, value: object) -> None:
    """Whatever the service sends, the outcome is the one error with the status."""
    error = refused(json_response({"error": "x", "error_description": "y", field: value}, status=400))

    assert error.http_status == 400
    assert all(isinstance(code, int) for code in error.error_codes)


@pytest.mark.parametrize(
    ("response", "said"),
    [
        pytest.param(Response(502), "status 502, no content type, and an empty body", id="empty"),
        pytest.param(
            Response(200, headers={"content-type": "text/html"}, body=b"<html>secret</html>"),
            "status 200, text/html, and a body that is no token answer",
            id="a log-in page",
        ),
        pytest.param(
            Response(200, headers={"content-type": "application/json"}, body=b'{"refresh_token": "secret"}'),
            "status 200, application/json, and a body that is no token answer",
            id="no access token",
        ),
        pytest.param(
            Response(200, headers={"content-type": "application/json"}, body=b'["secret"]'), "status 200", id="a list"
        ),
        pytest.param(Response(200, body=b"\xff\xfesecret"), "status 200", id="no text"),
        pytest.param(Response(201, body=b'{"access_token":"secret","expires_in":60}'), "status 201", id="201"),
        pytest.param(Response(200, body=b'{"access_token":5,"expires_in":60}'), "status 200", id="no string"),
    ],
)
def test_a_body_that_is_no_answer_is_told_by_status_and_content_type(response: Response, said: str) -> None:
    """An empty or non-JSON body is an authentication error, and the body is not in it."""
    error = refused(response)

    assert error.message.startswith("here: ")
    assert said in error.message
    assert error.http_status == response.status
    assert "secret" not in f"{error}{error!r}{vars(error)}"


def test_an_empty_token_is_no_token() -> None:
    """A token of no characters can only be a broken answer."""
    assert refused(token_response("")).http_status == 200


def test_a_body_nested_beyond_reason_is_no_answer() -> None:
    """Whoever answers cannot break the program with depth."""
    assert refused(Response(200, body=b"[" * 100_000)).http_status == 200


def test_an_error_status_is_an_error_even_with_a_token() -> None:
    """Only a 200 carries a token."""
    assert refused(Response(400, body=token_response("secret").body)).http_status == 400


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("Fri, 15 Jan 2027 08:01:00 GMT", 60.0),
        ("Fri, 15 Jan 2027 07:59:00 GMT", 0.0),
        ("Fri, 15 Jan 2027 09:01:00 +0100", 60.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5s", None),
        ("\u00b2", None),
        ("Fri, 99 Foo 2027", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    """RFC 9110, section 10.2.3; a past date is now, and what is neither says nothing."""
    assert retry_after(Response(429, headers={"retry-after": value}), now=NOW) == seconds


def test_a_date_without_a_zone_is_in_utc() -> None:
    """RFC 9110, section 5.6.7: the obsolete format of asctime is UTC too, wherever the machine stands."""
    script = (
        "from credchain.http import Response\n"
        "from credchain.oauth import retry_after\n"
        "answer = Response(429, headers={'retry-after': 'Fri Jan 15 08:01:00 2027'})\n"
        f"print(retry_after(answer, now={NOW}))\n"
    )
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "TZ": "America/New_York"}

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], env=environment, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() in ("60.0", "None")


@given(st.text(alphabet=st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=40))
def test_no_header_is_an_error(value: str) -> None:
    """Whatever a server sends as Retry-After, it is a time or nothing."""
    found = retry_after(Response(429, headers={"retry-after": value}), now=NOW)

    assert found is None or found >= 0.0


def test_retry_after_is_an_attribute_of_the_error() -> None:
    """With a JSON body and without one."""
    with_body = failure(json_response({"error": "busy"}, status=429, retry_after="7"), source="here", now=NOW)
    without = failure(Response(503, headers={"retry-after": "8"}), source="here", now=NOW)

    assert (with_body.retry_after, without.retry_after) == (7.0, 8.0)


@given(st.binary(max_size=60))
def test_no_body_breaks_the_parser(body: bytes) -> None:
    """Every body is a JSON object, or None."""
    found = json_object(Response(200, body=body))

    assert found is None or isinstance(found, dict)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1.0), (1.5, 1.5), ("2", 2.0), ("-3.5", -3.5), (True, None), (None, None), ("", None), ("x", None), ([], None)],
    ids=repr,
)
def test_numbers_are_numbers_or_texts_that_are(value: object, expected: float | None) -> None:
    """A boolean is no number."""
    assert number(value) == expected
