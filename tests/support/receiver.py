"""An HTTP server of the tests' own that webhooks are sent to."""

import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Delivery:
    """What arrived."""

    def __init__(self, path, headers, body):
        self.path = path
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def id(self):
        return self.headers["Atoll-Delivery"]

    def is_signed_by(self, secret):
        """As docs/api/webhooks.md tells a receiver to do it."""
        parts = dict(part.split("=", 1) for part in self.headers["Atoll-Signature"].split(","))
        text = f"{parts['t']}.".encode() + self.body
        return hmac.compare_digest(
            parts["v1"], hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()
        )


class Receiver:
    """Collects deliveries; `answer` decides about each."""

    def __init__(self):
        self.deliveries = []
        self.statuses = {}  # of a path, one after another; then 200
        self.gates = {}  # path: an event that its answers wait for
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.deliveries.append(Delivery(self.path, self.headers, body))
                gate = receiver.gates.get(self.path)
                if gate:
                    gate.wait(60)
                statuses = receiver.statuses.get(self.path)
                self.send_response(statuses.pop(0) if statuses else 200)
                self.send_header("Location", receiver.url("/elsewhere"))
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        for gate in self.gates.values():
            gate.set()
        self.server.shutdown()
        self.server.server_close()

    def url(self, path="/", host="127.0.0.1"):
        return f"http://{host}:{self.server.server_port}{path}"

    def at(self, path):
        """What came to a path."""
        return [delivery for delivery in self.deliveries if delivery.path == path]
