"""Free loopback ports for a plane.

A port is taken below the range from which the kernel serves outgoing connections: an API server that a test kills and
starts again on its port must not find that some client's connection got the number in the meantime.
Two planes that start at once may still choose the same one; the supervisor then starts over with others.
"""

import random
import socket
from pathlib import Path

LOWEST = 20_000
RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
DEFAULT_EPHEMERAL = 32_768
_random = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    """Returns this many different ports that nothing listens on at the moment."""
    highest = _first_ephemeral() - 1
    if highest - LOWEST < 1_000:
        return _from_kernel(count)
    ports: list[int] = []
    while len(ports) < count:
        port = _random.randint(LOWEST, highest)
        if port not in ports and _is_free(port):
            ports.append(port)
    return ports


def _first_ephemeral() -> int:
    try:
        return int(RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError):
        return DEFAULT_EPHEMERAL


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _from_kernel(count: int) -> list[int]:
    probes = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
