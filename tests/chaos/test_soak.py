"""Many cycles and many at once: nothing grows that should not.

ATOLL_SOAK_CYCLES (default 300) and ATOLL_ALIVE (default 100) set how many; the numbers that the
service promises are 10,000 and 500, which scripts/soak runs.
"""

import concurrent.futures
import contextlib
import os
from pathlib import Path

import pytest

from support import inventory
from support.stack import sanitized
from support.wait import eventually

CYCLES = int(os.environ.get("ATOLL_SOAK_CYCLES", "300"))
ALIVE = int(os.environ.get("ATOLL_ALIVE", "100"))
STACK_ENVIRONMENT = {"ATOLL_MAX_CONCURRENT": max(ALIVE, 16), "ATOLL_MAX_CONNECTIONS": ALIVE + 256}
PARALLEL = 8
WARM_UP = 100
MEMORY_GROWTH_KIB = (64 if sanitized() else 8) << 10
DESCRIPTOR_GROWTH = 16  # connections of pools that are not at their limit yet

pytestmark = pytest.mark.soak


def cycle(client, _):
    result = client.run("shell", "echo cycle")
    assert result["stdout"] == "cycle\n"


def measure(stack):
    """Everything that a leak would make grow, but descriptors and memory."""
    pids = [daemon.pid for daemon in stack.daemons.values()] + list(stack.sandbox_processes())
    return {
        "namespaces": len(inventory.namespaces(pids)),
        "mounts of the host": len(inventory.mounts(stack.folder)),
        "mounts of the launcher": len(
            Path(f"/proc/{stack.launcher.pid}/mountinfo").read_text().splitlines()
        ),
        "live rows": stack.sandbox_count(),
        "running processes": stack.postgres.value(
            "SELECT count(*) FROM processes WHERE state = 'running'"
        ),
        "files of the deleted": stack.postgres.value(
            "SELECT count(*) FROM sandbox_files f JOIN sandboxes s ON s.id = f.sandbox_id "
            "WHERE s.state = 'deleted'"
        ),
    }


@contextlib.contextmanager
def no_growth(stack):
    """What the block does leaves every count where it was when the block is over."""
    stack.assert_clean()
    counts = measure(stack)
    descriptors = {name: daemon.open_fds() for name, daemon in stack.daemons.items()}
    memory = {name: daemon.resident_kib() for name, daemon in stack.daemons.items()}
    yield

    def same():
        now = measure(stack)
        assert now == counts, (counts, now)
        for name, daemon in stack.daemons.items():
            grown = daemon.open_fds() - descriptors[name]
            assert grown <= DESCRIPTOR_GROWTH, f"{name} has {grown} more descriptors"
        return True

    stack.assert_clean()
    eventually(same, 30, "counts are where they were")
    for name, daemon in stack.daemons.items():
        grown = daemon.resident_kib() - memory[name]
        assert grown < MEMORY_GROWTH_KIB, f"{name} grew by {grown} KiB"


def run_cycles(stack, count):
    client = stack.client()
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        for _ in pool.map(lambda n: cycle(client, n), range(count)):
            pass


def test_cycles_leave_nothing(private_stack):
    run_cycles(private_stack, WARM_UP)
    with no_growth(private_stack):
        run_cycles(private_stack, CYCLES)


def all_alive(stack, count):
    """Has `count` sandboxes alive at once, and deletes them."""
    client = stack.client()
    ids = [client.create("shell", "sleep 600", timeout_ms=900000, memory_limit_mb=32)
           for _ in range(count)]
    with (
        concurrent.futures.ThreadPoolExecutor(count) as pool,
        concurrent.futures.ThreadPoolExecutor(16) as deleters,
    ):
        runs = [pool.submit(client.patient_execute, sandbox_id, timeout=600) for sandbox_id in ids]
        eventually(
            lambda: len(inventory.sandbox_folders(stack.run_dir)) >= count, 120,
            f"{count} sandboxes live at once",
        )
        assert not [run for run in runs if run.done()]
        assert client.get("/health").status == 200
        deletes = list(deleters.map(client.delete, ids))
        assert {delete.status for delete in deletes} == {200}
        for run in runs:
            assert run.result(timeout=60).status in (200, 404, 409)
    stack.assert_clean()


def test_many_alive_at_once(private_stack):
    all_alive(private_stack, ALIVE)  # pools and caches reach their size
    with no_growth(private_stack):
        all_alive(private_stack, ALIVE)
