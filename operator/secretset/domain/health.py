"""What `secretset doctor` says of an installation, from facts that a user may see. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from secretset.domain import advice, regions
from secretset.domain.regions import Organization, RegionRecord
from secretset.domain.sealing_keys import PublicKeys
from secretset.domain.set_view import SetView

_NAMED = 5  # names in one sentence at most
_KEY_DAYS = 30  # the operator's default for a new sealing key (--sealing-key-days)


class Level(StrEnum):
    """How something is; the order is that of severity."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line of what was found.

    Attributes:
        check: what was looked at.
        level: how it is.
        says: what was found, as a sentence.
        to_do: what to do about it; empty if there is nothing.
    """

    check: str
    level: Level
    says: str
    to_do: str = ""

    def to_json(self) -> dict[str, str]:
        """As plain JSON values."""
        found = {"check": self.check, "level": self.level.value, "says": self.says, "toDo": self.to_do}
        return {name: value for name, value in found.items() if value}


class Schema(StrEnum):
    """How a CustomResourceDefinition of ours stands."""

    CURRENT = "current"
    OTHER = "other"
    NOT_ESTABLISHED = "not-established"
    SERVED = "served"
    ABSENT = "absent"


def crd(plural: str, schema: Schema) -> Finding:
    """Of one definition; ``SERVED`` is all that somebody sees who may not read definitions."""
    check, kind = "CRD", f"{plural}.secretset.dev"
    again = "Platform team: secretset install, or: secretset crds | kubectl apply --server-side -f -"
    match schema:
        case Schema.CURRENT:
            return Finding(check=check, level=Level.OK, says=f"{kind} is that of this version.")
        case Schema.SERVED:
            says = f"{kind} is served; whether it is that of this version is not known: you may not read it."
            return Finding(check=check, level=Level.OK, says=says)
        case Schema.OTHER:
            says = f"{kind} is of another version than this program."
            return Finding(check=check, level=Level.WARN, says=says, to_do=f"{again}, or use the hub's version.")
        case Schema.NOT_ESTABLISHED:
            says = f"{kind} is there, but the API server does not serve it."
            return Finding(check=check, level=Level.FAIL, says=says, to_do=f"kubectl describe crd {kind}")
        case Schema.ABSENT:
            return Finding(check=check, level=Level.FAIL, says=f"{kind} is not there.", to_do=again)


def replicas(live: Sequence[str], dead: Sequence[str], leader: str | None) -> list[Finding]:
    """Of the operator's replicas.

    Args:
        live: names of those whose Lease is renewed.
        dead: of those whose Lease is not.
        leader: the one that holds the hub's Lease; None for nobody.
    """
    check = "operator"
    if not live:
        says = f"No replica runs; {listed(dead)} did." if dead else "No replica has ever said that it runs."
        return [
            Finding(
                check=check,
                level=Level.FAIL,
                says=says,
                to_do="Platform team: secretset install; if it is installed, look at its pods: kubectl get pods -A -l "
                "app.kubernetes.io/name=secretset-operator",
            )
        ]
    number = f"{len(live)} replicas run" if len(live) > 1 else "One replica runs"
    found = [Finding(check=check, level=Level.OK, says=f"{number}: {listed(live)}.")]
    if len(live) == 1:
        says = f"{number}: {listed(live)}. Nobody takes over should it end."
        found = [Finding(check=check, level=Level.WARN, says=says, to_do="Run two, as deploy/operator.yaml does.")]
    if dead:
        says = f"The Leases of {listed(dead)} are not renewed: they ended without saying so."
        found.append(Finding(check=check, level=Level.WARN, says=says, to_do="Look whether they crash; else nothing."))
    if leader not in live:
        says = "No replica leads: sets without a region, and Regions that nobody serves, wait."
        found.append(Finding(check=check, level=Level.WARN, says=says, to_do="Look again in ten seconds."))
    return found


def sealing_webhook(there: bool | None) -> Finding:
    """Of the webhook that seals plain values at admission, which need not be there; None if the user may not see it."""
    check = "sealing webhook"
    if there is None:
        return Finding(check=check, level=Level.UNKNOWN, says="You may not see whether it is installed.")
    says = "It is installed: plain values are sealed at their admission."
    if not there:
        says = "It is not installed: a set with a plain value is refused. This program seals values itself."
    return Finding(check=check, level=Level.OK, says=says)


def region(record: RegionRecord, status: Mapping[str, Any]) -> Finding:
    """Of one Region: whether its cluster answers, and lets the operator do its work."""
    check = f"region {record.name}"
    if record.spec.decommissioned:
        return Finding(check=check, level=Level.OK, says="It is decommissioned: nothing is delivered there.")
    look = f"secretset regions show {record.name}"
    if status.get("observedGeneration", -1) < record.generation:
        says = "The operator has not said how it is."
        return Finding(check=check, level=Level.UNKNOWN, says=says, to_do=f"Wait a moment, then: {look}")
    if trouble := advice.of_region(status):
        return Finding(check=check, level=Level.FAIL, says=trouble, to_do=f"Platform team: {look}")
    truths = {str(c.get("type")): c.get("status") for c in status.get("conditions") or ()}
    unknown = [name for name in ("Reachable", "Authorized") if truths.get(name) != "True"]
    if unknown:
        says = f"The operator does not know yet whether it is {' and '.join(unknown).lower()}."
        return Finding(check=check, level=Level.UNKNOWN, says=says, to_do=f"Wait a moment, then: {look}")
    version = status.get("serverVersion") or "of an unknown version"
    bound = "" if truths.get("BindPolicy") == "True" else "; the annotation secretset.dev/bind has no effect there"
    return Finding(
        check=check, level=Level.OK, says=f"It answers and lets the operator work; Kubernetes {version}{bound}."
    )


def default_region(place: Organization | None, records: Mapping[str, RegionRecord]) -> Finding:
    """Of the region that a new set lives in if it names none.

    Args:
        place: the organization; None if the user may not see it.
        records: the Regions by name.
    """
    check = "default region"
    marked = regions.defaults(records.values())
    chosen = regions.resolve(named=None, settled=None, organization=place, regions=records)
    if chosen is None:
        return Finding(
            check=check,
            level=Level.WARN,
            says="There is none: a set that names no region fails.",
            to_do="Name one with --region, or have the platform team mark a Region with spec.default.",
        )
    whose = f"the default of '{place.name}'" if place is not None and place.default_region else "the hub's default"
    there = records.get(chosen)
    if there is None:
        says = f"'{chosen}' is {whose}, but there is no such Region."
        to_do = "Platform team: mend the annotation secretset.dev/default-region of the namespace."
        return Finding(check=check, level=Level.FAIL, says=says, to_do=to_do)
    admitted = place is None or regions.selects(there.spec.organizations, place.labels)
    if there.spec.decommissioned or not admitted:
        says = f"'{chosen}' is {whose}, but new sets of the organization are not let in there."
        return Finding(check=check, level=Level.WARN, says=says, to_do="Name another with --region.")
    if len(marked) > 1 and chosen == marked[0]:
        says = f"'{chosen}' is {whose}; {listed(marked[1:])} is marked as the default too, and does not count."
        return Finding(check=check, level=Level.WARN, says=says, to_do="Platform team: unmark one of them.")
    return Finding(check=check, level=Level.OK, says=f"'{chosen}' is {whose}.")


def sealing_keys(keys: PublicKeys | None, now: datetime) -> Finding:
    """Of the keys that values are sealed for; None if none are published."""
    check = "sealing keys"
    if keys is None or not keys.keys:
        return Finding(
            check=check,
            level=Level.FAIL,
            says="None is published: no value can be sealed.",
            to_do="Start the operator: it makes and publishes one.",
        )
    current, *older = keys.keys
    days = (now - current.created).days
    others = f"; older ones that go on opening: {len(older)}" if older else ""
    says = f"{current.kid} is current, {days} days old{others}."
    if now - current.created > timedelta(days=2 * _KEY_DAYS):
        to_do = "Platform team: secretset keys rotate, unless --sealing-key-days says that it is so on purpose."
        return Finding(check=check, level=Level.WARN, says=says, to_do=to_do)
    return Finding(check=check, level=Level.OK, says=says)


def may(organization: str, denied: Iterable[str]) -> Finding:
    """Of what the user may do with sets.

    Args:
        organization: where.
        denied: the verbs that are not granted, of get, list, watch, create, patch and delete.
    """
    check, lacking = "your rights", tuple(denied)
    if not lacking:
        return Finding(
            check=check, level=Level.OK, says=f"You may see, make, change and delete sets in '{organization}'."
        )
    to_do = "Ask who looks after the organization for a role in it, if you need more."
    says = f"You may not {', '.join(lacking)} sets in '{organization}'."
    level = Level.FAIL if "list" in lacking or "get" in lacking else Level.WARN
    return Finding(check=check, level=level, says=says, to_do=to_do)


def sets(organization: str, views: Sequence[SetView], keys: PublicKeys | None) -> list[Finding]:
    """Of the sets of the organization: those that are not ready, and those whose sealing key is gone."""
    check = "sets"
    waiting = [view.name for view in views if not view.usable]
    says = f"All {len(views)} sets in '{organization}' are ready."
    if len(views) == 1:
        says = f"The one set in '{organization}' is ready."
    found = [Finding(check=check, level=Level.OK, says=says)]
    if not views:
        found = [Finding(check=check, level=Level.OK, says=f"There are no sets in '{organization}' yet.")]
    elif waiting:
        says = f"{len(waiting)} of {len(views)} sets in '{organization}' are not ready: {listed(waiting)}."
        found = [
            Finding(check=check, level=Level.WARN, says=says, to_do=f"secretset status {waiting[0]} -n {organization}")
        ]
    lost = sorted(_kids(views) - {key.kid for key in keys.keys}) if keys is not None else []
    if lost:
        says = f"Values are sealed for keys that the operator does not have: {listed(lost)}. They cannot be opened."
        to_do = "Set these values again, or have the platform team restore the keys: secretset keys list"
        found.append(Finding(check=check, level=Level.FAIL, says=says, to_do=to_do))
    return found


def encryption_at_rest() -> Finding:
    """Of what no API shows."""
    return Finding(
        check="encryption at rest",
        level=Level.UNKNOWN,
        says="Whether the clusters encrypt Secrets in etcd cannot be seen through the API.",
        to_do="Ask who runs the control planes; docs/encryption-at-rest.md tells how it is set up and checked.",
    )


def listed(names: Sequence[str]) -> str:
    """Some names, and how many more."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _kids(views: Sequence[SetView]) -> set[str]:
    return {key.sealed_for for view in views for key in view.keys if key.sealed_for is not None}
