"""A stop, a delete and a timeout end processes, and every end is the real one."""

import concurrent.futures

from support.client import assert_problem
from support.processes import Processes, new_sandbox
from support.wait import eventually

IGNORES = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


def ready(processes, script, **fields):
    """A process that has said that it is."""
    process_id = processes.start(script, **fields)
    eventually(lambda: b"ready" in processes.logs(process_id), what="it is ready")
    return process_id


def stop(processes, timeout):
    response = processes.client.post(f"{processes.sandbox}/stop", {"timeout": timeout})
    assert response.status == 200 and response.json["state"] == "stopped", response
    return response.json


def assert_killed(processes, process_id, signal):
    process = processes.get(process_id)
    assert (process["state"], process["exit_code"], process["signal"]) == ("killed", None, signal)
    return process


def test_a_stop_answers_with_the_real_ends_recorded(processes):
    sleeper = processes.start(["sleep", "1000"])
    polite = ready(processes, "trap 'echo last words; exit 3' TERM; echo ready; "
                              "while :; do sleep 0.05; done")
    stubborn = ready(processes, IGNORES)
    stop(processes, 10)
    assert_killed(processes, sleeper, "SIGTERM")
    assert_killed(processes, stubborn, "SIGKILL")
    process = processes.get(polite)
    assert (process["state"], process["exit_code"]) == ("failed", 3)
    assert processes.logs(polite, "stream=stdout") == b"ready\nlast words\n"


def test_a_stop_without_time_kills(processes):
    process_id = ready(processes, "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done")
    stop(processes, 0)
    assert_killed(processes, process_id, "SIGKILL")


def test_a_stop_of_a_paused_sandbox_tells_the_ends_too(processes):
    process_id = processes.start(["sleep", "1000"])
    assert processes.client.post(f"{processes.sandbox}/pause").status == 200
    stop(processes, 5)
    assert_killed(processes, process_id, "SIGTERM")


def test_a_stop_ends_execs_and_followers_with_the_truth(processes):
    process_id = ready(processes, "echo ready; exec sleep 1000")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(processes.exec, "echo begun > /tmp/begun; exec sleep 1000")
        eventually(lambda: processes.exec("cat /tmp/begun || true")["stdout"], what="it runs")
        with processes.follow(process_id) as stream:
            stop(processes, 5)
            _, kind, data = list(stream)[-1]
        assert (kind, data["state"], data["signal"]) == ("exit", "killed", "SIGTERM")
        result = running.result(timeout=30)
    assert (result["state"], result["signal"]) == ("killed", "SIGTERM")


def test_nothing_starts_during_a_stop(processes):
    ready(processes, IGNORES)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        stopping = pool.submit(stop, processes, 3)

        def refused():
            response = processes.try_exec("true")
            return response.status == 409 and response

        assert_problem(eventually(refused, what="the stop has begun"), 409)
        stopping.result(timeout=30)


def test_the_main_command_is_told_how_it_ended(stack, client):
    made = new_sandbox(client, command="trap '' TERM; touch /tmp/up; while :; do sleep 0.05; done")
    processes = Processes(client, made)
    eventually(lambda: processes.exec("ls /tmp/up")["exit_code"] == 0, what="it ignores TERM")
    stopped = stop(processes, 1)
    assert (stopped["exit_code"], stopped["exit_signal"]) == (None, 9)
    assert client.request("DELETE", processes.sandbox).status == 204


def test_a_delete_records_the_ends(stack, processes, sandbox_id):
    process_id = processes.start(["sleep", "1000"])
    assert processes.client.request("DELETE", processes.sandbox).status == 204
    (row,) = stack.postgres.rows(
        f"SELECT state, signal FROM processes WHERE id = '{process_id}'"
    )
    assert (row["state"], int(row["signal"])) == ("killed", 9)


def test_an_idle_timeout_records_the_ends(stack, client):
    made = new_sandbox(client, idle_timeout=600)
    processes = Processes(client, made)
    process_id = processes.start(["sleep", "1000"])
    # The time counts from PostgreSQL's start at the earliest, which may be a minute ago.
    stack.postgres.execute(
        "UPDATE sandboxes SET idle_timeout_s = 1, last_active_at = now() - interval '1 hour'"
        f" WHERE id = '{made}'"
    )
    stack.worker.restart()  # looks at once
    eventually(lambda: client.get(processes.sandbox).json["state"] == "stopped")
    eventually(lambda: processes.get(process_id)["state"] != "running")
    assert_killed(processes, process_id, "SIGKILL")
    assert client.request("DELETE", processes.sandbox).status == 204
