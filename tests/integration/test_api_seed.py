"""Each example in the OpenAPI document that Pipecat Cloud publishes for `PUT /secrets/{setName}` (seeds/003)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness import Org, eventually
from harness.api import Api, ApiUser

REGULAR: dict[str, Any] = {
    "secrets": [
        {"secretKey": "API_KEY", "secretValue": "your-api-key"},
        {"secretKey": "DATABASE_URL", "secretValue": "postgresql://user:pass@host:5432/db"},
    ],
    "region": "us-west",
}
IMAGE_PULL_SECRET: dict[str, Any] = {
    "isImagePullSecret": True,
    "host": "https://index.docker.io/v1/",
    "secretValue": "your-docker-auth-token",
    "region": "us-west",
}
# What the CLI of that product makes of `user:token`.
VALID = IMAGE_PULL_SECRET | {"secretValue": "dXNlcjp0b2tlbg=="}


@pytest.fixture(params=["/v1", "/v1/organizations/{organization}"])
def user(api: Api, org: Org, request: pytest.FixtureRequest) -> ApiUser:
    return api.member(org, root=request.param.format(organization=org.name))


def refused(user: ApiUser, body: Any, name: str = "my-secrets") -> str:
    status, code, text = user.put(f"/secrets/{name}", body).error
    assert (status, code) == (400, "GENERIC_BAD_REQUEST")
    return text


def test_regular_secrets(org: Org, user: ApiUser) -> None:
    reply = user.put("/secrets/my-secrets", REGULAR)
    assert (reply.status, reply.json) == (202, {"status": "OK", "region": "us-west"})
    org.reaches("ready", "Synced", name="my-secrets")
    assert org.values("my-secrets") == {
        "API_KEY": b"your-api-key",
        "DATABASE_URL": b"postgresql://user:pass@host:5432/db",
    }


def test_image_pull_secret(org: Org, user: ApiUser) -> None:
    assert "base64 of 'username:token'" in refused(user, IMAGE_PULL_SECRET)
    assert org.get("imagepullsecret", "my-secrets") is None
    reply = user.put("/secrets/my-secrets", VALID)
    assert (reply.status, reply.json) == (202, {"status": "OK", "region": "us-west"})
    assert user.put("/secrets/no-slash", VALID | {"host": "https://ghcr.io"}).status == 202
    stored = org.get("imagepullsecret", "no-slash")
    assert stored is not None
    assert stored["spec"]["host"] == "https://ghcr.io/"


def test_invalid_image_pull_secret_update(user: ApiUser) -> None:
    text = "Must provide isImagePullSecret, host, and secretValue to update an image pull secret"
    assert refused(user, {**VALID, "host": ""}) == "Invalid request format"  # there is none to update
    assert user.put("/secrets/my-secrets", VALID).status == 202
    assert refused(user, REGULAR) == text
    assert refused(user, {"secretKey": "API_KEY", "secretValue": "your-api-key"}) == text
    for left_out in ("isImagePullSecret", "host", "secretValue"):
        assert refused(user, {name: value for name, value in VALID.items() if name != left_out}) == text
        assert refused(user, {"region": "us-west", left_out: VALID[left_out]}) == text
    assert refused(user, VALID | {"isImagePullSecret": False}) == text


def test_cannot_change_secret_type(user: ApiUser) -> None:
    assert user.put("/secrets/my-secrets", REGULAR).status == 202
    text = "Cannot update existing regular secrets to image pull secrets"
    assert refused(user, VALID) == text
    assert refused(user, {"host": VALID["host"], "secretValue": VALID["secretValue"]}) == text
    assert refused(user, {"secretValue": "x"}) == "Invalid request format"


def test_region_mismatch(user: ApiUser) -> None:
    assert user.put("/secrets/my-secrets", REGULAR).status == 202
    text = "Secret already exists in region 'us-west'. Cannot change region to 'us-east'."
    assert refused(user, REGULAR | {"region": "us-east"}) == text


def test_invalid_region(org: Org, user: ApiUser) -> None:
    text = "Invalid region or organization does not have access"
    assert refused(user, REGULAR | {"region": "us-east"}) == text
    closed = org.region(f"closed-{org.name}", organizations={"matchLabels": {"tier": "none"}})
    try:
        assert refused(user, REGULAR | {"region": closed}) == text
    finally:
        org.forget_regions()


def test_validation_error(user: ApiUser) -> None:
    bodies: list[Any] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"secrets": NaN}',
        b'{"secretKey": "A", "secretValue": "x", "secretValue": "y"}',
        b'{"secretKey": "A", "secretValue": "\\ud800"}',
        b"[" * 100_000,
        {},
        {"secrets": []},
        {"secrets": {}},
        {"secrets": [{"secretKey": "A"}]},
        {"secrets": [{"secretKey": "A", "secretValue": 1}]},
        {"secrets": [{"secretKey": "A", "secretValue": None}]},
        {"secrets": [{"secretKey": "A", "secretValue": "x"}], "secretKey": "A", "secretValue": "x"},
        {"secretValue": "x"},
        {"secretKey": "A", "secretValue": "x", "isImagePullSecret": "true"},
        {"secretKey": "A", "secretValue": "x", "region": ""},
        {"secretKey": "A", "secretValue": "x", "metadata": {"a": 1}},
        {"isImagePullSecret": True, "secretKey": "A", "secretValue": "x", "host": "ghcr.io"},
    ]
    for body in bodies:
        assert refused(user, body) == "Invalid request format", body


def test_unauthorized(api: Api, user: ApiUser) -> None:
    code = "UNAUTHORIZED" if user.root == "/v1" else "401"
    for token in (None, "", "garbage", "a.b.c"):
        reply = api.user(token, user.root).put("/secrets/my-secrets", REGULAR)
        assert reply.error == (401, code, "Unauthorized")
        assert reply.headers["WWW-Authenticate"] == "Bearer"


def test_conflict(user: ApiUser) -> None:
    assert user.put("/secrets/my-secrets", REGULAR).status == 202

    def met() -> tuple[int, str, str] | None:
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda _: user.put("/secrets/my-secrets", REGULAR), range(8)))
        return next((reply.error for reply in replies if reply.status != 202), None)

    text = "Secret set 'my-secrets' was modified concurrently. Please retry."
    assert eventually(met, "two writers at once") == (409, "CONFLICT", text)


def test_names(user: ApiUser) -> None:
    for name in ("abc", "a-b.c-d", "0" * 63):
        assert user.put(f"/secrets/{name}", REGULAR).status == 202, name
    for name in ("ab", "Abc", "-abc", "abc-", "a..b", "a_b", "0" * 64, "a%0Ab", "%C3%BCber"):
        assert "3 to 63" in refused(user, REGULAR, name), name
