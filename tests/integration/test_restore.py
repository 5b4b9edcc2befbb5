"""A dump that is read into another PostgreSQL, as docs/operations.md describes it."""

import shutil
import subprocess
import uuid

import pytest

from conftest import running
from support.sse import EventStream
from support.wait import eventually

DAEMONS = ("server", "monitor", "worker")


@pytest.fixture(scope="module")
def restored():
    """A stack on a new cluster with the database of an old one, whose transactions had larger
    numbers; and the place of its last event."""
    with running() as stack:
        client = stack.client()
        stack.postgres.execute("SELECT pg_current_xact_id();" * 2000)
        webhook = as_admin(stack).post("/v1/webhooks", {"url": "https://example.com/"})
        assert webhook.status == 201, webhook
        client.create("shell", "true")
        place = last_event(client)["id"]
        for name in DAEMONS:
            stack.daemons[name].stop()
        dump = stack.folder / "atoll.dump"
        tool("pg_dump", "--format=custom", f"--file={dump}", stack.postgres.url("postgres"))
        stack.postgres.stop()
        shutil.rmtree(stack.postgres.data)
        stack.postgres.make_cluster()
        stack.postgres.start()
        stack.create_roles()
        tool("pg_restore", f"--dbname={stack.postgres.url('postgres')}", dump)
        yield stack, place


def as_admin(stack):
    return stack.client(stack.token(scope="admin"))


def tool(*argv):
    subprocess.run([str(argument) for argument in argv], check=True)


def last_event(client):
    return client.get("/v1/events?limit=1").json["items"][0]


def test_the_log_goes_on(restored):
    stack, place = restored
    stack.worker.start()
    eventually(lambda: not stack.worker.alive, 30, "the worker refuses the database")
    with pytest.raises(RuntimeError, match="ended with"):
        stack.another_server()
    stack.atoll("migrate")
    for name in DAEMONS:
        stack.daemons[name].start()
    client = stack.client()
    made = uuid.UUID(client.create("shell", "true"))
    assert last_event(client)["sandbox_id"] == made.hex
    with EventStream(client, "/v1/events?kind=sandbox.created", last_id=place) as stream:
        ((_, _, event),) = stream.take(1)
        assert event["sandbox_id"] == made.hex
    delivered = ("SELECT count(*) FROM webhook_deliveries"
                 f" WHERE payload->>'sandbox_id' = '{made.hex}'")
    eventually(lambda: stack.postgres.value(delivered) > 0, 30, "the event becomes a delivery")


def test_a_migration_that_comes_again_changes_nothing(restored):
    stack, _ = restored
    stack.atoll("migrate")
    clock = stack.postgres.rows("SELECT cluster, ahead FROM events_clock")
    stack.atoll("migrate")
    assert stack.postgres.rows("SELECT cluster, ahead FROM events_clock") == clock
    assert clock[0]["ahead"] > 0
