"""Webhooks: events reach the URL that a tenant names, signed, at least once, and nothing else does."""

import itertools
import pathlib
import re
import threading

import pytest

from support import tenancy
from support.client import Client, assert_problem
from support.daemon import Daemon
from support.receiver import Receiver
from support.stack import binary
from support.wait import eventually

STACK_ENVIRONMENT = {
    "ATOLL_WEBHOOKS_ALLOW_PRIVATE": "true",
    "ATOLL_WEBHOOKS_TIMEOUT_MS": 10000,
    "ATOLL_WEBHOOKS_RETRY_DELAY_MS": 50,
    "ATOLL_WEBHOOKS_MAX_ATTEMPTS": 3,
}
PUBLIC = "https://hooks.example.com/atoll"


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as started:
        yield started


@pytest.fixture
def path(receiver, counter=itertools.count(1)):
    """A path of the receiver that no other test uses."""
    return f"/{next(counter)}"


@pytest.fixture
def admin(private_stack):
    """Makes webhooks, and takes them away at the test's end."""
    client = private_stack.client(private_stack.token(scope="admin"))
    yield client
    for webhook in client.get("/v1/webhooks").json["items"]:
        assert client.request("DELETE", f"/v1/webhooks/{webhook['id']}").status == 204


def make(client, url, kinds=("sandbox.created",), **fields):
    response = client.post("/v1/webhooks", {"url": url, "kinds": list(kinds), **fields})
    assert response.status == 201, response
    return response.json


def deliveries(client, webhook, query=""):
    response = client.get(f"/v1/webhooks/{webhook['id']}/deliveries{query}")
    assert response.status == 200, response
    return response.json["items"]


def in_state(client, webhook, state):
    """The deliveries of a webhook once there is one in this state."""
    return eventually(
        lambda: deliveries(client, webhook, f"?state={state}"), 60, f"a delivery is {state}"
    )


# --- the resource


def test_the_secret_is_shown_once(admin):
    webhook = make(admin, PUBLIC)
    assert len(webhook["secret"]) == 64
    assert webhook["is_active"] and webhook["kinds"] == ["sandbox.created"]
    shown = admin.get(f"/v1/webhooks/{webhook['id']}")
    assert shown.status == 200 and "secret" not in shown.json
    assert all("secret" not in item for item in admin.get("/v1/webhooks").json["items"])
    assert {**shown.json, "secret": webhook["secret"]} == webhook


def test_a_given_secret_is_used(admin):
    assert make(admin, PUBLIC, secret="s" * 16)["secret"] == "s" * 16
    response = admin.post("/v1/webhooks", {"url": PUBLIC, "secret": "s" * 15})
    assert_problem(response, 400, "invalid_field")


@pytest.mark.parametrize("url", [
    "ftp://example.com/", "file:///etc/passwd", "//example.com/", "example.com", "http://",
    "http:///path", "https://user@example.com/", "https://user:word@example.com/",
    "https://example.com/#part", "https://example.com/a b", "gopher://example.com:70/",
    "https://example.com/" + "a" * 2048,
])
def test_bad_urls_are_refused(admin, url):
    response = admin.post("/v1/webhooks", {"url": url})
    too_long = len(url) > 2048
    problem = assert_problem(response, *((400, "invalid_field") if too_long else (422, "not_possible")))
    assert problem["field"] == "url"


@pytest.mark.parametrize("kinds", [
    ["*"], ["Sandbox"], [""], [".*"], ["a" * 65], ["sandbox.created"] * 33, [1],
    ["sandbox.delted"], ["sandbox"], ["sand.*"], ["sandbox.created.*"], ["sandbox.deleted", "x.*"],
])
def test_bad_kinds_are_refused(admin, kinds):
    response = admin.post("/v1/webhooks", {"url": PUBLIC, "kinds": kinds})
    assert assert_problem(response, 400, "invalid_field")["field"].startswith("kinds")


def test_a_kind_that_there_is_not_is_named(admin):
    webhook = make(admin, PUBLIC, ["sandbox.*", "run.lost"])
    for response in (
        admin.post("/v1/webhooks", {"url": PUBLIC, "kinds": ["run.lost", "run.lots"]}),
        admin.request("PATCH", f"/v1/webhooks/{webhook['id']}", {"kinds": ["run.lots"]}),
    ):
        problem = assert_problem(response, 400, "invalid_field")
        assert problem["field"] == "kinds" and "'run.lots'" in problem["detail"]


def test_every_kind_of_events_can_be_asked_for(admin):
    """What is written somewhere, what a webhook may name and what is documented are the same."""
    schemas = admin.get("/openapi.json").json["components"]["schemas"]
    [described, _] = schemas["WebhookCreate"]["properties"]["kinds"]["anyOf"]
    offered = set(described["items"]["enum"])
    families = {selector[:-2] for selector in offered if selector.endswith(".*")}
    kinds = {selector for selector in offered if not selector.endswith(".*")}
    assert {kind.split(".")[0] for kind in kinds} == families
    root = pathlib.Path(__file__).parents[2]
    sources = [*root.glob("lib/db/*.c"), *root.glob("migrations/*.sql"), *root.glob("server/**/*.c")]
    word = re.compile(rf"""['"]((?:{'|'.join(families)})\.[a-z_]+)['"]""")
    written = {kind for path in sources for kind in word.findall(path.read_text())}
    # A step of a container: 'sandbox.' and the state.
    written |= {"sandbox.creating", "sandbox.paused", "sandbox.failed"}
    assert written == kinds
    document = (root / "docs/api/events.md").read_text()
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in document] == []
    assert make(admin, PUBLIC, sorted(offered)[:32])["kinds"] == sorted(offered)[:32]


def test_changes_are_conditional(admin):
    webhook = make(admin, PUBLIC)
    where = f"/v1/webhooks/{webhook['id']}"
    tag = admin.get(where).headers["ETag"]
    changed = admin.request("PATCH", where, {"is_active": False}, headers={"If-Match": tag})
    assert changed.status == 200 and changed.json["is_active"] is False
    assert changed.json["url"] == PUBLIC and changed.headers["ETag"] != tag
    late = admin.request("PATCH", where, {"is_active": True}, headers={"If-Match": tag})
    assert_problem(late, 412, "precondition_failed")
    late = admin.request("DELETE", where, headers={"If-Match": tag})
    assert_problem(late, 412, "precondition_failed")
    assert admin.get(where, headers={"If-None-Match": changed.headers["ETag"]}).status == 304
    current = admin.request("PATCH", where, {"kinds": []})
    assert current.json["kinds"] == []
    tag = current.headers["ETag"]
    assert admin.request("DELETE", where, headers={"If-Match": tag}).status == 204


def test_a_change_leaves_what_is_null(admin):
    webhook = make(admin, PUBLIC)
    nulls = {"url": None, "kinds": None, "is_active": None}
    changed = admin.request("PATCH", f"/v1/webhooks/{webhook['id']}", nulls).json
    assert [changed[name] for name in nulls] == [webhook[name] for name in nulls]


def test_pages(admin):
    made = [make(admin, PUBLIC)["id"] for _ in range(3)]
    first = admin.get("/v1/webhooks?limit=2").json
    second = admin.get(f"/v1/webhooks?limit=2&cursor={first['next_cursor']}").json
    assert [item["id"] for item in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] is None


def test_a_webhook_is_its_tenants(admin, private_stack):
    webhook = make(admin, PUBLIC)
    private_stack.tenant_client("stranger")
    token = private_stack.token(private_stack.extra_tenants["stranger"], scope="admin")
    stranger = private_stack.client(token)
    where = f"/v1/webhooks/{webhook['id']}"
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/deliveries")):
        body = {"is_active": False} if method == "PATCH" else None
        assert_problem(stranger.request(method, where + path, body), 404, "not_found")
    assert stranger.get("/v1/webhooks").json["items"] == []
    member = private_stack.client()
    assert_problem(member.get(where), 403, "forbidden")


# --- deliveries


def test_an_event_is_delivered_and_signed(admin, receiver, path):
    webhook = make(admin, receiver.url(path))
    sandbox_id = admin.create()
    [arrived] = eventually(lambda: receiver.at(path), 60, "the event arrives")
    assert arrived.is_signed_by(webhook["secret"]) and not arrived.is_signed_by("x" * 16)
    assert arrived.headers["Content-Type"] == "application/json"
    assert arrived.headers["Atoll-Event"] == "sandbox.created"
    event = arrived.json
    assert event["kind"] == "sandbox.created" and event["sandbox_id"] == sandbox_id
    assert event["project_id"] and event["tenant_id"] and event["at"].endswith("Z")
    [delivery] = in_state(admin, webhook, "delivered")
    assert delivery["id"] == arrived.id and delivery["payload"] == event
    assert (delivery["attempts"], delivery["last_status"]) == (1, 200)
    assert delivery["last_error"] is None and delivery["next_attempt_at"] is None


def test_only_the_kinds_that_were_asked_for(admin, receiver, path):
    make(admin, receiver.url(path + "/one"), ["sandbox.deleted"])
    make(admin, receiver.url(path + "/family"), ["sandbox.*"])
    make(admin, receiver.url(path + "/all"), [])
    admin.delete(admin.create())

    def kinds(where):
        return {delivery.headers["Atoll-Event"] for delivery in receiver.at(path + where)}

    eventually(lambda: "sandbox.deleted" in kinds("/one"), 60)
    eventually(lambda: {"sandbox.created", "sandbox.deleted"} <= kinds("/family"), 60)
    eventually(lambda: {"sandbox.deleted", "webhook.created"} <= kinds("/all"), 60)
    assert kinds("/one") == {"sandbox.deleted"}
    assert all(kind.startswith("sandbox.") for kind in kinds("/family"))


def test_only_the_project_that_was_asked_for(admin, receiver, path):
    other = admin.post("/v1/projects", {"name": f"project{path[1:]}"}).json
    make(admin, receiver.url(path + "/other"), project_id=other["id"])
    make(admin, receiver.url(path + "/tenant"))
    admin.create()
    eventually(lambda: receiver.at(path + "/tenant"), 60)
    assert receiver.at(path + "/other") == []
    missing = admin.post("/v1/webhooks", {"url": PUBLIC, "project_id": "0" * 31 + "1"})
    assert_problem(missing, 404, "not_found")


def test_a_failed_delivery_is_tried_again(admin, receiver, path):
    webhook = make(admin, receiver.url(path))
    receiver.statuses[path] = [500, 404]
    admin.create()
    [delivery] = in_state(admin, webhook, "delivered")
    assert delivery["attempts"] == 3
    assert len({arrived.id for arrived in receiver.at(path)}) == 1
    assert len(receiver.at(path)) == 3


def test_a_dead_delivery_is_listed_and_can_be_retried(admin, receiver, path):
    webhook = make(admin, receiver.url(path))
    receiver.statuses[path] = [503] * 3
    admin.create()
    [dead] = in_state(admin, webhook, "dead")
    assert (dead["attempts"], dead["last_status"]) == (3, 503)
    assert dead["last_error"] and dead["ended_at"]
    retried = admin.post(f"/v1/webhooks/{webhook['id']}/deliveries/{dead['id']}/retry")
    assert retried.status == 200 and retried.json["state"] == "pending"
    [delivered] = in_state(admin, webhook, "delivered")
    assert delivered["id"] == dead["id"] and delivered["attempts"] == 1
    assert deliveries(admin, webhook, "?state=dead") == []
    unknown = admin.post(f"/v1/webhooks/{webhook['id']}/deliveries/{'0' * 31}1/retry")
    assert_problem(unknown, 404, "not_found")


def test_a_redirect_is_not_followed(admin, receiver, path):
    webhook = make(admin, receiver.url(path))
    receiver.statuses[path] = [302, 307, 308]
    admin.create()
    [dead] = in_state(admin, webhook, "dead")
    assert dead["last_status"] == 308
    assert receiver.at("/elsewhere") == []


def test_a_slow_endpoint_holds_nobody_up(admin, receiver, path):
    receiver.gates[path + "/slow"] = threading.Event()
    slow = [make(admin, receiver.url(path + "/slow")) for _ in range(3)]
    quick = make(admin, receiver.url(path + "/quick"))
    for _ in range(10):
        admin.create()
    eventually(lambda: len(deliveries(admin, quick, "?state=delivered")) == 10, 60)
    assert all(not deliveries(admin, webhook, "?state=delivered") for webhook in slow)
    receiver.gates[path + "/slow"].set()


def test_two_workers_deliver_once(admin, receiver, path, private_stack):
    second = Daemon(
        "worker2", [binary("atoll-worker")], private_stack.environment,
        private_stack.folder / "worker2.log", user=private_stack.user,
    )
    webhook = make(admin, receiver.url(path))
    second.start()
    try:
        for _ in range(30):
            admin.create()
        eventually(lambda: len(deliveries(admin, webhook, "?state=delivered")) == 30, 60)
    finally:
        assert second.stop() == 0
    events = [arrived.json["id"] for arrived in receiver.at(path)]
    assert len(events) == len(set(events)) == 30


def test_what_a_killed_worker_had_begun_is_sent_again(admin, receiver, path, private_stack):
    gate = receiver.gates[path] = threading.Event()
    webhook = make(admin, receiver.url(path))
    admin.create()
    eventually(lambda: receiver.at(path), 60, "the delivery is under way")
    private_stack.worker.kill()
    gate.set()
    assert deliveries(admin, webhook)[0]["state"] == "pending"
    private_stack.worker.start()
    [delivery] = in_state(admin, webhook, "delivered")
    assert delivery["attempts"] == 2
    assert [arrived.id for arrived in receiver.at(path)] == [delivery["id"]] * 2


def test_events_of_the_worker_s_absence_are_not_missed(admin, receiver, path, private_stack):
    make(admin, receiver.url(path))
    private_stack.worker.kill()
    sandboxes = {admin.create() for _ in range(5)}
    private_stack.worker.start()
    eventually(
        lambda: {arrived.json["sandbox_id"] for arrived in receiver.at(path)} == sandboxes, 60
    )


def test_a_suspended_tenant_s_deliveries_wait(admin, receiver, path, private_stack):
    tenant = tenancy.new_tenant(private_stack)["id"]
    operator = tenancy.as_role(private_stack, "operator")
    theirs = tenancy.as_role(private_stack, "admin", tenant)
    webhook = make(theirs, receiver.url(path + "/theirs"), ["tenant.*"])
    make(admin, receiver.url(path + "/ours"))
    state = f"/v1/tenants/{tenant}"
    assert operator.request("PATCH", state, {"state": "suspended"}).status == 200
    within = tenancy.as_role(private_stack, "operator", tenant)
    delivery = eventually(lambda: deliveries(within, webhook))[0]
    admin.create()
    eventually(lambda: receiver.at(path + "/ours"), 60, "the worker delivers to others")
    assert receiver.at(path + "/theirs") == []
    assert operator.request("PATCH", state, {"state": "active"}).status == 200
    arrived = eventually(lambda: receiver.at(path + "/theirs"), 60, "what waited is delivered")
    assert [(arrived[0].id, arrived[0].json["to_state"])] == [(delivery["id"], "suspended")]
    assert theirs.request("DELETE", f"/v1/webhooks/{webhook['id']}").status == 204


# --- where nothing is delivered to


@pytest.mark.parametrize("host", [
    "127.0.0.1", "[::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0", "0x7f.1", "2130706433",
    "[::ffff:127.0.0.1]", "[fd00:ec2::254]", "100.64.0.1", "[64:ff9b::7f00:1]",
])
def test_an_address_that_is_not_public_is_refused(stack, host):
    admin = stack.client(stack.token(scope="admin"))
    response = admin.post("/v1/webhooks", {"url": f"http://{host}/"})
    assert assert_problem(response, 422, "not_possible")["field"] == "url"


def test_a_name_of_a_private_address_is_not_connected_to(stack):
    """What a name resolves to is judged at the connection: DNS rebinding gains nothing."""
    admin: Client = stack.client(stack.token(scope="admin"))
    with Receiver() as receiver:
        webhook = make(admin, receiver.url("/", host="localhost"))
        admin.create()
        delivery = eventually(
            lambda: [item for item in deliveries(admin, webhook) if item["last_error"]], 60
        )[0]
        assert delivery["last_error"] == "the host's address is loopback"
        assert delivery["state"] == "pending" and delivery["last_status"] is None
        assert receiver.deliveries == []
        assert admin.request("DELETE", f"/v1/webhooks/{webhook['id']}").status == 204


def test_many_events_for_many_webhooks_are_taken_in_turn(private_stack):
    """All of them in one statement take longer than a statement may: none would ever be sent. What is
    due to a suspended tenant waits."""
    postgres = private_stack.postgres
    tenant = tenancy.new_tenant(private_stack)["id"]
    admin = tenancy.as_role(private_stack, "admin", tenant)
    for _ in range(10):
        make(admin, PUBLIC, ["sandbox.updated"])
    postgres.execute(
        f"UPDATE tenants SET state = 'suspended' WHERE id = '{tenant}';"
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END$$;"
        "CREATE TRIGGER slow BEFORE INSERT ON webhook_deliveries FOR EACH ROW"
        f" WHEN (NEW.tenant_id = '{tenant}') EXECUTE FUNCTION slow()"
    )
    try:
        postgres.execute("INSERT INTO events (tenant_id, kind)"
                         f" SELECT '{tenant}', 'sandbox.updated' FROM generate_series(1, 600)")
        made = f"SELECT count(*) FROM webhook_deliveries WHERE tenant_id = '{tenant}'"
        eventually(lambda: postgres.value(made) == 6000, 120, "all events are deliveries")
    finally:
        postgres.execute("DROP TRIGGER slow ON webhook_deliveries; DROP FUNCTION slow;"
                         f"DELETE FROM webhooks WHERE tenant_id = '{tenant}'")
