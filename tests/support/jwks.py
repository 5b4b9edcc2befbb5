"""A local HTTP server that publishes key sets, well-behaved or not."""

import http.server
import json
import ssl
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


class Authority:
    """A certificate authority of its own, in a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.certificate = folder / "ca.pem"
        self._openssl("req", "-x509", *self._new_key("ca"), "-subj", "/CN=authority",
                      "-out", str(self.certificate))

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    def _new_key(self, name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", str(self.folder / f"{name}.key")]

    def issue(self, name, host, days=1):
        """A server's certificate for a host, such as IP:127.0.0.1: an SSLContext that shows it."""
        request, extensions = self.folder / f"{name}.req", self.folder / f"{name}.ext"
        certificate = self.folder / f"{name}.pem"
        extensions.write_text(f"subjectAltName={host}")
        self._openssl("req", "-new", *self._new_key(name), "-subj", f"/CN={name}",
                      "-out", str(request))
        self._openssl("x509", "-req", "-in", str(request), "-CA", str(self.certificate),
                      "-CAkey", str(self.folder / "ca.key"), "-days", str(days),
                      "-extfile", str(extensions), "-out", str(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, self.folder / f"{name}.key")
        return context


class JwksServer:
    """Answers GET of any path; `hits` has the paths that were asked for. With an SSLContext it is
    an https server."""

    def __init__(self, *keys, tls=None):
        self.tls = tls
        self.hits = []
        self.status = 200
        self.headers = {}
        self.before_answer = lambda: None
        self.publish(*keys)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.hits.append(self.path)
                outer.before_answer()
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
        if self.tls:
            self.server.socket = self.tls.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False)
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
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/keys"
