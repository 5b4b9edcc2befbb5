"""Kept disks, read-only roots, capabilities, freezes and logs, by the launcher and agent alone."""

import contextlib
import errno
import os
import signal
import subprocess
import threading
import uuid

import pytest

from support.launcher import (
    DESTROY, DEV, DISK, FREEZE, LIST, LIST_PAGE, TMPFS, Launcher, Refused, Sandbox
)
from support.stack import Stack, require_base_image
from support.wait import eventually

CAP_CHOWN, CAP_SETGID, CAP_SETUID, CAP_NET_BIND_SERVICE = 0, 6, 7, 10


class Host:
    """A launcher without the rest, and what was made through it."""

    def __init__(self, layers):
        require_base_image()
        self.stack = Stack()
        self.stack.launcher.argv.append(f"--layers={layers}")
        for folder in ("state", "run"):
            self.stack.make_folder(folder)
        (self.stack.state_dir / "images").symlink_to(self.stack.images)
        self.stack.launcher.start()
        self.launcher = Launcher(self.stack.run_dir)

    def sandbox(self, **fields):
        sandbox = Sandbox(uuid.uuid4(), **fields)
        self.stack.created.add(sandbox.id.hex)
        return self.launcher.create(sandbox)

    def kept(self, **fields):
        return self.sandbox(upper=DISK, keep_disk=1, **fields)

    def again(self, sandbox):
        """The next generation."""
        sandbox.generation += 1
        return self.launcher.create(sandbox)

    def file(self, sandbox):
        return self.stack.state_dir / "sandboxes" / f"{sandbox.id.hex}.disk"

    def logs(self, sandbox):
        return self.stack.state_dir / "logs" / sandbox.id.hex / str(sandbox.generation)

    def removed_logs(self):
        """What is on its way out."""
        return list((self.stack.state_dir / "logs" / "removed").iterdir())

    def remove(self):
        if self.stack.launcher.alive:
            for sandbox in self.launcher.alive():
                self.launcher.destroy(Sandbox(sandbox), generation=0)
            self.stack.launcher.stop()
        self.stack.remove()


@pytest.fixture(scope="module", params=("auto", "path"))
def host(request):
    """With the overlay's layers by descriptor, and by path as before Linux 6.13."""
    made = Host(request.param)
    yield made
    made.remove()


@pytest.fixture(scope="module", autouse=True)
def needs_disks(host):
    probe = Sandbox(uuid.uuid4(), upper=DISK)
    try:
        host.launcher.create(probe)
    except Refused as refused:
        if refused.errno == errno.EOPNOTSUPP:
            pytest.skip("this host has no loop devices or no mkfs.ext4")
        raise
    host.launcher.destroy(probe)


def run(host, sandbox, script, user="user"):
    code, output = host.launcher.run(sandbox, script, user)
    assert code == 0, output
    return output


def test_files_and_their_owners_outlive_the_generation(host):
    sandbox = host.kept()
    run(host, sandbox, "echo mine > /home/user/a; ln -s a /home/user/l; mkdir /home/user/d")
    run(host, sandbox, "rm -r /srv", "0:0")
    run(host, sandbox, "echo its > /tmp/b", "33:44")
    first = run(host, sandbox, "cat /proc/self/uid_map")
    other = host.sandbox(upper=TMPFS)  # takes the next block of uids
    host.launcher.destroy(sandbox)
    taker = host.sandbox(upper=TMPFS)  # and this one that of the first generation
    host.again(sandbox)
    assert run(host, sandbox, "cat /proc/self/uid_map") != first
    assert run(host, sandbox, "cat /home/user/l; stat -c %u:%g /home/user/a") == "mine\n1000:1000\n"
    assert run(host, sandbox, "stat -c %u:%g /tmp/b; ls -d /srv 2>&1 || true") == (
        "33:44\nls: cannot access '/srv': No such file or directory\n"
    )
    run(host, sandbox, "echo more >> /home/user/a; rmdir /home/user/d; mv /home/user/a /tmp/a")
    for each in (sandbox, other, taker):
        host.launcher.destroy(each)


def test_a_stopped_sandbox_starts_at_once(host):
    """Its mounts are gone when destroy answers, so that nothing has to be tried again."""
    sandbox = host.kept()
    for count in range(5):
        run(host, sandbox, "head -c 8000000 /dev/zero > /home/user/big; echo x >> /home/user/n")
        host.launcher.destroy(sandbox)
        host.again(sandbox)
        assert run(host, sandbox, "wc -l < /home/user/n") == f"{count + 1}\n"
    host.launcher.destroy(sandbox, remove_disk=1)


def test_a_disk_is_mounted_once(host):
    sandbox = host.kept()
    second = Sandbox(sandbox.id, generation=2, keep_disk=1)
    with pytest.raises(Refused) as refused:
        host.launcher.create(second)
    assert refused.value.errno == errno.EBUSY
    with pytest.raises(Refused) as refused:
        host.launcher.remove(sandbox)
    assert refused.value.errno == errno.EBUSY
    run(host, sandbox, "echo still > /home/user/here")
    host.launcher.destroy(sandbox)
    host.launcher.create(second)
    assert run(host, second, "cat /home/user/here") == "still\n"
    host.launcher.destroy(second, remove_disk=1)


def test_a_destroy_answers_when_the_disk_is_free(host):
    sandbox = host.kept()
    state = (host.stack.run_dir / "sandboxes" / sandbox.name / "state").read_text().split()
    holder = os.open(f"/proc/{state[1]}/root/etc", os.O_RDONLY | os.O_DIRECTORY)
    ending = threading.Thread(target=host.launcher.destroy, args=(sandbox,))
    ending.start()
    eventually(lambda: sandbox.id not in host.launcher.alive(), what="it is killed")
    with pytest.raises(Refused) as refused:
        host.launcher.create(Sandbox(sandbox.id, generation=2, keep_disk=1))
    assert refused.value.errno == errno.EBUSY
    assert ending.is_alive()
    os.close(holder)
    ending.join()
    host.again(sandbox)
    host.launcher.destroy(sandbox, remove_disk=1)


def test_an_adopted_sandbox_keeps_its_disk(host):
    sandbox = host.kept()
    run(host, sandbox, "echo before > /home/user/a")
    host.stack.launcher.kill()
    host.stack.launcher.start()
    eventually(lambda: sandbox.id in host.launcher.alive(), what="it is adopted")
    with pytest.raises(Refused) as refused:
        host.launcher.create(Sandbox(sandbox.id, generation=2, keep_disk=1))
    assert refused.value.errno == errno.EBUSY
    host.launcher.destroy(sandbox)
    host.again(sandbox)
    assert run(host, sandbox, "cat /home/user/a") == "before\n"
    host.launcher.destroy(sandbox, remove_disk=1)


def test_a_disk_that_was_not_unmounted_replays_its_journal(host):
    """As a crash of the host leaves it: a copy of the file while it is mounted and written to."""
    sandbox = host.kept()
    run(host, sandbox, "echo synced > /home/user/a; sync; for i in $(seq 200); do echo $i > "
                       "/home/user/f$i; done; sync -f /home/user")
    image = host.file(sandbox).read_bytes()
    dump = subprocess.run(["dumpe2fs", "-h", host.file(sandbox)], capture_output=True, text=True)
    assert "needs_recovery" in dump.stdout
    host.launcher.destroy(sandbox)
    host.file(sandbox).write_bytes(image)
    host.again(sandbox)
    assert run(host, sandbox, "cat /home/user/a /home/user/f200") == "synced\n200\n"
    host.launcher.destroy(sandbox, remove_disk=1)


def test_a_disk_that_cannot_be_mounted_says_so(host):
    sandbox = host.kept()
    host.launcher.destroy(sandbox)
    with open(host.file(sandbox), "r+b") as file:
        file.write(bytes(1 << 16))
    with pytest.raises(Refused) as refused:
        host.again(sandbox)
    assert refused.value.detail.startswith("cannot mount the kept disk: ")
    assert sandbox.id not in host.launcher.alive()
    eventually(lambda: host.launcher.remove(sandbox) is None, what="the disk is let go")


def test_a_killed_sandbox_keeps_what_it_wrote(host):
    sandbox = host.kept()
    run(host, sandbox, "echo written > /home/user/a")
    state = (host.stack.run_dir / "sandboxes" / sandbox.name / "state").read_text().split()
    os.kill(int(state[1]), signal.SIGKILL)
    eventually(lambda: sandbox.id not in host.launcher.alive(), what="its end is seen")
    host.launcher.destroy(sandbox)
    host.again(sandbox)
    assert run(host, sandbox, "cat /home/user/a") == "written\n"
    host.launcher.destroy(sandbox, remove_disk=1)


def test_disks_are_listed_and_removed(host):
    made = [host.kept() for _ in range(3)]
    for sandbox in made:
        host.launcher.destroy(sandbox)
    ids = [sandbox.id for sandbox in made]
    assert set(ids) <= set(host.launcher.disks())
    host.launcher.remove(made[0])
    host.launcher.destroy(made[1], remove_disk=1)
    left = host.launcher.disks()
    assert ids[0] not in left and ids[1] not in left and ids[2] in left
    for sandbox in made[:2]:
        with pytest.raises(Refused) as refused:
            host.launcher.remove(sandbox)
        assert refused.value.errno == errno.ESRCH
    live = host.again(made[2])
    host.launcher.destroy(live, remove_disk=1)
    assert ids[2] not in host.launcher.disks()
    assert not host.file(live).exists()


def test_a_disk_has_its_size(host):
    sandbox = host.kept(upper_bytes=32 << 20)
    code, output = host.launcher.run(sandbox, "head -c 64000000 /dev/zero > /home/user/big")
    assert code != 0 and "No space left" in output
    host.launcher.destroy(sandbox, remove_disk=1)


def test_a_freeze_that_a_destroy_overtakes_is_answered(host):
    """A crowd does not stand still at once; how it ends is told all the same."""
    crowd = "for i in $(seq 40); do (while :; do :; done) & done; echo up"
    for _ in range(10):
        sandbox = host.sandbox(upper=TMPFS, keep_logs=1)
        with contextlib.closing(host.launcher.agent(sandbox)) as agent:
            agent.start(crowd)
            with host.launcher.connect() as freezer, host.launcher.connect() as destroyer:
                os.kill(host.stack.launcher.pid, signal.SIGSTOP)
                host.launcher.send(freezer, FREEZE, sandbox)
                host.launcher.send(destroyer, DESTROY, sandbox)
                os.kill(host.stack.launcher.pid, signal.SIGCONT)
                host.launcher.receive(destroyer)
                try:
                    host.launcher.receive(freezer)
                except Refused as refused:
                    assert refused.errno == errno.ESRCH


def test_an_end_between_two_pages_of_a_list_hides_no_other(host):
    """Whoever is not in the list is taken for dead."""
    made = [host.sandbox(upper=TMPFS) for _ in range(2 * LIST_PAGE)]
    listed, cursor = host.launcher.call(LIST)
    gone = next(sandbox for sandbox in made if sandbox.id.bytes == listed[0][0])
    host.launcher.destroy(gone)
    while cursor:
        entries, cursor = host.launcher.call(LIST, cursor=cursor)
        listed += entries
    ids = [uuid.UUID(bytes=entry[0]) for entry in listed]
    assert {sandbox.id for sandbox in made} <= set(ids)
    assert len(ids) == len(set(ids))
    for sandbox in made:
        if sandbox is not gone:
            host.launcher.destroy(sandbox)


def test_a_read_only_root(host):
    sandbox = host.sandbox(upper=TMPFS, read_only_root=1)
    for path in ("/tmp", "/dev/shm", "/home/user"):
        run(host, sandbox, f"echo x > {path}/a && rm {path}/a")
    for user in ("user", "0:0"):
        for path in ("/etc", "/", "/usr/bin", "/var/tmp"):
            code, output = host.launcher.run(sandbox, f"echo x > {path}/a", user)
            assert code != 0 and "Read-only" in output, (user, path, output)
    code, output = host.launcher.run(sandbox, "head -c 300000000 /dev/zero > /tmp/big")
    assert code != 0 and "No space left" in output
    host.launcher.destroy(sandbox)
    with_disk = host.kept(read_only_root=1)
    code, output = host.launcher.run(with_disk, "echo x > /etc/a", "0:0")
    assert code != 0 and "Read-only" in output
    host.launcher.destroy(with_disk, remove_disk=1)


def bounding_set(host, sandbox):
    line = run(host, sandbox, "grep CapBnd /proc/self/status", "0:0")
    return int(line.split()[1], 16)


def test_capabilities_of_the_dev_profile(host):
    ten = 0x200404FB
    cases = (
        ({}, ten),
        ({"cap_drop": ten}, 0),
        ({"cap_drop": 1 << CAP_CHOWN}, ten & ~(1 << CAP_CHOWN)),
        ({"cap_drop": ten, "cap_add": 1 << CAP_NET_BIND_SERVICE}, 1 << CAP_NET_BIND_SERVICE),
    )
    for fields, expected in cases:
        sandbox = host.sandbox(upper=TMPFS, profile=DEV, **fields)
        assert bounding_set(host, sandbox) == expected
        code, _ = host.launcher.run(sandbox, "touch /tmp/a && chown 1000 /tmp/a", "0:0")
        assert (code == 0) == bool(expected & 1 << CAP_CHOWN)
        host.launcher.destroy(sandbox)
    sandbox = host.sandbox(upper=TMPFS, cap_drop=ten)
    assert bounding_set(host, sandbox) == 0
    host.launcher.destroy(sandbox)


@pytest.mark.parametrize("fields, named", [
    ({"cap_add": 1 << CAP_CHOWN}, "cap_add"),
    ({"profile": DEV, "cap_add": 1 << 21}, "cap_add"),
    ({"profile": DEV, "cap_drop": 1 << 21}, "cap_drop"),
    ({"upper": TMPFS, "keep_disk": 1}, "keep_disk"),
    ({"read_only_root": 2}, "read_only_root"),
])
def test_what_cannot_be_is_refused(host, fields, named):
    with pytest.raises(Refused) as refused:
        host.sandbox(**fields)
    assert refused.value.errno == errno.EINVAL and named in refused.value.detail


def test_processes_and_their_logs_in_a_real_sandbox(host):
    sandbox = host.kept(keep_logs=1)
    agent = host.launcher.agent(sandbox)
    plain = agent.start("echo to the log; exit 3")
    assert agent.wait(plain) == 3
    terminal = agent.start('test "$(tty) $(stty size)" = "/dev/pts/0 24 80"', terminal=True)
    assert agent.wait(terminal) == 0
    code, output = host.launcher.run(sandbox, "grep -r 'to the log' / --include='*.log' 2>/dev/null")
    assert code != 0 and output == ""
    agent.close()
    host.launcher.destroy(sandbox, remove_disk=1)
    logs = host.logs(sandbox)
    assert b"to the log\n" in (logs / f"{plain.hex}.log").read_bytes()
    assert (logs / f"{terminal.hex}.log").exists()
    # The client reads them by its group.
    status = (logs / f"{plain.hex}.log").stat()
    assert status.st_gid == host.stack.user[1] and status.st_mode & 0o777 == 0o640


def fill(folder, outside):
    """What a hostile agent could leave in its log folder."""
    (folder / "link").symlink_to(outside)
    (folder / "file").symlink_to(outside / "precious")
    os.mkfifo(folder / "fifo")
    (folder / "closed").mkdir(mode=0)
    (folder / "removed").mkdir()
    (folder / "removed" / ("n" * 255)).mkdir()
    os.link(folder / "fifo", folder / "again")
    for number in range(3000):
        (folder / f"{number}.log").touch()
    deep = os.open(folder, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=deep)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=deep))
        below = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)


@pytest.fixture
def outside(tmp_path):
    (tmp_path / "precious").write_text("of the host")
    yield tmp_path
    assert (tmp_path / "precious").read_text() == "of the host"


def test_hostile_logs_are_removed_and_nothing_else(host, outside):
    sandbox = host.sandbox(upper=TMPFS, keep_logs=1)
    logs = host.logs(sandbox)
    fill(logs, outside)
    with pytest.raises(Refused) as refused:
        host.launcher.remove_logs(sandbox)
    assert refused.value.errno == errno.EBUSY
    host.launcher.destroy(sandbox)
    host.launcher.remove_logs(sandbox)
    assert not logs.parent.exists()
    eventually(lambda: host.removed_logs() == [], 60, "what was moved away is taken apart")
    with pytest.raises(Refused) as refused:
        host.launcher.remove_logs(sandbox)
    assert refused.value.errno == errno.ESRCH


def answers_before_logs_are_removed(host):
    sandbox = host.sandbox(upper=TMPFS, keep_logs=1)
    for number in range(20000):
        (host.logs(sandbox) / str(number)).touch()
    host.launcher.destroy(sandbox)
    host.launcher.remove_logs(sandbox)
    assert host.launcher.alive() is not None
    are_there = host.removed_logs() != []
    eventually(lambda: host.removed_logs() == [])
    return are_there


def test_the_launcher_serves_while_it_removes_logs(host, outside):
    """Many pieces of work, of which each request waits for one at most. That all of them are done
    before this process looks happens on a busy machine, but not each time."""
    assert any(answers_before_logs_are_removed(host) for _ in range(5))


def test_a_mount_in_a_log_folder_is_not_emptied(host, outside):
    sandbox = host.sandbox(upper=TMPFS, keep_logs=1)
    point = host.logs(sandbox) / "mount"
    point.mkdir()
    subprocess.run(["mount", "--bind", outside, point], check=True)
    host.launcher.destroy(sandbox)
    host.launcher.remove_logs(sandbox)
    eventually(lambda: host.removed_logs() == [], 60)
    subprocess.run(["umount", point], check=False, stderr=subprocess.DEVNULL)


def test_logs_are_removed_by_generation(host):
    first = host.kept(keep_logs=1)
    host.launcher.destroy(first)
    second = host.launcher.create(Sandbox(first.id, generation=2, keep_disk=1, keep_logs=1))
    host.launcher.remove_logs(first)
    assert not host.logs(first).exists() and host.logs(second).exists()
    with pytest.raises(Refused) as refused:
        host.launcher.remove_logs(second, generation=0)
    assert refused.value.errno == errno.EBUSY
    host.launcher.destroy(second, remove_disk=1)
    host.launcher.remove_logs(second, generation=0)
    assert not host.logs(second).parent.exists()


def test_the_next_launcher_takes_over_what_is_being_removed(host, outside):
    left = host.stack.state_dir / "logs" / "removed" / "17"
    host.stack.launcher.stop()
    left.mkdir()
    fill(left, outside)
    (left.parent / "file").touch()
    host.stack.launcher.start()
    eventually(lambda: host.removed_logs() == [], 60)
