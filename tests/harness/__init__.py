"""What the integration tests stand on: the real operator as a process, and organizations of one's own to use it in.

The operator runs with the service account and the roles of deploy/, so every test is also a test of those. Each test
takes an organization with names of its own; nothing is shared but the planes and the process.
"""

from harness.away import Away
from harness.faulty import FaultyServer
from harness.hub import start_hub
from harness.manifests import (
    REGIONAL_BINDING,
    decoded,
    env_from,
    env_key,
    grant,
    kubeconfig_ref,
    namespace,
    organization_role,
    region,
    regional_role,
    value_from,
)
from harness.org import Org, guarded, kubeconfig_secret
from harness.process import (
    OPERATOR_ACCOUNT,
    ROOT,
    USER,
    OperatorProcess,
    described,
    install_hub,
    install_region_cluster,
    writes,
)
from harness.proxy import Proxy
from harness.traces import forms
from harness.waiting import SOON, eventually, holds

__all__ = [
    "OPERATOR_ACCOUNT",
    "REGIONAL_BINDING",
    "ROOT",
    "SOON",
    "USER",
    "Away",
    "FaultyServer",
    "OperatorProcess",
    "Org",
    "Proxy",
    "decoded",
    "described",
    "env_from",
    "env_key",
    "eventually",
    "forms",
    "grant",
    "guarded",
    "holds",
    "install_hub",
    "install_region_cluster",
    "kubeconfig_ref",
    "kubeconfig_secret",
    "namespace",
    "organization_role",
    "region",
    "regional_role",
    "start_hub",
    "value_from",
    "writes",
]
