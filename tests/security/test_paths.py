"""Hostile file names and places: what is written lands inside the sandbox or nowhere."""

import hashlib
import os
from pathlib import Path

import pytest

HOST_TARGETS = ["/etc/passwd", "/etc/shadow", "/root/.bashrc", "/tmp/atoll-escape"]


def fingerprint(path):
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return None


@pytest.fixture
def host_unchanged():
    watched = [*HOST_TARGETS, "/dev/null"]
    before = {path: fingerprint(path) for path in watched}
    null = os.stat("/dev/null").st_rdev
    yield
    assert {path: fingerprint(path) for path in watched} == before
    assert os.stat("/dev/null").st_rdev == null


@pytest.mark.parametrize("target", HOST_TARGETS)
def test_an_absolute_path_is_the_sandboxes_own(client, host_unchanged, target):
    response = client.try_create(
        runtime="shell", code=f"cat {target}", files=[{"path": target, "content": "from inside\n"}]
    )
    if response.status == 201:
        result = client.try_execute(response.json["id"])
        assert result.status < 500, result
        if result.status == 200 and result.json["success"]:
            assert result.json["stdout"] == "from inside\n"
    else:
        assert response.status == 400


# Places that are no files, that are dangerous to open, or that lead out again.
ODD_PLACES = [
    "/proc/self/mem", "/proc/1/mem", "/proc/1/root/etc/passwd", "/proc/self/root/tmp/atoll-escape",
    "/proc/self/cwd/../../etc/x", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger",
    "/dev/null", "/dev/full", "/dev/zero", "/dev/random", "/dev/ptmx", "/dev/stdout", "/dev/fd/1",
    "/sys/kernel/uevent_helper", "/proc/self/fd/3", "/proc/1/fd/3/x", "/sandbox", "/tmp", "/",
    "/etc", "/dev/shm", "/bin/sh", "/sandbox/main.sh",
]


@pytest.mark.parametrize("path", ODD_PLACES)
def test_odd_places_neither_hang_nor_harm(client, stack, host_unchanged, path):
    response = client.try_create(
        runtime="shell", code="echo ran", timeout_ms=3000,
        files=[{"path": path, "content": "x" * 100}],
    )
    assert response.status in (201, 400), response
    if response.status == 201:
        result = client.try_execute(response.json["id"])
        assert result.status < 500, result
    assert client.run("shell", "echo fine")["stdout"] == "fine\n"
    assert Path("/proc/sys/kernel/core_pattern").read_text()[:1] != "x"
    stack.assert_clean()


COLLISIONS = {
    "a file and a folder of one name": ["a", "a/b"],
    "a folder and a file of one name": ["a/b", "a"],
    "below a file of the image": ["/etc/passwd/x"],
    "below a device": ["/dev/null/x"],
}


@pytest.mark.parametrize("name", COLLISIONS)
def test_collisions_are_the_callers_fault(client, stack, name):
    files = [{"path": path, "content": "x"} for path in COLLISIONS[name]]
    response = client.try_create(runtime="shell", code="echo ran", files=files)
    if response.status == 201:
        response = client.try_execute(response.json["id"])
    assert 400 <= response.status < 500 or response.json["success"] is False, response
    stack.assert_clean()


@pytest.mark.parametrize("name", ["a" * 256, "x/" + "b" * 300])
def test_a_name_too_long_for_the_kernel(client, stack, name):
    response = client.try_create(
        runtime="shell", code="true", files=[{"path": name, "content": ""}]
    )
    if response.status == 201:
        response = client.try_execute(response.json["id"])
    assert 400 <= response.status < 500, response
    stack.assert_clean()


def test_symlinks_of_one_run_are_gone_in_the_next(client, host_unchanged):
    """The first run plants links where the second run's files will be written."""
    code = (
        "cat dir/file; rm -rf dir; ln -s /etc dir; ln -sf /etc/shadow file; "
        "ln -s /proc/1/root/etc leak; ls -A | wc -l"
    )
    files = [{"path": "dir/file", "content": "mine\n"}, {"path": "file", "content": ""}]
    sandbox_id = client.create("shell", code, files=files)
    first, second = client.execute(sandbox_id), client.execute(sandbox_id)
    assert first["stdout"] == second["stdout"]
    assert first["stdout"].startswith("mine\n")


@pytest.mark.parametrize(
    "entry_point", ["/etc/passwd", "/bin/sh", "/proc/self/mem", "-c", "--help"]
)
def test_a_hostile_entry_point(client, stack, host_unchanged, entry_point):
    response = client.try_create(runtime="shell", code="echo ran", entry_point=entry_point)
    assert response.status in (201, 400)
    if response.status == 201:
        assert client.try_execute(response.json["id"]).status < 500
    stack.assert_clean()
