"""How long the logs of processes are kept, and that they go."""

import pytest

from support.processes import Processes, new_sandbox
from support.wait import eventually

STACK_ENVIRONMENT = {"ATOLL_LOG_RETENTION": 3600}


@pytest.fixture
def client(private_stack):
    return private_stack.client()


@pytest.fixture
def sandbox_id(client, private_stack):
    made = new_sandbox(client)
    yield made
    # A test may have started the server anew, at another port.
    private_stack.client().request("DELETE", f"/v1/sandboxes/{made}")


def folder(stack, sandbox_id):
    return stack.state_dir / "logs" / sandbox_id


def say(processes, text):
    process_id = processes.start(["echo", text])
    processes.wait(process_id)
    return process_id


def test_logs_survive_stop_start_and_server_and_go_with_the_sandbox(
        private_stack, client, processes, sandbox_id):
    first = say(processes, "one")
    assert client.post(f"{processes.sandbox}/stop", {"timeout": 0}).status == 200
    assert processes.logs(first) == b"one\n"
    private_stack.server.restart()
    client = private_stack.client()
    processes = Processes(client, sandbox_id)
    assert processes.logs(first) == b"one\n"
    assert client.post(f"{processes.sandbox}/start").status == 200
    second = say(processes, "two")
    private_stack.worker.restart()  # sweeps at once
    assert processes.logs(first) == b"one\n" and processes.logs(second) == b"two\n"
    assert len(list(folder(private_stack, sandbox_id).iterdir())) == 2
    assert client.request("DELETE", processes.sandbox).status == 204
    assert not folder(private_stack, sandbox_id).exists()
    removed = private_stack.state_dir / "logs" / "removed"
    eventually(lambda: list(removed.iterdir()) == [], 30)


def test_logs_of_no_sandbox_are_swept(private_stack, client, processes, sandbox_id):
    say(processes, "one")
    orphan = folder(private_stack, "f" * 32) / "3"
    orphan.mkdir(parents=True)
    (orphan / "left.log").touch()
    foreign = private_stack.state_dir / "logs" / "README"
    foreign.touch()
    private_stack.worker.restart()
    eventually(lambda: not orphan.parent.exists(), 30, "the orphan's logs are swept")
    assert foreign.exists() and folder(private_stack, sandbox_id).exists()
    foreign.unlink()


def test_old_logs_are_swept(private_stack, client, processes, sandbox_id):
    first = say(processes, "one")
    assert client.post(f"{processes.sandbox}/restart", {"timeout": 0}).status == 200
    second = say(processes, "two")
    private_stack.postgres.execute(
        "UPDATE processes SET started_at = started_at - interval '2 hours', "
        f"ended_at = ended_at - interval '2 hours' WHERE sandbox_id = '{sandbox_id}'"
    )
    private_stack.worker.restart()
    eventually(lambda: not (folder(private_stack, sandbox_id) / "1").exists(), 30,
               "the logs of the first start are swept")
    gone = client.get(f"{processes.path}/{first}/logs", headers={"Accept": "text/plain"})
    assert gone.status == 404
    assert processes.get(first)["state"] == "completed"
    assert processes.logs(second) == b"two\n", "what is up keeps its logs"
