"""Which region a set lives in that names none, and what an on-call engineer sees of Regions."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness import Away, Org, Proxy, eventually, guarded, holds
from kubelab.plane import ControlPlane

DEFAULT = "secretset.dev/default-region"


@pytest.fixture
def org(org: Org) -> Iterator[Org]:
    org.source()
    with guarded(org):
        yield org


def default(org: Org, name: str) -> tuple[str, str] | None:
    """(status, reason) of the condition `Default` of a Region."""
    status = (org.get("region", name) or {}).get("status") or {}
    return next(((c["status"], c["reason"]) for c in status.get("conditions") or () if c["type"] == "Default"), None)


def message(org: Org, name: str) -> str:
    status = (org.get("region", name) or {}).get("status") or {}
    return str(next(c["message"] for c in status["conditions"] if c["type"] == "Default"))


def mark(org: Org, name: str, *, on: bool) -> None:
    org.plane.kubectl("patch", "region", name, "--type=merge", "-p", json.dumps({"spec": {"default": on or None}}))


@pytest.fixture
def unmarked(org: Org) -> Iterator[None]:
    """A hub without a default region; us-west is it again afterwards."""
    mark(org, "us-west", on=False)
    yield
    mark(org, "us-west", on=True)


def test_of_two_defaults_both_say_so_and_the_older_counts(org: Org) -> None:
    eventually(lambda: default(org, "us-west") == ("True", "OnlyDefault"))
    org.secret_set("early")
    settled = org.reaches("ready", name="early")
    late = org.region(f"{org.name}-late", namespace=org.regional, default=True)
    eventually(lambda: default(org, late) == ("False", "SeveralDefaults"))
    eventually(lambda: default(org, "us-west") == ("True", "SeveralDefaults"))
    assert "'us-west'" in message(org, late)
    assert "unmark" in message(org, late)
    assert f"'{late}'" in message(org, "us-west")
    org.secret_set("middle")
    assert org.reaches("ready", name="middle")["region"] == "us-west"
    # Unmarking one of them is the way out.
    mark(org, "us-west", on=False)
    try:
        eventually(lambda: default(org, late) == ("True", "OnlyDefault"))
        eventually(lambda: default(org, "us-west") is None)
        org.secret_set("later")
        assert org.reaches("ready", name="later")["region"] == late
        # Who lives somewhere stays there.
        org.poke("early")
        holds(lambda: org.status("early") == settled, seconds=1.5)
        org.source("src", a=org.canary())
        eventually(lambda: org.status("early").get("revision") == 2)
        assert org.reaches("ready", name="early")["region"] == "us-west"
    finally:
        mark(org, "us-west", on=True)
    eventually(lambda: default(org, late) == ("False", "SeveralDefaults"))
    mark(org, late, on=False)
    eventually(lambda: default(org, "us-west") == ("True", "OnlyDefault"))
    assert org.reaches("ready", name="later")["region"] == late


def test_a_default_that_is_deleted_takes_nobody_along(org: Org, unmarked: None) -> None:
    first = org.region(f"{org.name}-first", namespace=org.regional, default=True)
    org.secret_set("app")
    org.reaches("ready")
    before = org.managed("app")
    mark(org, "us-west", on=True)
    org.plane.kubectl("delete", "region", first)
    told = org.reaches("failed", "RegionUnknown")
    assert (told["region"], told["secretRef"]["region"]) == (first, first)
    assert f"'{first}'" in told["message"]
    org.poke("app")
    holds(lambda: org.status("app").get("region") == first, seconds=1)
    org.secret_set("other")
    assert org.reaches("ready", name="other")["region"] == "us-west"
    org.region(first, namespace=org.regional)
    org.reaches("ready", "Synced")
    assert org.managed("app") == before


def test_a_set_that_waits_for_a_default_gets_the_one_that_comes(org: Org, unmarked: None) -> None:
    org.secret_set()
    told = org.reaches("failed", "RegionUnknown")
    assert "region" not in told
    name = org.region(f"{org.name}-new", namespace=org.regional, default=True)
    assert org.reaches("ready", "Synced")["region"] == name


def test_the_annotation_of_an_organization(org: Org) -> None:
    """It comes before every mark; one that leads nowhere is told, and settles nothing."""
    own = org.region(f"{org.name}-own", namespace=org.regional)
    org.plane.kubectl("annotate", "namespace", org.name, f"{DEFAULT}={org.name}-missing")
    time.sleep(0.3)
    org.secret_set("lost")
    told = org.reaches("failed", "RegionUnknown", name="lost")
    assert f"'{org.name}-missing'" in told["message"]
    assert "region" not in told
    org.plane.kubectl("annotate", "--overwrite", "namespace", org.name, f"{DEFAULT}={own}")
    assert org.reaches("ready", name="lost")["region"] == own
    org.secret_set("named", region="us-west")
    assert org.reaches("ready", name="named")["region"] == "us-west"
    org.plane.kubectl("annotate", "namespace", org.name, f"{DEFAULT}-")
    time.sleep(0.3)
    org.secret_set("plain")
    assert org.reaches("ready", name="plain")["region"] == "us-west"
    assert org.reaches("ready", name="lost")["region"] == own


def test_what_kubectl_get_regions_shows(org: Org) -> None:
    name = org.region(f"{org.name}-shown", namespace=org.regional)
    broken = org.region(f"{org.name}-broken", cluster=_nowhere(org))
    for set_name in ("one", "two"):
        org.secret_set(set_name, region=name)
        org.reaches("ready", name=set_name)
    org.secret_set("stuck", region=broken)
    org.reaches("pending", name="stuck")
    row = eventually(lambda: _row(org, name, READY="2"), "the counts")
    version = json.loads(org.plane.kubectl("version", "-o", "json").stdout)["serverVersion"]["gitVersion"]
    assert {k: row[k] for k in ("STATUS", "REACHABLE", "AUTHORIZED", "REASON", "DEFAULT", "PENDING", "FAILED")} == {
        "STATUS": "ready",
        "REACHABLE": "True",
        "AUTHORIZED": "True",
        "REASON": "Reachable",
        "DEFAULT": "",
        "PENDING": "0",
        "FAILED": "0",
    }
    assert row["VERSION"] == version
    assert row["LAST CONTACT"] == ""  # it is in contact
    assert row["AGE"]
    assert (_row(org, "us-west") or {})["DEFAULT"] == "True"
    sick = eventually(lambda: _row(org, broken, PENDING="1"), "the counts of the other")
    assert (sick["STATUS"], sick["REACHABLE"], sick["REASON"]) == ("failed", "Unknown", "RegionNotReady")
    assert sick["AUTHORIZED"] == "Unknown"


def test_what_kubectl_get_regions_shows_of_one_that_is_lost(org: Org, abroad: ControlPlane) -> None:
    with Proxy.to(abroad) as link:
        away = Away(org, abroad)
        away.use(link.kubeconfig(away.credentials(abroad)))
        away.deliver()
        assert eventually(lambda: _row(away, away.region_name, READY="1", STATUS="ready"))["LAST CONTACT"] == ""
        link.refuse()
        row = eventually(lambda: _row(away, away.region_name, STATUS="pending"), "the loss")
        assert (row["REACHABLE"], row["AUTHORIZED"], row["REASON"]) == ("False", "Unknown", "RegionUnreachable")
        assert re.fullmatch(r"\d+s|\d+m\d*s?", row["LAST CONTACT"])
        assert (row["READY"], row["VERSION"] != "") == ("1", True)
        link.up()
        back = eventually(lambda: _row(away, away.region_name, STATUS="ready"), "its return")
        assert (back["REACHABLE"], back["AUTHORIZED"], back["LAST CONTACT"]) == ("True", "True", "")
        away.forget_regions()


def _nowhere(org: Org) -> dict[str, Any]:
    return {"kubeconfigSecretRef": {"namespace": "secretset-system", "name": f"none-{org.name}", "key": "config"}}


def _row(org: Org, name: str, **wanted: str) -> dict[str, str] | None:
    """The line of a Region in the real output, by column; None while it does not show what is wanted."""
    head, *lines = org.plane.kubectl("get", "regions").stdout.splitlines()
    titles = list(re.finditer(r"\S+( \S+)*", head))  # a title may be of two words
    ends = [*(title.start() for title in titles[1:]), None]
    for line in lines:
        row = {title[0]: line[title.start() : end].strip() for title, end in zip(titles, ends, strict=True)}
        if row["NAME"] == name and wanted.items() <= row.items():
            return row
    return None
