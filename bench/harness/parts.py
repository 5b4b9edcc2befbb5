"""Measurements that are not a race of contenders. Each takes a Bench and returns a part: the table
that it prints as `header` and `rows`, and in `values` the figures that targets ask for."""
import collections
import concurrent.futures
import contextlib
import dataclasses
import http.client
import json
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import threading
import time

from harness import memory, peers, procfs, report

BURST = 500
STREAMS, STREAM_SANDBOXES, LINES_PER_SECOND = 200, 10, 100
TENANTS, SANDBOXES_OF_EACH = 1000, 1000
LIMITS = ("sandboxes", "cpu_milli", "memory_mb", "disk_mb", "processes", "volumes", "deployments",
          "creates_per_minute")
SLOW_READ_BYTES, SLOW_READ_SECONDS = 4096, 0.1  # at once, and the pause behind it
EVENTS = "text/event-stream"


@dataclasses.dataclass
class Bench:
    service: object  # a stack.Stack
    tools: pathlib.Path
    plan: dict

    def load(self, *arguments, token=None):
        """bench/load against the service."""
        return peers.load(self.tools, self.service, "load", "", arguments, token=token)

    def containers(self, count, **fields):
        """Ids of `count` running containers, as a context: they are deleted at its end."""
        return containers(self.service, count, **fields)


@contextlib.contextmanager
def containers(service, count, **fields):
    made = []
    try:
        for _ in range(count):
            made.append(service.container(**fields))
        yield made
    finally:
        for sandbox in made:
            service.request("DELETE", f"/v1/sandboxes/{sandbox}", timeout=120)


def server_pids(service):
    return [pid for pid in procfs.descendants(service.process.pid)
            if procfs.command(pid) == "atoll-server"]


def part(header, rows, **values):
    return {"header": header, "rows": rows, "values": values}


# --- reads

def parse_wrk(text):
    """wrk prints 99% as e.g. "1.32ms"; a non-2xx count only when there is one."""
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    scale = {"us": 1, "ms": 1000, "s": 1000000}
    return {"per_second": float(rate.group(1)),
            "p99_us": float(p99.group(1)) * scale[p99.group(2)],
            "errors": int(failed.group(1)) if failed else 0}


def read_one(bench, path):
    """GET of `path` over 32 keep-alive connections, by our own client and by wrk."""
    seconds, service = bench.plan["seconds"], bench.service
    found = {"bench/load": bench.load("--get", path).measure(seconds=seconds, parallel=32)}
    if shutil.which("wrk"):
        done = subprocess.run(
            ["wrk", "-t1", "-c32", f"-d{seconds}s", "--latency", "-H",
             f"Authorization: Bearer {service.token}", f"http://{service.address}{path}"],
            capture_output=True, text=True, check=True)
        found["wrk"] = parse_wrk(done.stdout)
    for tool, figures in found.items():
        if figures["errors"]:
            raise RuntimeError(f"{tool}: {figures['errors']} answers other than 2xx")
    return found


def read_rows(found):
    return [[tool, f"{figures['per_second']:.0f}", report.milliseconds(figures["p99_us"])]
            for tool, figures in found.items()]


def get(bench):
    """A definition, as `POST /sandbox` makes it."""
    sandbox = bench.service.create("shell", "true")
    found = read_one(bench, f"/sandbox/{sandbox}")
    bench.service.request("DELETE", f"/sandbox/{sandbox}")
    return part(["GET /sandbox/{id}, 32 keep-alive connections", "per second", "p99 ms"],
                read_rows(found))


def v1_get(bench):
    """A container."""
    with bench.containers(1) as (sandbox,):
        found = read_one(bench, f"/v1/sandboxes/{sandbox}")
    own = found["bench/load"]
    return part(["GET /v1/sandboxes/{id}, 32 keep-alive connections", "per second", "p99 ms"],
                read_rows(found), v1_get_per_second=own["per_second"],
                v1_get_p99_ms=round(own["p99_us"] / 1000, 2))


def many(bench):
    """A page of 50 of one tenant's 1,000 among a million. The rows come without triggers and
    stay: the database is removed at the end, so this part is the last."""
    service = bench.service
    service.rows(f"INSERT INTO tenants (name) SELECT 'many-' || i FROM generate_series(1, {TENANTS})"
                 " i")
    service.rows(
        "SET session_replication_role = replica; "
        "INSERT INTO sandboxes (id, tenant_id, project_id, kind, state, image, env, "
        "memory_limit_mb, idle_timeout_s, max_lifetime_s, cpu_milli, disk_mb, pids_max, expires_at)"
        " SELECT gen_random_uuid(), p.tenant_id, p.id, 'container', 'stopped', 'base', '{}', 64, "
        "3600, 86400, 1000, 256, 64, now() + interval '1 day' "
        f"FROM generate_series(1, {SANDBOXES_OF_EACH}) i, projects p "
        "JOIN tenants t ON t.id = p.tenant_id WHERE t.name LIKE 'many-%'")
    service.rows("ANALYZE sandboxes")
    token = service.tenant_token_of("many-500")
    path = "/v1/sandboxes?limit=50"
    status, answer = service.request("GET", path, token=token)
    if status != 200 or len(answer["items"]) != 50:
        raise RuntimeError(f"{path}: {status}, not 50 sandboxes")
    page = bench.load("--get", path, token=token)
    page.measure(count=20, parallel=1)
    figures = page.measure(count=bench.plan["rounds"] * bench.plan["runs"], parallel=1)
    return part([f"list of 50 among {TENANTS * SANDBOXES_OF_EACH:,}", "p50 ms", "p99 ms"],
                [[f"GET {path}", report.milliseconds(figures["p50_us"]),
                  report.milliseconds(figures["p99_us"])]],
                list_p50_ms=round(figures["p50_us"] / 1000, 2))


# --- tenants

def fair(bench):
    """One tenant's create, execute, delete: alone, and beside another's burst."""
    command = ("true", "", "shell", "true", 1.0)
    quiet, busy = (peers.atoll(bench.tools, bench.service, *command,
                               token=bench.service.tenant_token(name))
                   for name in ("quiet", "busy"))
    seconds = bench.plan["seconds"]
    quiet.measure(count=20, parallel=1)
    alone = quiet.measure(seconds=seconds, parallel=1)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        burst = pool.submit(busy.measure, seconds=seconds + 2, parallel=BURST)
        time.sleep(1)
        beside = quiet.measure(seconds=seconds, parallel=1)
        burst.result()
    rows = [[how, *(report.milliseconds(figures[key]) for key in ("p50_us", "p99_us"))]
            for how, figures in (("alone", alone), (f"beside {BURST} clients of another", beside))]
    return part(["one tenant's create, execute, delete", "p50 ms", "p99 ms"], rows,
                fair_p99_ratio=round(beside["p99_us"] / alone["p99_us"], 2))


def admission(bench):
    """What quotas add to the create of a container: two tenants in turn, one has every limit."""
    service, rounds = bench.service, bench.plan["rounds"]
    creates = {name: bench.load("--container", "{}", token=service.tenant_token(name))
               for name in ("unlimited", "limited")}
    service.rows("INSERT INTO quotas (tenant_id, project_id, {0}) "
                 "SELECT p.tenant_id, bound.id, {1} FROM projects p JOIN tenants t "
                 "ON t.id = p.tenant_id, LATERAL (VALUES (NULL), (p.id)) bound (id) "
                 "WHERE t.name = 'limited'".format(", ".join(LIMITS), ", ".join(
                     ["1000000"] * len(LIMITS))))
    found = collections.defaultdict(list)
    for turn in range(2 * rounds + 1):  # round 0 warms up
        for name, create in creates.items():
            figures = create.measure(count=max(bench.plan["runs"] // 2, 3), parallel=1)
            if figures["errors"]:
                raise RuntimeError(figures["first_error"])
            if turn:
                found[name].append(figures["steps"]["create"]["p50_us"])
    added = statistics.median(b - a for a, b in zip(found["unlimited"], found["limited"]))
    rows = [[f"tenant {how}", report.milliseconds(statistics.median(found[name]))]
            for name, how in (("unlimited", "without quotas"),
                              ("limited", "and project with every quota"))]
    return part(["create of a container", "p50 ms"], rows, admission_ms=round(added / 1000, 2))


# --- output

class Sampler:
    """The memory (PSS, KB) of processes, again and again until the block ends."""

    def __init__(self, pids, seconds=0.5):
        self.pids, self.seconds = pids, seconds
        self.before = self.now()
        self.samples = []
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._sample)

    def now(self):
        return sum(procfs.pss_kb(pid) for pid in self.pids)

    def _sample(self):
        while not self.done.wait(self.seconds):
            self.samples.append(self.now())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def growth(self, of=max):
        return max(of(self.samples) - self.before, 0) if self.samples else 0


def follow(bench, sandboxes, program, count, seconds):
    """bench/streams: `count` streams of a ticker for `seconds`."""
    names = [part for sandbox in sandboxes for part in ("--sandbox", sandbox)]
    done = subprocess.run(
        [bench.tools / "streams", "--addr", bench.service.address, "--token", bench.service.token,
         *names, "--streams", str(count), "--rate", str(LINES_PER_SECOND), "--lines",
         str(LINES_PER_SECOND * seconds), "--program", program],
        capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


def streams(bench):
    """Commands that write lines, each followed as server-sent events."""
    program = "/sandbox/ticker"
    with bench.containers(STREAM_SANDBOXES) as sandboxes:
        for sandbox in sandboxes:
            bench.service.put_file(sandbox, program, (bench.tools / "ticker").read_bytes(), "0755")
        follow(bench, sandboxes, program, STREAM_SANDBOXES, 1)  # warms up
        with Sampler(server_pids(bench.service)) as server:
            found = follow(bench, sandboxes, program, STREAMS, 2 * bench.plan["seconds"])
    each_kb = server.growth(statistics.median) / STREAMS
    if found["unfinished"]:
        raise RuntimeError(f"{found['unfinished']} streams ended without their exit")
    return part([f"{STREAMS} streams of {LINES_PER_SECOND} lines a second", ""],
                [["lines that came", found["n"]], ["lines lost", found["lost"]],
                 ["delay p50, ms", report.milliseconds(found["p50_us"])],
                 ["delay p99, ms", report.milliseconds(found["p99_us"])],
                 ["delay p99 while all of them run, ms",
                  report.milliseconds(found["together"]["p99_us"])],
                 ["server memory for each stream, KB", round(each_kb, 1)]],
                streams_lost=found["lost"], streams_p99_ms=round(found["together"]["p99_us"] / 1000, 2),
                stream_memory_kb=round(each_kb, 1))


def read_slowly(service, sandbox, seconds):
    """Follows `yes` and takes little of it. Returns how many bytes it took."""
    host, port = service.address.rsplit(":", 1)
    taken = 0
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_READ_BYTES)
        reader.connect((host, int(port)))
        body = json.dumps({"command": ["yes"]})
        reader.sendall((f"POST /v1/sandboxes/{sandbox}/exec HTTP/1.1\r\nHost: {host}\r\n"
                        f"Authorization: Bearer {service.token}\r\nAccept: {EVENTS}\r\n"
                        "Content-Type: application/json\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            size = len(reader.recv(SLOW_READ_BYTES))
            if not size:
                raise http.client.IncompleteRead(b"", taken)
            taken += size
            time.sleep(SLOW_READ_SECONDS)
    return taken


def slow_reader(bench):
    """`yes` into a client that reads 40 KB/s: who holds the rest?"""
    with bench.containers(1) as (sandbox,):
        agents = [pid for pid in memory.processes_of([sandbox])[sandbox]
                  if procfs.innermost_pid(pid) == 1]
        with Sampler(server_pids(bench.service)) as server, Sampler(agents) as agent:
            taken = read_slowly(bench.service, sandbox, 2 * bench.plan["seconds"])
    return part([f"`yes` for {2 * bench.plan['seconds']} s into a slow reader", ""],
                [["the reader took, KB", taken // 1024],
                 ["growth of the server, KB", server.growth()],
                 ["growth of the agent, KB", agent.growth()]],
                slow_server_mb=round(server.growth() / 1024, 2),
                slow_agent_mb=round(agent.growth() / 1024, 2))


# --- memory

def idle(bench):
    found = memory.measure(bench.service, bench.plan["sandboxes"])
    return part([f"memory of an idle sandbox (median of {found['sandboxes']})", "PSS KB"],
                [["agent (all that Atoll leaves inside)", found["agent_pss_kb"]],
                 ["the user's own `sleep`", found["user_process_pss_kb"]],
                 ["growth of the daemons for each", found["daemons_growth_kb"]]],
                agent_pss_mb=round(found["agent_pss_kb"] / 1024, 3))


PARTS = {"get": get, "v1-get": v1_get, "fair": fair, "admission": admission, "streams": streams,
         "slow-reader": slow_reader, "memory": idle, "list": many}
