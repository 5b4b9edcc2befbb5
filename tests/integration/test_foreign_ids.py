"""Whatever route takes an id: another tenant's is a missing one, to the byte.

The routes come from the server's own description. A route with an id of a kind that this test
cannot make fails it, so that a new resource cannot be forgotten.
"""

import json
import re
import subprocess
import uuid

import pytest

from support import tenancy
from support.sse import EventStream
from support.stack import binary

API = json.loads(
    subprocess.run(
        [str(binary("atoll-server")), "--print-openapi"], check=True, stdout=subprocess.PIPE
    ).stdout
)
OPERATIONS = [
    pytest.param(method, path, operation, id=operation["operationId"])
    for path, methods in sorted(API["paths"].items())
    for method, operation in methods.items()
]
WITH_ID = [case for case in OPERATIONS if "id}" in case.values[1]]
LISTS = [
    case for case in OPERATIONS if case.values[0] == "get" and "id}" not in case.values[1]
    and any(p.get("name") == "cursor" for p in case.values[2]["parameters"])
]
# The least body that a route takes; without one of these it is {}.
BODIES = {
    "addStoredSandboxFiles": [],
    "exec": {"command": "true"},
    "startProcess": {"command": "true"},
    "signalProcess": {"signal": "TERM"},
    "resizeProcess": {"rows": 24, "cols": 80},
    "writeProcessStdin": b"",
    "replaceEnvironment": {"environment": {}},
    "updateEnvironment": {"environment": {}},
    "writeFiles": {"files": [{"path": "x", "content": ""}]},
    "makeFolder": {"path": "x"},
    "removeFile": {"path": "x"},
    "moveFile": {"path": "x", "target": "y"},
    "copyFile": {"path": "x", "target": "y"},
    "changeFileMode": {"path": "x", "mode": "644"},
}
# The least query that a route takes, where it takes one.
QUERIES = {
    "searchFiles": "?name=*", "readFile": "?path=/etc/passwd", "writeFile": "?path=x"}
QUERIES["execSocket"] = "?command=true"
HANDSHAKE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
# An operator's, who sees every tenant: nothing is foreign to them.
OPERATORS = ("tenants", "nodes")


class Owner:
    """A tenant that has one of each resource."""

    def __init__(self, stack):
        self.stack = stack
        self.id = tenancy.new_tenant(stack)["id"]
        self.client = tenancy.as_role(stack, "admin", self.id)
        self.made = {}

    def post(self, path, body):
        response = self.client.post(path, body)
        assert response.status == 201, response
        return response.json["id"]

    def make(self, kind):
        if kind == "sandbox":
            return self.post("/sandbox", {"runtime": "shell", "code": "true"})
        if kind == "sandboxes":
            return self.post("/v1/sandboxes", {"command": ["sleep", "infinity"]})
        if kind == "processes":
            return self.post(f"/v1/sandboxes/{self.of('sandboxes')}/processes", {"command": "true"})
        if kind == "projects":
            return self.post("/v1/projects", {"name": uuid.uuid4().hex})
        if kind == "api-keys":
            return self.post("/v1/api-keys", {"name": "theirs", "role": "viewer"})
        if kind == "webhooks":
            return self.make_webhook()
        if kind == "deliveries":
            return self.make_delivery()
        raise AssertionError(f"this test makes no '{kind}' yet: teach it")

    def make_webhook(self):
        """One that sends nothing: no test depends on the network."""
        made = self.post("/v1/webhooks", {"url": "https://example.com/"})
        quiet = self.client.request("PATCH", f"/v1/webhooks/{made}", {"is_active": False})
        assert quiet.status == 200, quiet
        return made

    def make_delivery(self):
        """One that has ended, so that it could be sent again."""
        return self.stack.postgres.execute(
            "INSERT INTO webhook_deliveries (tenant_id, webhook_id, event_id, payload, state, ended_at) "
            f"SELECT '{self.id}', '{self.of('webhooks')}', max(id), '{{}}', 'dead', now() FROM events "
            "RETURNING replace(id::text, '-', '')"
        )

    def of(self, kind):
        """The id of this tenant's resource of a kind, made on first use."""
        if kind not in self.made:
            self.made[kind] = self.make(kind)
        return self.made[kind]


@pytest.fixture(scope="module")
def owner(stack):
    owner = Owner(stack)
    yield owner
    if "sandboxes" in owner.made:
        assert owner.client.request("DELETE", f"/v1/sandboxes/{owner.of('sandboxes')}").status == 204


@pytest.fixture(scope="module")
def caller(stack):
    """Of another tenant than the owner, with every role but the operator's."""
    return tenancy.as_role(stack, "admin")


def kinds_of(path):
    """The kind of each id of a path: the segment before it."""
    return re.findall(r"/([^/{}]+)/\{[a-z_]*id\}", path)


def fill(path, ids):
    ids = iter(ids)
    return re.sub(r"\{[a-z_]*id\}", lambda _: next(ids), path)


def call(client, method, path, operation):
    body = BODIES.get(operation["operationId"], {}) if "requestBody" in operation else None
    query = QUERIES.get(operation["operationId"], "")
    media = next(iter(operation.get("requestBody", {}).get("content", {})), None)
    if media == "application/octet-stream":
        return client.request(method.upper(), path + query, b"", headers={"Content-Type": media})
    handshake = HANDSHAKE if "101" in operation["responses"] else None
    return client.request(method.upper(), path + query, body, headers=handshake)


def comparable(response):
    """All of an answer that may not differ."""
    changing = {"date", "x-request-id"}
    fields = {k.lower(): v for k, v in response.headers.items() if k.lower() not in changing}
    body = re.sub(rb'"request_id":"[^"]*"', b"", response.body)
    return response.status, fields, body


@pytest.mark.parametrize("method, path, operation", WITH_ID)
def test_a_foreign_id_is_a_missing_one(caller, owner, method, path, operation):
    kinds = kinds_of(path)
    assert len(kinds) == path.count("id}")
    if kinds[0] in OPERATORS:
        assert operation["x-role"] == "operator"
        return
    theirs = [owner.of(kind) for kind in kinds]
    missing = [uuid.uuid4().hex for _ in kinds]
    foreign = call(caller, method, fill(path, theirs), operation)
    assert foreign.status == 404, foreign
    # The id is not repeated anywhere, so that the answers have the same length, too.
    assert not any(identity.encode() in foreign.body for identity in theirs)
    assert comparable(foreign) == comparable(call(caller, method, fill(path, missing), operation))


@pytest.mark.parametrize("method, path, operation", WITH_ID)
def test_the_owner_reaches_what_is_foreign_to_others(owner, method, path, operation):
    """Else the test above would compare two ids that nobody has."""
    if method != "get" or kinds_of(path)[0] in OPERATORS:
        return
    filled = fill(path, map(owner.of, kinds_of(path)))
    answer = operation["responses"].get("200", {})
    if list(answer.get("content", {})) == ["text/event-stream"]:
        with EventStream(owner.client, filled) as stream:  # it has no end
            assert stream.status == 200
        return
    response = call(owner.client, method, filled, operation)
    assert response.status == (101 if "101" in operation["responses"] else 200), response


@pytest.mark.parametrize("method, path, operation", LISTS)
def test_lists_show_nothing_foreign(caller, owner, method, path, operation):
    if operation["x-role"] == "operator":
        return
    for kind in ("sandbox", "sandboxes", "projects", "api-keys", "webhooks"):
        owner.of(kind)
    response = caller.get(path + "?limit=200")
    assert response.status == 200, response
    assert not any(identity.encode() in response.body for identity in owner.made.values())
    assert owner.id.encode() not in response.body
