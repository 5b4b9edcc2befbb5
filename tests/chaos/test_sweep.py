"""The sweep takes what is dead and ours, and nothing else."""

import os
import secrets
import subprocess
from pathlib import Path

import pytest

from support import inventory
from support.wait import eventually


def sandbox_cgroups():
    """Folders in which the launcher makes a sandbox's cgroups, one a hierarchy."""
    return [Path(folder) for folder, names, _ in os.walk(inventory.CGROUP_ROOT)
            if Path(folder).name == "atoll"]


@pytest.fixture
def forged(private_stack):
    """Remains of a sandbox that no row knows, as a launcher killed half-way leaves them."""
    private_stack.client().run("shell", "true")
    name = f"{secrets.token_hex(16)}.7"
    private_stack.created.add(name.split(".")[0])
    folder = private_stack.run_dir / "sandboxes" / name
    folder.mkdir()
    groups = [parent / name for parent in sandbox_cgroups()]
    assert groups, "the launcher has its cgroup"
    for group in groups:
        group.mkdir()
    yield folder, groups
    for group in groups:
        if group.exists():
            group.rmdir()


@pytest.fixture
def foreign(private_stack):
    """Things of others beside ours: names that are not a sandbox's."""
    file = private_stack.run_dir / "sandboxes" / "README"
    file.write_text("not yours")
    folder = private_stack.run_dir / "sandboxes" / "lost+found"
    folder.mkdir()
    groups = [parent / "somebody-elses" for parent in sandbox_cgroups()]
    for group in groups:
        group.mkdir()
    yield [file, folder, *groups]
    file.unlink(missing_ok=True)
    folder.rmdir()
    for group in groups:
        group.rmdir()


def test_forged_orphans_go_and_foreign_objects_stay(private_stack, forged, foreign):
    folder, groups = forged
    private_stack.launcher.restart()
    eventually(lambda: not folder.exists(), 60, "the orphan's folder is swept")
    eventually(lambda: not [group for group in groups if group.exists()], 60)
    assert all(thing.exists() for thing in foreign)


def test_a_live_sandbox_without_a_row_is_removed(private_stack):
    """Its row is torn out from under it, as after a restore of an older backup."""
    import concurrent.futures

    client = private_stack.client()
    sandbox_id = client.create("shell", "sleep 300", timeout_ms=600000)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        run = pool.submit(client.try_execute, sandbox_id)
        eventually(lambda: len(private_stack.sandbox_processes()) >= 2)
        private_stack.postgres.execute(
            "SET session_replication_role = replica; "
            f"DELETE FROM processes WHERE sandbox_id = '{sandbox_id}'; "
            f"DELETE FROM sandboxes WHERE id = '{sandbox_id}'"
        )
        private_stack.assert_clean()
        run.result(timeout=30)


def test_the_launcher_adopts_what_lives(private_stack):
    import concurrent.futures

    client = private_stack.client()
    sandbox_id = client.create("shell", "sleep 2; echo alive", timeout_ms=60000)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        run = pool.submit(client.execute, sandbox_id)
        eventually(lambda: len(private_stack.sandbox_processes()) >= 2)
        private_stack.launcher.restart()
        private_stack.launcher.restart()
        assert run.result(timeout=60)["stdout"] == "alive\n"
    private_stack.assert_clean()


def test_a_second_launcher_in_one_run_folder_is_refused(private_stack):
    launcher = private_stack.launcher
    done = subprocess.run(
        launcher.argv, env=launcher.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, timeout=30, cwd="/",
    )
    assert done.returncode != 0
    assert done.stderr
    assert private_stack.client().run("shell", "echo ok")["stdout"] == "ok\n"
