"""The monitor's samples of a live sandbox."""

import threading

import pytest

from support.wait import eventually


@pytest.fixture
def busy(client):
    """A sandbox that uses 40 MiB and some processor time until it is deleted."""
    code = "block = bytearray(40 << 20)\nwhile True: sum(range(10000))"
    sandbox_id = client.create("python", code, timeout_ms=60000)
    runner = threading.Thread(target=client.try_execute, args=(sandbox_id,))
    runner.start()
    yield sandbox_id
    client.delete(sandbox_id)
    runner.join()


def samples(stack, sandbox_id):
    return stack.postgres.rows(
        f"SELECT * FROM samples WHERE sandbox_id = '{sandbox_id}' ORDER BY 1"
    )


def test_samples_appear_and_grow(stack, busy):
    rows = eventually(lambda: len(samples(stack, busy)) >= 5 and samples(stack, busy), 30)
    assert max(row["memory_bytes"] for row in rows) > 40 << 20
    assert max(row["pids"] for row in rows) >= 2
    used = [row["cpu_usec"] for row in rows]
    assert max(used) > min(used)


def test_samples_stop_with_the_sandbox(stack, client):
    sandbox_id = client.create("shell", "sleep 0.6")
    client.execute(sandbox_id)
    stack.assert_clean()
    before = len(samples(stack, sandbox_id))
    marker = client.create("shell", "sleep 1")
    client.execute(marker)
    assert samples(stack, marker), "the monitor works meanwhile"
    assert len(samples(stack, sandbox_id)) == before
