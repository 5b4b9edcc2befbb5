"""Calls that meet: delete during create and execute, many deletes of one, uploads during runs."""

import os
import select
import signal

import pytest

from support import inventory
from support.wait import eventually


def test_delete_during_execute_ends_the_run(stack, client, pool):
    sandbox_id = client.create("shell", "sleep 100", timeout_ms=90000)
    run = pool.submit(client.try_execute, sandbox_id)
    eventually(lambda: client.info(sandbox_id)["status"] == "Running")
    assert client.delete(sandbox_id).status == 200
    response = run.result(timeout=30)
    assert response.status in (200, 404, 409), response
    if response.status == 200:
        assert response.json["success"] is False
    assert client.get(f"/sandbox/{sandbox_id}").status == 404
    stack.assert_clean()


def test_delete_at_every_moment_of_an_execute(stack, client, pool):
    for _ in range(30):
        sandbox_id = client.create("shell", "true")
        runs = [pool.submit(client.patient_execute, sandbox_id) for _ in range(3)]
        delete = pool.submit(client.delete, sandbox_id)
        assert delete.result(timeout=30).status == 200
        for run in runs:
            assert run.result(timeout=30).status in (200, 404, 409), run.result()
        assert client.get(f"/sandbox/{sandbox_id}").status == 404
    stack.assert_clean()


@pytest.fixture
def needs_rename():
    """Ready sandboxes are of cgroups v1 alone, whose groups can be renamed."""
    if (inventory.CGROUP_ROOT / "cgroup.controllers").exists():
        pytest.skip("on cgroups v2 no sandbox is made ahead")


def kill_ready(stack):
    """Kills the ready sandbox, once there is one, and waits for its end, not for the launcher to
    hear of it."""
    (pid,) = eventually(lambda: len(found := stack.ready_processes()) == 1 and found)
    pidfd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([pidfd], [], [])
    os.close(pidfd)


def test_a_ready_sandbox_that_is_killed_fails_nobody(private_stack, needs_rename):
    client = private_stack.client()
    for _ in range(5):
        client.run("shell", "true")
        client.run("shell", "true")
        kill_ready(private_stack)
        assert client.run("shell", "echo done")["stdout"] == "done\n"
    private_stack.assert_clean()


def test_one_of_many_deletes_wins(client, pool):
    for _ in range(10):
        sandbox_id = client.create()
        deletes = [pool.submit(client.delete, sandbox_id) for _ in range(8)]
        statuses = sorted(delete.result().status for delete in deletes)
        assert statuses == [200] + [404] * 7


def test_uploads_during_runs_are_all_or_nothing(client, pool):
    sandbox_id = client.create("shell", "cat a b 2>/dev/null")

    def upload(text):
        files = [{"path": "a", "content": text}, {"path": "b", "content": text}]
        return client.post(f"/sandbox/{sandbox_id}/files", files).status

    uploads = [pool.submit(upload, letter) for letter in "cdefghij" * 4]
    runs = [pool.submit(client.execute, sandbox_id) for _ in range(20)]
    assert {upload.result() for upload in uploads} == {200}
    for run in runs:
        seen = run.result()["stdout"]
        assert len(seen) in (0, 2) and len(set(seen)) <= 1, seen


def test_a_place_forgotten_by_nobody(stack, client, pool):
    """Runs that end in every way give their place of the concurrency limit back."""
    codes = ["true", "exit 1", "kill -9 $$", "sleep 9"]
    ids = [client.create("shell", code, timeout_ms=200) for code in codes]
    for _ in range(3):
        for run in [pool.submit(client.try_execute, n) for n in ids * 6]:
            assert run.result(timeout=60).status in (200, 429)
    rows = stack.postgres.value(
        f"SELECT count(*) FROM sandboxes WHERE id = ANY(ARRAY{ids}::uuid[]) AND active_runs <> 0"
    )
    assert rows == 0
    stack.assert_clean()
