"""Errors of API servers by type, and never with their text."""

from typing import Any

import pytest

from secretset.kube import errors

ECHO = "hunter2hunter2"


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (400, {}, errors.Invalid),
        (401, {}, errors.Unauthorized),
        (403, {}, errors.Forbidden),
        (403, {"message": "exceeded quota: q, requested: secrets=1"}, errors.QuotaExceeded),
        (403, {"details": {"causes": [{"reason": "NamespaceTerminating"}]}}, errors.NamespaceTerminating),
        (404, {"reason": "NotFound"}, errors.NotFound),
        (409, {"reason": "Conflict"}, errors.Conflict),
        (409, {"reason": "AlreadyExists"}, errors.AlreadyExists),
        (409, {}, errors.Conflict),
        (410, {"reason": "Expired"}, errors.Gone),
        (413, {}, errors.Invalid),
        (422, {"details": {"causes": [{"reason": "FieldValueInvalid"}]}}, errors.Invalid),
        (429, {}, errors.Throttled),
        (500, {"reason": "AlreadyExists"}, errors.ServerError),
        (503, {}, errors.ServerError),
        (599, {}, errors.ServerError),
        (418, {}, errors.ApiError),
        (405, {"details": None, "reason": None, "message": None}, errors.ApiError),
        (500, {"message": "exceeded quota"}, errors.ServerError),
    ],
)
def test_the_type_tells_what_went_wrong(code: int, status: dict[str, Any], kind: type[errors.ApiError]) -> None:
    found = errors.from_status(code, status)
    assert type(found) is kind
    assert (found.code, found.reason) == (code, status.get("reason") or "")


@pytest.mark.parametrize("code", [400, 403, 409, 422, 500])
def test_no_error_carries_the_server_s_text(code: int) -> None:
    causes = [{"reason": "FieldValueInvalid", "message": ECHO, "field": ECHO}]
    found = errors.from_status(code, {"message": f"exceeded quota {ECHO}", "details": {"name": ECHO, "causes": causes}})
    assert ECHO not in f"{found} {found!r} {vars(found)}"


@pytest.mark.parametrize(
    "status",
    [{"details": "upstream"}, {"details": [1]}, {"details": {"causes": ["x"]}}, {"details": {"causes": 1}}],
    ids=str,
)
@pytest.mark.parametrize("code", [403, 502])
def test_what_a_proxy_answers_in_json_is_an_error_like_any_other(code: int, status: dict[str, Any]) -> None:
    assert errors.from_status(code, status).code == code


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, 0), ("", 0), ("7", 7), ("0", 0), ("-1", 0), ("1.5", 0), ("soon", 0), ("٣", 0)]
)
def test_retry_after_is_read_in_seconds(header: str | None, seconds: float) -> None:
    assert errors.from_status(429, {}, header).retry_after == seconds


def test_the_tree_lets_a_caller_ask_broadly() -> None:
    assert issubclass(errors.QuotaExceeded, errors.Forbidden)
    assert issubclass(errors.NamespaceTerminating, errors.Forbidden)
    assert not issubclass(errors.AlreadyExists, errors.Conflict)
    assert all(issubclass(kind, errors.KubeError) for kind in (errors.ApiError, errors.Unreachable, errors.ConfigError))
