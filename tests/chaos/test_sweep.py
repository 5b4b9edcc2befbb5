"""The sweep takes what is dead and ours, and nothing else."""

import os
import secrets
import subprocess
from pathlib import Path

import pytest

from support import inventory
from support.launcher import Launcher
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
    groups = [parent / f"somebody-elses-{secrets.token_hex(4)}" for parent in sandbox_cgroups()]
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


@pytest.fixture
def ready(private_stack):
    """The process and folder of a ready sandbox: of cgroups v1 alone."""
    if (inventory.CGROUP_ROOT / "cgroup.controllers").exists():
        pytest.skip("on cgroups v2 no sandbox is made ahead")
    client = private_stack.client()
    client.run("shell", "true")
    client.run("shell", "true")

    def made():
        folders = list((private_stack.run_dir / "sandboxes").glob("ready.*"))
        pids = private_stack.ready_processes()
        assert len(folders) == len(pids) == 1
        assert f"/{folders[0].name}\n" in inventory.of_process(pids[0], "cgroup")
        return pids[0], folders[0]

    return eventually(made)


def assert_gone(stack, pid, folder):
    assert pid not in stack.sandbox_processes()
    assert not folder.exists()
    assert stack.ready_cgroups() == []


def start(stack):
    """Until it answers, which it does after its sweep."""
    stack.launcher.start()
    eventually(lambda: Launcher(stack.run_dir).alive() == [])


def test_a_ready_sandbox_goes_with_the_launcher(private_stack, ready):
    assert private_stack.launcher.stop() == 0
    assert_gone(private_stack, *ready)
    start(private_stack)


def test_a_ready_sandbox_of_a_killed_launcher_is_swept(private_stack, ready):
    private_stack.launcher.kill()
    start(private_stack)
    assert_gone(private_stack, *ready)


def first_hierarchy():
    """Where a launcher makes and renames a sandbox's groups first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return next(Path(point) / "atoll" for point in points if (Path(point) / "atoll").exists())


@pytest.mark.parametrize("with_state", (False, True))
def test_a_ready_sandbox_is_swept_when_its_launcher_died_naming_it(
        private_stack, ready, with_state):
    pid, folder = ready
    name = f"{secrets.token_hex(16)}.1"
    private_stack.created.add(name.split(".")[0])
    private_stack.launcher.kill()
    if with_state:
        ticks = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
        (folder / "state").write_text(f"1 {pid} {ticks} 0 1 base\n")
    (first_hierarchy() / folder.name).rename(first_hierarchy() / name)
    start(private_stack)
    assert_gone(private_stack, pid, folder)
    private_stack.assert_clean()
