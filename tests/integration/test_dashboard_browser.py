"""The dashboard in a real browser: a viewer looks, an editor and an admin act; values are sealed before they leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from harness import Org, eventually
from harness.api import NO_LIMIT, Api, served, token_of
from harness.browsing import Chromium, Tab, browser
from harness.manifests import value_from
from harness.script import needs_browser
from kubelab.plane import ControlPlane

pytestmark = needs_browser

XSS = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'>"
PHONE, DESK = ViewportSize(width=360, height=740), ViewportSize(width=1280, height=900)


@pytest.fixture(scope="module")
def pages(hub: ControlPlane, canaries: list[str]) -> Iterator[Api]:
    with served(hub, canaries, *NO_LIMIT, "--dashboard") as api:
        yield api


@pytest.fixture
def chromium(tmp_path: Path) -> Iterator[Chromium]:
    with browser(tmp_path / "profile") as found:
        yield found


Visit = Callable[[str], AbstractContextManager[Tab]]


@pytest.fixture
def visit(pages: Api, chromium: Chromium, team: Org) -> Visit:
    """A page of somebody with a role, who does nothing wrong while looking."""

    @contextmanager
    def signed_in(role: str) -> Iterator[Tab]:
        with chromium.tab(pages.url) as tab:
            tab.page.set_default_timeout(20_000)
            tab.sign_in(token_of(team, role, role))
            yield tab
            assert tab.wrong == []

    return signed_in


@pytest.fixture
def team(org: Org, operator: object) -> Org:
    org.source()
    org.secret_set("app", data={"A": value_from("src", "a"), "B": value_from("src", "a")}, description="The shop")
    org.secret_set("broken", data={"A": value_from("nothing", "a")}, description=XSS, metadata={"owner": XSS})
    pod = {"containers": [{"name": "app", "image": "app:1", "envFrom": [{"secretRef": {"name": "app"}}]}]}
    org.deployment("web", pod)
    org.reaches("ready")
    org.reaches("pending", "SourceMissing", name="broken")
    return org


def fill(page: Page, number: int, key: str, value: str) -> None:
    page.get_by_label("Key", exact=True).nth(number).fill(key)
    page.get_by_label("Value", exact=True).nth(number).fill(value)


# --- looking


def test_a_viewer_looks_and_sees_changes_without_loading_again(visit: Visit, team: Org) -> None:
    with visit("viewer") as tab:
        page = tab.page
        expect(page.get_by_role("heading", name="What needs attention")).to_be_visible()
        page.get_by_role("link", name="Sets", exact=True).click()
        expect(page.get_by_text("2 of 2 sets")).to_be_visible()
        page.evaluate("window.loaded = 1")
        page.get_by_label("Search").fill("half a wo")
        team.secret_set("late")
        expect(page.get_by_role("link", name="late")).to_be_visible()
        assert page.evaluate("window.loaded") == 1, "the page was loaded again"
        expect(page.get_by_label("Search")).to_have_value("half a wo")
        page.get_by_role("link", name="app").click()
        team.source(a="another")
        expect(page.get_by_text("revision 2").first).to_be_visible()
        expect(page.get_by_role("button", name="Restart", exact=True)).to_be_disabled()
        expect(page.get_by_role("link", name="Replace")).to_have_count(0)


def test_what_somebody_is_about_to_do_stays_under_their_hand(visit: Visit, team: Org) -> None:
    with visit("editor") as tab:
        page = tab.go(f"/sets/{team.name}/app")
        page.locator("[id='key/B']").get_by_text("Take out").click()
        button = page.get_by_role("button", name="Take B out")
        expect(button).to_be_visible()
        team.secret_set("app", data={key: value_from("src", "a") for key in ("AA", "A", "B")}, description="Newer")
        expect(page.get_by_text("Newer", exact=True)).to_be_visible()
        expect(button).to_be_visible()
        expect(page.get_by_role("heading", name="Keys (2)")).to_be_visible()
        page.locator("[id='key/B']").get_by_text("Take out").click()
        team.secret_set("app", data={key: value_from("src", "a") for key in ("AA", "B")}, description="Newest")
        expect(page.get_by_role("heading", name="Keys (2)")).to_be_visible()
        expect(page.locator("[id='key/AA']")).to_be_visible()


def test_a_page_says_that_what_it_shows_is_gone(visit: Visit, team: Org) -> None:
    with visit("viewer") as tab:
        page = tab.go(f"/sets/{team.name}/app")
        team.kubectl("delete", "secretset", "app")
        expect(page.locator("#stale")).to_contain_text("There is no set 'app'")
        assert {line.split(": ")[1] for line in tab.wrong} == {"Failed to load resource"}
        tab.wrong.clear()


def test_commands_are_copied(visit: Visit, team: Org) -> None:
    with visit("viewer") as tab:
        tab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        tab.go(f"/sets/{team.name}/app")
        command = f"kubectl delete secretset app -n {team.name}"
        tab.page.get_by_role("button", name=f"Copy: {command}").click()
        expect(tab.page.get_by_text("Copied")).to_be_visible()
        assert tab.page.evaluate("navigator.clipboard.readText()") == command


# --- doing


def test_an_editor_makes_a_set_whose_values_leave_the_browser_sealed(
    visit: Visit, chromium: Chromium, pages: Api, team: Org
) -> None:
    first, second = team.canary(), team.canary()
    with visit("editor") as tab:
        page = tab.page
        page.get_by_role("link", name="Sets", exact=True).click()
        page.get_by_role("link", name="New set", exact=True).click()
        expect(page.get_by_label("Organization", exact=True)).to_have_value(team.name)
        page.get_by_label("Name", exact=True).fill("fresh")
        page.get_by_label("Description").fill(XSS)
        fill(page, 0, "FIRST", first)
        page.get_by_role("button", name="Add another key").click()
        fill(page, 1, "SECOND", f"{second}\nof two lines")
        page.get_by_role("button", name="Create").click()
        page.wait_for_url(f"**/sets/{team.name}/fresh")
        team.reaches("ready", name="fresh")
        assert team.values("fresh") == {"FIRST": first.encode(), "SECOND": f"{second}\nof two lines".encode()}
        expect(page.get_by_text("ready", exact=True).first).to_be_visible()
        assert tab.stored() == {}
        seen = "\n".join([page.content(), *tab.sent, pages.process.log.read_text(), *map(str, page.context.cookies())])
    disk = chromium.written()
    assert disk, "the browser's profile was looked at"
    for secret in (first, second):
        assert secret not in seen
        assert secret.encode() not in disk
        assert secret.encode("utf-16-le") not in disk, "what is typed into forms is kept so"


def test_an_editor_takes_keys_from_a_file_and_sees_what_would_restart(visit: Visit, team: Org, tmp_path: Path) -> None:
    wanted, left = team.canary(), team.canary()
    (tmp_path / ".env").write_text(
        f"# of the shop\nexport A='{wanted}'\nEMPTY=\nLEFT={left}\nnot.a.key=x\n'{XSS.replace(chr(39), '')}'=y\n"
    )
    team.secret_set("plain", data={"A": value_from("src", "a")})
    team.reaches("ready", name="plain")
    with visit("editor") as tab:
        page = tab.page
        tab.go(f"/sets/{team.name}/app/values")
        page.get_by_label("Or take them out of").set_input_files(tmp_path / ".env")
        expect(page.get_by_label("not.a.key")).to_be_disabled()
        expect(page.get_by_label("EMPTY")).not_to_be_checked()
        page.get_by_label("LEFT").uncheck()
        page.get_by_role("button", name="Take these").click()
        expect(page.get_by_label("Key", exact=True)).to_have_count(1)
        generation = team.generation("web")
        page.get_by_role("button", name="What would restart?").click()
        expect(page.get_by_text("1 of 1 workloads would restart")).to_be_visible()
        expect(page.get_by_role("row", name="Deployment web yes")).to_be_visible()
        assert team.generation("web") == generation, "nothing restarts because somebody asked"
        page.get_by_role("button", name="Save").click()
        page.wait_for_url(f"**/sets/{team.name}/app")
        eventually(lambda: team.values().get("A") == wanted.encode(), "the new value")
        eventually(lambda: team.generation("web") == generation + 1, "the restart")
        assert left not in "\n".join(tab.sent)


def test_what_is_refused_keeps_what_was_typed_and_shows_none_of_it(visit: Visit, team: Org) -> None:
    secret = team.canary()
    with visit("editor") as tab:
        page = tab.page
        tab.go(f"/new/set?organization={team.name}")
        page.get_by_label("Name", exact=True).fill("app")
        fill(page, 0, "A", secret)
        page.get_by_role("button", name="Add another key").click()
        fill(page, 1, "A", "again")
        page.get_by_role("button", name="Create").click()
        expect(page.get_by_role("alert")).to_contain_text("A stands there twice")
        page.get_by_role("button", name="Take this row away").nth(1).click()
        page.get_by_role("button", name="Create").click()
        expect(page.get_by_role("alert")).to_contain_text("there is a set 'app' already")
        expect(page.get_by_label("Value", exact=True)).to_have_value(secret)
        assert tab.wrong == ["console: Failed to load resource: the server responded with a status of 409 (Conflict)"]
        tab.wrong.clear()
        assert secret not in "\n".join([page.content(), *tab.sent])
        assert team.values() != {"A": secret.encode()}


def test_an_admin_makes_a_pull_secret_and_replaces_its_password(visit: Visit, team: Org) -> None:
    password, other = team.canary(), team.canary()
    with visit("admin") as tab:
        page = tab.page
        tab.go(f"/new/pull-secret?organization={team.name}")
        page.get_by_label("Name", exact=True).fill("registry")
        page.get_by_label("Registry").fill("registry.example.com")
        page.get_by_label("User", exact=True).fill("robot")
        page.get_by_label("Password, or token").fill(password)
        page.get_by_role("button", name="Create").click()
        page.wait_for_url(f"**/sets/{team.name}/registry")
        team.reaches("ready", name="registry", kind="imagepullsecret")
        assert password.encode() in team.values("registry")[".dockerconfigjson"]
        tab.go(f"/sets/{team.name}/registry/values")
        page.get_by_label("Password, or token").fill(other)
        page.get_by_role("button", name="Save").click()
        eventually(lambda: other.encode() in team.values("registry")[".dockerconfigjson"], "the new password")


def test_an_editor_restarts_takes_out_and_deletes(visit: Visit, team: Org) -> None:
    with visit("editor") as tab:
        page = tab.page
        tab.go(f"/sets/{team.name}/app")
        generation = team.generation("web")
        page.get_by_role("button", name="Restart", exact=True).click()
        eventually(lambda: team.generation("web") == generation + 1, "the restart")
        page.locator("[id='key/B']").get_by_text("Take out").click()
        page.get_by_role("button", name="Take B out").click()
        expect(page.get_by_role("heading", name="Keys (1)")).to_be_visible()
        expect(page.get_by_text("1 workloads use it: Deployment web")).to_be_visible()
        page.get_by_label("Type app").fill("app")
        page.get_by_role("button", name="Delete", exact=True).click()
        page.wait_for_url(f"**/sets?organization={team.name}")
        eventually(lambda: team.get("secretset", "app") is None, "the deletion")


# --- for everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_a_phone(
    pages: Api, chromium: Chromium, team: Org, scheme: str
) -> None:
    with chromium.tab(pages.url, color_scheme=scheme) as tab:
        tab.go("/sign-in")
        found = {"/sign-in": (tab.complaints(), 0)}
        tab.sign_in(token_of(team, "editor", "editor"))
        here = f"/sets/{team.name}/app"
        for path in (
            "/",
            "/sets",
            here,
            f"{here}/values",
            f"/sets/{team.name}/broken",
            "/new/set",
            "/new/pull-secret",
            "/regions",
            "/regions/us-west",
        ):
            tab.page.set_viewport_size(DESK)
            tab.go(path)
            complaints = tab.complaints()
            tab.page.set_viewport_size(PHONE)
            found[path] = (complaints, tab.overflow())
        assert {path: told for path, told in found.items() if told != ([], 0)} == {}
        assert tab.wrong == []


def test_a_keyboard_is_enough(visit: Visit, team: Org) -> None:
    with visit("viewer") as tab:
        page = tab.go("/sets")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        page.get_by_role("link", name="app").focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/sets/{team.name}/app")


def test_nothing_that_people_wrote_runs(visit: Visit, team: Org) -> None:
    with visit("editor") as tab:
        page = tab.page
        for path in (
            "/",
            "/sets",
            f"/sets/{team.name}/broken",
            f"/sets/{team.name}/broken/values",
            f"/sets?text={XSS}",
        ):
            tab.go(path)
            assert page.locator("main img, main script").count() == 0
        tab.go(f"/sets?text={XSS}")
        expect(page.get_by_label("Search")).to_have_value(XSS)
        tab.go(f"/new/set?organization={team.name}")
        page.get_by_label("Name", exact=True).fill("scripted")
        page.get_by_label("Description").fill(XSS)
        fill(page, 0, XSS, "x")
        page.get_by_role("button", name="Create").click()
        expect(page.get_by_role("alert")).to_contain_text("A key is")


@pytest.mark.parametrize("field", ["Organization", "Registry", "User", "Service accounts that pull with it"])
def test_no_field_of_a_form_is_a_way_in(visit: Visit, team: Org, field: str) -> None:
    with visit("admin") as tab:
        page = tab.go(f"/new/pull-secret?organization={team.name}")
        given = {"Name": "registry", "Registry": "registry.example.com", "User": "robot", field: XSS}
        for label, text in given.items():
            page.get_by_label(label, exact=True).fill(text)
        page.get_by_label("Password, or token").fill("x")
        page.get_by_role("button", name="Create").click()
        expect(page.locator("[data-error]:visible, h1:has-text('registry')")).to_be_visible()
        tab.go("/sets")
        tab.go(f"/sets/{team.name}/registry")
        assert page.locator("main img, main script").count() == 0
        assert {line.partition(":")[2][:24] for line in tab.wrong} <= {" Failed to load resource"}
        tab.wrong.clear()


def test_the_field_for_a_token_is_no_way_in(pages: Api, chromium: Chromium) -> None:
    with chromium.tab(pages.url) as tab:
        page = tab.go(f"/sign-in?next={XSS}")
        page.get_by_label("Token").fill(XSS)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert page.locator("main img, main script").count() == 0
        assert {line.partition(":")[2][:24] for line in tab.wrong} <= {" Failed to load resource"}


def test_nothing_is_loaded_from_elsewhere(visit: Visit, pages: Api, team: Org) -> None:
    with visit("viewer") as tab:
        for path in ("/", "/sets", f"/sets/{team.name}/app", "/regions"):
            tab.go(path)
        assert [line for line in tab.sent if f" {pages.url}/" not in line] == []
        addresses = [line.split(" ", 2)[1] for line in tab.sent]
        assert any("/live?" in each for each in addresses)
