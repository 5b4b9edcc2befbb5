"""A way to the server that can be cut."""

import contextlib
import os
import socket
import socketserver
import threading


class Relay(socketserver.ThreadingTCPServer):
    """Passes connections on to the server, until they are cut."""

    daemon_threads = True

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.target = (host, int(port))
        self.open = []
        super().__init__(("127.0.0.1", 0), None)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def finish_request(self, request, client_address):
        upstream = socket.create_connection(self.target)
        self.open += [request, upstream]
        back = threading.Thread(target=self.copy, args=(upstream, request))
        back.start()
        self.copy(request, upstream)
        back.join()

    @staticmethod
    def copy(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def cut(self):
        for end in self.open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.open.clear()

    def go_away(self):
        """Nobody gets through any more."""
        self.shutdown()
        self.server_close()
        self.cut()


class Watched(Relay):
    """Tells when some bytes have passed back to a client."""

    def __init__(self, address, wanted):
        self.seen = threading.Event()
        self.wanted = wanted
        super().__init__(address)

    def copy(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
                if data.startswith(b"HTTP/") and self.wanted in data:
                    self.seen.set()
            target.shutdown(socket.SHUT_WR)


class Held(Relay):
    """Passes on the first 100 KB of a connection's answers, the rest only when released."""

    def __init__(self, address):
        self.release = threading.Event()
        super().__init__(address)

    def copy(self, source, target):
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
                passed += len(data)
                if passed > 100_000:
                    self.release.wait(60)
            target.shutdown(socket.SHUT_WR)


class Swallowing(socketserver.ThreadingUnixStreamServer):
    """Stands in front of a PostgreSQL. Where `statement` (a name) is sent once it is set, the answer
    is awaited and kept, and the connection ends."""

    daemon_threads = True

    def __init__(self, folder, target):
        self.target = str(target)
        self.statement = None
        super().__init__(f"{folder}/.s.PGSQL.5432", None)
        os.chmod(self.server_address, 0o777)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def finish_request(self, request, client_address):
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(f"{self.target}/.s.PGSQL.5432")
        swallows = threading.Event()
        back = threading.Thread(target=self.answer, args=(upstream, request, swallows))
        back.start()
        with contextlib.suppress(OSError):
            while data := request.recv(65536):
                if self.statement and self.statement + b"\0" in data:
                    swallows.set()
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)
        back.join()
        upstream.close()

    @staticmethod
    def answer(upstream, request, swallows):
        with contextlib.suppress(OSError):
            while data := upstream.recv(65536):
                if swallows.is_set():
                    break
                request.sendall(data)
            request.shutdown(socket.SHUT_RDWR)
