"""Making a plane's files and waiting until it is what a user expects; the steps that the supervisor walks through."""

import socket
from collections.abc import Callable
from dataclasses import dataclass

from kubelab import components, kubeconfig, pki
from kubelab.api import Api
from kubelab.components import APISERVER, CONTROLLERS, ETCD, IDENTITIES, KWOK, MASTERS, Plan


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something that is waited for."""

    text: str
    """What to tell somebody who waits, and to blame when it does not come."""
    program: str
    """The program whose log tells why it does not come."""
    done: Callable[[], bool]
    """Asks once; answers at once."""


def write_identities(plan: Plan) -> None:
    """Makes the CA, the serving certificate, the token key, and a certificate for each of the plane's own identities.

    All of it is independent of ports, so that it survives a start over with other ports.
    """
    authority = pki.Authority.create(f"kubelab-{plan.options.name}")
    directory = plan.folder.pki
    pki.save(directory, "ca", authority.pair)
    pki.save(directory, "serving", authority.serving())
    pki.write_private(directory / "service-account.key", pki.signing_key())
    for identity, user in IDENTITIES.items():
        pki.save(directory, identity, authority.client(user, [MASTERS]))
    if plan.options.audit:
        components.audit_policy(plan.folder.path / "audit-policy.yaml", plan.options.audit_reads)


def write_kubeconfigs(plan: Plan) -> None:
    """Writes the kubeconfig of each identity, for the ports of this attempt."""
    directory = plan.folder.pki
    for identity in IDENTITIES:
        pair = pki.KeyPair(
            certificate=(directory / f"{identity}.crt").read_bytes(), key=(directory / f"{identity}.key").read_bytes()
        )
        kubeconfig.write(
            plan.folder.kubeconfigs / identity,
            plane=plan.options.name,
            server=plan.ports.server,
            ca=(directory / "ca.crt").read_bytes(),
            user=kubeconfig.certificate_user(pair),
        )


def api(plan: Plan) -> Api:
    """Returns a client with the lab's own identity, whose writes the audit log leaves out."""
    return Api(port=plan.ports.apiserver, pki=plan.folder.pki, identity=components.SUPERVISOR)


def etcd_listens(plan: Plan) -> Step:
    """The store accepts connections: sooner, the API server would meet a refusal and wait before it tries again."""

    def done() -> bool:
        try:
            socket.create_connection(("127.0.0.1", plan.ports.etcd), timeout=1).close()
        except OSError:
            return False
        return True

    return Step(text="etcd", program=ETCD, done=done)


def apiserver_is_ready(client: Api) -> Step:
    """The API server calls itself ready."""
    return Step(text="the API server", program=APISERVER, done=client.ready)


def contents(plan: Plan, client: Api) -> list[Step]:
    """What must exist before the plane is handed over, so that a test which creates a pod at once does not fail."""
    namespace = "/api/v1/namespaces/default"
    steps = [Step(text="the default namespace", program=APISERVER, done=lambda: client.exists(namespace))]
    if plan.options.controllers:
        account = f"{namespace}/serviceaccounts/default"
        steps.append(Step(text="the default ServiceAccount", program=CONTROLLERS, done=lambda: client.exists(account)))
    if plan.options.nodes:
        steps.append(Step(text="the nodes", program=KWOK, done=lambda: _ready_nodes(client) >= plan.options.nodes))
    return steps


def create_nodes(plan: Plan, client: Api) -> None:
    """Creates the nodes that kwok plays."""
    for number in range(plan.options.nodes):
        client.post("/api/v1/nodes", components.node(f"node-{number}"))


def _ready_nodes(client: Api) -> int:
    answer = client.get("/api/v1/nodes") or {}
    conditions = [node.get("status", {}).get("conditions", []) for node in answer.get("items", [])]
    return sum(any(c["type"] == "Ready" and c["status"] == "True" for c in of_node) for of_node in conditions)
