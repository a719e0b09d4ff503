"""What stands between a client and its server, and can lose the answer to a COMMIT."""

from __future__ import annotations

import socket
import threading


class Relay:
    """Passes on what it is given, until it ``loses``: then the next COMMIT reaches the server, and no answer comes."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.loses = False
        self.stays = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        # Accepting ends with a shutdown, not with a close.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
            lost = threading.Event()
            answers = threading.Thread(target=self._answer, args=(server, client, lost), daemon=True)
            answers.start()
            while data := _received(client):
                if self.loses and b"COMMIT\0" in data:
                    self.loses = False
                    lost.set()
                    if not self.stays:
                        self.close()
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)
            answers.join()

    def _answer(self, server: socket.socket, client: socket.socket, lost: threading.Event) -> None:
        while (data := _received(server)) and not lost.is_set():
            client.sendall(data)
        client.shutdown(socket.SHUT_RDWR)


def _received(end: socket.socket) -> bytes:
    try:
        return end.recv(65536)
    except OSError:
        return b""
