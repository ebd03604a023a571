"""As much of a browser as the dashboard needs that has no scripts: pages, forms and the one cookie."""

from __future__ import annotations

import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any

from secretset.web.cookies import NAME


@dataclass(frozen=True, kw_only=True)
class Page:
    status: int
    headers: Any
    text: str

    @property
    def title(self) -> str:
        found = re.search(r"<title>(.*) · secretset</title>", self.text)
        return found[1] if found else ""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class Browser:
    """As much of one as these tests need; `harness.api` sends no cookies."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.cookie = ""
        self._opener = urllib.request.build_opener(NoRedirect)

    def ask(self, method: str, path: str, fields: dict[str, str] | None = None, **headers: str) -> Page:
        body = None if fields is None else urllib.parse.urlencode(fields).encode()
        sent = {"Sec-Fetch-Site": "same-origin"} | {name.replace("_", "-"): value for name, value in headers.items()}
        # As with SameSite=Strict: what another site leads to comes without it.
        if self.cookie and sent["Sec-Fetch-Site"] in {"same-origin", "none"}:
            sent["Cookie"] = f"{NAME}={self.cookie}"
        request = urllib.request.Request(self.url + path, data=body, headers=sent, method=method)
        try:
            with self._opener.open(request, timeout=30) as reply:
                found = Page(status=reply.status, headers=reply.headers, text=reply.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                found = Page(status=error.code, headers=error.headers, text=error.read().decode())
        cookie = found.headers["Set-Cookie"]
        if cookie is not None:
            self.cookie = cookie.partition("=")[2].partition(";")[0]
        return found

    def get(self, path: str) -> Page:
        return self.ask("GET", path)

    def post(self, path: str, **fields: str) -> Page:
        return self.ask("POST", path, fields)

    def act(self, page: str, action: str, **fields: str) -> Page:
        """Send a form of a set's page, as the page has it."""
        uid = re.search(r'name="uid" value="([^"]+)"', self.get(page).text)
        assert uid is not None
        return self.post(f"{page}/{action}", uid=uid[1], **fields)

    def sign_in(self, token: str, then: str = "/") -> Page:
        return self.post("/sign-in", token=token, next=then)
