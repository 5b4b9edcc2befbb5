"""The worker removes what has expired, and what has no owner."""

import threading

import pytest

from support.daemon import Daemon
from support.wait import eventually

STACK_ENVIRONMENT = {
    "ATOLL_IDLE_TIMEOUT": 3,
    "ATOLL_MAX_LIFETIME": 8,
    "ATOLL_CLEANUP_INTERVAL": 1,
    "ATOLL_MONITOR_RETENTION": 60,
}


@pytest.fixture
def calls(private_stack):
    return private_stack.client()


def gone(calls, sandbox_id):
    return lambda: calls.get(f"/sandbox/{sandbox_id}").status == 404


def test_an_idle_sandbox_is_removed(calls, private_stack):
    sandbox_id = calls.create()
    assert calls.info(sandbox_id)["status"] == "Created"
    eventually(gone(calls, sandbox_id), 30, "the idle sandbox is removed")
    assert private_stack.postgres.value(
        f"SELECT state FROM sandboxes WHERE id = '{sandbox_id}'"
    ) == "deleted"


def test_use_puts_the_idle_end_off(calls):
    """Two sandboxes of one age: the one in use outlives the other, until its lifetime ends."""
    used, unused = calls.create("shell", "true"), calls.create("shell", "true")

    def unused_is_gone():
        calls.try_execute(used)
        return gone(calls, unused)()

    eventually(unused_is_gone, 30, "the unused sandbox is removed", interval=0.3)
    assert calls.get(f"/sandbox/{used}").status == 200

    def used_is_gone():
        calls.try_execute(used)
        return gone(calls, used)()

    eventually(used_is_gone, 30, "the maximum lifetime ends a busy sandbox", interval=0.3)


def test_a_run_past_the_lifetime_is_ended(calls, private_stack):
    sandbox_id = calls.create("shell", "sleep 1000", timeout_ms=600000)
    runner = threading.Thread(target=calls.try_execute, args=(sandbox_id,))
    runner.start()
    eventually(gone(calls, sandbox_id), 60, "the lifetime ends the run")
    runner.join(timeout=30)
    assert not runner.is_alive()
    private_stack.assert_clean()


def test_two_workers_share_the_work(calls, private_stack):
    """Each expiry happens once, however many workers look."""
    first = private_stack.worker
    second = Daemon(
        "worker-2", first.argv, first.environment, private_stack.folder / "worker-2.log",
        user=first.user,
    ).start()
    try:
        ids = [calls.create() for _ in range(20)]
        for sandbox_id in ids:
            eventually(gone(calls, sandbox_id), 30)
        rows = private_stack.postgres.rows(
            "SELECT sandbox_id, count(*) AS times FROM events WHERE to_state = 'deleted' "
            f"AND sandbox_id = ANY(ARRAY{ids}::uuid[]) GROUP BY 1"
        )
        assert len(rows) == len(ids)
        assert {row["times"] for row in rows} == {1}
    finally:
        second.stop()


def test_retention_forgets_what_is_old_and_keeps_what_is_not(calls, private_stack):
    """Two deleted sandboxes with their runs and events; one is made an hour old."""
    postgres = private_stack.postgres
    old, young = calls.create(), calls.create()
    for sandbox_id in (old, young):
        calls.execute(sandbox_id)
        calls.delete(sandbox_id)
    for table, column in (("sandboxes", "deleted_at"), ("processes", "ended_at"), ("events", "at")):
        key = "id" if table == "sandboxes" else "sandbox_id"
        postgres.execute(
            f"UPDATE {table} SET {column} = now() - interval '1 hour' WHERE {key} = '{old}'"
        )

    def rows(sandbox_id):
        return [
            postgres.value(f"SELECT count(*) FROM sandboxes WHERE id = '{sandbox_id}'"),
            postgres.value(f"SELECT count(*) FROM processes WHERE sandbox_id = '{sandbox_id}'"),
            postgres.value(f"SELECT count(*) FROM events WHERE sandbox_id = '{sandbox_id}'"),
        ]

    before = rows(young)
    assert min(before) > 0
    private_stack.worker.restart()
    eventually(lambda: rows(old) == [0, 0, 0], 30, "the old rows are gone")
    assert rows(young) == before
