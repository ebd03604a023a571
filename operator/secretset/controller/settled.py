"""What records alone show of a set: that nothing has to be done, so that no request is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secretset.controller import progress, sources
from secretset.controller.context import Context
from secretset.controller.outcome import Done, soonest
from secretset.controller.place import Placed, place
from secretset.controller.runner import RegionRunner
from secretset.controller.scene import Scene
from secretset.domain import accounts, plan, record, status
from secretset.domain.names import Kind
from secretset.domain.observed import SecretRecord
from secretset.domain.reasons import Problem, Reason
from secretset.domain.record import SetRecord

_PATIENCE = 10.0  # seconds that a region is away before sets that wait, or failed, for another reason say so


def settled(context: Context, runner: RegionRunner, seen: SetRecord) -> Done | None:
    """That nothing has to be done, and when to look again; None if records do not show that."""
    if runner.problem is not None and seen.tells(runner.problem.reason):
        return Done()  # all that can be done is done; when the region is back, its sets are looked at
    lacking = context.sealing.lacks(seen.sealing_kids)
    if lacking and seen.tells(Reason.UNSEAL_FAILED):
        return Done()  # nothing is opened again until the key is there, or the set is another
    if (patience := _patience(runner, seen)) > 0:
        return Done(wait=patience)
    if seen.deleting or not seen.finalized or not seen.settled_status or context.store.older_twin(seen):
        return None
    try:
        placed = place(context, seen)
    except Problem:
        return None
    if lacking:
        return None  # what was delivered stays, and could not be repaired: that is told
    if seen.delivered_to != placed.namespace:
        return None  # it has to move, or what it left has to be taken away
    inputs = seen.inputs(context.store.sources)
    if (runner.problem is not None or runner.name is None) and runner.vouched.get(seen.key, "") == inputs:
        return Done()
    secret = runner.seen.secrets.get((placed.namespace, seen.key.name))
    if (
        secret is None
        or not (secret.intact and secret.current_key)
        or secret.owner_uid != seen.uid
        or secret.inputs != inputs
        or (seen.ask and seen.ask not in {secret.asked, seen.asked})
    ):
        return None
    return _rolled_out(context, runner, placed, seen, secret)


def _rolled_out(
    context: Context, runner: RegionRunner, placed: Placed, seen: SetRecord, secret: SecretRecord
) -> Done | None:
    """The same of what follows a delivery: restarts, and ServiceAccounts."""
    scene = Scene(context, runner, seen, placed.namespace)
    outlook = scene.outlook()
    if scene.wave is not None and (outlook.finished or not scene.planned):
        return None  # the status does not say so yet
    scene.count_in_flight()
    look = progress.due_in(scene)
    if runner.budget.take(seen.key, len(outlook.restarts)) or look == 0.0:
        return None
    if not seen.reports(secret, scene.told(outlook)):
        return None
    if seen.key.kind is Kind.IMAGE_PULL_SECRET and not _attached(context, runner, placed, seen):
        return None
    return Done(wait=soonest(outlook.wait, look))


def _patience(runner: RegionRunner, seen: SetRecord) -> float:
    """Seconds to leave a set's status as it is although its region is away.

    One that waits, or failed, says so already: a link that comes and goes must not make it say another thing each time.
    """
    if runner.problem is None or not seen.told or seen.settled_status or seen.abandoned:
        return 0.0
    return _PATIENCE - runner.link.away_for


async def vouched(
    context: Context, runner: RegionRunner, fresh: SetRecord, obj: Mapping[str, Any], placed: Placed
) -> bool:
    """Whether the status of a set whose region cannot be asked is still true: what it should hold was delivered.

    A region that is away makes only those sets pending that have something undelivered. What the sources hold now is
    compared with the fingerprint in the status, once for each version of them.

    Raises:
        Problem: a value is missing, forbidden, too large or cannot be opened.
        KubeError: the hub refused or did not answer.
    """
    if fresh.deleting or not fresh.settled_status or fresh.delivered_to != placed.namespace:
        return False
    delivered = status.memory(obj.get("status"))
    spec = record.parse_spec(fresh.key.kind, obj["spec"])
    content, inputs = await sources.content_of(context, fresh, spec, asked=runner.queue.asked(fresh.key))
    if delivered is None or not plan.same_content(
        fresh.key, content, delivered.fingerprint, context.installation.keyring
    ):
        return False
    runner.vouched[fresh.key] = inputs
    return True


def _attached(context: Context, runner: RegionRunner, placed: Placed, seen: SetRecord) -> bool:
    known = list(runner.seen.service_accounts[placed.namespace].values())
    todo = accounts.patches(
        secret=seen.key.name,
        wanted=seen.service_accounts,
        accounts=known,
        installation=context.installation.id,
    )
    return not todo and not accounts.missing(seen.service_accounts, known)
