"""The pass over one object, the same for both kinds: look, and if anything is not as it should be, make it so.

Fetch, finalizer, place, content, deliver, restart, and the status once, at the end, if it differs. Running it twice
changes nothing; running it after a crash at any point finishes the work.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from secretset import telemetry
from secretset.controller import sources, tell
from secretset.controller.cleanup import clean_up, take_away
from secretset.controller.context import Context
from secretset.controller.deliver import Delivery, deliver
from secretset.controller.follow_up import follow_up
from secretset.controller.hub import add_finalizer, fetch, write_status
from secretset.controller.outcome import Done, Postponed, soonest
from secretset.controller.place import Placed, place
from secretset.controller.rights import Presence, presence
from secretset.controller.runner import RegionRunner
from secretset.controller.settled import settled, vouched
from secretset.controller.translate import region_problem
from secretset.domain import names, reasons, record, status
from secretset.domain.names import Key, Kind
from secretset.domain.plan import Desired
from secretset.domain.reasons import Problem, Reason, Retry
from secretset.domain.record import SetRecord
from secretset.kube import errors, paths, supervise
from secretset.kube.client import Client

log = structlog.get_logger(__name__)

# What says of a region that it cannot be asked now, and of its sets nothing.
_AWAY = frozenset({Reason.REGION_UNREACHABLE, Reason.REGION_NOT_READY, Reason.RETRYING})
_SOONEST = 2.0  # seconds until a failure outside our watches is looked at again
_WATCH_WAIT = 10.0  # seconds to wait for the first list of a namespace


class Reconciler:
    """Carries out passes. One instance serves all regions; what belongs to a region is in its runner."""

    def __init__(self, context: Context, responsible: Callable[[Key], RegionRunner | None]) -> None:
        self._context = context
        self._responsible = responsible
        for kind in Kind:  # so that the first error is seen to be one more
            telemetry.RECONCILE_ERRORS.labels(kind)
            telemetry.RECONCILE_PANICS.labels(kind)

    async def __call__(self, runner: RegionRunner, key: Key) -> None:
        """Make one pass, and plan the next one if there must be one."""
        started = time.perf_counter()
        outcome, worked = "success", True
        active = telemetry.ACTIVE_WORKERS.labels(key.kind)
        active.inc()
        try:
            done = await self._pass(runner, key)
            worked = done.worked
            if done.wait is not None:
                outcome = "requeue_after"
                runner.queue.add_after(key, done.wait)
            if done.backoff is None:
                runner.queue.succeeded(key)
            else:
                outcome = "requeue"
                runner.queue.retry(key, at_least=done.backoff)
        except Postponed as postponed:
            outcome = "requeue_after"
            runner.queue.add_after(key, postponed.seconds)
        except errors.KubeError as error:
            outcome = "error"
            delay = runner.queue.retry(key, at_least=getattr(error, "retry_after", 0.0))
            log.debug("pass not finished", key=str(key), region=runner.name, error=str(error), again_in=round(delay, 1))
        except (Exception, asyncio.CancelledError) as error:
            if supervise.ends(error):
                raise
            # A defect of ours. It must neither end the worker nor spin; its text may hold anything, so only its place
            # and type are told.
            outcome = "error"
            telemetry.RECONCILE_PANICS.labels(key.kind).inc()
            delay = runner.queue.retry(key)
            log.error(  # noqa: TRY400
                "pass failed", key=str(key), region=runner.name, error=supervise.where(error), again_in=round(delay, 1)
            )
        finally:
            active.dec()
        telemetry.RECONCILES.labels(key.kind, outcome).inc()
        if outcome == "error":
            telemetry.RECONCILE_ERRORS.labels(key.kind).inc()
        if worked:
            telemetry.RECONCILE_SECONDS.labels(key.kind).observe(time.perf_counter() - started)

    async def _pass(self, runner: RegionRunner, key: Key) -> Done:
        store = self._context.store
        seen = store.sets.get(key)
        if seen is None:
            runner.displace(key)
            runner.queue.forget(key)
            self._context.brake.done(key)
            self._context.status_writes.pop(key, None)
            return Done()
        responsible = self._responsible(key)
        if responsible is not runner:
            runner.displace(key)
            if responsible is not None:
                responsible.queue.add(key)
            return Done()
        await runner.link.wait_known()
        forced = key in store.forced
        if not forced:
            await self._follow(runner, seen)
            done = settled(self._context, runner, seen)
            if done is not None:
                return done
        found = await self._read(seen)
        if found is None:
            return Done(worked=True)
        store.forced.discard(key)
        fresh, obj = found
        return await (self._delete(runner, fresh, obj) if fresh.deleting else self._work(runner, fresh, obj))

    async def _follow(self, runner: RegionRunner, seen: SetRecord) -> None:
        """Follow the namespace that the set belongs to, so that records can tell what is there.

        If it cannot be followed, the pass proper finds out and tells.
        """
        if seen.deleting or runner.name is None or runner.problem is not None or seen.key in runner.placed:
            return
        with contextlib.suppress(Problem):
            await self._watched(runner, seen, place(self._context, seen).namespace)

    async def _watched(self, runner: RegionRunner, seen: SetRecord, namespace: str) -> None:
        """Follow a namespace of the region.

        Raises:
            Problem: it cannot be followed.
        """
        pull = seen.key.kind is Kind.IMAGE_PULL_SECRET
        runner.place(seen.key, namespace, pull=pull)
        resources = ["secrets", *(kind.plural for kind in runner.kinds), *(["serviceaccounts"] if pull else [])]
        try:
            await runner.await_watches(namespace, resources, seconds=_WATCH_WAIT)
        except Problem as problem:
            raise await self._explained(runner, namespace, problem) from None

    async def _unseen(
        self, runner: RegionRunner, fresh: SetRecord, obj: Mapping[str, Any], placed: Placed
    ) -> Done | None:
        """Follow the namespace; if a list cannot be had for a while, a status that is true stays, and all is left so.

        Raises:
            Problem: it cannot be followed, and that is to be told.
        """
        try:
            await self._watched(runner, fresh, placed.namespace)
        except Problem as problem:
            if problem.reason in _AWAY and await vouched(self._context, runner, fresh, obj, placed):
                return Done(worked=True, backoff=problem.after)
            raise
        return None

    async def _explained(self, runner: RegionRunner, namespace: str, problem: Problem) -> Problem:
        """Roles end with their namespace: where that is not there, it is what is wrong; made, if the Region says so."""
        region = self._context.store.regions.get(runner.name or "")
        if problem.reason is not reasons.Reason.PERMISSION_DENIED or region is None or runner.client is None:
            return problem
        with contextlib.suppress(errors.KubeError):
            found = await presence(runner.client, namespace)
            if found is Presence.MISSING and region.spec.create_namespaces:
                await _create_namespace(runner.client, namespace)
            if found is not Presence.THERE:
                return reasons.namespace_missing(region.name, namespace, terminating=found is Presence.ENDING)
        return problem

    async def _read(self, seen: SetRecord) -> tuple[SetRecord, dict[str, Any]] | None:
        """The object from a quorum; of one that is new and has a place, the finalizer's patch returns it."""
        if not (seen.finalized or seen.deleting or self._context.store.older_twin(seen)):
            with contextlib.suppress(Problem, errors.Conflict, errors.Absent):
                place(self._context, seen)
                return await add_finalizer(self._context, seen)
        return await fetch(self._context, seen)

    async def _work(self, runner: RegionRunner, fresh: SetRecord, obj: dict[str, Any]) -> Done:
        """The pass proper, on an object that was just read."""
        context = self._context
        previous: Mapping[str, Any] | None = obj.get("status")
        try:
            if twin := context.store.older_twin(fresh):
                raise reasons.name_taken(twin)
            placed = place(context, fresh)
            try:
                client = await runner.usable(placed.region.name)
            except Problem:
                if await vouched(context, runner, fresh, obj, placed):
                    return Done(worked=True)
                raise
            spec = record.parse_spec(fresh.key.kind, obj["spec"])
            content, inputs = await sources.content_of(context, fresh, spec, asked=runner.queue.asked(fresh.key))
            desired = Desired(
                key=fresh.key,
                uid=fresh.uid,
                installation=context.installation.id,
                region=placed.region.name,
                namespace=placed.namespace,
                content=content,
                inputs=inputs,
                rule=context.config.restart_rule(fresh.key.kind, spec.restart),
                ask=fresh.ask,
            )
            if not fresh.finalized:
                fresh, obj = await add_finalizer(context, fresh)
            if (unseen := await self._unseen(runner, fresh, obj, placed)) is not None:
                return unseen
            try:
                with region_problem(desired.region, desired.namespace, runner.credentials, runner.rights.doubt):
                    delivery = await self._deliver(runner, client, desired, fresh, previous)
            except Problem as problem:
                raise await self._explained(runner, placed.namespace, problem) from None
            await self._leave(runner, client, desired, previous)
        except Problem as problem:
            return await self._fail(runner, fresh, obj, problem)
        tell.delivered(context, fresh, previous, delivery)
        after = await follow_up(context, runner, client, desired, fresh, previous, delivery)
        if after.failure is not None:
            return await self._fail(runner, fresh, obj, after.failure, delivered=after.status)
        later = await write_status(context, obj, after.status)
        if later is None:
            after.tell(previous)
        return Done(worked=True, wait=soonest(later, after.wait))

    async def _fail(
        self,
        runner: RegionRunner,
        fresh: SetRecord,
        obj: dict[str, Any],
        problem: Problem,
        *,
        delivered: Mapping[str, Any] | None = None,
    ) -> Done:
        """Report a problem, and say when to look again, besides when something that we watch changes.

        Args:
            runner: of the region.
            fresh: the record of the object.
            obj: the object.
            problem: what is wrong.
            delivered: the status that tells what this pass delivered before it met the problem.
        """
        previous: Mapping[str, Any] | None = obj.get("status")
        wanted = status.unsynced(
            problem,
            generation=fresh.generation,
            region=self._known_region(fresh),
            previous=previous,
            sealed=fresh.sealed,
            delivered=delivered,
            deleting=fresh.deleting,
            timestamp=self._context.timestamp(),
        )
        await write_status(self._context, obj, wanted)
        if problem.reason is not reasons.Reason.DELETION_BRAKED:  # that is told once, of the Region
            tell.problem(self._context, fresh, previous, problem)
        retry = problem.reason.retry
        # An API server that has just begun may not know our rights yet: then sooner, at first.
        again = min(self._context.config.look_again_seconds, max(runner.link.up_for, _SOONEST))
        again *= random.uniform(0.8, 1.2)  # noqa: S311  (jitter)
        return Done(
            worked=True,
            wait=again if retry is Retry.LOOK_AGAIN else None,
            backoff=problem.after if retry is Retry.BACKOFF else None,
        )

    def _known_region(self, seen: SetRecord) -> str | None:
        """The region of a set, for its status; a default that does not exist is not kept there for ever."""
        name = self._context.store.region_of(seen)
        return name if name in self._context.store.regions else None

    async def _deliver(
        self,
        runner: RegionRunner,
        client: Client,
        desired: Desired,
        fresh: SetRecord,
        previous: Mapping[str, Any] | None,
    ) -> Delivery:
        memory = status.memory(previous)
        try:
            return await deliver(self._context, runner, client, desired, memory)
        except errors.Absent:
            region = self._context.store.regions.get(desired.region)
            if region is None or not region.spec.create_namespaces:
                raise
        with contextlib.suppress(errors.AlreadyExists):
            await _create_namespace(client, desired.namespace)
        return await deliver(self._context, runner, client, desired, memory)

    async def _leave(
        self, runner: RegionRunner, client: Client, desired: Desired, previous: Mapping[str, Any] | None
    ) -> None:
        """Take the Secret away from where it was before the Region's namespace rule changed."""
        before = (previous or {}).get("secretRef") or {}
        if before.get("region") == desired.region and before.get("namespace") != desired.namespace:
            await take_away(self._context, runner, client, desired.key, desired.region, before["namespace"])

    async def _delete(self, runner: RegionRunner, fresh: SetRecord, obj: dict[str, Any]) -> Done:
        try:
            await clean_up(self._context, runner, fresh, obj)
        except Problem as problem:
            return await self._fail(runner, fresh, obj, problem)
        runner.displace(fresh.key)
        return Done(worked=True)


async def _create_namespace(client: Client, namespace: str) -> None:
    metadata = {"name": namespace, "labels": {names.LABEL_GATE: "enabled"}}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    await client.create(paths.NAMESPACES, body)
