"""One child process that a test may kill and start again, with its log in a file."""

import os
import signal
import subprocess
from pathlib import Path

from support.wait import eventually


class Daemon:
    def __init__(self, name, argv, environment, log, user=None, ready=None, before=None):
        """user: (uid, gid) to run as; ready: probe that says it serves; before: runs at start."""
        self.name = name
        self.argv = [str(argument) for argument in argv]
        self.environment = environment
        self.log = Path(log)
        self.user = user
        self.ready = ready
        self.before = before
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def start(self, wait=True):
        assert not self.alive, f"{self.name} runs already"
        if self.before:
            self.before()
        identity = (
            {"user": self.user[0], "group": self.user[1], "extra_groups": []} if self.user else {}
        )
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.argv, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd="/", **identity,
            )
        if wait and self.ready:
            eventually(self.is_ready, 120, f"{self.name} is ready; its log:\n{self.log_tail()}")
        return self

    def is_ready(self):
        if not self.alive:
            raise RuntimeError(
                f"{self.name} ended with {self.process.returncode}:\n{self.log_tail()}"
            )
        return self.ready()

    def kill(self, number=signal.SIGKILL):
        """Sends a signal that ends the process, and reaps it."""
        if self.alive:
            self.process.send_signal(number)
        if self.process:
            self.process.wait(timeout=120)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        """The polite end: SIGTERM; returns the exit code."""
        self.kill(signal.SIGTERM)
        return self.process.returncode if self.process else None

    def restart(self):
        self.kill()
        return self.start()

    def log_tail(self, lines=60):
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def open_fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_kib(self, field="VmRSS"):
        status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith(f"{field}:"))

    def peak_growth_kib(self, work):
        """By how much its resident memory was above the present at most, while work() ran."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # VmHWM begins anew: proc(5)
        before = self.resident_kib()
        work()
        return self.resident_kib("VmHWM") - before
