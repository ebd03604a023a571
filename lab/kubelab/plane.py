"""A control plane, as its owner sees it: start it, use it, hurt it, stop it."""

import hashlib
import itertools
import json
import os
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, Unpack

from kubelab import binary, boot, control, kubeconfig, layout, pki, snapshots
from kubelab.api import Api
from kubelab.components import APISERVER, ETCD, SUPERVISOR, Plan, Ports
from kubelab.errors import ControlError, KubectlError
from kubelab.launch import end, launch
from kubelab.layout import Folder
from kubelab.options import OptionFields, Options

TOKEN_SECONDS = 10 * 365 * 24 * 3600
SECONDS_TO_RECOVER = 60.0


class ControlPlane:
    """One Kubernetes control plane on loopback, owned by this process unless it was attached to.

    An owned plane ends with its owner, whatever ends that. Use it as a context manager, or call `start` and `stop`:

        with ControlPlane("hub", nodes=1) as plane:
            plane.kubectl("get", "nodes")

    Args:
        name: Must not be taken by a running plane; absent means a random one.
        options: The fields of `kubelab.Options`.
    """

    def __init__(self, name: str | None = None, **options: Unpack[OptionFields]) -> None:
        self.options = Options(name=name or f"plane-{secrets.token_hex(4)}", **options)
        self._folder = Folder(layout.home() / "planes" / self.options.name)
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._programs = binary.programs()

    @classmethod
    def attach(cls, name: str) -> Self:
        """Returns a plane that runs already, such as one of `kubelab up`. It is not stopped when this process ends.

        Raises:
            UnknownPlaneError: None of this name runs.
        """
        folder = layout.find(name)
        plane = cls(name)
        state = folder.read_state()
        if not state:
            raise ControlError(f"plane '{name}' is still starting")
        plane.options = Options.from_json(state["options"])
        return plane

    # --- life

    def start(self, report: Callable[[str], None] = lambda _: None, *, leash: bool = True) -> Self:
        """Starts the plane and returns when it is ready.

        Args:
            report: Is told what is being waited for, in a few words, as it changes.
            leash: Whether the plane ends with this process. Without, it stays until `kubelab down` (or `stop`).

        Raises:
            NameTakenError: A plane of this name runs.
            StartError: A program ended or was not ready in time. Nothing is left of the plane then.
            BinaryMissingError: There is no control plane binary, nor a Go to build it.
        """
        self._programs.argv(ETCD)  # a build takes minutes: not while a plane is "starting"
        self._supervisor = launch(self.options, assets=self._programs.assets, leash=leash, report=report)
        return self

    def stop(self) -> None:
        """Ends the plane and deletes its data; returns when both are done. A plane that does not run is no error."""
        if self._supervisor is not None:
            end(self._supervisor)
            self._supervisor = None
            self._folder.remove()  # a supervisor that was killed could not
        elif self._folder.path.exists():
            control.stop(self._folder)

    def __enter__(self) -> Self:
        return self if self._supervisor is not None else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- facts

    @property
    def name(self) -> str:
        """The plane's name."""
        return self.options.name

    @property
    def data_dir(self) -> Path:
        """The folder of everything of this plane; gone when it has stopped."""
        return self._folder.path

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig of an administrator (`system:masters`), with its certificates inside."""
        return self._folder.kubeconfig

    @property
    def server(self) -> str:
        """URL of the API server."""
        return str(self._state()["server"])

    @property
    def ca(self) -> bytes:
        """The certificate that the API server's is checked against, as PEM."""
        return (self._folder.pki / "ca.crt").read_bytes()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by program, of those that run now."""
        return dict(self._state()["pids"])

    @property
    def ports(self) -> dict[str, int]:
        """Loopback ports by use: `apiserver`, `etcd`, `etcd_peer`."""
        return dict(self._state()["ports"])

    @property
    def audit_log(self) -> Path:
        """The audit log; written only with the option `audit`."""
        return self._folder.audit_log

    def log(self, program: str) -> Path:
        """The log of a program, such as `kube-apiserver`."""
        return self._folder.log(program)

    def audit_events(self) -> list[dict[str, Any]]:
        """Returns the writes so far, oldest first, as events of `audit.k8s.io/v1`; see `components.AUDIT_POLICY`."""
        with self.audit_log.open() as file:
            # A line without its end is still being written; a moment later its rest would pass for a line of its own.
            whole = itertools.takewhile(lambda line: line.endswith("\n"), file)
            return [json.loads(line) for line in whole if not _is_read(line)]

    def _state(self) -> dict[str, Any]:
        state = self._folder.read_state()
        if not state:
            raise ControlError(f"plane '{self.name}' does not run")
        return state

    # --- use

    def environment(self) -> dict[str, str]:
        """Returns this process' environment with this plane as the cluster of kubectl, helm and the like."""
        cache = self._folder.path / "cache"
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(cache)}

    def command(self, program: str) -> list[str]:
        """Returns the beginning of a command line for `kubectl` or `helm`; to be run in `environment()`."""
        return self._programs.argv(program)

    def kubectl(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002 - as in subprocess.run
        check: bool = True,
        kubeconfig: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubectl and returns what it wrote.

        Args:
            *args: Its arguments.
            input: What it reads from standard input (`-f -`).
            check: Whether a failure is an exception.
            kubeconfig: Whose identity to use; absent means the administrator's.

        Raises:
            KubectlError: It failed, and `check` is set; the text is what it wrote to its error stream.
        """
        environment = self.environment()
        if kubeconfig is not None:
            environment["KUBECONFIG"] = str(kubeconfig)
        done = subprocess.run(
            [*self.command("kubectl"), *args], input=input, env=environment, capture_output=True, text=True, check=False
        )
        if check and done.returncode:
            raise KubectlError(f"kubectl {' '.join(args)} failed with code {done.returncode}: {done.stderr.strip()}")
        return done

    def kubeconfig_for(self, user: str, groups: Sequence[str] = (), *, valid_seconds: float | None = None) -> Path:
        """Returns a kubeconfig of a user who comes with a client certificate; what they may do is up to RBAC.

        A certificate is never revoked. One that has expired is answered with 401, on open connections too.

        Args:
            user: Name of the user.
            groups: Names of their groups.
            valid_seconds: How long the certificate is valid from now; less than 0 (at least -3600): it has expired.
                Absent: as long as the plane. Each call writes a new certificate, to one path per identity and length.
        """
        pair = pki.Authority.load(self._folder.pki).client(user, groups, valid_seconds=valid_seconds)
        length = () if valid_seconds is None else (f"valid {valid_seconds} s",)
        return self._write_kubeconfig("user", (user, *groups, *length), kubeconfig.certificate_user(pair))

    def service_account_kubeconfig(self, namespace: str, name: str, *, valid_seconds: int = TOKEN_SECONDS) -> Path:
        """Returns a kubeconfig of a ServiceAccount that exists, with a token.

        The token is revoked by deleting the account, and stays so when one of the same name is created: it names the
        uid. The API server remembers a token that it accepted for 10 s, so it may take that long.

        Args:
            namespace: Of the account.
            name: Of the account.
            valid_seconds: How long the token is valid from now; Kubernetes allows no less than 600. Absent: as long as
                the plane. Each call gets a new token, written to one path per account.

        Raises:
            ApiError: There is no such account, or the time is too short.
        """
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": valid_seconds},
        }
        token = self._api().post(path, request)["status"]["token"]
        return self._write_kubeconfig("sa", (namespace, name), kubeconfig.token_user(token), namespace=namespace)

    def _write_kubeconfig(
        self, kind: str, identity: tuple[str, ...], user: dict[str, str], namespace: str | None = None
    ) -> Path:
        readable = re.sub(r"[^A-Za-z0-9-]+", "-", identity[-1] if kind == "sa" else identity[0])
        unique = hashlib.sha256("\0".join(identity).encode()).hexdigest()[:8]
        path = self._folder.kubeconfigs / f"{kind}-{readable[:40]}-{unique}"
        return kubeconfig.write(path, plane=self.name, server=self.server, ca=self.ca, user=user, namespace=namespace)

    def _api(self) -> Api:
        return Api(port=self.ports["apiserver"], pki=self._folder.pki, identity=SUPERVISOR)

    # --- faults

    def kill(self, program: str) -> None:
        """Ends a program as `kill -9` does, and returns when it is gone. It stays away until `restart`."""
        control.request(self._folder, "kill", program)

    def restart(self, program: str) -> None:
        """Starts a program again on its port and data, and kills it before if it runs.

        For the API server and etcd, returns when the API server is ready (again).
        """
        control.request(self._folder, "restart", program)
        if program in (APISERVER, ETCD) and APISERVER in self.pids:
            self.wait_ready()

    def snapshot(self) -> Path:
        """Keeps everything that is stored as it is now, and returns where; it is deleted with the plane.

        etcd is killed for a moment and started again (a copy of what a killed etcd leaves is whole, a copy under a
        running one is not); the other programs go on, and requests fail until it listens again,
        which is when this returns.

        Raises:
            ControlError: etcd does not run.
        """
        self.kill(ETCD)
        try:
            return snapshots.take(self._folder)
        finally:
            self.restart(ETCD)
            self._etcd_listens()

    def restore(self, snapshot: Path) -> None:
        """Puts back everything that is stored, as one does after a disaster; returns when the plane is ready.

        All programs are killed, and started again in order, also those that did not run. Later objects are gone, uids
        are the old ones, and versions go on from the snapshot's: the numbers that were given out since come a second
        time, for other contents. A client notices nothing but closed connections.

        Args:
            snapshot: From this plane's `snapshot`; it can be used again.

        Raises:
            ControlError: It is no snapshot; nothing was done.
        """
        data = snapshots.copy(self._folder, snapshot)
        plan = self._plan()
        for program in reversed(plan.programs()):
            if program in self.pids:
                self.kill(program)
        snapshots.put_back(self._folder, data)
        for program in plan.programs():
            self.restart(program)
            if program == ETCD:
                self._etcd_listens()

    def wait_ready(self, seconds: float = SECONDS_TO_RECOVER) -> None:
        """Returns when the API server is ready.

        Raises:
            ControlError: It was not in this time.
        """
        self._wait(self._api().ready, "the API server", seconds)

    def _plan(self) -> Plan:
        return Plan(folder=self._folder, options=self.options, ports=Ports(**self.ports))

    def _etcd_listens(self) -> None:
        self._wait(boot.etcd_listens(self._plan()).done, "etcd", SECONDS_TO_RECOVER)

    def _wait(self, done: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise ControlError(f"{what} of plane '{self.name}' was not ready within {seconds:.0f} s")
            time.sleep(0.05)


def _is_read(line: str) -> bool:
    """Whether a line of the audit log is about a read; the verb stands in front of all that clients may have sent."""
    mark = '"verb":"'
    return line.startswith(("get", "list", "watch"), line.find(mark) + len(mark))
