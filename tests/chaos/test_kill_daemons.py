"""kill -9 of each daemon at many moments: sandboxes live on, nothing acknowledged is lost, and in
the end every cgroup, mount, folder and process belongs to a live row.
"""

import concurrent.futures
import os
import random
import signal

import pytest

from support.wait import eventually

STACK_ENVIRONMENT = {"ATOLL_MAX_CONCURRENT": 64}
ROUNDS = int(os.environ.get("ATOLL_CHAOS_ROUNDS", "8"))


@pytest.fixture
def calls(private_stack):
    """A client; whatever a test killed runs again at its end."""
    client = private_stack.client()
    yield client
    for daemon in private_stack.daemons.values():
        if not daemon.alive:
            daemon.start()
    eventually(lambda: private_stack.client().run("shell", "echo ok")["stdout"] == "ok\n", 60)


def outcome(call, *arguments, **options):
    """The response, or None when the connection broke."""
    try:
        return call(*arguments, **options)
    except OSError:
        return None
    except Exception as error:  # http.client says so when the server dies in the middle
        if type(error).__module__ == "http.client":
            return None
        raise


def current(private_stack):
    """A client of the server that runs now: its port changes with each start."""
    return private_stack.client()


def settled(private_stack, ids):
    """Every sandbox is gone from the host, and none of these says that it runs."""

    def quiet():
        client = current(private_stack)
        busy = [n for n in ids if (r := client.get(f"/sandbox/{n}")).status == 200
                and r.json["status"] == "Running"]
        assert not busy, busy
        return True

    eventually(quiet, 60, "no sandbox stays Running", interval=0.2)
    private_stack.assert_clean()


def agent_pids(private_stack):
    """Agents: host processes that are the root of some sandbox."""
    return [
        pid for pid, uid in private_stack.sandbox_processes().items()
        if (uid - private_stack.uid_base) % 65536 == 0
    ]


# --- the server


def test_server_killed_during_a_run(private_stack, calls, pool):
    sandbox_id = calls.create("shell", "sleep 30", timeout_ms=40000)
    run = pool.submit(outcome, calls.try_execute, sandbox_id)
    eventually(lambda: agent_pids(private_stack))
    private_stack.server.restart()
    assert run.result(timeout=30) is None
    settled(private_stack, [sandbox_id])
    assert current(private_stack).get(f"/sandbox/{sandbox_id}").status == 200


def test_server_killed_among_creates_loses_nothing_acknowledged(private_stack, calls, pool):
    acknowledged = []
    for _ in range(ROUNDS):
        client = current(private_stack)
        creates = [pool.submit(outcome, client.try_create, runtime="shell", code=f"echo {n}")
                   for n in range(40)]
        concurrent.futures.wait(creates[: random.randrange(1, 40)])
        private_stack.server.restart()
        done = [create.result(timeout=60) for create in creates]
        acknowledged += [r.json["id"] for r in done if r is not None and r.status == 201]
    client = current(private_stack)
    assert acknowledged
    for sandbox_id in acknowledged:
        assert client.get(f"/sandbox/{sandbox_id}").status == 200
    settled(private_stack, acknowledged[:5])


def test_server_killed_among_executes(private_stack, calls, pool):
    sandbox_id = calls.create("shell", "echo whole")
    for _ in range(ROUNDS):
        client = current(private_stack)
        runs = [pool.submit(outcome, client.try_execute, sandbox_id) for _ in range(16)]
        concurrent.futures.wait(runs[: random.randrange(1, 16)],
                                return_when=concurrent.futures.FIRST_COMPLETED)
        private_stack.server.restart()
        for run in runs:
            response = run.result(timeout=60)
            if response is not None and response.status == 200:
                assert response.json["stdout"] == "whole\n"
    settled(private_stack, [sandbox_id])


def test_server_killed_among_deletes_deleted_stays_deleted(private_stack, calls, pool):
    ids = [calls.create() for _ in range(60)]
    deletes = [pool.submit(outcome, calls.delete, sandbox_id) for sandbox_id in ids]
    concurrent.futures.wait(deletes[:10])
    private_stack.server.restart()
    client = current(private_stack)
    for sandbox_id, delete in zip(ids, deletes):
        response = delete.result(timeout=60)
        if response is not None and response.status == 200:
            assert client.get(f"/sandbox/{sandbox_id}").status == 404
        client.delete(sandbox_id)
        assert client.get(f"/sandbox/{sandbox_id}").status == 404


def test_server_killed_during_an_upload(private_stack, calls, pool):
    sandbox_id = calls.create("shell", "ls")
    before = calls.execute(sandbox_id)["stdout"]
    files = [{"path": f"f{n}", "content": "x" * 5000} for n in range(900)]
    upload = pool.submit(outcome, calls.post, f"/sandbox/{sandbox_id}/files", files)
    private_stack.server.restart()
    response = upload.result(timeout=60)
    after = current(private_stack).execute(sandbox_id)["stdout"]
    if response is not None and response.status == 200:
        assert len(after.splitlines()) == len(before.splitlines()) + 900
    else:
        assert after == before or len(after.splitlines()) == len(before.splitlines()) + 900


# --- the launcher


def test_launcher_killed_during_a_run_does_not_end_it(private_stack, calls, pool):
    sandbox_id = calls.create("shell", "sleep 5; echo survived", timeout_ms=60000)
    run = pool.submit(calls.try_execute, sandbox_id)
    eventually(lambda: len(private_stack.sandbox_processes()) >= 2)
    private_stack.launcher.kill()
    try:
        eventually(run.done, 60)
    finally:
        private_stack.launcher.start()
    response = run.result()
    assert response.status == 200, response
    assert response.json["stdout"] == "survived\n"
    settled(private_stack, [sandbox_id])


def test_without_a_launcher_execute_is_503(private_stack, calls):
    sandbox_id = calls.create("shell", "echo back")
    private_stack.launcher.kill()
    response = calls.try_execute(sandbox_id)
    assert response.status == 503, response
    assert calls.create()
    private_stack.launcher.start()
    eventually(lambda: calls.try_execute(sandbox_id).status == 200)


def test_launcher_killed_at_many_moments_of_setup_and_teardown(private_stack, calls, pool):
    """Under a steady load of short runs, so that each kill meets another step."""
    sandbox_id = calls.create("shell", "true")
    for _ in range(ROUNDS * 2):
        runs = [pool.submit(outcome, calls.try_execute, sandbox_id) for _ in range(8)]
        concurrent.futures.wait(runs, timeout=random.uniform(0.001, 0.04),
                                return_when=concurrent.futures.ALL_COMPLETED)
        private_stack.launcher.restart()
        for run in runs:
            response = run.result(timeout=60)
            assert response is not None and response.status in (200, 429, 503, 500), response
    settled(private_stack, [sandbox_id])


# --- the agent


def test_agent_killed(private_stack, calls, pool):
    sandbox_id = calls.create("shell", "echo before; sleep 100", timeout_ms=60000)
    run = pool.submit(calls.try_execute, sandbox_id)
    eventually(lambda: len(private_stack.sandbox_processes()) >= 2)
    for pid in agent_pids(private_stack):
        os.kill(pid, signal.SIGKILL)
    response = run.result(timeout=60)
    assert response.status >= 500 or response.json["success"] is False, response
    settled(private_stack, [sandbox_id])


def test_agent_stopped_does_not_stop_the_deadline(private_stack, calls, pool):
    sandbox_id = calls.create("shell", "sleep 100", timeout_ms=6000)
    run = pool.submit(calls.try_execute, sandbox_id)
    eventually(lambda: len(private_stack.sandbox_processes()) >= 2)
    for pid in agent_pids(private_stack):
        os.kill(pid, signal.SIGSTOP)
    response = run.result(timeout=60)
    assert response.status == 200, response
    result = response.json
    assert (result["timed_out"], result["signal"], result["exit_code"]) == (True, "SIGKILL", None)
    assert result["truncated"] is True
    assert result["execution_time_ms"] >= 6000
    settled(private_stack, [sandbox_id])


# --- monitor and worker


def test_monitor_killed_goes_on_sampling(private_stack, calls, pool):
    sandbox_id = calls.create("shell", "sleep 100", timeout_ms=60000)
    run = pool.submit(outcome, calls.try_execute, sandbox_id)

    def samples():
        return private_stack.postgres.value(
            f"SELECT count(*) FROM samples WHERE sandbox_id = '{sandbox_id}'"
        )

    eventually(lambda: samples() >= 2, 30)
    private_stack.monitor.restart()
    before = samples()
    eventually(lambda: samples() > before + 2, 30)
    calls.delete(sandbox_id)
    run.result(timeout=30)


def test_worker_killed_at_many_moments(private_stack, calls):
    """Sandboxes expire while the worker is killed again and again; each is removed once."""
    ids = [calls.create() for _ in range(40)]
    private_stack.postgres.execute(
        "UPDATE sandboxes SET expires_at = now() - interval '1 second' "
        f"WHERE id = ANY(ARRAY{ids}::uuid[])"
    )
    for _ in range(ROUNDS):
        private_stack.worker.restart()
        eventually(lambda: private_stack.worker.alive)
    eventually(
        lambda: private_stack.postgres.value(
            f"SELECT count(*) FROM sandboxes WHERE id = ANY(ARRAY{ids}::uuid[]) "
            "AND state <> 'deleted'"
        ) == 0,
        60, "every expired sandbox is deleted",
    )
    assert calls.get("/health").status == 200


# --- PostgreSQL


def test_postgres_killed_under_load(private_stack, calls, pool):
    acknowledged = []
    for _ in range(max(2, ROUNDS // 4)):
        creates = [pool.submit(outcome, calls.try_create, runtime="shell", code="echo kept")
                   for _ in range(60)]
        concurrent.futures.wait(creates[:10])
        private_stack.postgres.crash()
        private_stack.postgres.recover()
        done = [create.result(timeout=90) for create in creates]
        assert {r.status for r in done if r is not None} <= {201, 503}
        acknowledged += [r.json["id"] for r in done if r is not None and r.status == 201]
        eventually(lambda: calls.get("/health").status == 200, 60)
    for sandbox_id in acknowledged:
        assert calls.execute(sandbox_id)["stdout"] == "kept\n"
    settled(private_stack, acknowledged)


# --- all at once


def test_everything_killed_at_once(private_stack, calls, pool):
    ids = [calls.create("shell", "sleep 60", timeout_ms=90000) for _ in range(5)]
    runs = [pool.submit(outcome, calls.try_execute, sandbox_id) for sandbox_id in ids]
    eventually(lambda: len(agent_pids(private_stack)) == 5)
    for daemon in private_stack.daemons.values():
        daemon.process.kill()
    private_stack.postgres.crash()
    for daemon in private_stack.daemons.values():
        daemon.kill()
    private_stack.postgres.recover()
    for daemon in private_stack.daemons.values():
        daemon.start()
    for run in runs:
        run.result(timeout=60)
    settled(private_stack, ids)
    assert current(private_stack).run("shell", "echo again")["stdout"] == "again\n"
