"""The process that owns the programs of one plane, and ends them and deletes its data when its time has come.

It runs in a session of its own, so that no Ctrl-C in a terminal reaches the programs, and ends

- on SIGTERM or SIGINT, or when a `stop` comes over its socket (`kubelab down`),
- when its leash breaks: its standard input is a pipe whose other end the owner holds. The kernel closes it when the
  owner ends, even by `kill -9`. Where the kernel offers it, the owner's process is watched too: a process that the
  owner forked could still hold the pipe.

If the supervisor itself is killed, the kernel kills its children (`processes.spawn`), its lock is free, and the next
`kubelab` command deletes what is left.

It writes one JSON object per line to its standard output until it is ready: `{"step": …}`, then `{"ready": true}` or
`{"error": …}`.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from kubelab import boot, processes
from kubelab.binary import Programs
from kubelab.components import APISERVER, ETCD, Plan, Ports
from kubelab.errors import KubelabError, StartError
from kubelab.layout import Folder
from kubelab.options import Options
from kubelab.ports import free_ports
from kubelab.watching import Ended, Request, Watch

ATTEMPTS = 3
SECONDS_TO_START = 120.0
SECONDS_BETWEEN_LOOKS = 0.03
PORT_TAKEN = "address already in use"


class Supervisor:
    """One plane's programs.

    Args:
        folder: The plane's folder, locked by a descriptor that this process inherited; also its working folder.
        order: What the owner wrote: options, owner, and how to start programs.
    """

    def __init__(self, folder: Folder, order: dict[str, Any]) -> None:
        self._folder = folder
        self._options = Options.from_json(order["options"])
        self._owner: int | str = order["owner"]
        assets = order["assets"]
        self._programs = Programs(assets=Path(assets) if assets else None)
        self._plan: Plan | None = None
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._ready = False

    def run(self) -> int:
        """Starts the plane, stays until it shall end, deletes everything. Returns the exit code."""
        try:
            self._live()
        except Ended:
            return 0
        except (KubelabError, OSError) as error:
            _tell({"error": str(error)})
            return 1
        finally:
            self._kill_all()
            self._folder.remove()

    def _live(self) -> NoReturn:
        watch = Watch(
            owner=self._owner if isinstance(self._owner, int) else None,
            address=self._folder.socket.relative_to(self._folder.path),
            on_child_end=self._bury,
            on_request=self._obey,
        )
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._start(watch)
                break
            except StartError as error:
                if PORT_TAKEN not in str(error) or attempt == ATTEMPTS:
                    raise
            self._kill_all()
            shutil.rmtree(self._folder.etcd)
            for log in self._folder.logs.iterdir():
                log.write_bytes(b"")
        _tell({"ready": True})
        _let_go_of_output()
        while True:
            watch.attend(None)

    def _start(self, watch: Watch) -> None:
        apiserver, etcd, peer = free_ports(3)
        ports = Ports(apiserver=apiserver, etcd=etcd, etcd_peer=peer)
        plan = self._plan = Plan(folder=self._folder, options=self._options, ports=ports)
        self._spawn(ETCD)
        # etcd boots while this process makes keys.
        if not (self._folder.pki / "ca.crt").exists():
            boot.write_identities(plan)
        boot.write_kubeconfigs(plan)
        client = boot.api(plan)
        self._await(boot.etcd_listens(plan), watch)
        self._spawn(APISERVER)
        self._await(boot.apiserver_is_ready(client), watch)
        for program in plan.programs()[2:]:
            self._spawn(program)
        boot.create_nodes(plan, client)
        for step in boot.contents(plan, client):
            self._await(step, watch)
        self._ready = True
        self._save()

    def _await(self, step: boot.Step, watch: Watch) -> None:
        _tell({"step": step.text})
        deadline = time.monotonic() + SECONDS_TO_START
        while not step.done():
            for program, process in self._processes.items():
                if process.poll() is not None:
                    raise StartError(f"{program} ended with code {process.returncode}:\n{self._tail(program)}")
            if time.monotonic() > deadline:
                said = self._tail(step.program)
                raise StartError(f"no sign of {step.text} for {SECONDS_TO_START:.0f} s; {step.program} says:\n{said}")
            watch.attend(SECONDS_BETWEEN_LOOKS)

    def _tail(self, program: str) -> str:
        return processes.tail(self._folder.log(program))

    def _spawn(self, program: str) -> None:
        if self._plan is None or program not in self._plan.programs():
            raise KubelabError(f"plane '{self._options.name}' has no program '{program}'")
        self._processes[program] = processes.spawn(
            [*self._programs.argv(program), *self._plan.flags(program)],
            environment=self._plan.environment(),
            directory=self._folder.path,
            log=self._folder.log(program),
        )

    def _kill(self, program: str) -> None:
        if program not in self._processes:
            raise KubelabError(f"plane '{self._options.name}' does not run '{program}'")
        processes.kill(self._processes.pop(program))

    def _kill_all(self) -> None:
        # No grace: the data is deleted anyway. Last started, first killed: an API server without etcd makes noise.
        for program in reversed(list(self._processes)):
            self._kill(program)

    def _bury(self) -> None:
        """Takes note of programs that ended by themselves. They are not started again: a test may want it so."""
        if not self._ready:
            return  # `_await` finds out, and tells why
        for program, process in list(self._processes.items()):
            if process.poll() is not None:
                print(f"{program} ended with code {process.returncode}", file=sys.stderr, flush=True)
                del self._processes[program]
        self._save()

    def _obey(self, request: Request) -> None:
        if not self._ready:
            raise KubelabError(f"plane '{self._options.name}' is still starting")
        program = str(request.get("program"))
        match request.get("do"):
            case "kill":
                self._kill(program)
            case "restart":
                if program in self._processes:
                    self._kill(program)
                self._spawn(program)
            case _:
                raise KubelabError(f"unknown request {request}")
        self._save()

    def _save(self) -> None:
        if self._plan is None:
            return
        state = {
            "name": self._options.name,
            "owner": self._owner,
            "supervisor": os.getpid(),
            "server": self._plan.ports.server,
            "ports": asdict(self._plan.ports),
            "pids": {program: process.pid for program, process in self._processes.items()},
            "kubeconfig": str(self._folder.kubeconfig),
            "options": self._options.to_json(),
        }
        self._folder.write_state(state)


def _tell(message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(message), flush=True)


def _let_go_of_output() -> None:
    """Lets go of the pipe to the owner, who has stopped reading."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def main() -> int:
    """Runs the supervisor of the plane whose folder is the first argument."""
    folder = Folder(Path(sys.argv[1]))
    order = json.loads((folder.path / "order.json").read_text())
    os.chdir(folder.path)
    return Supervisor(folder, order).run()


if __name__ == "__main__":
    sys.exit(main())
