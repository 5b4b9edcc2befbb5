"""Calls that meet: delete during create and execute, many deletes of one, uploads during runs."""

import concurrent.futures
import os
import signal

import pytest

from support import inventory
from support.wait import eventually


@pytest.fixture
def pool():
    with concurrent.futures.ThreadPoolExecutor(16) as executor:
        yield executor


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
        runs = [pool.submit(client.try_execute, sandbox_id) for _ in range(3)]
        delete = pool.submit(client.delete, sandbox_id)
        assert delete.result(timeout=30).status == 200
        for run in runs:
            assert run.result(timeout=30).status in (200, 404, 409), run.result()
        assert client.get(f"/sandbox/{sandbox_id}").status == 404
    stack.assert_clean()


def test_a_child_made_ahead_that_is_killed_as_it_is_used_fails_nobody(private_stack, pool):
    client = private_stack.client()
    for _ in range(3):
        client.run("shell", "true")
    if (inventory.CGROUP_ROOT / "cgroup.controllers").exists():
        pytest.skip("on cgroups v2 no child is made ahead")
    eventually(lambda: inventory.parked(private_stack.launcher.pid))
    (parked,) = inventory.parked(private_stack.launcher.pid)
    os.kill(parked, signal.SIGSTOP)
    run = pool.submit(client.run, "shell", "echo done")
    eventually(lambda: list((private_stack.run_dir / "sandboxes").glob("*/state")))
    os.kill(parked, signal.SIGKILL)
    assert run.result(timeout=30)["stdout"] == "done\n"
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
