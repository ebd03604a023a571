"""The webhook put together: clients, what it follows on the hub, the two servers. Runs until told to stop."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path

import structlog

from secretset import telemetry
from secretset.controller import http
from secretset.controller.store import HubStore
from secretset.domain import names
from secretset.domain.gate import regions_here
from secretset.domain.regions import RegionRecord
from secretset.kube import credentials, errors, paths, supervise
from secretset.kube.certificate import Certificate
from secretset.kube.client import Client
from secretset.kube.cluster_id import cluster_id
from secretset.kube.watch import Watch
from secretset.webhook import server
from secretset.webhook.gate import Gate
from secretset.webhook.public_keys import PublishedKeys
from secretset.webhook.seal import Seal
from secretset.webhook.self_signed import SelfSigned

log = structlog.get_logger(__name__)

GATE_PATH = "/gate"
SEAL_PATH = "/seal"
IN_CLUSTER = "in-cluster"

_RETRY_SECONDS = 2.0
_REQUEST_SECONDS = 2.5  # less than the gate's deadline, so that it is told what was in the way


@dataclass(frozen=True, kw_only=True)
class WebhookConfig:
    """Settings of the webhook; each is a flag of `secretset webhook`.

    Attributes:
        tls_cert: file with the certificate to serve with, and what leads to its CA; None if it makes its own.
        tls_key: file with its key.
        self_signed: whether it makes its own, and looks after it.
        namespace: the operator's own namespace on the hub.
        kubeconfig: of the hub, as for the operator.
        context: of that file.
        cluster_kubeconfig: of the cluster whose API server asks; ``in-cluster`` for the pod's account; None if that is
            the hub.
        regions: Regions that live in that cluster, whatever their status says.
        host: address that both servers listen at.
        port: of what API servers ask; 0 for a free one.
        health_port: of health and metrics; 0 for a free one.
        fail_closed: refuse what the gate cannot judge.
        reserved_keys: names that ``spec.data`` may not use.
    """

    tls_cert: Path | None = None
    tls_key: Path | None = None
    self_signed: bool = False
    namespace: str = "secretset-system"
    kubeconfig: str | None = None
    context: str | None = None
    cluster_kubeconfig: str | None = None
    regions: frozenset[str] = frozenset()
    host: str = "127.0.0.1"
    port: int = 8443
    health_port: int = 8080
    fail_closed: bool = False
    reserved_keys: frozenset[str] = names.RESERVED_KEYS


class Webhook:
    """One webhook process: it serves the API server of one cluster."""

    def __init__(self, config: WebhookConfig) -> None:
        self._config = config
        self._store = HubStore(lambda _: None, lambda _: None)
        self._cluster_id = ""
        self._synced = False

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises:
            ConfigError: there is no usable kubeconfig or certificate, an address cannot be listened at, or it cannot
                be told which Regions live in the cluster.
        """
        config = self._config
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(telemetry.nobody_waits)
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stopping.set)
        given = await asyncio.to_thread(_given, config)
        login = await credentials.load(config.kubeconfig, config.context)
        there = await self._there()
        with tempfile.TemporaryDirectory(prefix="secretset-webhook-") as folder:
            await self._run(login, there or login, given, Path(folder), stopping)

    async def _run(
        self,
        login: credentials.Credentials,
        there: credentials.Credentials,
        given: Certificate | None,
        folder: Path,
        stopping: asyncio.Event,
    ) -> None:
        config = self._config
        async with (
            Client(login, name=names.AT_HUB, timeout=_REQUEST_SECONDS) as hub,
            Client(there, name=names.AT_HERE, timeout=_REQUEST_SECONDS) as here,
        ):
            health = await http.serve(
                telemetry.Process.WEBHOOK,
                host=config.host,
                port=config.health_port,
                healthy=lambda: True,
                ready=lambda: self._synced,
            )
            work = [
                asyncio.create_task(stopping.wait()),
                asyncio.create_task(self._work(hub, here, given, folder)),
            ]
            try:
                done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                log.info("stopping")
            finally:
                self._synced = False
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)
                await health.cleanup()

    async def _there(self) -> credentials.Credentials | None:
        """Our credentials in the cluster whose API server asks; None if that is the hub."""
        given = self._config.cluster_kubeconfig
        if given == IN_CLUSTER:
            return credentials.in_cluster()
        return await credentials.load(given) if given else None

    async def _work(self, hub: Client, here: Client, given: Certificate | None, folder: Path) -> None:
        config, store = self._config, self._store
        certificate, follow = given, []
        if certificate is None:
            own = SelfSigned(here, config.namespace, folder)
            await own.begin()
            certificate = await asyncio.to_thread(Certificate, own.file, own.file)
            follow.append(supervise.start("own certificate", own.follow))
        gate = Gate(
            hub=hub,
            here=here,
            store=store,
            regions_here=self._regions_here,
            synced=lambda: self._synced,
            operator_namespace=config.namespace,
            fail_closed=config.fail_closed,
        )
        regions = Watch(
            hub,
            paths.REGIONS,
            on_upsert=lambda obj: store.apply_region(RegionRecord.parse(obj), obj.get("status") or {}),
            on_delete=lambda _, name, __: store.forget_region(name),
            on_relist=store.doubt,
        )
        organizations = Watch(
            hub,
            paths.NAMESPACES,
            on_upsert=store.apply_organization,
            on_delete=lambda _, name, __: store.forget_organization(name),
            metadata_only=True,
        )
        handlers: dict[str, server.Handler] = {GATE_PATH: gate.answer}
        keys = PublishedKeys(hub, config.namespace) if config.cluster_kubeconfig is None else None
        if keys is not None:  # sets are on the hub
            handlers[SEAL_PATH] = Seal(lambda: keys.known, config.reserved_keys).answer
            follow.append(supervise.start("public keys", keys.follow))
        tls = await server.serve(host=config.host, port=config.port, tls=certificate.context, handlers=handlers)
        follow += [
            supervise.start("certificate", certificate.follow),
            supervise.start("regions", regions.run),
            supervise.start("organizations", organizations.run),
        ]
        try:
            if keys is not None:
                await keys.tried.wait()
            await self._identify(here)
            await regions.synced.wait()
            await organizations.synced.wait()
            self._synced = True
            here_are = sorted(region.name for region in self._regions_here())
            log.info("ready", regions=here_are, fail_closed=config.fail_closed)
            await asyncio.Event().wait()
        finally:
            # Whoever is being answered gets the answer before what it needs is gone.
            await tls.cleanup()
            for task in follow:
                task.cancel()
            await asyncio.gather(*follow, return_exceptions=True)

    async def _identify(self, here: Client) -> None:
        """Find out which cluster asks.

        Raises:
            ConfigError: it does not tell, and nothing else tells which Regions live there.
        """
        while True:
            try:
                self._cluster_id = await cluster_id(here)
                break
            except errors.KubeError as error:
                log.warning("the cluster cannot be asked yet", error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
        if not self._cluster_id and self._config.cluster_kubeconfig and not self._config.regions:
            raise errors.ConfigError(
                "the cluster does not let its namespace kube-system be read, whose uid tells which Regions live "
                "there: grant that, or name them (--regions)"
            )

    def _regions_here(self) -> list[RegionRecord]:
        return regions_here(
            self._store.regions,
            self._store.region_statuses,
            cluster_id=self._cluster_id,
            on_hub=self._config.cluster_kubeconfig is None,
            named=self._config.regions,
        )


def _given(config: WebhookConfig) -> Certificate | None:
    """The certificate in files; None if it makes its own.

    Raises:
        ConfigError: it is none, or none is named.
    """
    if config.self_signed:
        return None
    if config.tls_cert is None or config.tls_key is None:
        raise errors.ConfigError("it needs a certificate: name its files (--tls-cert, --tls-key), or --self-signed")
    return Certificate(config.tls_cert, config.tls_key)
