"""Who may call: every check of a token, each with the good token beside it."""

import time

import pytest

from support import tokens
from support.client import Client
from support.tokens import claims, hs256
from support.stack import DEFAULT_TENANT
from support.wait import eventually

NOW = int(time.time())
LEEWAY_S = 30

# name: changes of the claims that make the token worthless
BAD_CLAIMS = {
    "expired": {"exp": NOW - 3600},
    "no exp": {"exp": None},
    "exp as text": {"exp": str(NOW + 3600)},
    "exp as boolean": {"exp": True},
    "exp null": {"exp": "null"},
    "exp negative": {"exp": -1},
    "not yet valid": {"nbf": NOW + 3600},
    "nbf as text": {"nbf": "0"},
    "issued in the future": {"iat": NOW + 3600},
    "another issuer": {"iss": "evil"},
    "no issuer": {"iss": None},
    "issuer as list": {"iss": ["atoll"]},
    "another audience": {"aud": "evil"},
    "no audience": {"aud": None},
    "audience list without us": {"aud": ["evil", "other"]},
    "audience as number": {"aud": 5},
    "no subject": {"sub": None},
    "empty subject": {"sub": ""},
    "subject with a newline": {"sub": "a\nb"},
    "subject as number": {"sub": 5},
    "tenant as number": {"tenant": 5},
    "tenant that is no id": {"tenant": "' OR 1=1 --"},
}
BAD_HEADERS = {
    "crit": {"crit": ["exp"]},
    "another typ": {"typ": "JWE"},
    "no alg": {"alg": None},
    "alg as list": {"alg": ["HS256"]},
    "lower-case alg": {"alg": "hs256"},
    "HS512 signed as HS256": {"alg": "HS512"},
}


def status_with(client, token):
    return Client(f"{client.host}:{client.port}", token).get("/sandboxes").status


def good(**changes):
    return claims(DEFAULT_TENANT, **changes)


def test_the_good_token(client):
    assert client.get("/sandboxes").status == 200


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_bad_claims(client, stack, name):
    assert status_with(client, hs256(stack.key, good(**BAD_CLAIMS[name]))) in (401, 403)


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_bad_headers(client, stack, name):
    token = tokens.encode(
        tokens.header("HS256", **BAD_HEADERS[name]), good(), tokens.hs256_signer(stack.key)
    )
    assert status_with(client, token) == 401


@pytest.mark.parametrize("changes", [{"aud": ["other", "atoll"]}, {"nbf": None}, {"tenant": None}])
def test_good_variants(client, stack, changes):
    assert status_with(client, hs256(stack.key, good(**changes))) == 200


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
def test_unsigned_tokens(client, alg):
    assert status_with(client, tokens.unsigned(good(), alg)) == 401


@pytest.mark.parametrize(
    "header", ["jku", "x5u", "jwk", "x5c"],
)
def test_keys_named_by_the_token_are_not_used(client, header):
    """The signature is right under the key that the token brings along."""
    own_key = b"k" * 32
    jwk = {"kty": "oct", "k": tokens.b64url(own_key)}
    value = jwk if header == "jwk" else "http://127.0.0.1:9/"
    assert status_with(client, hs256(own_key, good(), **{header: value})) == 401


@pytest.mark.parametrize("kid", ["../../../../dev/null", "/etc/passwd", "' OR 1=1", "|id", "\0"])
def test_a_hostile_kid_is_no_path(client, kid):
    assert status_with(client, hs256(b"", good(), kid=kid)) == 401


def test_wrong_and_empty_keys(client, stack):
    for key in (b"", b"x", stack.key[:-1], stack.key + b"x"):
        assert status_with(client, hs256(key, good())) == 401


def test_duplicate_claims_do_not_win(client, stack):
    body = (
        b'{"iss":"atoll","aud":"atoll","tenant":"%s","exp":1,"exp":%d}'
        % (DEFAULT_TENANT.encode(), NOW + 3600)
    )
    token = tokens.encode(tokens.header("HS256"), body, tokens.hs256_signer(stack.key))
    assert status_with(client, token) == 401


def test_cut_and_changed_tokens(client, stack):
    token = stack.token()
    head, body, signature = token.split(".")
    forged = tokens.b64url(tokens.base64.urlsafe_b64decode(body + "==").replace(b"tests", b"admin"))
    for broken in (
        "", ".", "..", "a.b.c", head, f"{head}.{body}", f"{head}.{body}.", f"{head}..{signature}",
        f"{head}.{forged}.{signature}", token[:-1], f"{token}A", f"{token}.x", f"{token}=",
        "A" * 100000, f"{head}.{body}.{signature[::-1]}",
    ):
        assert status_with(client, broken) in (400, 401, 431), broken[:60]


def test_forms_of_the_header(client, stack):
    token = stack.token()
    for value, status in {
        f"Bearer {token}": 200,
        f"bearer {token}": 200,
        f"Basic {token}": 401,
        token: 401,
        "Bearer": 401,
        "Bearer ": 401,
        f"Bearer {token} x": 401,
    }.items():
        got = client.get("/sandboxes", headers={"Authorization": value}).status
        assert got == status, (value[:20], got)


def test_token_in_the_query_is_not_taken(anonymous, stack):
    assert anonymous.get(f"/sandboxes?access_token={stack.token()}").status in (400, 401)


def test_leeway_is_small(client, stack):
    assert status_with(client, hs256(stack.key, good(exp=int(time.time()) - 5))) == 200
    assert status_with(client, hs256(stack.key, good(exp=int(time.time()) - LEEWAY_S - 60))) == 401


def test_a_cached_token_is_not_a_pass_for_its_neighbour(client, stack):
    """After a token was verified and cached, another with the same body and no right signature."""
    token = stack.token()
    assert status_with(client, token) == 200
    head, body, signature = token.split(".")
    twisted = ("A" if signature[0] != "A" else "B") + signature[1:]
    assert status_with(client, f"{head}.{body}.{twisted}") == 401
    assert status_with(client, token) == 200


def test_401_says_how(anonymous):
    response = anonymous.get("/sandboxes")
    assert response.status == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert response.json["code"] == "unauthenticated"


@pytest.mark.parametrize(
    "method, path",
    [("POST", "/sandbox"), ("GET", "/sandboxes"), ("GET", f"/sandbox/{'0' * 32}"),
     ("DELETE", f"/sandbox/{'0' * 32}"), ("POST", f"/sandbox/{'0' * 32}/execute"),
     ("POST", f"/sandbox/{'0' * 32}/files")],
)
def test_every_route_but_health_needs_a_token(anonymous, method, path):
    assert anonymous.request(method, path).status == 401


# --- public keys


@pytest.fixture(scope="module", params=["rsa", "ec"])
def keyed(request, stack):
    """(key pair, address of a server that takes only its tokens)"""
    pair = tokens.KeyPair(stack.folder, request.param)
    variable = {
        "rsa": "ATOLL_AUTH_RS256_PUBLIC_KEY_FILE", "ec": "ATOLL_AUTH_ES256_PUBLIC_KEY_FILE",
    }[request.param]
    settings = {"ATOLL_AUTH_HS256_KEY_FILE": "", variable: str(pair.public)}
    return pair, stack.another_server(**settings)


def test_public_key_token(keyed):
    pair, address = keyed
    assert Client(address, pair.token(good())).get("/sandboxes").status == 200


def test_public_key_token_by_another_key(keyed, tmp_path):
    pair, address = keyed
    other = tokens.KeyPair(tmp_path, pair.kind)
    assert Client(address, other.token(good())).get("/sandboxes").status == 401


def test_public_key_used_as_hmac_secret(keyed):
    """The classic confusion: HS256 with the text of the public key as its secret."""
    pair, address = keyed
    for secret in (pair.public.read_bytes(), pair.public.read_bytes().strip()):
        assert Client(address, hs256(secret, good())).get("/sandboxes").status == 401


def test_public_key_server_takes_no_hs256(keyed, stack):
    _, address = keyed
    assert Client(address, stack.token()).get("/sandboxes").status == 401


def test_public_key_server_takes_no_unsigned(keyed):
    _, address = keyed
    assert Client(address, tokens.unsigned(good())).get("/sandboxes").status == 401


def test_a_signature_of_zeros(keyed):
    """CVE-2022-21449: r = s = 0 must not verify."""
    pair, address = keyed
    length = 64 if pair.kind == "ec" else 256
    token = tokens.encode(tokens.header(pair.algorithm), good(), lambda _: b"\0" * length)
    assert Client(address, token).get("/sandboxes").status == 401


# --- start-up


def refused_start(stack, **environment):
    with pytest.raises(RuntimeError) as failure:
        stack.another_server(**environment)
    return str(failure.value)


def test_a_short_key_stops_the_start(stack):
    path = stack.write_key("short.key", b"k" * 31)
    assert "32" in refused_start(stack, ATOLL_AUTH_HS256_KEY_FILE=str(path))


def test_no_key_at_all_stops_the_start(stack):
    refused_start(stack, ATOLL_AUTH_HS256_KEY_FILE="")


def test_auth_off_needs_a_loopback_listener(stack):
    message = refused_start(stack, ATOLL_AUTH_MODE="off", SANDBOX_HOST="0.0.0.0")
    assert "loopback" in message


def test_auth_off_on_loopback_says_so_loudly(stack):
    address = stack.another_server(ATOLL_AUTH_MODE="off")
    assert Client(address).get("/sandboxes").status == 200
    assert "auth" in stack.extra_servers[-1].log.read_text().lower()


def test_token_command_makes_a_working_token(stack, client):
    token = stack.atoll("token").stdout.strip()
    assert status_with(client, token) == 200


# --- events

# reason: the token that is refused for it
REFUSED = {
    "no_credential": lambda stack: None,
    "malformed": lambda stack: "a.b.c",
    "wrong_issuer": lambda stack: hs256(stack.key, good(iss="evil")),
    "wrong_audience": lambda stack: hs256(stack.key, good(aud="evil")),
    "wrong_algorithm": lambda stack: tokens.unsigned(good()),
    "wrong_type": lambda stack: hs256(stack.key, good(), typ="at+jwt"),
    "wrong_signature": lambda stack: hs256(b"k" * 32, good()),
    "expired": lambda stack: hs256(stack.key, good(exp=NOW - 3600)),
    "not_yet_valid": lambda stack: hs256(stack.key, good(nbf=NOW + 3600)),
    "wrong_claim": lambda stack: hs256(stack.key, good(sub=5)),
    "unknown_key": lambda stack: f"atoll_{'0' * 12}_{'A' * 43}",
}


@pytest.fixture(scope="module")
def recorder(stack):
    """A server that nobody else calls: what it notes is what this module did."""
    return stack.another_server()


@pytest.mark.parametrize("reason", REFUSED)
def test_a_refusal_is_an_event(stack, recorder, reason):
    response = Client(recorder, REFUSED[reason](stack)).get("/sandboxes")
    assert response.status == 401
    request_id = response.headers["X-Request-Id"]
    (event,) = eventually(lambda: stack.postgres.rows(
        f"SELECT tenant_id, kind, detail FROM events WHERE request_id = '{request_id}'"))
    assert event["kind"] == "auth.failed"
    assert event["detail"] == {"reason": reason, "client": "127.0.0.1", "count": 1}
    assert set(event["tenant_id"]) == {"0", "-"}, "nobody's, so that operators alone see it"


def test_a_flood_of_refusals_is_few_events(stack):
    address = stack.another_server()
    ids = []
    for number in range(300):
        response = Client(address, f"x.{number}.y").get("/sandboxes")
        assert response.status == 401
        ids.append(f"'{response.headers['X-Request-Id']}'")
    stack.extra_servers[-1].stop()
    rows = stack.postgres.rows(
        f"SELECT detail FROM events WHERE request_id IN ({', '.join(ids)})")
    assert sum(row["detail"]["count"] for row in rows) == 300
    assert len(rows) <= 3


def test_token_command_binds_to_a_project(stack, client):
    sandbox = client.create()
    bound = stack.client(
        stack.atoll("token", "--project", "f" * 32, "--scope", "viewer").stdout.strip())
    assert client.get(f"/sandbox/{sandbox}").status == 200
    assert bound.get(f"/sandbox/{sandbox}").status == 404
    assert bound.try_create(runtime="shell", code="true").status == 403
    assert client.delete(sandbox).status == 200
