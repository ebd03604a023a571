"""The REST API as a process: its limits, what it says while the hub is away, its log, and its end."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from harness import Org, Proxy, eventually
from harness.api import Api, ApiUser, served
from kubelab import pki
from kubelab.plane import ControlPlane


@pytest.fixture
def serve(hub: ControlPlane, canaries: list[str]) -> Iterator[Callable[..., Api]]:
    """Start an API with flags of the test's own."""
    with ExitStack() as stack:
        yield lambda *flags: stack.enter_context(served(hub, canaries, *flags))


def raw(api: Api, sent: bytes, *, wait: float = 5.0) -> bytes:
    """Send bytes, and read until the other side ends or says nothing."""
    where = urlsplit(api.url)
    found = b""
    with socket.create_connection((where.hostname, where.port), timeout=wait) as connection:
        try:
            connection.sendall(sent)
            while part := connection.recv(65_536):
                found += part
        except (TimeoutError, ConnectionResetError, BrokenPipeError):
            pass
        return found


def test_bodies_have_a_bound(serve: Callable[..., Api], org: Org) -> None:
    api = serve("--max-body-bytes", "2048")
    user = api.member(org)
    value = org.canary() * 200
    assert user.values("app", A=value).error == (413, "BODY_TOO_LARGE", "The body is longer than 2,048 bytes")
    # What does not say how long it is, is counted.
    where = urlsplit(api.url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port or 0, timeout=10)
    headers = {"Authorization": f"Bearer {user.token}", "Content-Type": "application/json"}
    parts = [value[:1000].encode() for _ in range(5)]
    connection.request("PUT", f"{user.root}/secrets/app", body=iter(parts), headers=headers, encode_chunked=True)
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["code"]) == (413, "BODY_TOO_LARGE")
    connection.close()
    assert user.values("app", A=org.canary()).status == 202


def test_rates_have_a_bound_for_each_token(serve: Callable[..., Api], org: Org) -> None:
    api = serve("--rate", "10/minute")
    user, other = api.member(org), api.member(org, "viewer")
    assert other.get("/secrets").status == 200
    replies = [user.get("/secrets") for _ in range(15)]
    assert {reply.status for reply in replies} == {200, 429}
    refused = replies[-1]
    assert refused.error[:2] == (429, "RATE_LIMITED")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert other.get("/secrets").status == 200
    # Made-up tokens count for the address that they come from.
    guesses = [api.user(f"guess{number}").get("/v1/secrets").status for number in range(15)]
    assert guesses[0] == 401
    assert guesses[-1] == 429
    assert other.get("/secrets").status == 200


def test_the_hub_may_be_away_or_hang(serve: Callable[..., Api], org: Org, hub: ControlPlane) -> None:
    with Proxy.to(hub) as link:
        api = serve("--kubeconfig", str(link.kubeconfig(hub.kubeconfig)), "--timeout", "1.5")
        user = api.member(org)
        assert user.values("app", A=org.canary()).status == 202
        link.refuse()
        reply = user.get("/secrets/app")
        assert reply.error == (503, "HUB_UNREACHABLE", "The hub could not be asked; try again")
        assert reply.headers["Retry-After"] == "1"
        link.black_hole()
        assert user.values("app", A=org.canary()).error[:2] == (504, "TIMEOUT")
        assert api.process.fetch("/healthz")[0] == 200
        link.up()
        eventually(lambda: user.get("/secrets/app").status == 200, "the hub back")


def test_a_hub_that_leads_elsewhere_gets_nobody_a_token(
    serve: Callable[..., Api], org: Org, hub: ControlPlane, tmp_path: Path
) -> None:
    reached: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reached.append(self.path)
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    class Redirects(Elsewhere):
        def do_GET(self) -> None:
            if self.path == "/readyz":
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")
                return
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{elsewhere.server_port}/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

    with HTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere, HTTPServer(("127.0.0.1", 0), Redirects) as redirects:
        threads = [threading.Thread(target=server.serve_forever) for server in (elsewhere, redirects)]
        for thread in threads:
            thread.start()
        cluster = {"server": f"http://127.0.0.1:{redirects.server_port}"}
        file = tmp_path / "redirects"
        file.write_text(
            json.dumps(
                {
                    "current-context": "a",
                    "clusters": [{"name": "a", "cluster": cluster}],
                    "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
                    "users": [],
                }
            )
        )
        try:
            api = serve("--kubeconfig", str(file))
            assert api.member(org).get("/secrets").error[:2] == (503, "HUB_UNREACHABLE")
        finally:
            for server in (elsewhere, redirects):
                server.shutdown()
            for thread in threads:
                thread.join()
    assert reached == []


def test_where_requests_come_from(serve: Callable[..., Api], org: Org) -> None:
    for flags, source in (((), "127.0.0.1"), (("--trusted-proxies", "127.0.0.0/8"), "203.0.113.7")):
        api = serve(*flags)
        api.member(org).ask("GET", "/secrets", X_Forwarded_For="203.0.113.7")
        # A line is written once its answer is sent.
        (line,) = eventually(api.audit, "the audit line")
        assert line["source"] == source


def slow(api: Api, head: str, token: str | None) -> socket.socket:
    """A request that keeps its connection: its body does not end."""
    where = urlsplit(api.url)
    connection = socket.create_connection((where.hostname, where.port), timeout=10)
    bearer = "" if token is None else f"Authorization: Bearer {token}\r\n"
    sent = f"{head} HTTP/1.1\r\nHost: x\r\n{bearer}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    connection.sendall(sent.encode())
    return connection


def test_so_many_at_a_time(serve: Callable[..., Api], org: Org) -> None:
    api = serve("--concurrency", "2")
    users = [api.member(org), api.member(org, "viewer"), api.member(org, "admin")]
    assert [user.get("/secrets").status for user in users] == [200] * 3
    first, second, third = users
    connections = [slow(api, f"PUT {first.root}/secrets/app", first.token)]
    # One has half of the room at most, and leaves the rest to others.
    eventually(lambda: first.get("/secrets").status == 429, "no more room for one")
    assert third.get("/secrets").status == 200
    connections.append(slow(api, f"PUT {second.root}/secrets/app", second.token))
    eventually(lambda: third.get("/secrets").status == 503, "no room")
    assert third.get("/secrets").error[:2] == (503, "OVERLOADED")
    for connection in connections:
        connection.close()
    eventually(lambda: third.get("/secrets").status == 200, "room again")


def test_bodies_have_a_time(serve: Callable[..., Api], org: Org) -> None:
    api = serve("--body-timeout", "0.3")
    user = api.member(org)
    with slow(api, f"PUT {user.root}/secrets/app", user.token) as connection:
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))  # and the connection ends
    assert answer.startswith(b"HTTP/1.1 408")
    assert b'{"error":"The body took longer than 0.3 seconds","code":"BODY_TIMEOUT"}' in answer
    assert user.values("app", A=org.canary()).status == 202


def test_strangers_are_not_waited_for(serve: Callable[..., Api], org: Org) -> None:
    api = serve("--services", "--concurrency", "2", "--body-timeout", "60", "--timeout", "60")
    user, stranger = api.member(org), api.user(None, f"/v1/organizations/{org.name}")
    outside = api.member(org, "", name="outside")
    routes = (("POST", "/regions"), ("POST", "/services"), ("PUT", "/services"), ("PUT", "/secrets/app"))
    with ExitStack() as connections:

        def told(method: str, path: str, token: str | None) -> bytes:
            connection = connections.enter_context(slow(api, f"{method} {user.root}{path}", token))
            return connection.recv(65_536)[:12]

        for method, path in routes:
            assert stranger.ask(method, path, b"{").error == (401, "401", "Unauthorized")
            assert user.ask(method, path, b"{").error == (400, "GENERIC_BAD_REQUEST", "Invalid request format")
            assert told(method, path, None) == b"HTTP/1.1 401"
        # Nor who may not look there, where nothing of the body is in the organization.
        for method, path in routes[:3]:
            assert told(method, path, outside.token) == b"HTTP/1.1 404"
        assert [user.get("/secrets").status for _ in range(3)] == [200] * 3


def test_what_is_no_http(api: Api) -> None:
    for sent in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n\r\n" * 3, b"X" * 100_000):
        answer = raw(api, sent)
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404")), answer
        assert b'{"error":' in answer
    # A header that does not end is not waited for.
    answer = raw(api, b"GET / HTTP/1.1\r\nX: " + b"x" * 2_000_000)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert api.user(None).get("/openapi.json").status == 200


def test_paths_and_methods(api: Api, org: Org) -> None:
    user = api.member(org, root="")
    unknown = ("/", "/v1", "/v1/", "/v1/nothing", "/v1/secrets/", "/v1/secrets/a/b/c", "/metrics", "/healthz", "/docs")
    for path in unknown:
        assert user.get(path).error == (404, "NOT_FOUND", "Not found"), path
    for path in ("/v1/secrets/..%2f..%2fx", "/v1/organizations/%2e%2e/secrets", "/v1/secrets/%00"):
        assert user.get(path).status == 404, path
    reply = user.ask("POST", "/v1/secrets", {})
    assert reply.error == (405, "METHOD_NOT_ALLOWED", "Method not allowed")
    assert "GET" in reply.headers["Allow"]


def test_the_log_tells_who_did_what_and_no_value(api: Api, org: Org, canaries: list[str]) -> None:
    user = api.member(org)
    values = {key: org.canary() for key in ("A", "B")}
    assert user.ask("PUT", "/secrets/app", {"secrets": [
        {"secretKey": key, "secretValue": value} for key, value in values.items()
    ]}, X_Request_Id="from-the-caller.1").headers["X-Request-Id"] == "from-the-caller.1"  # fmt: skip
    (line,) = eventually(
        lambda: [each for each in api.audit() if each["request_id"] == "from-the-caller.1"], "the audit line"
    )
    del line["milliseconds"], line["timestamp"], line["level"], line["logger"]
    assert line == {
        "event": "request",
        "request_id": "from-the-caller.1",
        "who": f"system:serviceaccount:{org.name}:editor",
        "source": "127.0.0.1",
        "action": "PUT /v1/organizations/{organization}/secrets/{name}",
        "organization": org.name,
        "set": "app",
        "region": None,
        "service": None,
        "bound": [],
        "keys": ["A", "B"],
        "outcome": 202,
    }
    # Values may stand in odd places: the log, which the fixture looks through, has none of them.
    lost = [org.canary() for _ in range(12)]
    user.put("/secrets/app", {"secretKey": lost[0], "secretValue": lost[1], "name": lost[2]})
    user.put("/secrets/app", {"secretKey": f"{lost[0]} ", "secretValue": 1, "region": lost[3]})
    user.put(f"/secrets/{lost[4]}", {"secretKey": "A", "secretValue": lost[5]})
    user.put("/secrets/app", f'{{"secretKey": "A", "secretValue": "{lost[6]}'.encode())
    user.put("/secrets/pull", {"isImagePullSecret": True, "host": f"https://{lost[7]}@x", "secretValue": lost[8]})
    user.delete(f"/secrets/app/{lost[9]}%20")
    user.get(f"/secrets?region={lost[10]}")
    user.ask("GET", f"/{lost[11]}", X_Request_Id=f"{lost[11]} x", User_Agent=lost[11])
    api.user(lost[11]).get(f"/v1/organizations/{lost[11]}/secrets")
    asked = eventually(lambda: [each for each in api.audit() if each["organization"] == org.name], "audit lines")
    assert all(each["who"] for each in asked)
    sane = re.compile(r"[A-Za-z0-9._-]{1,64}")
    assert all(sane.fullmatch(each["request_id"]) for each in api.audit())
    # Nor is a value in an answer, whatever it stood for.
    for body in ({"secretKey": f"{lost[0]}!", "secretValue": lost[1]}, {"secrets": lost[1]}, [lost[1]]):
        assert not [value for value in lost if value.encode() in user.put("/secrets/app", body).raw]


def test_the_log_tells_of_regions_and_services(serve: Callable[..., Api], org: Org) -> None:
    api = serve("--services")
    user = api.member(org)
    asked: list[tuple[str, str, Any]] = [
        ("POST", "/regions/us-west/enrollment-tokens", None),
        ("DELETE", "/regions/us-west", None),
        ("POST", "/regions", {"regionKey": "mine"}),
        ("GET", "/services/agent", None),
        (
            "POST",
            "/services",
            {"serviceName": "agent", "image": "a:1", "secretSet": "app", "imagePullSecretSet": "pull"},
        ),
        ("PUT", "/services", {"serviceName": "agent", "region": "us-west", "secretSet": org.canary()}),
        ("POST", "/regions", {"regionKey": org.canary()}),
    ]
    for number, (method, path, body) in enumerate(asked):
        assert user.ask(method, path, body, X_Request_Id=f"r{number}").status >= 400
    told = eventually(lambda: found if len(found := api.audit()) == len(asked) else None, "audit lines")
    assert [(line["request_id"], line["region"], line["service"], line["bound"]) for line in told] == [
        ("r0", "us-west", None, []),
        ("r1", "us-west", None, []),
        ("r2", "mine", None, []),
        ("r3", None, "agent", []),
        ("r4", None, "agent", ["app", "pull"]),
        ("r5", "us-west", "agent", []),
        ("r6", None, None, []),
    ]


def test_the_log_tells_of_what_a_limit_refuses(serve: Callable[..., Api], org: Org) -> None:
    api = serve("--rate", "1/hour")
    user = api.member(org)
    while user.get("/secrets/app").status != 429:
        pass
    eventually(lambda: api.audit()[-1]["outcome"] == 429, "the audit line")
    line = api.audit()[-1]
    assert line["action"] == "GET /v1/organizations/{organization}/secrets/{name}"
    assert line["who"] == f"system:serviceaccount:{org.name}:editor"


def test_metrics_and_health(api: Api, org: Org) -> None:
    user = api.member(org)
    user.get("/secrets")
    route = "/v1/organizations/{organization}/secrets"
    counted = f'secretset_http_requests_total{{code="200",method="GET",route="{route}"}}'
    eventually(lambda: counted in api.process.fetch("/metrics")[1], "the request counted")
    metrics = api.process.fetch("/metrics")[1]
    assert f'secretset_http_request_seconds_count{{route="{route}"}}' in metrics
    assert org.name not in metrics
    assert [api.process.fetch(path)[0] for path in ("/healthz", "/readyz")] == [200, 200]


def test_it_ends_once_it_has_answered(serve: Callable[..., Api], org: Org) -> None:
    api = serve()
    user = api.member(org)
    where = urlsplit(api.url)
    body = json.dumps({"secretKey": "A", "secretValue": org.canary()}).encode()
    with socket.create_connection((where.hostname, where.port), timeout=10) as connection:
        head = f"PUT {user.root}/secrets/app HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {user.token}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:5])
        time.sleep(0.3)
        codes: list[int] = []
        ending = threading.Thread(target=lambda: codes.append(api.process.stop()))
        ending.start()
        time.sleep(0.3)
        connection.sendall(body[5:])
        answer = connection.recv(65_536)
        ending.join(20)
    assert b"202 Accepted" in answer
    assert codes == [0]


def test_over_tls(serve: Callable[..., Api], org: Org, tmp_path: Path) -> None:
    authority = pki.Authority.create("api")
    pki.save(tmp_path, "tls", authority.serving())
    (tmp_path / "ca.crt").write_bytes(authority.pair.certificate)
    api = serve("--tls-cert", str(tmp_path / "tls.crt"), "--tls-key", str(tmp_path / "tls.key"))
    where = urlsplit(api.url)
    assert where.scheme == "https"
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    connection = http.client.HTTPSConnection(where.hostname or "", where.port or 0, context=trust, timeout=10)
    connection.request("GET", "/openapi.json")
    assert connection.getresponse().status == 200
    connection.close()
    assert raw(api, b"GET / HTTP/1.1\r\n\r\n") == b""


def test_it_says_what_it_lacks(hub: ControlPlane, tmp_path: Path) -> None:
    for flags, text in (
        (("--rate", "often"), "is no rate"),
        (("--tls-cert", "x"), "name both"),
        (("--kubeconfig", str(tmp_path / "none")), "there is no kubeconfig"),
    ):
        api = Api(hub, *flags)
        api.process.start(wait=False)
        assert api.process.ends() == 2
        assert text in api.process.log.read_text()


def test_a_user_of_no_token(api: Api) -> None:
    user = ApiUser(api=api.url, token=None)
    assert user.get("/v1/secrets").error == (401, "UNAUTHORIZED", "Unauthorized")
