"""The dashboard on a real hub: signing in, what is shown to whom, what can be done, and what must never be there."""

from __future__ import annotations

import re
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from harness import Org, eventually
from harness.api import NO_LIMIT, Api, served, token_of
from harness.manifests import value_from
from harness.pages import Browser
from harness.sealed import published
from kubelab.plane import ControlPlane
from secretset.domain.names import Kind
from secretset.domain.sealing import Place
from secretset.web.cookies import NAME
from secretset.web.templates import script

SCRIPT = '<script src="{}" defer>'
XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def pages(hub: ControlPlane, canaries: list[str]) -> Iterator[Api]:
    with served(hub, canaries, *NO_LIMIT, "--dashboard") as api:
        yield api


@pytest.fixture
def team(org: Org, operator: object) -> Org:
    """An organization with a set that is ready, and one that cannot be."""
    org.source()
    org.secret_set("app", data={"A": value_from("src", "a"), "B": value_from("src", "a")})
    org.secret_set("broken", data={"A": value_from("nothing", "a")}, description=XSS, metadata={"owner": XSS})
    org.reaches("ready")
    org.reaches("pending", "SourceMissing", name="broken")
    return org


def browser(pages: Api, team: Org, role: str) -> Browser:
    found = Browser(pages.url)
    reply = found.sign_in(token_of(team, role, role))
    assert (reply.status, reply.headers["Location"]) == (303, "/")
    return found


# --- signing in


def test_a_page_leads_to_the_form_and_back(pages: Api, team: Org) -> None:
    visitor = Browser(pages.url)
    reply = visitor.get("/sets?text=app")
    assert (reply.status, reply.headers["Location"]) == (303, "/sign-in?next=%2Fsets%3Ftext%3Dapp")
    form = visitor.get(reply.headers["Location"])
    assert (form.status, form.title) == (200, "Sign in")
    assert 'value="/sets?text=app"' in form.text
    reply = visitor.sign_in(token_of(team, "viewer", "viewer"), "/sets?text=app")
    assert (reply.status, reply.headers["Location"]) == (303, "/sets?text=app")
    assert re.fullmatch(
        rf"{NAME}=[\w=-]+; Path=/; Max-Age=28800; Secure; HttpOnly; SameSite=Strict", reply.headers["Set-Cookie"]
    )
    assert visitor.get("/sets").title == "Sets"
    assert visitor.post("/sign-out").headers["Location"] == "/sign-in"
    assert visitor.get("/sets").status == 303


@pytest.mark.parametrize("token", ["", "not a token", "ä", "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmVk"])
def test_what_the_hub_does_not_accept_is_told_and_not_shown(pages: Api, token: str) -> None:
    reply = Browser(pages.url).sign_in(token)
    assert reply.status in {400, 401}
    assert 'role="alert"' in reply.text
    assert not token or token not in reply.text
    assert reply.headers["Set-Cookie"] is None


@pytest.mark.parametrize(
    "then", ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_nobody_is_led_elsewhere(pages: Api, team: Org, then: str) -> None:
    reply = Browser(pages.url).sign_in(token_of(team, "viewer", "viewer"), then)
    assert (reply.status, reply.headers["Location"]) == (303, "/")


def test_a_cookie_is_of_no_use_to_the_api_nor_a_token_to_a_page(pages: Api, team: Org) -> None:
    viewer = browser(pages, team, "viewer")
    assert viewer.get("/v1/organizations").status == 401
    assert Browser(pages.url).ask("GET", "/sets", Authorization=f"Bearer {token_of(team, 'viewer', '')}").status == 303


# --- looking


def test_a_viewer_sees_the_sets_of_the_organization_and_no_others(pages: Api, team: Org) -> None:
    viewer = browser(pages, team, "viewer")
    overview = viewer.get("/")
    assert overview.title == "Overview"
    assert f"{team.name}/broken" in overview.text
    assert "SourceMissing" in overview.text
    table = viewer.get("/sets")
    assert "2 of 2 sets" in table.text
    assert f'href="/sets/{team.name}/app"' in table.text
    assert "1 of 2 sets" in viewer.get("/sets?phase=ready").text
    assert viewer.get("/sets/kube-system/app").status == 404
    assert viewer.get(f"/sets/{team.name}/no-such").status == 404


def test_changes_are_there_at_the_next_look(pages: Api, team: Org) -> None:
    viewer = browser(pages, team, "viewer")
    assert "2 of 2 sets" in viewer.get("/sets").text
    team.secret_set("late")
    eventually(lambda: "3 of 3 sets" in viewer.get("/sets").text, "the new set")


def test_one_set_tells_why_and_what_to_do(pages: Api, team: Org) -> None:
    viewer = browser(pages, team, "viewer")
    broken = viewer.get(f"/sets/{team.name}/broken")
    assert "SourceMissing" in broken.text
    assert "secretset.dev/source=true" in broken.text
    app = viewer.get(f"/sets/{team.name}/app")
    assert "from Secret <code>src/a</code>" in app.text
    assert f"kubectl describe secretset app -n {team.name}" in app.text


def test_regions_are_shown_to_who_may_see_them(pages: Api, team: Org) -> None:
    viewer = browser(pages, team, "viewer")
    assert 'href="/regions/us-west"' in viewer.get("/regions").text
    region = viewer.get("/regions/us-west")
    assert (region.status, region.title) == (200, "us-west")
    assert "Reachable" in region.text
    assert viewer.get("/regions/no-such").status == 404


def test_an_organization_that_is_asked_for_by_name_is_shown_to_who_may_see_it(
    pages: Api, team: Org, new_org: Callable[[str], Org]
) -> None:
    """Service accounts may not list namespaces: Kubernetes tells them of no other than their own."""
    viewer = browser(pages, team, "viewer")
    other = new_org(f"{team.name}-other").create()
    other.source()
    other.secret_set("theirs")
    assert "2 of 2 sets" in viewer.get(f"/sets?organization={team.name}").text
    assert "theirs" not in viewer.get(f"/sets?organization={other.name}").text
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "guest", "namespace": other.name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "secretset-viewer"},
        "subjects": [{"kind": "ServiceAccount", "name": "viewer", "namespace": team.name}],
    }
    other.apply(binding)
    eventually(lambda: "theirs" in viewer.get(f"/sets?organization={other.name}").text, "the other organization")
    assert "3 of 3 sets" in viewer.get("/sets").text


# --- doing


def test_a_viewer_is_told_what_they_may_not_do(pages: Api, team: Org) -> None:
    viewer = browser(pages, team, "viewer")
    page = viewer.get(f"/sets/{team.name}/app")
    assert "Your role in this organization does not allow it" in page.text
    buttons = re.findall(r"<button(?![^>]*quiet\">Sign)[^>]*>", page.text)
    assert buttons
    assert all("disabled" in button for button in buttons)
    reply = viewer.act(f"/sets/{team.name}/app", "restart")
    assert reply.status == 403
    assert "You may not patch secretsets there" in reply.text
    assert viewer.act(f"/sets/{team.name}/app", "delete", name="app").status == 403


@pytest.mark.parametrize("asked", ["", "?organization={}"])
def test_only_who_may_make_sets_finds_the_way_to_the_form_on_the_table(pages: Api, team: Org, asked: str) -> None:
    table = browser(pages, team, "viewer").get("/sets" + asked.format(team.name)).text
    assert "/new/" not in table
    greyed = re.findall(r"<button(?: class=.quiet.)? disabled>(New [\w ]+)<", table)
    assert greyed == ["New set", "New image pull secret"]
    assert f"Your role in {team.name} does not allow it." in table
    table = browser(pages, team, "editor").get("/sets" + asked.format(team.name)).text
    assert f'href="/new/set?organization={team.name}"' in table
    assert f'href="/new/pull-secret?organization={team.name}"' in table
    assert "does not allow it" not in table


def test_an_editor_restarts_takes_out_and_deletes(pages: Api, team: Org) -> None:
    editor = browser(pages, team, "editor")
    team.deployment(
        "web", {"containers": [{"name": "app", "image": "app:1", "envFrom": [{"secretRef": {"name": "app"}}]}]}
    )
    here = f"/sets/{team.name}/app"
    eventually(lambda: "Deployment web" in editor.get(here).text, "the workload")
    generation = team.generation("web")
    assert editor.act(here, "restart").headers["Location"] == here
    eventually(lambda: team.generation("web") == generation + 1, "the restart")
    assert editor.act(here, "unset", key="B").status == 303
    assert editor.act(here, "unset", key="A").status == 400, "the last key stays"
    reply = editor.post(f"{here}/delete", name="app", uid="of-another")
    assert (reply.status, "another set has the name" in reply.text) == (409, True)
    reply = editor.act(here, "delete", name="another")
    assert (reply.status, "type its name" in reply.text) == (400, True)
    assert editor.get(here).status == 200
    reply = editor.act(here, "delete", name="app")
    assert (reply.status, reply.headers["Location"]) == (303, f"/sets?organization={team.name}")
    eventually(lambda: editor.get(here).status == 404, "the deletion")


def test_another_site_can_do_nothing(pages: Api, team: Org) -> None:
    editor = browser(pages, team, "editor")
    reply = editor.ask("POST", f"/sets/{team.name}/app/delete", {"name": "app"}, Sec_Fetch_Site="cross-site")
    assert reply.status == 403
    assert editor.get(f"/sets/{team.name}/app").status == 200


def test_a_link_on_another_site_leads_to_the_page_and_signs_nobody_out(pages: Api, team: Org) -> None:
    viewer = browser(pages, team, "viewer")
    reply = viewer.ask("GET", "/sets?text=app", Sec_Fetch_Site="cross-site")
    assert (reply.status, reply.headers["Set-Cookie"]) == (200, None)
    assert '<meta http-equiv="refresh" content="0; url=/sets?text=app">' in reply.text
    assert viewer.get("/sets?text=app").title == "Sets"
    stranger = Browser(pages.url)
    assert stranger.get("/sets").headers["Set-Cookie"] is None, "there is nothing to take away"


# --- what must never be there


def test_what_people_wrote_is_text_and_nothing_else(pages: Api, team: Org) -> None:
    viewer = browser(pages, team, "viewer")
    pages_of = ["/", "/sets", f"/sets/{team.name}/broken", f"/sets?text={urllib.parse.quote(XSS)}"]
    for path in [*pages_of, f"/sets?organization={urllib.parse.quote(XSS)}", f"/{urllib.parse.quote(XSS)}"]:
        page = viewer.get(path)
        assert page.status == (404 if "script" in path and "?" not in path else 200), path
        assert re.findall(r"<script[^>]*>[^<]*", page.text) in ([], [SCRIPT.format(script())]), path
        assert "<img" not in page.text, path
    assert "&lt;script&gt;" in viewer.get(f"/sets/{team.name}/broken").text


def test_every_page_forbids_what_it_does_not_need(pages: Api, team: Org) -> None:
    viewer = browser(pages, team, "viewer")
    for path in ("/", "/sets", "/regions", f"/sets/{team.name}/app", "/sign-in", "/no-such"):
        headers = viewer.get(path).headers
        assert headers["Cache-Control"] == "no-store", path
        assert "default-src 'none'" in headers["Content-Security-Policy"], path
        assert headers["X-Content-Type-Options"] == "nosniff", path
    (style,) = set(re.findall(r'href="(/static/dashboard.css[^"]*)"', viewer.get("/").text))
    assert "immutable" in viewer.get(style).headers["Cache-Control"]


def test_no_value_and_no_token_is_on_any_page_or_in_the_log(pages: Api, team: Org, canaries: list[str]) -> None:
    token = token_of(team, "viewer", "viewer")
    viewer = Browser(pages.url)
    viewer.sign_in(token)
    paths = ("/", "/sets", f"/sets/{team.name}/app", f"/sets/{team.name}/broken", "/regions")
    found = [viewer.get(path) for path in paths]
    assert [page.status for page in found] == [200] * len(paths)
    for text in [*(page.text for page in found), pages.process.log.read_text()]:
        assert token not in text
        assert viewer.cookie not in text
        assert not [value for value in canaries if value in text]
    lines = [line for line in pages.audit() if line["action"] == "GET /sets/{organization}/{name}"]
    assert lines[-1]["organization"] == team.name
    assert lines[-1]["who"] == f"system:serviceaccount:{team.name}:viewer"


# --- values


def value_of(team: Org, key: str = "NEW", *, name: str = "app", value: bytes = b"v") -> dict[str, str]:
    """The field that the page's script would send."""
    keys = published(team.plane)
    assert keys.current is not None
    place = Place(keys.installation, Kind.SECRET_SET, team.name, name, key)
    return {f"sealed.{key}": keys.current.seal(place, value)}


def test_values_arrive_sealed_or_not_at_all(pages: Api, team: Org) -> None:
    editor = browser(pages, team, "editor")
    plain = team.canary()
    here = f"/sets/{team.name}/app"
    text = value_of(team)["sealed.NEW"]
    kid = text.split(".")[1]
    for sealed in (plain, f"hpke1.{kid}.{plain}", text.replace(kid, "0" * 16), ""):
        reply = editor.act(here, "values", **{"sealed.NEW": sealed})
        assert (reply.status, "not sealed for a key of this hub" in reply.text) == (400, True)
        assert plain not in reply.text
    reply = editor.act(here, "values", NEW=plain, value=plain)
    assert (reply.status, "no sealed value arrived" in reply.text) == (400, True)
    assert sorted(team.values()) == ["A", "B"]
    assert editor.act(here, "values", **value_of(team)).headers["Location"] == here
    eventually(lambda: team.values().get("NEW") == b"v", "the value")
    assert plain not in pages.process.log.read_text()


def test_a_set_is_changed_that_was_seen_and_a_new_one_is_new(pages: Api, team: Org) -> None:
    editor = browser(pages, team, "editor")
    reply = editor.post(f"/sets/{team.name}/app/values", uid="of-another", **value_of(team))
    assert (reply.status, "Look at it first" in reply.text) == (409, True)
    reply = editor.post("/new/set", organization=team.name, name="app", **value_of(team))
    assert (reply.status, "there is a set" in reply.text) == (409, True)
    reply = editor.post("/new/set", organization=team.name, name="a", **value_of(team))
    assert reply.status == 400
    for kind, organization in (("other", team.name), ("set", "no such")):
        reply = editor.post(f"/new/{kind}", organization=organization, name="fresh", **value_of(team))
        assert reply.status == 404
    made = value_of(team, name="fresh")
    reply = editor.post("/new/set", organization=team.name, name="fresh", description=XSS, **made)
    assert (reply.status, reply.headers["Location"]) == (303, f"/sets/{team.name}/fresh")
    team.reaches("ready", name="fresh")
    assert team.values("fresh") == {"NEW": b"v"}


def test_a_viewer_is_given_no_form_that_would_work(pages: Api, team: Org) -> None:
    viewer = browser(pages, team, "viewer")
    page = viewer.get(f"/sets/{team.name}/app/values")
    assert "Your role in this organization does not allow it" in page.text
    assert viewer.act(f"/sets/{team.name}/app", "values", **value_of(team)).status == 403
    assert viewer.act(f"/sets/{team.name}/app", "preview", keys="A").status == 403


def test_a_stream_says_that_something_changed_and_no_more(pages: Api, team: Org) -> None:
    viewer = browser(pages, team, "viewer")
    (address,) = re.findall(r'data-live="([^"]+)"', viewer.get(f"/sets/{team.name}/app").text)
    request = urllib.request.Request(pages.url + address.replace("&amp;", "&"))
    request.add_header("Cookie", f"{NAME}={viewer.cookie}")
    with urllib.request.urlopen(request, timeout=30) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert stream.headers["Cache-Control"] == "no-store"
        team.source(a="another")
        lines = [stream.readline().decode() for _ in range(7)]
        assert lines[:3] == [": followed\n", "retry: 2000\n", "\n"]
        assert lines[3] == "event: changed\n"
        assert all(re.fullmatch(r'(data: ""|id: \w+\.\d+)?\n', line) for line in lines[4:]), lines
    assert Browser(pages.url).get("/live").status == 303
