"""Pictures of each page, of a hub as there could be one; with SECRETSET_PICTURES=docs/images they are kept there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import ViewportSize, expect

from harness import OperatorProcess, Org, eventually, start_hub
from harness.api import NO_LIMIT, Api, served, token_of
from harness.browsing import Tab, browser
from harness.manifests import value_from
from harness.script import needs_browser
from kubelab.plane import ControlPlane
from kubelab.pytest_plugin import ControlPlanes

pytestmark = needs_browser

SIZE, PHONE = ViewportSize(width=1200, height=800), ViewportSize(width=390, height=844)


@pytest.fixture(scope="module")
def hub(module_control_planes: ControlPlanes) -> ControlPlane:
    return start_hub(module_control_planes, "pictures")


@pytest.fixture(scope="module")
def pages(hub: ControlPlane, canaries: list[str]) -> Iterator[Api]:
    operator = OperatorProcess(hub, "--quiet-seconds", "0.4")
    operator.start()
    with served(hub, canaries, *NO_LIMIT, "--dashboard") as api:
        yield api
    assert operator.stop() == 0


@pytest.fixture(scope="module")
def shop(hub: ControlPlane, pages: Api, canaries: list[str]) -> Org:
    """Three organizations, with what goes well and what does not."""
    for name, sets in {
        "shop": ("checkout", "search", "mail"),
        "voice": ("agents", "numbers"),
        "data": ("lake",),
    }.items():
        org = Org(hub, name, canaries).create()
        org.source_of({"token": org.canary(), "url": org.canary()})
        data = {"DATABASE_URL": value_from("src", "url"), "API_KEY": value_from("src", "token")}
        for each in sets:
            org.secret_set(each, data=data, description=f"What {each} needs")
            pod = {"containers": [{"name": "app", "image": "app:1", "envFrom": [{"secretRef": {"name": each}}]}]}
            org.deployment(f"{each}-api", pod)
            if each in {"checkout", "agents"}:
                org.deployment(f"{each}-worker", pod)
        for each in sets:
            org.reaches("ready", name=each)
    org = Org(hub, "voice", canaries)
    org.secret_set("recordings", data={"KEY": value_from("not-there", "key")}, description="Where calls are kept")
    org.reaches("pending", "SourceMissing", name="recordings")
    return Org(hub, "shop", canaries)


def signed_in(tab: Tab, org: Org) -> None:
    token = token_of(org, "ada", "editor")
    subjects = [{"kind": "ServiceAccount", "name": "ada", "namespace": org.name}]
    for role in ("secretset-editor", "secretset-regions-viewer"):
        org.apply(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": f"ada-{role}"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": subjects,
            }
        )
    tab.sign_in(token)


def test_pictures(pages: Api, shop: Org, tmp_path: Path) -> None:
    folder = Path(os.environ.get("SECRETSET_PICTURES") or tmp_path)
    with browser(tmp_path / "profile") as chromium, chromium.tab(pages.url, color_scheme="light") as tab:
        page = tab.page

        def picture(name: str) -> None:
            page.screenshot(path=folder / f"dashboard-{name}.png", animations="disabled", full_page=name == "set")
            assert (folder / f"dashboard-{name}.png").stat().st_size < 300_000

        page.set_viewport_size(SIZE)
        tab.go("/sign-in")
        picture("sign-in")
        signed_in(tab, shop)
        eventually(lambda: "recordings" in tab.go("/").content(), "the overview of all")
        picture("overview")
        page.emulate_media(color_scheme="dark")
        picture("overview-dark")
        page.emulate_media(color_scheme="light")
        tab.go("/sets")
        picture("sets")
        tab.go("/sets/shop/checkout")
        picture("set")
        tab.go("/sets/shop/checkout/values?key=API_KEY")
        page.get_by_label("Value", exact=True).fill("not the real one")
        page.get_by_role("button", name="What would restart?").click()
        expect(page.get_by_text("workloads would restart")).to_be_visible()
        picture("values")
        tab.go("/new/pull-secret?organization=shop")
        picture("new")
        tab.go("/new/set?organization=shop")
        picture("new-set")
        tab.go("/regions")
        picture("regions")
        tab.go("/regions/us-west")
        picture("region")
        page.set_viewport_size(PHONE)
        tab.go("/")
        picture("phone")
        assert tab.wrong == []
