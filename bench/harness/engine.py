#!/usr/bin/env python3
"""The clock for an exec by the Engine API of Docker: create, start, wait for the end of its output,
read the exit code, on keep-alive connections over the engine's socket. Options and output are those
of bench/spawn.c. Some 1 ms of each exec is this client's own.

    engine.py --socket PATH --container ID --count N | --seconds S [--parallel P]
"""
import argparse
import concurrent.futures
import http.client
import itertools
import json
import math
import socket
import time

COMMAND = {"AttachStdout": True, "AttachStderr": True, "Cmd": ["/bin/true"]}


class Engine(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def call(self, method, path, body=None):
        self.request(method, path, json.dumps(body) if body is not None else None,
                     {"Content-Type": "application/json"})
        answer = self.getresponse()
        content = answer.read()
        if answer.status not in (200, 201):
            raise RuntimeError(f"{path}: {answer.status} {content[:200]!r}")
        return content

    def exec(self, container):
        """Its exit code."""
        made = json.loads(self.call("POST", f"/containers/{container}/exec", COMMAND))["Id"]
        self.call("POST", f"/exec/{made}/start", {"Detach": False})
        return json.loads(self.call("GET", f"/exec/{made}/json"))["ExitCode"]


def work(options, turns, end):
    """Durations in microseconds, and how many went wrong."""
    engine, took, errors = Engine(options.socket), [], 0
    while next(turns) < (options.count or math.inf) and time.monotonic() < end:
        begin = time.monotonic()
        if engine.exec(options.container) == 0:
            took.append(int((time.monotonic() - begin) * 1e6))
        else:
            errors += 1
    return took, errors


def percentile(took, percent):
    return took[math.ceil(len(took) * percent / 100) - 1] if took else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket", required=True)
    parser.add_argument("--container", required=True)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--parallel", type=int, default=1)
    options = parser.parse_args()
    begin = time.monotonic()
    end = begin + (options.seconds or math.inf)
    turns = itertools.count()
    with concurrent.futures.ThreadPoolExecutor(options.parallel) as pool:
        parts = [pool.submit(work, options, turns, end) for _ in range(options.parallel)]
        results = [part.result() for part in parts]
    took = sorted(usec for part, _ in results for usec in part)
    print(json.dumps({
        **{f"p{percent}_us": percentile(took, percent) for percent in (50, 95, 99)},
        "n": len(took), "per_second": round(len(took) / (time.monotonic() - begin), 1),
        "errors": sum(errors for _, errors in results)}))


main()
