"""The link that can be broken does break, in each of its ways, and mends."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from harness import Proxy, eventually, holds


class _Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while data := self.request.recv(65536):
                self.request.sendall(data)
        except ConnectionResetError:
            pass


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with _Server(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with Proxy("127.0.0.1", server.server_address[1]) as link:
            yield link
        server.shutdown()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def received(client: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length and (part := client.recv(length - len(data))):
        data += part
    return data


def echoed(client: socket.socket, data: bytes = b"ping") -> bytes:
    client.sendall(data)
    return received(client, len(data))


def silent(client: socket.socket, seconds: float = 0.2) -> bool:
    client.settimeout(seconds)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(5)
    return False


def test_up_forwards_counts_and_passes_the_end_on(proxy: Proxy) -> None:
    data = b"x" * 1_000_000
    with connect(proxy) as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        assert received(client, len(data)) == data
        sender.join()
        assert (proxy.accepted, proxy.open) == (1, 1)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert (proxy.bytes_up, proxy.bytes_down) == (len(data), len(data))
    eventually(lambda: proxy.open == 0)


def test_refuse_resets_and_keeps_the_port(proxy: Proxy) -> None:
    with connect(proxy) as client:
        assert echoed(client) == b"ping"
        proxy.refuse()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", proxy.port))
    proxy.refuse()
    proxy.up()
    with connect(proxy) as client:
        assert echoed(client) == b"ping"


def test_a_black_hole_forgets_what_was_in_it(proxy: Proxy) -> None:
    with connect(proxy) as before, connect(proxy) as unused:
        assert echoed(before) == b"ping"
        proxy.black_hole()
        passed = proxy.bytes_up
        with connect(proxy) as inside:
            for client in (before, unused, inside):
                client.sendall(b"lost")
                assert silent(client)
            proxy.up()
            for client in (before, unused, inside):
                client.sendall(b"lost")
                assert silent(client)
            assert proxy.bytes_up == passed
            with connect(proxy) as after:
                assert echoed(after) == b"ping"
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                inside.recv(1)


def test_a_black_hole_that_forgets_nothing_delivers_late(proxy: Proxy) -> None:
    with connect(proxy) as before:
        assert echoed(before) == b"ping"
        proxy.black_hole(forgets=False)
        with connect(proxy) as inside:
            for client in (before, inside):
                client.sendall(b"late")
                assert silent(client)
            proxy.up()
            assert [received(client, 4) for client in (before, inside)] == [b"late", b"late"]


def test_slow_delays_each_way_and_does_not_add_up(proxy: Proxy) -> None:
    with connect(proxy) as client:
        assert echoed(client) == b"ping"
        proxy.slow(0.3)
        began = time.monotonic()
        for part in (b"a", b"b", b"c"):
            client.sendall(part)
            time.sleep(0.02)
        assert received(client, 3) == b"abc"
        assert 0.6 <= time.monotonic() - began < 1.5
        proxy.up()
        began = time.monotonic()
        assert echoed(client) == b"ping"
        assert time.monotonic() - began < 0.5


def test_cut_resets_and_accepts_at_once(proxy: Proxy) -> None:
    with connect(proxy) as first, connect(proxy) as second:
        assert echoed(first) == echoed(second)
        proxy.cut()
        for client in (first, second):
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        with connect(proxy) as third:
            assert echoed(third) == b"ping"
    assert proxy.accepted == 3


def test_flap_alternates_until_told_otherwise(proxy: Proxy) -> None:
    def works() -> bool:
        try:
            with connect(proxy) as client:
                return echoed(client) == b"ping"
        except OSError:
            return False

    proxy.flap(0.2)
    for _ in range(3):
        eventually(lambda: not works(), "down")
        eventually(works, "up")
    proxy.up()
    holds(works, seconds=0.5)
    proxy.flap(0.2)
    proxy.refuse()
    holds(lambda: not works(), seconds=0.5)


def test_modes_may_come_from_many_threads(proxy: Proxy) -> None:
    def change() -> None:
        for _ in range(10):
            proxy.flap(0.01)
            proxy.refuse()
            proxy.slow(0.01)
            proxy.black_hole()
            proxy.cut()
            proxy.up()

    threads = [threading.Thread(target=change) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    proxy.up()
    with connect(proxy) as client:
        assert echoed(client) == b"ping"


def test_a_server_that_is_gone_is_a_reset() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        # The reset may come as early as in connect.
        with (
            Proxy(*nobody.getsockname()) as proxy,
            pytest.raises(ConnectionResetError),
            connect(proxy) as client,
        ):
            client.recv(1)


def test_the_end_of_the_test_closes_everything(proxy: Proxy) -> None:
    with Proxy("127.0.0.1", proxy.port) as outer, connect(outer) as client:
        assert echoed(client) == b"ping"
        outer.black_hole()
        port = outer.port
    assert outer.open == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert not any(thread.name == f"proxy-{port}" for thread in threading.enumerate())
