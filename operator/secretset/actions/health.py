"""Look at an installation with the rights of one user, and tell what is found; what may not be seen is unknown."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from secretset.actions import sets
from secretset.actions.errors import Refused, Why
from secretset.actions.session import Session
from secretset.domain import health, names
from secretset.domain.crd import DEFINITIONS, Definition, render
from secretset.domain.health import Finding, Level, Schema
from secretset.domain.names import Kind
from secretset.domain.policies import covers
from secretset.domain.sealing_keys import PublicKeys
from secretset.domain.workloads import DEPLOYMENT
from secretset.kube import access, discovery, errors, leases, pages, paths
from secretset.kube.leases import Lease

_WEBHOOK = paths.admission("mutatingwebhookconfigurations", "secretset-seal")
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_REPLICAS = f"{names.LABEL_REPLICA}=true"
_PREFIX, _LEADER = "secretset-replica-", "secretset-leader"
_RENEWED_SECONDS = 3.0  # a replica that lives renews its Lease every 2
_VERBS = ("get", "list", "watch", "create", "patch", "delete")


async def examine(session: Session, organization: str, version: str) -> list[Finding]:
    """Look at everything; in an order that begins with what the rest depends on.

    Args:
        session: the user's.
        organization: whose sets, rights and default region are looked at.
        version: of this program.
    """
    hub = await _hub(session)
    if hub.level is Level.FAIL:
        return [hub]
    keys, several = await asyncio.gather(
        _keys(session),
        asyncio.gather(
            *(
                _told(check, look)
                for check, look in (
                    ("CRD", lambda: _definitions(session)),
                    ("operator", lambda: _operator(session, version)),
                    ("sealing webhook", lambda: _webhook(session)),
                    ("regions", lambda: _regions(session, organization)),
                    ("your rights", lambda: _rights(session, organization)),
                )
            )
        ),
    )
    found = [finding for each in several for finding in each]
    found += [keys] if isinstance(keys, Finding) else [health.sealing_keys(keys, datetime.now(UTC))]
    known = keys if isinstance(keys, PublicKeys) else None
    found += await _told("sets", lambda: _sets(session, organization, known))
    return [hub, *found, health.encryption_at_rest()]


async def _told(check: str, look: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    """What a look finds; that it could not look, if so."""
    try:
        return await look()
    except errors.Forbidden as error:
        what = f"{error.verb} {error.resource}".strip() or "look"
        return [Finding(check=check, level=Level.UNKNOWN, says=f"You may not {what} (RBAC of the hub).")]
    except errors.KubeError as error:
        return [_unasked(check, error)]


def _unasked(check: str, error: errors.KubeError) -> Finding:
    return Finding(check=check, level=Level.UNKNOWN, says=f"The hub could not be asked: {error}.")


async def _hub(session: Session) -> Finding:
    try:
        version = (await session.client.get("/version")).get("gitVersion")
        await access.may(session.client, "list", Kind.SECRET_SET.plural, group=names.GROUP)
    except errors.Unauthorized:
        says, to_do = "It does not accept your credentials.", "Log in again, or choose another --context."
    except errors.KubeError as error:
        says = f"{session.client.server} could not be asked: {error}."
        to_do = "Look at --kubeconfig and --context, and whether the hub runs."
    else:
        return Finding(check="hub", level=Level.OK, says=f"{session.client.server} answers; Kubernetes {version}.")
    return Finding(check="hub", level=Level.FAIL, says=says, to_do=to_do)


# --- the installation


async def _definitions(session: Session) -> list[Finding]:
    served = await discovery.served(session.client, f"apis/{names.API_VERSION}")
    return list(await asyncio.gather(*(_definition(session, each, served) for each in DEFINITIONS)))


async def _definition(session: Session, definition: Definition, served: frozenset[str]) -> Finding:
    plural = definition.plural
    try:
        found: Any = await session.client.get(f"{_CRDS}/{plural}.{names.GROUP}")
    except errors.NotFound:
        return health.crd(plural, Schema.ABSENT)
    except errors.Forbidden:
        return health.crd(plural, Schema.SERVED if plural in served else Schema.ABSENT)
    if plural not in served:
        return health.crd(plural, Schema.NOT_ESTABLISHED)
    same = covers(found.get("spec"), render(definition)["spec"])
    return health.crd(plural, Schema.CURRENT if same else Schema.OTHER)


async def _operator(session: Session, version: str) -> list[Finding]:
    found = await _told("operator", lambda: _replicas(session))
    return [*found, *await _told("version", lambda: _version(session, version))]


async def _replicas(session: Session) -> list[Finding]:
    first = await _leases(session)
    replicas = {lease.name: lease for lease in first if lease.name.startswith(_PREFIX) and lease.holder}
    live = {name for name, lease in replicas.items() if _fresh(lease)}
    if live != replicas.keys():
        # Clocks may differ. Whoever renews is alive, whatever time it says.
        await asyncio.sleep(_RENEWED_SECONDS)
        again = {lease.name: lease.resource_version for lease in await _leases(session)}
        live |= {
            name
            for name, lease in replicas.items()
            if again.get(name, lease.resource_version) != lease.resource_version
        }
    leader = next((lease.holder for lease in first if lease.name == _LEADER), None)
    return health.replicas(_short(live), _short(replicas.keys() - live), leader)


async def _leases(session: Session) -> list[Lease]:
    return await leases.listed(session.client, session.operator_namespace, _REPLICAS)


def _fresh(lease: Lease) -> bool:
    """Whether its last renewal counts still, by a clock that may not be the holder's."""
    return 0 <= time.time() - lease.renewed <= lease.seconds


def _short(found: set[str]) -> list[str]:
    return sorted(name.removeprefix(_PREFIX) for name in found)


async def _version(session: Session, version: str) -> list[Finding]:
    """Which version of the operator the hub runs, as far as its image tells."""
    path = paths.workloads(DEPLOYMENT, session.operator_namespace, names.FIELD_MANAGER)
    own = f"This program is {version}"
    try:
        found = await session.client.get(path)
    except errors.NotFound:
        says = f"{own}; the operator's is not known: there is no Deployment {names.FIELD_MANAGER}."
        return [Finding(check="version", level=Level.UNKNOWN, says=says)]
    image = str(found["spec"]["template"]["spec"]["containers"][0].get("image") or "")
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2].removeprefix("v")
    if not tag[:1].isdigit():
        return [
            Finding(check="version", level=Level.UNKNOWN, says=f"{own}; the operator's image, {image}, tells none.")
        ]
    if tag != version:
        says, to_do = f"{own}, the operator is {tag}.", "Use the same version of both."
        return [Finding(check="version", level=Level.WARN, says=says, to_do=to_do)]
    return [Finding(check="version", level=Level.OK, says=f"{own}, and so is the operator.")]


async def _webhook(session: Session) -> list[Finding]:
    try:
        await session.client.get(_WEBHOOK)
    except errors.NotFound:
        return [health.sealing_webhook(False)]
    except errors.Forbidden:
        return [health.sealing_webhook(None)]
    return [health.sealing_webhook(True)]


# --- what it works on


async def _regions(session: Session, organization: str) -> list[Finding]:
    found = await session.regions()
    if not found:  # none there, or none to be seen: this tells the one from the other
        [_ async for _ in pages.pages(session.client, paths.REGIONS, {"limit": "1"})]
        to_do = "Platform team: apply one, as in examples/platform/regions.yaml."
        return [
            Finding(check="regions", level=Level.FAIL, says="There are none: no set can be delivered.", to_do=to_do)
        ]
    place = await session.organization(organization)
    default = health.default_region(place, {each.name: each.record for each in found})
    return [*(health.region(each.record, each.status) for each in found), default]


async def _keys(session: Session) -> PublicKeys | Finding | None:
    """The published keys; None if there are none."""
    try:
        return await session.public_keys()
    except Refused as refused:
        if refused.why is not Why.NOT_HELD:
            return None
        says = "The operator does not have the private key of the newest: nothing can be sealed, nor opened."
        to_do = "Platform team: secretset keys list, then secretset keys restore."
        return Finding(check="sealing keys", level=Level.FAIL, says=says, to_do=to_do)
    except errors.Forbidden:
        says = f"You may not read the public keys in '{session.operator_namespace}'."
        to_do = "Platform team: apply deploy/rbac.yaml again; everybody who can log in may read them."
        return Finding(check="sealing keys", level=Level.UNKNOWN, says=says, to_do=to_do)
    except errors.KubeError as error:
        return _unasked("sealing keys", error)


async def _rights(session: Session, organization: str) -> list[Finding]:
    if await _gone(session, organization):
        to_do = "Choose another with --namespace, or have it created."
        says = f"There is no organization '{organization}'."
        return [Finding(check="your rights", level=Level.FAIL, says=says, to_do=to_do)]

    async def denied(verb: str) -> str:
        for kind in Kind:
            if not await access.may(session.client, verb, kind.plural, group=names.GROUP, namespace=organization):
                return verb
        return ""

    answers: Sequence[str] = await asyncio.gather(*(denied(verb) for verb in _VERBS))
    return [health.may(organization, filter(None, answers))]


async def _gone(session: Session, organization: str) -> bool:
    """Whether the namespace is known not to be there."""
    try:
        await session.client.get(paths.core("namespaces", None, organization))
    except errors.NotFound:
        return True
    except errors.Forbidden:
        return False
    return False


async def _sets(session: Session, organization: str, keys: PublicKeys | None) -> list[Finding]:
    return health.sets(organization, await sets.list_sets(session, organization), keys)
