"""People at the REST API: tokens of an OIDC provider that the hub trusts, and no other."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from harness import eventually, grant, install_hub, namespace
from harness.api import Api, served
from kubelab import pki
from kubelab.pytest_plugin import ControlPlanes

AUDIENCE = "secretset-test"
ANN = "ann@example.com"


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Issuer:
    """A provider with one key: what an API server asks of it, and tokens."""

    def __init__(self, folder: Path) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        authority = pki.Authority.create("issuer")
        pki.save(folder, "issuer", authority.serving())
        self.ca = folder / "issuer-ca.crt"
        self.ca.write_bytes(authority.pair.certificate)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(folder / "issuer.crt", folder / "issuer.key")
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def token(self, email: str, *, audience: str = AUDIENCE, seconds: float = 3600) -> str:
        head = {"alg": "RS256", "kid": "one", "typ": "JWT"}
        now = time.time()
        claims = {"iss": self.url, "aud": audience, "sub": "1", "email": email, "exp": int(now + seconds)}
        body = ".".join(_text(json.dumps(part).encode()) for part in (head, claims))
        return f"{body}.{_text(self._key.sign(body.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(issuer._answer(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def _answer(self, path: str) -> dict[str, Any]:
        if path != "/keys":
            algorithms = {"id_token_signing_alg_values_supported": ["RS256"], "subject_types_supported": ["public"]}
            return {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "response_types_supported": ["id_token"],
                **algorithms,
            }
        numbers = self._key.public_key().public_numbers()
        parts = {name: _text(number.to_bytes((number.bit_length() + 7) // 8)) for name, number in
                 (("n", numbers.n), ("e", numbers.e))}  # fmt: skip
        return {"keys": [{"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", **parts}]}


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[Issuer]:
    issuer = Issuer(tmp_path)
    yield issuer
    issuer.stop()


@pytest.fixture
def people(function_control_planes: ControlPlanes, issuer: Issuer, canaries: list[str]) -> Iterator[Api]:
    """The API of a hub that trusts the issuer; Ann is an editor of `shop`."""
    arguments = (
        f"--oidc-issuer-url={issuer.url}",
        f"--oidc-client-id={AUDIENCE}",
        f"--oidc-ca-file={issuer.ca}",
        "--oidc-username-claim=email",
    )
    (plane,) = function_control_planes(["oidc"], extra_apiserver_args=arguments)
    install_hub(plane)
    with served(plane, canaries) as api:
        documents = [namespace("shop"), namespace("other"), grant(ANN, "secretset-editor", "shop")]
        for document in documents:
            plane.kubectl("apply", "-f", "-", input=json.dumps(document))
        yield api


def test_people_come_with_tokens_of_their_provider(people: Api, issuer: Issuer) -> None:
    ann = people.user(issuer.token(ANN), "/v1")
    eventually(lambda: ann.get("/users").status == 200, "the hub knows the issuer")
    assert ann.get("/users").json == {"user": {"userId": ANN, "emails": [{"emailAddress": ANN}]}}
    shop = people.user(f"pcc_pat_{ann.token}", "/v1/organizations/shop")
    assert shop.get("/secrets").json == {"sets": []}
    # No operator runs here that would publish a key to seal with.
    assert shop.values("app", A="x").error[:2] == (503, "NO_SEALING_KEYS")
    assert people.user(ann.token, "/v1/organizations/other").get("/secrets").status == 404
    for reply in (ann.get("/secrets"), ann.values("app", A="x"), ann.get("/regions"), ann.delete("/secrets/app")):
        status, code, text = reply.error
        assert (status, code) == (400, "GENERIC_BAD_REQUEST")
        assert "/v1/organizations/{organization}" in text
    assert {line["who"] for line in people.audit() if line["outcome"] != 401} == {ANN}
    bob = people.user(issuer.token("bob@example.com"), "/v1/organizations/shop")
    assert bob.get("/secrets").status == 404
    for token in (issuer.token(ANN, audience="another"), issuer.token(ANN, seconds=-60), f"{ann.token}x"):
        assert people.user(token, "/v1/organizations/shop").get("/secrets").error == (401, "401", "Unauthorized")
