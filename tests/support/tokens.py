"""JSON web tokens made by hand, good and bad ones. RSA and EC signatures come from openssl(1)."""

import base64
import hashlib
import hmac
import json
import subprocess
import time
from pathlib import Path

ISSUER = "atoll"
AUDIENCE = "atoll"


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(tenant, /, **changes):
    """The claims of a good token; a change to None leaves the claim out."""
    now = int(time.time())
    values = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "tests",
        "tenant": tenant,
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
    }
    values.update(changes)
    return {name: value for name, value in values.items() if value is not None}


def header(alg, /, **changes):
    values = {"alg": alg, "typ": "JWT"}
    values.update(changes)
    return {name: value for name, value in values.items() if value is not None}


def encode(head, body, sign):
    """head and body may be dicts or raw JSON bytes; sign maps the signing input to bytes."""
    parts = [
        b64url(part if isinstance(part, bytes) else json.dumps(part).encode())
        for part in (head, body)
    ]
    signing_input = ".".join(parts).encode()
    return f"{signing_input.decode()}.{b64url(sign(signing_input))}"


def hs256_signer(key):
    return lambda data: hmac.new(key, data, hashlib.sha256).digest()


def hs256(key, body, **head_changes):
    return encode(header("HS256", **head_changes), body, hs256_signer(key))


def unsigned(body, alg="none"):
    return encode(header(alg), body, lambda data: b"")


class KeyPair:
    """An RSA or P-256 key pair in a folder, with the signer of its JWS algorithm."""

    def __init__(self, folder, kind):
        self.kind = kind
        self.private = Path(folder) / f"{kind}.pem"
        self.public = Path(folder) / f"{kind}.pub.pem"
        options = {
            "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            "ec": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        }[kind]
        openssl("genpkey", *options, "-out", str(self.private))
        openssl("pkey", "-in", str(self.private), "-pubout", "-out", str(self.public))
        self.public.chmod(0o644)

    @property
    def algorithm(self):
        return {"rsa": "RS256", "ec": "ES256"}[self.kind]

    def sign(self, data):
        signature = openssl("dgst", "-sha256", "-sign", str(self.private), data=data)
        return signature if self.kind == "rsa" else der_to_raw(signature)

    def token(self, body, **head_changes):
        return encode(header(self.algorithm, **head_changes), body, self.sign)


def der_to_raw(der):
    """The ASN.1 signature of openssl as the 64 bytes r || s of JWS (RFC 7518, 3.4)."""
    numbers, offset = [], 2
    for _ in range(2):
        length = der[offset + 1]
        value = int.from_bytes(der[offset + 2 : offset + 2 + length], "big")
        numbers.append(value.to_bytes(32, "big"))
        offset += 2 + length
    return b"".join(numbers)


def openssl(*arguments, data=None):
    return subprocess.run(
        ["openssl", *arguments], input=data, check=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ).stdout
