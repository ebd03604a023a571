"""Asking a running plane's supervisor for something, over its socket."""

import json
import os
import socket
from pathlib import Path
from typing import Any

from kubelab.errors import ControlError
from kubelab.layout import Folder


def request(folder: Folder, do: str, program: str) -> None:
    """Asks for a program to be killed (`kill`) or killed and started (`restart`); returns when that is done.

    Raises:
        ControlError: The supervisor refused, or is gone.
    """
    with _connect(folder) as connection:
        connection.sendall(json.dumps({"do": do, "program": program}).encode() + b"\n")
        line = connection.makefile().readline()
    answer: dict[str, Any] = json.loads(line) if line else {"error": "the plane ended"}
    if "error" in answer:
        raise ControlError(answer["error"])


def stop(folder: Folder) -> None:
    """Ends a plane; returns when its programs are gone and its data is deleted. One that is gone is no error."""
    try:
        connection = _connect(folder)
    except ControlError:
        if folder.is_alive():
            raise
        folder.remove()
        return
    with connection:
        connection.sendall(b'{"do": "stop"}\n')
        connection.makefile().read()


def _connect(folder: Folder) -> socket.socket:
    """Connects through the folder's descriptor if that can be: the address of a socket has room for 107 bytes only."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    try:
        descriptor = os.open(folder.path, os.O_RDONLY)
        try:
            short = Path(f"/proc/self/fd/{descriptor}") / folder.socket.name
            connection.connect(str(short if short.parent.exists() else folder.socket))
        finally:
            os.close(descriptor)
    except OSError as error:
        connection.close()
        raise ControlError(f"the supervisor of plane '{folder.name}' cannot be reached: {error}") from error
    return connection
