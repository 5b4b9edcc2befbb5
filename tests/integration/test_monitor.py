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


@pytest.fixture
def ended(stack, client):
    """A sandbox that was sampled while it ran."""
    sandbox_id = client.create("shell", "sleep 100", timeout_ms=90000)
    runner = threading.Thread(target=client.try_execute, args=(sandbox_id,))
    runner.start()
    eventually(lambda: samples(stack, sandbox_id))
    client.delete(sandbox_id)
    runner.join()
    stack.assert_clean()
    return sandbox_id


def samples(stack, sandbox_id):
    return stack.postgres.rows(
        f"SELECT * FROM samples WHERE sandbox_id = '{sandbox_id}' ORDER BY 1"
    )


def test_samples_appear_and_grow(stack, busy):
    def grown():
        rows = samples(stack, busy)
        assert len(rows) >= 5
        assert max(row["memory_bytes"] for row in rows) > 40 << 20
        assert max(row["pids"] for row in rows) >= 2
        used = [row["cpu_usec"] for row in rows]
        return max(used) > min(used)

    eventually(grown)


def test_samples_stop_with_the_sandbox(stack, ended, busy):
    """One round of the monitor writes after the other: what is under way is over with the next."""
    eventually(lambda: samples(stack, busy), what="a round that began later is written")
    before, others = len(samples(stack, ended)), len(samples(stack, busy))
    eventually(lambda: len(samples(stack, busy)) >= others + 3, what="the monitor goes on")
    assert len(samples(stack, ended)) == before > 0
