"""A foreign sandbox is a missing one: the same 404, whatever is asked of it."""

import re

import pytest

FOREIGN_CALLS = [
    ("GET", "", None),
    ("DELETE", "", None),
    ("POST", "/execute", None),
    ("POST", "/files", [{"path": "a", "content": "b"}]),
]


@pytest.fixture
def foreign(client, other):
    """A sandbox of the other tenant."""
    sandbox_id = other.create("shell", "echo theirs")
    yield sandbox_id
    other.delete(sandbox_id)


def without_request_id(response):
    return response.status, re.sub(rb'"request_id":\s*"[^"]*"', b"", response.body)


@pytest.mark.parametrize("method, tail, body", FOREIGN_CALLS)
def test_foreign_equals_missing(client, other, foreign, method, tail, body):
    missing = client.request(method, f"/sandbox/{'0' * 12}7{'0' * 19}{tail}", body)
    theirs = client.request(method, f"/sandbox/{foreign}{tail}", body)
    assert theirs.status == 404
    assert without_request_id(theirs) == without_request_id(missing)
    assert other.execute(foreign)["stdout"] == "theirs\n"


def test_listing_shows_only_own(client, other, foreign):
    mine = client.create()
    assert foreign not in {item["id"] for item in client.list_all()}
    assert mine not in {item["id"] for item in other.list_all()}
    assert foreign in {item["id"] for item in other.list_all()}


def test_a_cursor_of_another_tenant_shows_nothing_of_it(client, other):
    for _ in range(3):
        other.create()
    cursor = other.get("/sandboxes?limit=1").json["next_cursor"]
    response = client.get(f"/sandboxes?cursor={cursor}")
    assert response.status in (200, 400)
    if response.status == 200:
        theirs = {item["id"] for item in other.list_all()}
        assert not theirs & {item["id"] for item in response.json["sandboxes"]}


def test_a_token_of_an_unknown_tenant_may_nothing(stack):
    nobody = stack.client(stack.token("f" * 32))
    for response in (nobody.try_create(runtime="shell", code="true"), nobody.get("/sandboxes")):
        assert (response.status, response.json["code"]) == (403, "forbidden")


def test_a_tenant_in_the_request_changes_nothing(client, stack, foreign):
    tenant = stack.extra_tenants["other"]
    for headers in ({"X-Tenant": tenant}, {"X-Tenant-Id": tenant}, {"Atoll-Tenant": tenant}):
        assert client.get(f"/sandbox/{foreign}", headers=headers).status == 404
