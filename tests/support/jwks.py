"""A local HTTP server that publishes key sets, well-behaved or not."""

import http.server
import json
import subprocess
import threading

from support.tokens import b64url


def jwk(pair, kid):
    """The public key of a tokens.KeyPair as a JWK."""
    arguments = ["openssl", "pkey", "-pubin", "-in", str(pair.public)]
    der = subprocess.run([*arguments, "-outform", "DER"], check=True, capture_output=True).stdout
    if pair.kind == "ec":
        return {"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig",
                "x": b64url(der[-64:-32]), "y": b64url(der[-32:])}
    text = subprocess.run(
        ["openssl", "rsa", "-pubin", "-in", str(pair.public), "-noout", "-modulus"],
        check=True, capture_output=True, text=True).stdout
    modulus = bytes.fromhex(text.split("=")[1].strip())
    return {"kty": "RSA", "kid": kid, "alg": "RS256", "n": b64url(modulus),
            "e": b64url(b"\x01\x00\x01")}


class JwksServer:
    """Answers GET of any path; `hits` has the paths that were asked for."""

    def __init__(self, *keys):
        self.hits = []
        self.status = 200
        self.headers = {}
        self.publish(*keys)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.hits.append(self.path)
                self.send_response(outer.status)
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_):
                pass

        self.handler = Handler
        self.server = None
        self.start(0)

    def start(self, port=None):
        wanted = self.port if port is None else port
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", wanted), self.handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def publish(self, *keys):
        self.body = json.dumps({"keys": list(keys)}).encode()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/keys"
