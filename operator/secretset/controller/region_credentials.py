"""Credentials of a region, from the Secret of the hub that its Region names; followed, so that they can be rotated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from secretset.controller.runner import RegionRunner
from secretset.domain import reasons
from secretset.domain.models.region import ArgoCDSecretRef, KubeconfigSecretRef
from secretset.kube import errors, paths, supervise
from secretset.kube.client import Client
from secretset.kube.credentials import Credentials, from_secret
from secretset.kube.watch import Watch

log = structlog.get_logger(__name__)

_EXPLAIN_SECONDS = 1.0
_AGAIN_SECONDS = 30.0  # after a defect: it may have been a lack of files or threads


async def follow(
    hub: Client,
    runner: RegionRunner,
    ref: KubeconfigSecretRef | ArgoCDSecretRef,
    make_client: Callable[[Credentials], Client],
    *,
    exec_plugins: frozenset[str],
) -> None:
    """Connect a region with what its Secret holds, and again whenever that changes, until cancelled.

    Passes that are under way with older credentials are repeated with the newer ones.

    Args:
        hub: where the Secret is.
        runner: of the region.
        ref: names the Secret.
        make_client: a client of the region.
        exec_plugins: programs that a kubeconfig may name.
    """
    where = f"Secret '{ref.namespace}/{ref.name}'"
    contents: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    watch = Watch(
        hub,
        paths.secrets(ref.namespace),
        field_selector=f"metadata.name={ref.name}",
        on_upsert=contents.put_nowait,
        on_delete=lambda *_: contents.put_nowait(None),
    )
    following = supervise.start(f"watch credentials {runner.name}", watch.run)
    used: tuple[object, object] | None = None
    seen, failed = False, None
    try:
        while True:
            try:
                # Not asyncio.wait_for: before Python 3.12 it loses a cancellation that comes with the content.
                async with asyncio.timeout(_AGAIN_SECONDS if failed else _EXPLAIN_SECONDS):
                    obj = await contents.get()
            except TimeoutError:
                if not seen and (why := _why_nothing(where, watch)):
                    await _refuse(runner, why)
                if failed is None:
                    continue
                obj = failed
            seen, failed = True, None
            content = None if obj is None else (obj.get("data"), obj["metadata"].get("labels"))
            if content is not None and content == used:
                continue
            used = content
            if obj is None:
                await _refuse(runner, f"{where} with its credentials does not exist.")
                continue
            try:
                credentials = await from_secret(ref, obj, exec_plugins=exec_plugins)
                log.info("region credentials", region=runner.name, secret=f"{ref.namespace}/{ref.name}")
                runner.link.credentials = f"the credentials in {where}"
                await runner.connect(make_client(credentials))
            except errors.ConfigError as error:
                await _refuse(runner, f"{where} with its credentials cannot be used: {error}.")
            except Exception as error:  # noqa: BLE001  (whatever it is, the workers wait for a verdict)
                log.error("region credentials", region=runner.name, error=supervise.where(error))  # noqa: TRY400
                await _refuse(runner, f"{where} with its credentials cannot be used.")
                used, failed = None, obj
    finally:
        following.cancel()


def _why_nothing(where: str, watch: Watch) -> str:
    """Why a Secret was not seen; empty while that is not known."""
    if isinstance(watch.failing, errors.Forbidden):
        return f"the operator may not read {where} with its credentials."
    return f"{where} with its credentials does not exist." if watch.synced.is_set() else ""


async def _refuse(runner: RegionRunner, why: str) -> None:
    problem = reasons.region_not_ready(runner.name or "", why)
    if runner.problem is None or runner.problem.message != problem.message or runner.client is not None:
        await runner.disconnect(problem)
