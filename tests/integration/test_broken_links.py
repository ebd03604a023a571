"""kubectl through a proxy: TLS is verified, and a broken link is one."""

import pytest

from harness import Proxy
from kubelab import KubectlError
from kubelab.plane import ControlPlane


def test_a_plane_can_be_reached_through_a_link_that_breaks(abroad: ControlPlane) -> None:
    with Proxy.to(abroad) as link:
        config = link.kubeconfig(abroad.kubeconfig)

        def ask() -> str:
            return abroad.kubectl("get", "--raw", "/readyz", "--request-timeout=2s", kubeconfig=config).stdout

        assert ask() == "ok"
        assert min(link.accepted, link.bytes_up, link.bytes_down) > 0
        for broken, said in ((link.refuse, "refused"), (link.black_hole, "timeout|deadline|Timeout")):
            broken()
            with pytest.raises(KubectlError, match=said):
                ask()
            link.up()
            assert ask() == "ok"
