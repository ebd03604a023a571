"""`python -m demo [--keep | --down]`: exit code 0 and a last line `demo: ok` if every step happened."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys

from demo.stage import EU, HUB, Failed, Stage
from demo.story import Teller, play
from kubelab.errors import KubelabError
from kubelab.plane import ControlPlane


def main() -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything running and say how to look around")
    parser.add_argument("--down", action="store_true", help="end what --keep left running")
    arguments = parser.parse_args()
    if arguments.down:
        return down()
    stage, tell = Stage(), Teller()
    ok = False
    try:
        stage.start(leash=not arguments.keep)
        play(stage, tell, leash=not arguments.keep)
        ok = True
    except (Failed, KubelabError) as error:
        print(f"demo: failed: {error}", file=sys.stderr)
        if stage.log.exists():
            print(f"the end of the operator's log:\n{stage.log.read_text()[-3000:]}", file=sys.stderr)
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
    finally:
        if not (ok and arguments.keep):
            stage.stop()
    if ok and arguments.keep:
        print(
            f"\nStill running. Look around with:\n"
            f"  export KUBECONFIG={stage.hub.kubeconfig}\n"
            f"  .venv/bin/kubelab kubectl {HUB} get sset,ips,regions -A\n"
            f"  .venv/bin/kubelab kubectl {EU} get secrets -A\n"
            f"  tail -f {stage.log}\n"
            f"End it with: make demo-down\n"
        )
    if ok:
        print("demo: ok")
    return 0 if ok else 1


def down() -> int:
    """End the operator and the control planes of an earlier `--keep`."""
    for name in (HUB, EU):
        with contextlib.suppress(KubelabError):
            plane = ControlPlane.attach(name)
            pid = plane.data_dir / "operator.pid"
            if pid.exists():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid.read_text()), signal.SIGTERM)
            plane.stop()
            print(f"{name} ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
