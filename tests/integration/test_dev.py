"""`atoll dev`: one command starts everything, its curl line works, Ctrl-C leaves no trace."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from support import inventory
from support.stack import (
    IMAGES, UID_SLOTS, UIDS_PER_SANDBOX, binary, claim_uids, require_base_image,
)
from support.wait import eventually


class Dev:
    """A running `atoll dev` in folders of its own."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="at-dev-", dir="/tmp"))
        self.folder.chmod(0o755)
        self.state_dir, self.run_dir = self.folder / "state", self.folder / "run"
        self.state_dir.mkdir()
        (self.state_dir / "images").symlink_to(IMAGES)
        self.output = self.folder / "output"
        self.uid_base, self.uid_lock = claim_uids()
        self.process = None

    def start(self):
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "SANDBOX_PORT": "0",
            "ATOLL_STATE_DIR": str(self.state_dir),
            "ATOLL_RUN_DIR": str(self.run_dir),
            "ATOLL_UID_BASE": str(self.uid_base),
        }
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen(
                [binary("atoll"), "dev"], env=environment, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, cwd="/", start_new_session=True,
            )
        return eventually(self.curl_line, 120, "the curl line is printed")

    def text(self):
        return self.output.read_text(errors="replace")

    def curl_line(self):
        assert self.process.poll() is None, self.text()
        found = re.search(r"^Try it.*:\n+(.*)\n", self.text(), re.M)
        return found and found.group(1)

    def members(self):
        """Processes whose session is the supervisor's, or that its run folder's name betrays."""
        found = set()
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                environment = Path(f"/proc/{entry}/environ").read_bytes()
                arguments = Path(f"/proc/{entry}/cmdline").read_bytes()
            except OSError:
                continue
            if str(self.folder).encode() in environment + arguments:
                found.add(int(entry))
        return found

    def interrupt(self):
        """Ctrl-C: the terminal signals the whole foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=60)

    def remove(self):
        for pid in (*self.members(),
                    *inventory.processes(self.uid_base, UID_SLOTS * UIDS_PER_SANDBOX)):
            with contextlib.suppress(ProcessLookupError):  # it went by itself
                os.kill(pid, signal.SIGKILL)
        for point in reversed(inventory.mounts(self.folder)):
            subprocess.run(["umount", "-l", point], check=False)
        for group in inventory.ready_cgroups(self.uid_base, UID_SLOTS * UIDS_PER_SANDBOX):
            with contextlib.suppress(OSError):
                os.rmdir(group)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.uid_lock.close()


@pytest.fixture
def dev():
    require_base_image()
    session = Dev()
    try:
        yield session
    except BaseException:
        print(session.text())
        raise
    finally:
        session.remove()


def test_start_paste_interrupt_and_start_again(dev):
    for _ in range(2):
        curl = dev.start()
        pasted = subprocess.run(
            ["bash", "-c", curl], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert pasted.returncode == 0, (curl, pasted)
        assert json.loads(pasted.stdout)["stdout"] == "42\n"
        assert len(dev.members()) >= 6
        assert dev.interrupt() == 0, dev.text()
        eventually(lambda: not dev.members(), 60, "every process is gone")
        assert inventory.mounts(dev.folder) == []
        assert inventory.sandbox_folders(dev.run_dir) == []


def test_a_killed_daemon_is_started_again(dev):
    dev.start()

    def servers():
        return {
            pid for pid in dev.members()
            if inventory.of_process(pid, "comm").strip() == "atoll-server"
        }

    (first,) = servers()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: servers() and first not in servers(), 30, "another server runs")
    assert dev.interrupt() == 0


def test_the_supervisors_death_takes_its_daemons_along(dev):
    dev.start()
    dev.process.kill()
    dev.process.wait()
    eventually(lambda: not dev.members(), 30, "no daemon outlives its supervisor")
