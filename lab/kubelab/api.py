"""A very small client for one API server: what the lab itself has to ask, without a Kubernetes library.

The lab must not depend on the client that the tests under it are about, and needs five requests in all.
"""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

from kubelab.errors import ApiError

Json = dict[str, Any]


class Api:
    """Requests as the identity whose certificate stands in the plane's pki folder; one connection per request."""

    def __init__(self, *, port: int, pki: Path, identity: str) -> None:
        self._port = port
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / f"{identity}.crt", pki / f"{identity}.key")

    def ready(self) -> bool:
        """Whether the server says that it is ready; a refused connection is a no."""
        try:
            status, _ = self._request("GET", "/readyz", None)
        except (OSError, http.client.HTTPException):
            return False
        return status == http.HTTPStatus.OK

    def exists(self, path: str) -> bool:
        """Whether there is an object at this path."""
        return self.get(path) is not None

    def get(self, path: str) -> Json | None:
        """Reads an object; None if there is none, or if the server cannot be asked just now."""
        try:
            status, body = self._request("GET", path, None)
        except (OSError, http.client.HTTPException):
            return None
        return json.loads(body) if status == http.HTTPStatus.OK else None

    def post(self, path: str, content: Json) -> Json:
        """Creates something and returns what the server made of it.

        Raises:
            ApiError: The server refused it.
        """
        status, body = self._request("POST", path, content)
        answer: Json = json.loads(body)
        if status >= http.HTTPStatus.BAD_REQUEST:
            raise ApiError(status, str(answer.get("message", body)))
        return answer

    def _request(self, method: str, path: str, content: Json | None) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=10, context=self._context)
        try:
            headers = {"Content-Type": "application/json", "Accept": "application/json"}
            connection.request(method, path, None if content is None else json.dumps(content), headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
