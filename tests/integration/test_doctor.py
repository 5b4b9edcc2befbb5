"""`atoll doctor`, `atoll dev` and the launcher: the same words for what a host lacks."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from support.stack import binary, claim_uids

LACKS = {
    "capabilities": "setpriv --bounding-set -sys_admin -- {}",
    "user namespaces": "unshare --user --map-root-user sh -c "
                       "'echo 0 >/proc/sys/user/max_user_namespaces; exec {}'",
    "namespaces": "unshare --user --map-root-user sh -c "
                  "'echo 0 >/proc/sys/user/max_net_namespaces; exec {}'",
    "cgroup controllers": "unshare --mount sh -c '"
                          "awk \"/ - cgroup2? /{{print \\$5}}\" /proc/self/mountinfo | "
                          "xargs -n 1 mount -o remount,bind,ro; exec {}'",
}


@pytest.fixture
def folder():
    """Short, because a socket's path is."""
    path = Path(tempfile.mkdtemp(prefix="at-", dir="/tmp"))
    (path / "run").mkdir()
    (path / "state").mkdir()
    yield path
    shutil.rmtree(path)


def run(folder, command):
    return subprocess.run(
        ["sh", "-c", command], stdin=subprocess.DEVNULL, text=True, cwd="/", timeout=60,
        env={"PATH": os.environ["PATH"], "ATOLL_STATE_DIR": f"{folder}/state",
             "ATOLL_RUN_DIR": f"{folder}/run"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )


def lines(done):
    """The state of each line, by its name."""
    return {line[9:37].strip(): line[:8].strip() for line in done.stdout.splitlines()
            if line[:8].strip()}


def test_a_host_that_has_all(folder):
    done = run(folder, f"{binary('atoll')} doctor")
    states = lines(done)
    assert done.returncode == 0 and "MISSING" not in states.values(), done
    assert states["cgroup controllers"] == states["PostgreSQL"] == "ok"
    assert states["image base"] == "absent"
    assert "fix: atoll image build base" in done.stdout


def test_a_state_folder_that_is_not_there_yet(folder):
    done = run(folder, f"{binary('atoll')} doctor --set state.dir=/at-none-{os.getpid()}")
    assert lines(done)["disk space"] == "ok", done.stdout


@pytest.mark.parametrize("lacking", LACKS)
def test_what_a_host_lacks_is_named_and_stops_the_launcher(folder, lacking):
    told = run(folder, LACKS[lacking].format(f"{binary('atoll')} doctor"))
    assert told.returncode == 1, told
    assert lines(told)[lacking] == "MISSING"
    fix = told.stdout.split(f"MISSING  {lacking} ", 1)[1].split("fix: ", 1)[1].split("\n", 1)[0]
    uid_base, lock = claim_uids()
    refused = run(folder, LACKS[lacking].format(
        f"{binary('atoll-launcher')} --run-dir {folder}/run --state-dir {folder}/state"
        f" --agent {binary('atoll-agent')} --uid-base {uid_base}"))
    lock.close()
    assert refused.returncode == 1, refused
    assert "this host lacks: " in refused.stderr and f"{lacking} ({fix})" in refused.stderr
    assert not (folder / "run" / "launcher.sock").exists()


def test_atoll_dev_makes_nothing_on_a_host_that_lacks_something(folder):
    done = run(folder, LACKS["capabilities"].format(f"{binary('atoll')} dev"))
    assert done.returncode == 1, done
    assert done.stderr.startswith("atoll: this host lacks: capabilities (")
    assert list((folder / "state").iterdir()) == []
