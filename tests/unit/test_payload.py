"""Payload: keys, sizes at their limits, and how a registry is named in a docker configuration."""

import base64
import json
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secretset.domain import names, payload
from secretset.domain.reasons import Problem, Reason

HUB = "https://index.docker.io/v1/"


@pytest.mark.parametrize(
    ("host", "normal"),
    [
        ("https://index.docker.io/v1/", HUB),
        ("https://index.docker.io/v1", HUB),
        ("index.docker.io", HUB),
        ("docker.io", HUB),
        ("DOCKER.io/library", HUB),
        ("registry-1.docker.io", HUB),
        ("https://registry.hub.docker.com/v2/", HUB),
        ("ghcr.io", "ghcr.io"),
        ("  ghcr.io\n", "ghcr.io"),
        ("GHCR.io/Team", "ghcr.io/Team"),
        ("ghcr.io/team/", "ghcr.io/team"),
        ("https://ghcr.io", "https://ghcr.io/"),
        ("https://ghcr.io/", "https://ghcr.io/"),
        ("https://ghcr.io/team", "https://ghcr.io/team/"),
        ("http://localhost:5000", "http://localhost:5000/"),
        ("localhost:5000", "localhost:5000"),
        ("10.0.0.1:5000/path", "10.0.0.1:5000/path"),
        ("[::1]:5000", "[::1]:5000"),
        ("https://[2001:db8::1]/v2", "https://[2001:db8::1]/v2/"),
        ("not.docker.io.example.com", "not.docker.io.example.com"),
    ],
)
def test_a_registry_is_named_as_kubelet_looks_it_up(host: str, normal: str) -> None:
    assert payload.normalize_host(host) == normal
    assert payload.normalize_host(normal) == normal


@pytest.mark.parametrize(
    "host",
    [
        "",
        "   ",
        "https://",
        "/",
        "//ghcr.io",
        "ftp://ghcr.io",
        "ghcr.io:port",
        "ghcr.io:99999",
        "bot:hunter2hunter2@ghcr.io",
        "https://bot:hunter2hunter2@ghcr.io/",
        "ghcr.io /team",
        "https://ghcr.io/a b",
        "ghcr.\tio",
        "ghcr.io\x1f?",
        "https://[::1",
    ],
)
def test_what_is_no_registry_is_refused_without_an_echo(host: str) -> None:
    with pytest.raises(Problem) as raised:
        payload.normalize_host(host)
    assert raised.value.reason is Reason.INVALID_SPEC
    assert "hunter2" not in raised.value.message


@given(st.text(max_size=40))
def test_any_host_is_normalised_once_for_all_or_refused(host: str) -> None:
    try:
        normal = payload.normalize_host(host)
    except Problem:
        return
    assert payload.normalize_host(normal) == normal


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda name: ":" not in name), st.text())
def test_a_docker_configuration_carries_user_and_password_exactly(user: str, password: str) -> None:
    entry = json.loads(payload.docker_config("ghcr.io", user, password.encode()))["auths"]["ghcr.io"]
    assert (entry["username"], entry["password"]) == (user, password)
    assert base64.b64decode(entry["auth"]).decode().split(":", 1) == [user, password]


def test_a_password_that_is_no_text_is_refused_and_not_shown() -> None:
    password = bytes.fromhex("68756e74657232ff")  # hunter2, and what is no UTF-8
    with pytest.raises(Problem) as raised:
        payload.docker_config("ghcr.io", "bot", password)
    assert raised.value.reason is Reason.INVALID_SPEC
    assert "hunter2" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(("size", "fits"), [(0, True), (16_384, True), (16_385, False)])
def test_a_value_is_at_most_16384_bytes(size: int, fits: bool) -> None:
    values = {"A": b"", "K": b"x" * size}
    if fits:
        payload.check_sizes(values)
        return
    with pytest.raises(Problem, match="'K'") as raised:
        payload.check_sizes(values)
    assert raised.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(("extra", "fits"), [(0, True), (1, False)])
def test_a_content_with_its_names_is_at_most_900_kib(extra: int, fits: bool) -> None:
    values = {f"K{n:03}": b"x" * 16_380 for n in range(56)}  # 56 times 16,384 bytes, names included
    rest = 900 * 1024 - 56 * 16_384
    values["REST"] = b"x" * (rest - 4 + extra)
    if fits:
        payload.check_sizes(values)
        return
    with pytest.raises(Problem) as raised:
        payload.check_sizes(values)
    assert raised.value.reason is Reason.TOO_LARGE


def test_reserved_names_are_refused_all_at_once_and_by_name() -> None:
    reserved = names.RESERVED_KEYS | {"MINE"}
    with pytest.raises(Problem, match=r"'LIVEKIT_URL', 'MINE'") as raised:
        payload.check_keys(["A", "MINE", "LIVEKIT_URL"], reserved)
    assert raised.value.reason is Reason.INVALID_SPEC
    payload.check_keys(["A", "livekit_url", "LIVEKIT_URL2"], reserved)  # case-sensitive, whole names only


@pytest.mark.parametrize("key", ["", "a.b", "k" * 65, "a\n"])
def test_keys_that_break_the_rule_are_refused(key: str) -> None:
    with pytest.raises(Problem) as raised:
        payload.check_keys(["GOOD", key], ())
    assert raised.value.reason is Reason.INVALID_SPEC
