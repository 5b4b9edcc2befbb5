"""Several issuers of tokens, their published keys, and how keys change without a restart."""

import json
import os
import signal
import threading
import time

import pytest

from support import tokens
from support.client import Client
from support.jwks import Authority, JwksServer, jwk
from support.stack import DEFAULT_TENANT
from support.wait import eventually

ISSUER = "https://id.example.com"
HOUR_S = 3600


@pytest.fixture(scope="module")
def pairs(stack):
    """Two RSA key pairs and one on P-256."""
    made = {}
    for name, kind in (("one", "rsa"), ("two", "rsa"), ("ec", "ec")):
        folder = stack.folder / f"pair-{name}"
        folder.mkdir(mode=0o755)
        made[name] = tokens.KeyPair(folder, kind)
    return made


@pytest.fixture
def publisher(pairs):
    server = JwksServer(jwk(pairs["one"], "one"))
    yield server
    server.stop()


def write_issuers(stack, *issuers):
    path = stack.folder / f"issuers-{time.monotonic_ns()}.json"
    path.write_text(json.dumps({"issuers": list(issuers)}))
    return path


def issuer(publisher, **changes):
    return {"issuer": ISSUER, "audience": "atoll", "algorithms": ["RS256"],
            "jwks_url": publisher.url, "refetch_seconds": 1, **changes}


def serve(stack, *issuers):
    return stack.another_server(ATOLL_AUTH_ISSUERS_FILE=str(write_issuers(stack, *issuers)))


def fresh(pair, kid, **changes):
    """A token that no cache knows yet."""
    body = tokens.claims(DEFAULT_TENANT, iss=ISSUER, jti=os.urandom(8).hex())
    body.update(changes)
    return pair.token(body, kid=kid)


def status(address, token):
    return Client(address, token).get("/sandboxes").status


def taken(address, pair, kid, **changes):
    return status(address, fresh(pair, kid, **changes)) == 200


def server_log(stack):
    return stack.extra_servers[-1].log.read_text()


# --- published keys


@pytest.mark.parametrize("name, algorithm", [("one", "RS256"), ("ec", "ES256")])
def test_a_published_key_verifies(stack, pairs, publisher, name, algorithm):
    publisher.publish(jwk(pairs[name], "k"))
    address = serve(stack, issuer(publisher, algorithms=[algorithm]))
    eventually(lambda: taken(address, pairs[name], "k"))
    assert status(address, stack.token()) == 200, "the installation's own issuer serves too"


def test_rotation_without_restart(stack, pairs, publisher):
    address = serve(stack, issuer(publisher))
    old = fresh(pairs["one"], "one")
    eventually(lambda: status(address, old) == 200)
    publisher.publish(jwk(pairs["two"], "two"))
    eventually(lambda: taken(address, pairs["two"], "two"), what="the new key is fetched")
    assert status(address, old) == 401, "a token that was cached ends with its key"


def test_an_unknown_kid_is_fetched_for_seldom(stack, pairs, publisher):
    address = serve(stack, issuer(publisher, refetch_seconds=HOUR_S))
    eventually(lambda: taken(address, pairs["one"], "one"))
    before = len(publisher.hits)
    for _ in range(20):
        assert not taken(address, pairs["two"], "two")
    assert len(publisher.hits) == before == 1


def test_without_kid_only_one_key_may_be_meant(stack, pairs, publisher):
    address = serve(stack, issuer(publisher))
    eventually(lambda: taken(address, pairs["one"], None))
    publisher.publish(jwk(pairs["one"], "one"), jwk(pairs["two"], "two"))
    eventually(lambda: taken(address, pairs["two"], "two"))
    assert not taken(address, pairs["one"], None)


def test_what_the_token_names_is_never_fetched(stack, pairs, publisher):
    address = serve(stack, issuer(publisher))
    other = JwksServer(jwk(pairs["two"], "two"))
    url = f"{other.url}/evil"
    for header in ({"kid": url}, {"kid": "two", "jku": url}, {"kid": "two", "x5u": url}):
        body = tokens.claims(DEFAULT_TENANT, iss=ISSUER)
        assert status(address, pairs["two"].token(body, **header)) == 401
        assert status(address, pairs["two"].token({**body, "iss": url}, kid="two")) == 401
    other.stop()
    assert other.hits == []


# --- issuers apart


def test_a_key_verifies_for_its_issuer_only(stack, pairs, publisher):
    other = JwksServer(jwk(pairs["two"], "two"))
    address = serve(
        stack, issuer(publisher), issuer(other, issuer="https://other.example.com"))
    eventually(lambda: taken(address, pairs["one"], "one"))
    eventually(lambda: taken(address, pairs["two"], "two", iss="https://other.example.com"))
    assert not taken(address, pairs["two"], "two")
    assert not taken(address, pairs["one"], "one", iss="https://other.example.com")
    assert not taken(address, pairs["one"], "one", iss="atoll")
    own = tokens.hs256(stack.key, tokens.claims(DEFAULT_TENANT, iss=ISSUER))
    assert status(address, own) == 401
    other.stop()


def test_a_slow_issuer_delays_no_other(stack, pairs, publisher):
    """The first one answers only once the second has been asked."""
    other = JwksServer(jwk(pairs["two"], "two"))
    asked = threading.Event()
    other.before_answer = asked.set
    publisher.before_answer = asked.wait
    address = serve(
        stack, issuer(publisher, refetch_seconds=HOUR_S),  # so it is asked once
        issuer(other, issuer="https://other.example.com"))
    eventually(lambda: taken(address, pairs["two"], "two", iss="https://other.example.com"))
    eventually(lambda: taken(address, pairs["one"], "one"))
    other.stop()


def test_an_issuer_may_go_while_it_is_asked(stack, pairs, publisher):
    other = JwksServer(jwk(pairs["two"], "two"))
    gate = threading.Event()
    publisher.before_answer = gate.wait
    path = write_issuers(stack, issuer(publisher))
    address = stack.another_server(ATOLL_AUTH_ISSUERS_FILE=str(path))
    eventually(lambda: publisher.hits, what="it is asked")
    write_issuers(stack, issuer(other, issuer="https://other.example.com")).rename(path)
    eventually(lambda: taken(address, pairs["two"], "two", iss="https://other.example.com"))
    write_issuers(stack, issuer(publisher)).rename(path)
    gate.set()
    eventually(lambda: taken(address, pairs["one"], "one"))
    other.stop()


def test_the_algorithm_is_the_issuers(stack, pairs, publisher):
    publisher.publish(jwk(pairs["one"], "one"), jwk(pairs["ec"], "ec"))
    address = serve(stack, issuer(publisher))
    eventually(lambda: taken(address, pairs["one"], "one"))
    assert not taken(address, pairs["ec"], "ec")
    body = tokens.claims(DEFAULT_TENANT, iss=ISSUER)
    for secret in (pairs["one"].public.read_bytes(), publisher.body):
        assert status(address, tokens.hs256(secret, body, kid="one")) == 401


def test_an_audience_of_its_own(stack, pairs, publisher):
    address = serve(stack, issuer(publisher, audience="sandboxes"))
    eventually(lambda: taken(address, pairs["one"], "one", aud=["x", "sandboxes"]))
    assert not taken(address, pairs["one"], "one")


def test_an_issuer_of_one_tenant(stack, pairs, publisher):
    stack.tenant_client("other")
    tenant = stack.extra_tenants["other"]
    address = serve(stack, issuer(publisher, tenant=tenant))
    sandbox = stack.tenant_client("other").create()
    token = fresh(pairs["one"], "one", tenant=tenant, scope="operator")
    eventually(lambda: Client(address, token).get(f"/sandbox/{sandbox}").status == 200)
    assert not taken(address, pairs["one"], "one", tenant=DEFAULT_TENANT)
    # Its operator is an admin: he may make keys, but none of an operator.
    wish = {"name": "x", "role": "operator"}
    assert Client(address, token).post("/v1/api-keys", wish).json["field"] == "role"


# --- publishers that fail


def test_keys_serve_on_while_the_publisher_is_away(stack, pairs, publisher):
    address = serve(stack, issuer(publisher, refresh_seconds=1))
    eventually(lambda: taken(address, pairs["one"], "one"))
    publisher.stop()
    log = stack.extra_servers[-1].log
    eventually(lambda: "no keys from" in log.read_text(), what="the failure is logged")
    for _ in range(3):
        assert taken(address, pairs["one"], "one")
        assert not taken(address, pairs["two"], "two")
    publisher.publish(jwk(pairs["two"], "two"))
    publisher.start()
    eventually(lambda: taken(address, pairs["two"], "two"), what="keys are fetched again")
    assert log.read_text().count("no keys from") == 1


def test_keys_do_not_serve_for_ever(stack, pairs, publisher):
    address = serve(stack, issuer(publisher, refresh_seconds=1, max_age_seconds=3))
    eventually(lambda: taken(address, pairs["one"], "one"))
    publisher.stop()
    eventually(lambda: not taken(address, pairs["one"], "one"), what="old keys are dropped")
    assert status(address, stack.token()) == 200


def test_a_publisher_that_comes_later(stack, pairs, publisher):
    publisher.stop()
    address = serve(stack, issuer(publisher))
    assert status(address, stack.token()) == 200
    assert not taken(address, pairs["one"], "one")
    publisher.start()
    eventually(lambda: taken(address, pairs["one"], "one"))


@pytest.mark.parametrize("fault, told", [
    ("oversize", "over 65536 bytes"), ("redirect", "status 302"), ("error", "status 500"),
    ("garbage", "JSON"), ("empty", "no key"), ("too many", "at most 32 keys"),
])
def test_a_publisher_that_misbehaves(stack, pairs, publisher, fault, told):
    target = JwksServer(jwk(pairs["one"], "one"))
    good = publisher.body
    if fault == "oversize":
        publisher.body = good[:-1] + b" " * 65536 + b"}"
    elif fault == "redirect":
        publisher.status, publisher.headers = 302, {"Location": target.url}
    elif fault == "error":
        publisher.status = 500
    elif fault == "garbage":
        publisher.body = b"<html>"
    elif fault == "empty":
        publisher.publish()
    else:
        publisher.publish(*[jwk(pairs["one"], f"k{i}") for i in range(33)])
    address = serve(stack, issuer(publisher))
    assert not taken(address, pairs["one"], "one")
    log = stack.extra_servers[-1].log
    eventually(lambda: told in log.read_text(), what="the log says why")
    publisher.status, publisher.headers, publisher.body = 200, {}, good
    eventually(lambda: taken(address, pairs["one"], "one"), what="a good answer is taken")
    target.stop()
    assert target.hits == []


# --- over TLS


@pytest.fixture(scope="module")
def authority(stack):
    folder = stack.folder / "authority"
    folder.mkdir(mode=0o755)
    return Authority(folder)


@pytest.fixture
def secure(pairs, authority):
    """Makes a publisher with a certificate for a host."""
    made = []

    def publish(host="IP:127.0.0.1", days=1):
        name = f"publisher-{len(made)}"
        made.append(JwksServer(jwk(pairs["one"], "one"), tls=authority.issue(name, host, days)))
        return made[-1]

    yield publish
    for server in made:
        server.stop()


def test_a_private_authority(stack, pairs, authority, secure):
    trusting = issuer(secure(), jwks_ca_file=str(authority.certificate))
    address = serve(stack, trusting)
    eventually(lambda: taken(address, pairs["one"], "one"))


@pytest.mark.parametrize("host, days, trusted, told", [
    ("IP:127.0.0.2", 1, True, "no alternative certificate subject name matches"),
    ("DNS:localhost", 1, True, "no alternative certificate subject name matches"),
    ("IP:127.0.0.1", -1, True, "certificate has expired"),
    ("IP:127.0.0.1", 1, False, "unable to get local issuer certificate"),
])
def test_a_certificate_that_is_wrong(
        stack, pairs, authority, secure, host, days, trusted, told):
    publisher = secure(host, days)
    changes = {"jwks_ca_file": str(authority.certificate)} if trusted else {}
    address = serve(stack, issuer(publisher, **changes))
    eventually(lambda: told in server_log(stack), what="the log says why")
    assert not taken(address, pairs["one"], "one")
    assert publisher.hits == [], "no request went to a server that is not who it should be"


# --- files


def test_a_changed_key_file_is_loaded(stack, pairs):
    path = stack.folder / "rotating.jwks"
    path.write_text(json.dumps({"keys": [jwk(pairs["one"], "one")]}))
    entry = {"issuer": ISSUER, "audience": "atoll", "algorithms": ["RS256"],
             "jwks_file": str(path)}
    address = serve(stack, entry)
    old = fresh(pairs["one"], "one")
    assert status(address, old) == 200
    path.write_text("{")
    eventually(lambda: "stay as they were" in server_log(stack))
    assert taken(address, pairs["one"], "one"), "a broken file changes nothing"
    path.write_text(json.dumps({"keys": [jwk(pairs["two"], "two")]}))
    eventually(lambda: taken(address, pairs["two"], "two"))
    assert status(address, old) == 401


def test_the_own_secret_changes(stack):
    first, second = os.urandom(32).hex().encode(), os.urandom(32).hex().encode()
    path = stack.write_key("changing.key", first)
    address = stack.another_server(ATOLL_AUTH_HS256_KEY_FILE=str(path))
    old = tokens.hs256(first, tokens.claims(DEFAULT_TENANT))
    assert status(address, old) == 200
    path.unlink()
    stack.write_key("changing.key", second)
    new = tokens.hs256(second, tokens.claims(DEFAULT_TENANT))
    eventually(lambda: status(address, new) == 200)
    assert status(address, old) == 401


def test_issuers_come_and_go_by_reload(stack, pairs, publisher):
    path = write_issuers(stack, issuer(publisher, issuer="https://first.example.com"))
    address = stack.another_server(ATOLL_AUTH_ISSUERS_FILE=str(path))
    eventually(lambda: taken(address, pairs["one"], "one", iss="https://first.example.com"))
    assert not taken(address, pairs["one"], "one")
    path.write_text(json.dumps({"issuers": [issuer(publisher)]}))
    stack.extra_servers[-1].process.send_signal(signal.SIGHUP)
    eventually(lambda: taken(address, pairs["one"], "one"))
    assert not taken(address, pairs["one"], "one", iss="https://first.example.com")


@pytest.mark.parametrize("text, told", [
    ("{", "JSON"),
    ("{}", "issuers"),
    ('{"issuers":[{"issuer":"a"}]}', "issuers[0].audience"),
    ('{"issuers":[{"issuer":"a","audience":"b","algorithms":["RS256"],"jwks_url":"http://a/"}]}',
     "issuers[0].jwks_url"),
    ('{"issuers":[{"issuer":"atoll","audience":"b","algorithms":["RS256"],'
     '"jwks_url":"https://a/"}]}', "issuers[0].issuer"),
    ('{"issuers":[{"issuer":"a","audience":"b","algorithms":["RS256"],"jwks_file":"/no/file"}]}',
     "/no/file"),
    ('{"issuers":[{"issuer":"a","audience":"b","algorithms":["RS256"],"jwks_url":"https://a/",'
     '"jwks_ca_file":"/no/ca"}]}', "jwks_ca_file `/no/ca`"),
])
def test_a_bad_file_of_issuers_stops_the_start(stack, text, told):
    path = stack.folder / "bad-issuers.json"
    path.write_text(text)
    with pytest.raises(RuntimeError) as failure:
        stack.another_server(ATOLL_AUTH_ISSUERS_FILE=str(path))
    assert told in str(failure.value) and str(path) in str(failure.value)
