"""The worker removes what has expired, and what has no owner."""

import contextlib
import os
import signal
import threading

from support import inventory
from support.daemon import Daemon
from support.processes import new_sandbox
from support.wait import eventually

STACK_ENVIRONMENT = {
    "ATOLL_IDLE_TIMEOUT": 4,
    "ATOLL_MAX_LIFETIME": 16,
    "ATOLL_CLEANUP_INTERVAL": 1,
    "ATOLL_MONITOR_RETENTION": 60,
    "ATOLL_EVENTS_RETENTION": 60,
}


def gone(calls, sandbox_id):
    return lambda: calls.get(f"/sandbox/{sandbox_id}").status == 404


def test_an_idle_sandbox_is_removed(calls, private_stack):
    sandbox_id = calls.create()
    assert calls.info(sandbox_id)["status"] == "Created"
    eventually(gone(calls, sandbox_id), 60, "the idle sandbox is removed")
    assert private_stack.postgres.value(
        f"SELECT state FROM sandboxes WHERE id = '{sandbox_id}'"
    ) == "deleted"


def test_use_puts_the_idle_end_off(calls):
    """Two sandboxes of one age: the one in use outlives the other, until its lifetime ends."""
    used, unused = calls.create("shell", "true"), calls.create("shell", "true")

    def unused_is_gone():
        calls.try_execute(used)
        return gone(calls, unused)()

    eventually(unused_is_gone, 60, "the unused sandbox is removed", interval=0.3)
    assert calls.get(f"/sandbox/{used}").status == 200

    def used_is_gone():
        calls.try_execute(used)
        return gone(calls, used)()

    eventually(used_is_gone, 60, "the maximum lifetime ends a busy sandbox", interval=0.3)


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
            eventually(gone(calls, sandbox_id), 60)
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
    # Retention finds a run by the time that its id begins with.
    postgres.execute(
        "UPDATE processes SET id = overlay(id::text placing '00000000-0000' from 1 for 13)::uuid"
        f" WHERE sandbox_id = '{old}'"
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
    eventually(lambda: rows(old) == [0, 0, 0], 60, "the old rows are gone")
    assert rows(young) == before


def container(calls, sandbox_id):
    response = calls.get(f"/v1/sandboxes/{sandbox_id}")
    return response.json if response.status == 200 else None


def stopped_by(calls, sandbox_id, reason):
    def check():
        shown = container(calls, sandbox_id)
        return (shown["state"], shown["state_reason"]) == ("stopped", reason)

    return check


def test_an_idle_container_is_stopped_and_can_be_started(calls, private_stack):
    sandbox_id = new_sandbox(calls, idle_timeout=1, max_lifetime=600)
    eventually(stopped_by(calls, sandbox_id, "idle_timeout"), 60, "the idle container is stopped")
    eventually(lambda: not private_stack.sandbox_processes(), 60, "nothing of it runs")
    assert calls.post(f"/v1/sandboxes/{sandbox_id}/start").json["state"] == "running"
    eventually(stopped_by(calls, sandbox_id, "idle_timeout"), 60, "it is stopped again")
    assert calls.request("DELETE", f"/v1/sandboxes/{sandbox_id}").status == 204


def test_a_paused_container_is_not_idle(calls):
    """Two of one idle timeout: the one that runs is stopped, the paused one stays."""
    paused = new_sandbox(calls, idle_timeout=600, max_lifetime=600)
    assert calls.post(f"/v1/sandboxes/{paused}/pause").status == 200
    path = f"/v1/sandboxes/{paused}"
    assert calls.request("PATCH", path, {"idle_timeout": 1}).status == 200
    running = new_sandbox(calls, idle_timeout=1, max_lifetime=600)
    eventually(stopped_by(calls, running, "idle_timeout"), 60, "the running one is stopped")
    assert container(calls, paused)["state"] == "paused"
    for sandbox_id in (paused, running):
        assert calls.request("DELETE", f"/v1/sandboxes/{sandbox_id}").status == 204


def test_the_lifetime_deletes_a_container(calls, private_stack):
    sandbox_id = new_sandbox(calls, max_lifetime=10)
    eventually(lambda: container(calls, sandbox_id) is None, 60, "the container is deleted")
    private_stack.assert_clean()
    assert private_stack.postgres.value(
        "SELECT detail->>'rule' FROM events WHERE kind = 'sandbox.deleting' "
        f"AND sandbox_id = '{sandbox_id}'"
    ) == "max_lifetime"


def kill_all(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it went with its agent
            os.kill(pid, signal.SIGKILL)


def test_a_container_whose_host_lost_it_is_stopped(calls, private_stack):
    """As after a restart of the host: nothing of it lives, its row says running."""
    sandbox_id = new_sandbox(calls, max_lifetime=600, idle_timeout=600)
    kill_all(private_stack.sandbox_processes())
    eventually(stopped_by(calls, sandbox_id, "lost"), 60, "the lost container is stopped")
    assert calls.post(f"/v1/sandboxes/{sandbox_id}/start").json["state"] == "running"
    assert calls.request("DELETE", f"/v1/sandboxes/{sandbox_id}").status == 204


def test_a_restart_of_the_daemons_loses_no_container(calls, private_stack):
    """A later one that is truly lost shows that the worker has looked."""
    kept = new_sandbox(calls, max_lifetime=600, idle_timeout=600)
    for daemon in (private_stack.server, private_stack.launcher, private_stack.worker):
        daemon.restart()
    client = private_stack.client()
    before = set(private_stack.sandbox_processes())
    lost = new_sandbox(client, max_lifetime=600, idle_timeout=600)
    kill_all(set(private_stack.sandbox_processes()) - before)
    eventually(stopped_by(client, lost, "lost"), 60, "the worker has looked")
    assert container(client, kept)["state"] == "running"
    for sandbox_id in (kept, lost):
        assert client.request("DELETE", f"/v1/sandboxes/{sandbox_id}").status == 204


def test_the_disk_outlives_what_stopped_its_container(calls, private_stack):
    """The main command leaves a mark; after the loss of its processes it finds it."""
    command = "test -e /sandbox/mark && exit 9; touch /sandbox/mark; sync; sleep 1000"
    sandbox_id = new_sandbox(calls, command=command, max_lifetime=600, idle_timeout=600)
    eventually(lambda: writes(private_stack) == 0, 60, "the mark is on the disk")
    kill_all(private_stack.sandbox_processes())
    eventually(stopped_by(calls, sandbox_id, "lost"), 60, "the lost container is stopped")
    assert calls.post(f"/v1/sandboxes/{sandbox_id}/start").json["state"] == "running"
    eventually(stopped_by(calls, sandbox_id, "command_exited"), 60, "its command ends")
    assert container(calls, sandbox_id)["exit_code"] == 9
    assert calls.request("DELETE", f"/v1/sandboxes/{sandbox_id}").status == 204


def writes(stack):
    """How many sandboxes have not come to their sleep yet."""
    names = [inventory.of_process(pid, "comm").strip() for pid in stack.sandbox_processes()]
    return 0 if "sleep" in names else 1


def test_a_disk_without_a_sandbox_is_removed(calls, private_stack):
    sandbox_id = new_sandbox(calls, max_lifetime=600, idle_timeout=600)
    folder = private_stack.state_dir / "sandboxes"
    (disk,) = folder.glob(f"{sandbox_id}*")
    stray = folder / f"{'e' * 32}.disk"
    stray.write_bytes(b"")
    private_stack.worker.restart()
    eventually(lambda: not stray.exists(), 60, "the disk without a sandbox is removed")
    assert disk.exists()
    assert calls.request("DELETE", f"/v1/sandboxes/{sandbox_id}").status == 204
    assert not disk.exists()
