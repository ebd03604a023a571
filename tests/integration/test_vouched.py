"""An operator that starts while a region is away: what was delivered keeps its phase, what was not is told."""

from __future__ import annotations

from harness import OperatorProcess, Org
from harness.linked import linked
from kubelab.plane import ControlPlane


def test_a_start_beside_a_region_that_is_away(org: Org, abroad: ControlPlane, operator: OperatorProcess) -> None:
    with linked(org, abroad) as there:
        quiet, before = there.status("quiet"), there.status_writes("secretsets", "quiet")
        there.link.refuse()
        there.says("False")
        operator.kill()
        value = there.change()
        there.kubectl("label", "secret", "calm", "seen=again")  # another version, with the same content
        operator.start()
        there.reaches("pending", "RegionUnreachable")
        assert there.status("quiet") == quiet
        there.link.up()
        there.holds_value(value)
        assert there.reaches("ready", "Synced")["revision"] == 2
        there.restarted("web", 2)
        assert (there.status("quiet"), there.generation("still")) == (quiet, 1)
        assert there.status_writes("secretsets", "quiet") == before
