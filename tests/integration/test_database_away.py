"""PostgreSQL goes away and comes back: running work ends well, new work hears 503, all recovers."""

import concurrent.futures
import os
import signal
import uuid

import pytest

from support import inventory
from support.processes import Processes, new_sandbox
from support.relay import Swallowing
from support.wait import eventually


@pytest.fixture
def database(private_stack):
    postgres = private_stack.postgres
    yield postgres
    if not postgres.daemon.alive:
        postgres.recover()


def recovered(calls):
    def works():
        assert calls.get("/health").status == 200
        return calls.run("shell", "echo back")["stdout"] == "back\n"

    return eventually(works, 60, "the service works again", interval=0.2)


def test_away_and_back(calls, database):
    sandbox_id = calls.create()
    database.stop()
    for response in (
        calls.try_create(runtime="shell", code="true"),
        calls.get(f"/sandbox/{sandbox_id}"),
        calls.get("/sandboxes"),
        calls.try_execute(sandbox_id),
        calls.delete(sandbox_id),
    ):
        assert response.status == 503, response
        assert response.json["code"] == "unavailable"
        assert "database" in response.json["detail"].lower()
    health = calls.get("/health")
    assert health.status == 503
    assert health.json["status"] == "degraded"
    database.recover()
    recovered(calls)
    assert calls.info(sandbox_id)["status"] == "Created"


def test_running_work_finishes(calls, database, private_stack):
    """The run starts with the database, ends without it; its client still gets the result."""
    sandbox_id = calls.create("shell", "sleep 4; echo finished", timeout_ms=20000)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        run = pool.submit(calls.try_execute, sandbox_id)
        eventually(lambda: calls.info(sandbox_id)["status"] == "Running")
        database.crash()
        response = run.result(timeout=60)
    assert response.status == 200, response
    assert response.json["stdout"] == "finished\n"
    database.recover()
    recovered(calls)
    eventually(lambda: calls.info(sandbox_id)["status"] != "Running", 60)
    private_stack.assert_clean()


def test_streams_do_not_wait_for_each_others_ends(calls, database, private_stack):
    """An end is told once it is recorded. Each stream waits 10 s for that, and then breaks off."""
    sandbox_id = new_sandbox(calls)
    processes = Processes(calls, sandbox_id)
    streams = [processes.follow(processes.start(["sleep", "1000"])) for _ in range(6)]
    database.crash()
    sleepers = [pid for pid in private_stack.sandbox_processes()
                if inventory.of_process(pid, "comm") == "sleep\n"]
    assert len(sleepers) == len(streams)
    for pid in sleepers:
        os.kill(pid, signal.SIGTERM)
    with concurrent.futures.ThreadPoolExecutor(len(streams)) as pool:
        readers = [pool.submit(list, stream) for stream in streams]
        done, _ = concurrent.futures.wait(readers, timeout=35)
        database.recover()
    assert len(done) == len(streams)
    assert "exit" not in [event[1] for reader in done for event in reader.result()]
    for stream in streams:
        stream.close()
    recovered(calls)
    assert calls.request("DELETE", f"/v1/sandboxes/{sandbox_id}").status == 204


def test_what_was_used_meanwhile_is_not_idle(calls, database, private_stack):
    """No use can be written while PostgreSQL is away: a terminal may be open all the time."""
    worker = private_stack.daemons["worker"]
    worker.stop()
    used = new_sandbox(calls, idle_timeout=600)
    private_stack.postgres.execute(
        "UPDATE sandboxes SET last_active_at = now() - interval '1 hour'"
        f" WHERE id = '{uuid.UUID(used)}'")
    database.stop()
    database.recover()
    recovered(calls)
    worker.start()
    unused = new_sandbox(calls, idle_timeout=1)
    stopped = f"/v1/sandboxes/{unused}"
    eventually(lambda: calls.get(stopped).json["state"] == "stopped", 60, "the worker has looked")
    assert calls.get(f"/v1/sandboxes/{used}").json["state"] == "running"
    for sandbox_id in (used, unused):
        assert calls.request("DELETE", f"/v1/sandboxes/{sandbox_id}").status == 204


def test_broken_connections_are_replaced(calls, database):
    calls.create()
    database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE usename IN ('atoll_app', 'atoll_system')"
    )
    recovered(calls)


def test_daemons_stay_up_meanwhile(calls, database, private_stack):
    pids = {name: daemon.pid for name, daemon in private_stack.daemons.items()}
    database.crash()
    eventually(lambda: calls.get("/health").status == 503)
    database.recover()
    recovered(calls)
    assert {name: daemon.pid for name, daemon in private_stack.daemons.items()} == pids
    assert all(daemon.alive for daemon in private_stack.daemons.values())


def test_a_begin_whose_answer_is_lost_does_not_stay(private_stack):
    """It was committed, and would count for quotas until its largest time limit is over."""
    postgres = private_stack.postgres
    folder = private_stack.make_folder("swallowing")
    with Swallowing(folder, postgres.socket_dir) as relay:
        url = f"host={folder} user=atoll_app dbname=atoll"
        address = private_stack.another_server(ATOLL_DATABASE_URL=url)
        client = private_stack.client(address=address)
        sandbox_id = client.create("shell", "true")
        relay.statement = b"run_begin"
        assert client.try_execute(sandbox_id).status == 503
        relay.statement = None
        ended = f"SELECT state FROM processes WHERE sandbox_id = '{uuid.UUID(sandbox_id)}'"
        eventually(lambda: postgres.value(ended) == "failed", 30, "the run has an end")
        assert client.info(sandbox_id)["status"] != "Running"
        assert client.run("shell", "echo back")["stdout"] == "back\n"
        private_stack.extra_servers[-1].stop()
        relay.shutdown()
