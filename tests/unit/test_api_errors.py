"""What callers are told for each thing that can go wrong."""

from __future__ import annotations

import json

import pytest
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from secretset.actions.errors import Refused, Why
from secretset.api import errors
from secretset.kube import errors as kube

CANARY = "canary-in-an-error"


def request(path: str = "/v1/secrets/app", organization: str = "team") -> Request:
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [],
        "server": ("127.0.0.1", 80),
        "path_params": {"name": "app"},
        "state": {"organization": organization},
    }
    return Request(scope)


def forbidden(verb: str, kind: type[kube.ApiError] = kube.Forbidden) -> kube.ApiError:
    error = kind(403)
    error.verb, error.resource = verb, "secretsets"
    return error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Refused(Why.ABSENT, "x"), 404, "NOT_FOUND"),
        (Refused(Why.NO_ORGANIZATION, "x"), 404, "NOT_FOUND"),
        (Refused(Why.CONFLICT, "x"), 409, "CONFLICT"),
        (Refused(Why.NO_KEYS, "x"), 503, "NO_SEALING_KEYS"),
        (Refused(Why.NOT_HELD, "x"), 503, "NO_SEALING_KEYS"),
        *((Refused(why, "x"), 400, "GENERIC_BAD_REQUEST") for why in (Why.OTHER_KIND, Why.REGION_FIXED, Why.LAST_KEY)),
        *((Refused(why, "x"), 400, "GENERIC_BAD_REQUEST") for why in (Why.REGION_INVALID, Why.INVALID)),
        (RequestValidationError([{"input": CANARY}], body=CANARY), 400, "GENERIC_BAD_REQUEST"),
        (HTTPException(404, CANARY), 404, "NOT_FOUND"),
        (HTTPException(400, CANARY), 400, "GENERIC_BAD_REQUEST"),
        (HTTPException(500, CANARY), 500, "INTERNAL"),
        (errors.BodyTooLarge(10), 413, "BODY_TOO_LARGE"),
        (errors.BodyTooSlow(10), 408, "BODY_TIMEOUT"),
        (kube.Unauthorized(401), 401, "UNAUTHORIZED"),
        *((forbidden(verb), 404, "NOT_FOUND") for verb in ("get", "list", "watch", "")),
        *((forbidden(verb), 403, "FORBIDDEN") for verb in ("create", "patch", "delete", "update")),
        (forbidden("create", kube.QuotaExceeded), 403, "QUOTA_EXCEEDED"),
        (forbidden("create", kube.NamespaceTerminating), 409, "CONFLICT"),
        (kube.NotFound(404), 404, "NOT_FOUND"),
        (kube.Conflict(409), 409, "CONFLICT"),
        (kube.AlreadyExists(409), 409, "CONFLICT"),
        (kube.Gone(410), 503, "HUB_UNREACHABLE"),
        (kube.Invalid(422), 400, "GENERIC_BAD_REQUEST"),
        (kube.Throttled(429, retry_after=7.0), 429, "RATE_LIMITED"),
        (kube.ServerError(504), 504, "TIMEOUT"),
        (kube.ServerError(500), 503, "HUB_UNREACHABLE"),
        (kube.Unreachable("GET failed"), 503, "HUB_UNREACHABLE"),
        (kube.Untrusted("GET failed"), 503, "HUB_UNREACHABLE"),
        (kube.AnswerTooLong("an answer"), 503, "HUB_UNREACHABLE"),
        (RuntimeError(CANARY), 500, "INTERNAL"),
    ],
    ids=repr,
)
def test_each_has_its_answer(error: Exception, status: int, code: str) -> None:
    answer = errors.answer_to(request(), error)
    response = answer.response()
    body = json.loads(bytes(response.body))
    assert (response.status_code, body["code"]) == (status, code)
    assert sorted(body) == ["code", "error"]
    assert CANARY not in f"{body}{response.headers}"
    assert ("retry-after" in response.headers) is (status in {429, 503})
    assert ("www-authenticate" in response.headers) is (status == 401)


def test_the_hubs_patience_is_passed_on() -> None:
    answer = errors.answer_to(request(), kube.Throttled(429, retry_after=7.0))
    assert answer.headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/organizations", "401"),
        ("/v1/organizations/team/secrets", "401"),
        ("/v1/users", "401"),
        ("/v1/secrets", "UNAUTHORIZED"),
        ("/v1/secrets/organizations", "UNAUTHORIZED"),
    ],
)
def test_the_code_that_a_client_waits_for(path: str, code: str) -> None:
    assert errors.answer_to(request(path), kube.Unauthorized(401)).code == code


def test_hidden_and_absent_are_told_in_the_same_words() -> None:
    from secretset.actions.sets import absent

    hidden = errors.answer_to(request(), forbidden("get"))
    missing = errors.answer_to(request(), absent("team", "app"))
    assert (hidden.status, hidden.code, str(hidden)) == (missing.status, missing.code, str(missing))
    assert str(hidden) == "There is no set 'app' in 'team'"
