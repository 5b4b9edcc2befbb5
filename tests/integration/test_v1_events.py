"""GET /v1/events: pages of the log, and a stream that misses nothing and repeats nothing."""

import concurrent.futures
import http.client
import threading
import time

import pytest

from support.client import assert_problem
from support.sse import EventStream
from support.stack import DEFAULT_TENANT
from support.wait import eventually


def events(client, query=""):
    """All items of all pages."""
    items, cursor = [], None
    while True:
        page = client.get(f"/v1/events?{query}" + (f"&cursor={cursor}" if cursor else ""))
        assert page.status == 200, page
        items += page.json["items"]
        cursor = page.json["next_cursor"]
        if cursor is None:
            return items


def place(event):
    return tuple(int(part) for part in event["id"].split("-"))


def life(client):
    """A sandbox that was made, run and deleted: its id."""
    sandbox_id = client.create("shell", "true")
    client.execute(sandbox_id)
    client.delete(sandbox_id)
    return sandbox_id


LIFE = ["sandbox.created", "sandbox.running", "sandbox.stopped", "sandbox.deleted"]


# --- pages


def test_the_life_of_a_sandbox(client):
    sandbox_id = life(client)
    items = events(client, f"sandbox_id={sandbox_id}")
    assert [item["kind"] for item in items] == LIFE[::-1]
    assert [(item["from_state"], item["to_state"]) for item in items] == [
        ("stopped", "deleted"), ("running", "stopped"), ("stopped", "running"), (None, "stopped"),
    ]
    for item in items:
        assert item["sandbox_id"] == sandbox_id and item["actor"] == "tests"
        assert item["project_id"] and item["request_id"] and item["at"].endswith("Z")


def test_pages_hold_every_event_once(client):
    for _ in range(4):
        life(client)
    whole = events(client, "limit=200")
    paged = events(client, "limit=3")
    assert paged == whole and len(whole) >= 16
    assert [place(item) for item in whole] == sorted(map(place, whole), reverse=True)


def test_filters(client):
    sandbox_id = life(client)
    mine = events(client, f"sandbox_id={sandbox_id}")
    by_kind = events(client, f"sandbox_id={sandbox_id}&kind=sandbox.s")
    assert [item["kind"] for item in by_kind] == ["sandbox.stopped"]
    assert events(client, f"sandbox_id={sandbox_id}&kind=run.lost") == []
    assert events(client, f"sandbox_id={sandbox_id}&kind=sandbox.*") == mine
    assert events(client, f"sandbox_id={sandbox_id}&kind=sandbox*") == []
    at = mine[1]["at"]
    assert events(client, f"sandbox_id={sandbox_id}&since={at}") == mine[:2]
    assert events(client, f"sandbox_id={sandbox_id}&until={at}") == mine[2:]
    assert events(client, f"sandbox_id={'f' * 32}") == []


@pytest.mark.parametrize("query, field", [
    ("limit=0", "limit"), ("limit=201", "limit"), ("sandbox_id=x", "sandbox_id"),
    ("since=yesterday", "since"), ("kind=", "kind"), ("kind=" + "x" * 65, "kind"),
    ("cursor=1", "cursor"), ("cursor=-1", "cursor"), ("cursor=1-", "cursor"),
    ("cursor=1-9223372036854775808", "cursor"),
])
def test_bad_queries(client, query, field):
    problem = assert_problem(client.get(f"/v1/events?{query}"), 400)
    assert problem["field"] == field


def test_a_page_has_no_place_to_follow_from(client):
    assert_problem(client.get("/v1/events?after=1-1"), 422, "not_possible")


def test_a_page_passes_over_a_bounded_part_of_a_long_log(stack):
    """As PostgreSQL counts it: two looks at 10,000 events, one to find how far the other goes."""
    client = stack.tenant_client("long-log")
    tenant = stack.extra_tenants["long-log"]
    stack.postgres.execute(
        f"INSERT INTO events (tenant_id, kind) SELECT '{tenant}', CASE i WHEN 1 THEN 'test.first'"
        " ELSE 'test.other' END FROM generate_series(1, 100000) i"
    )
    reads = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'events_tenant'"
    stack.postgres.hand_in_counts()
    before = stack.postgres.value(reads)
    page = client.get("/v1/events?kind=test.first").json
    assert page["items"] == [] and page["next_cursor"]
    eventually(lambda: stack.postgres.value(reads) >= before + 20_000, 30, "reads are counted")
    assert stack.postgres.value(reads) < before + 60_000
    assert [item["kind"] for item in events(client, "kind=test.first")] == ["test.first"]
    with EventStream(client, "/v1/events?kind=test.first&after=0-0") as stream:
        assert [kind for _, kind, _ in stream.take(1)] == ["test.first"]


def test_other_tenants_and_projects_see_nothing_of_it(stack, client, other):
    sandbox_id = life(client)
    assert events(other, f"sandbox_id={sandbox_id}") == []
    assert sandbox_id not in {item["sandbox_id"] for item in events(other)}
    project = stack.postgres.execute(
        f"INSERT INTO projects (tenant_id, name) VALUES ('{DEFAULT_TENANT}', 'events-bound') "
        "RETURNING replace(id::text, '-', '')"
    )
    bound = stack.client(stack.token(project=project))
    own = life(bound)
    assert {item["project_id"] for item in events(bound)} == {project}
    assert {item["sandbox_id"] for item in events(bound)} == {own}


def test_admin_acts_and_refusals_are_events(stack, client):
    admin = stack.client(stack.token(scope="admin"))
    made = admin.post("/v1/projects", {"name": "events-admin"})
    assert made.status == 201
    kinds = [item["kind"] for item in events(client, "kind=project.&limit=5")]
    assert kinds[0] == "project.created"
    viewer = stack.client(stack.token(scope="viewer"))
    assert viewer.try_create(runtime="shell", code="true").status == 403
    eventually(lambda: events(client, "kind=auth.forbidden"))


# --- streams


def test_a_stream_shows_what_happens(client):
    with EventStream(client, "/v1/events?kind=sandbox.") as stream:
        assert stream.status == 200
        assert stream.reply.headers["Content-Type"] == "text/event-stream"
        sandbox_id = life(client)
        seen = [event for event in iter_until(stream, "sandbox.deleted", sandbox_id)
                if event[2]["sandbox_id"] == sandbox_id]
    assert [kind for _, kind, _ in seen] == LIFE
    listed = events(client, f"sandbox_id={sandbox_id}")
    assert [data for _, _, data in seen] == listed[::-1]
    assert [identity for identity, _, _ in seen] == [item["id"] for item in listed[::-1]]


def iter_until(stream, kind, sandbox_id):
    for event in stream:
        yield event
        if event[1] == kind and event[2]["sandbox_id"] == sandbox_id:
            return


def test_a_stream_of_one_sandbox(client):
    sandbox_id = client.create("shell", "true")
    with EventStream(client, f"/v1/events?sandbox_id={sandbox_id}") as stream:
        life(client)
        client.execute(sandbox_id)
        client.delete(sandbox_id)
        assert [kind for _, kind, _ in stream.take(3)] == LIFE[1:]


def test_a_stream_goes_on_after_an_event(client):
    sandbox_id = life(client)
    first, *rest = events(client, f"sandbox_id={sandbox_id}")[::-1]
    path = f"/v1/events?sandbox_id={sandbox_id}"
    with EventStream(client, path, last_id=first["id"]) as by_header:
        assert [data for _, _, data in by_header.take(3)] == rest
    with EventStream(client, f"{path}&after={first['id']}") as by_query:
        assert [data for _, _, data in by_query.take(3)] == rest
    with EventStream(client, f"{path}&after=0-0", last_id=rest[1]["id"]) as both:
        assert both.take(1)[0][2] == rest[2]


@pytest.mark.parametrize("query", ["limit=3", "cursor=1-1", "since=2026-01-01T00:00:00Z"])
def test_what_belongs_to_pages_is_refused(client, query):
    with EventStream(client, f"/v1/events?{query}") as stream:
        assert stream.status == 422


@pytest.mark.parametrize("last", ["x", "1", "1-x", "-"])
def test_a_bad_last_event_id(client, last):
    with EventStream(client, "/v1/events", last_id=last) as stream:
        assert stream.status == 400


def test_a_reader_that_reconnects_misses_and_repeats_nothing(client, stack):
    """Four writers, and a reader that leaves after every few events."""
    with EventStream(client, "/v1/events?after=0-0") as stream:
        stream.take(1)
        start = stream.last_id
    stop = threading.Event()

    def write(_):
        while not stop.is_set():
            life(client)

    seen = []
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, i) for i in range(4)]
        last = start
        try:
            while len(seen) < 400:
                with EventStream(client, "/v1/events", last_id=last) as stream:
                    seen += [identity for identity, _, _ in stream.take(37)]
                    last = stream.last_id
        finally:
            stop.set()
        for writer in writers:
            writer.result()
    (tx, number), (last_tx, last_number) = (
        [int(part) for part in text.split("-")] for text in (start, seen[-1])
    )
    expected = stack.postgres.rows(
        "SELECT tx::text || '-' || id AS id FROM events WHERE "
        f"tenant_id = '{DEFAULT_TENANT}' AND (tx, id) > ('{tx}'::xid8, {number}) "
        f"AND (tx, id) <= ('{last_tx}'::xid8, {last_number}) ORDER BY tx, id"
    )
    assert seen == [row["id"] for row in expected]


def test_nothing_appears_behind_a_reader(client, stack):
    """A transaction that wrote its event first commits last: the reader waits for it."""
    with EventStream(client, "/v1/events?kind=test.") as stream:
        late = (
            f"BEGIN; INSERT INTO events (tenant_id, kind) VALUES ('{DEFAULT_TENANT}', 'test.late');"
            "SELECT pg_advisory_lock(77); COMMIT"
        )
        with concurrent.futures.ThreadPoolExecutor() as pool:
            with stack.postgres.session() as session:
                session.run("SELECT pg_advisory_lock(77)")
                writer = pool.submit(stack.postgres.execute, late)
                eventually(lambda: stack.postgres.value(
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                ) == 1)
                stack.postgres.execute(
                    "INSERT INTO events (tenant_id, kind) "
                    f"VALUES ('{DEFAULT_TENANT}', 'test.early')"
                )
                session.run("SELECT pg_advisory_unlock(77)")
            writer.result()
        assert [kind for _, kind, _ in stream.take(2)] == ["test.late", "test.early"]


def test_a_revoked_key_ends_its_streams(stack):
    admin = stack.client(stack.token(scope="admin"))
    made = admin.post("/v1/api-keys", {"name": "stream", "role": "viewer"}).json
    keyed = stack.client(made["key"])
    with EventStream(keyed, "/v1/events?kind=nothing.") as stream:
        assert stream.status == 200
        assert admin.request("DELETE", f"/v1/api-keys/{made['id']}").status == 204
        revoked = time.monotonic()
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            stream.reply.read()
        assert time.monotonic() - revoked < 30


def test_many_streams(client):
    """More than the server has threads: every one hears, and requests are still served."""
    streams = [EventStream(client, "/v1/events?kind=sandbox.created") for _ in range(200)]
    try:
        assert {stream.status for stream in streams} == {200}
        sandbox_id = life(client)
        for stream in streams:
            assert any(True for _ in iter_until(stream, "sandbox.created", sandbox_id))
        assert client.get("/health").status == 200
    finally:
        for stream in streams:
            stream.close()
