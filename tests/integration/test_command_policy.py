"""The command policy of a project: what it refuses, what it warns of, and where it is asked."""

import concurrent.futures
import uuid

import pytest

from support.client import assert_problem
from support.processes import Processes, new_sandbox
from support.tenancy import as_role, new_project, new_tenant

BLOCKED = ["rm -rf /", "sudo", "su", "docker", "kubectl", "cat /etc/passwd", "nc -l", "nmap"]
OFF = {"mode": "off", "allow": [], "block": []}


class Project:
    """A project of a tenant, with a running sandbox in it."""

    def __init__(self, stack):
        self.tenant = new_tenant(stack)["id"]
        self.client = as_role(stack, "admin", self.tenant)
        self.path = "/v1/projects/" + next(
            item["id"] for item in self.client.get("/v1/projects").json["items"]
            if item["is_default"]
        )
        self.processes = Processes(self.client, new_sandbox(self.client))

    def try_set(self, **policy):
        return self.client.request("PATCH", self.path, {"command_policy": policy})

    def set(self, **policy):
        response = self.try_set(**policy)
        assert response.status == 200, response
        return response.json["command_policy"]

    def exec(self, command, **headers):
        return self.client.post(
            f"{self.processes.sandbox}/exec", {"command": command}, headers=headers
        )


@pytest.fixture(scope="module")
def made(stack):
    project = Project(stack)
    yield project
    assert project.client.request("DELETE", project.processes.sandbox).status == 204


@pytest.fixture
def project(made):
    made.set(mode="off")
    return made


def assert_refused(response, words):
    problem = assert_problem(response, 403, "command_refused")
    assert problem["field"] == "command" and words in problem["detail"]


def ways_to_run(project):
    """Each way to run a command line, as a function of it."""
    client = project.client
    name = uuid.uuid4().hex
    made = client.post(f"/api/v1/containers/{name}/create", {"project_type": "python"})
    assert made.status == 200, made
    stored = {}

    def execute(line):
        if line not in stored:
            stored[line] = client.create("shell", f"#!/bin/sh\n{line}\n")
        return client.try_execute(stored[line])

    yield {
        "exec": project.exec,
        "exec as a stream": lambda line: project.exec(line, Accept="text/event-stream"),
        "process": project.processes.try_start,
        "container": lambda line: client.post(
            f"/api/v1/containers/{name}/exec", {"command": line}),
        "run": lambda line: client.post("/v1/runs", {"runtime": "shell", "code": line}),
        "entry point": lambda line: client.post(
            "/v1/runs", {"runtime": "python", "code": "1", "entry_point": line}),
        "execution": execute,
    }
    for sandbox_id in stored.values():
        assert client.delete(sandbox_id).status == 200
    assert client.request("DELETE", f"/api/v1/containers/{name}?delete_files=true").status == 200


@pytest.fixture(scope="module")
def ways(made):
    made.set(mode="off")
    yield from ways_to_run(made)


# --- the setting


def test_it_is_off_at_first(stack):
    admin = as_role(stack, "admin", new_tenant(stack)["id"])
    assert new_project(admin)["command_policy"] == OFF


def test_it_is_replaced_as_a_whole(project):
    before = project.client.get(project.path)
    assert project.set(mode="warn", allow=["npm"], block=BLOCKED) == {
        "mode": "warn", "allow": ["npm"], "block": BLOCKED
    }
    assert project.set(mode="enforce", block=["su"]) == {
        "mode": "enforce", "allow": [], "block": ["su"]
    }
    renamed = project.client.request("PATCH", project.path, {"labels": {"a": "b"}})
    assert renamed.json["command_policy"]["mode"] == "enforce"
    assert renamed.headers["ETag"] != before.headers["ETag"]


@pytest.mark.parametrize("policy, field", [
    ({"mode": "on"}, "command_policy.mode"),
    ({"allow": ["npm"]}, "command_policy.mode"),
    ({"mode": "warn", "allow": ["/bin/npm"]}, "command_policy.allow"),
    ({"mode": "warn", "allow": ["npm test"]}, "command_policy.allow"),
    ({"mode": "warn", "allow": [""]}, "command_policy.allow"),
    ({"mode": "warn", "block": [" su"]}, "command_policy.block"),
    ({"mode": "warn", "block": ["su  x"]}, "command_policy.block"),
    ({"mode": "warn", "block": ["s\u00fc"]}, "command_policy.block"),
    ({"mode": "warn", "block": ["x" * 256]}, "command_policy.block"),
    ({"mode": "warn", "block": ["curl x | sh"]}, "command_policy.block"),
    ({"mode": "warn", "block": ["a;b"]}, "command_policy.block"),
    ({"mode": "warn", "allow": ["a&b"]}, "command_policy.allow"),
    ({"mode": "warn", "block": ["su"] * 257}, "command_policy.block"),
    ({"mode": "warn", "block": "su"}, "command_policy.block"),
    ({"mode": "warn", "deny": []}, "command_policy.deny"),
])
def test_bad_policies(project, policy, field):
    assert assert_problem(project.try_set(**policy), 400)["field"] == field


def test_only_an_admin_changes_it(stack, project):
    member = as_role(stack, "member", project.tenant)
    assert_problem(
        member.request("PATCH", project.path, {"command_policy": {"mode": "off"}}), 403, "forbidden"
    )


# --- what it does, wherever a command line can be given


def test_every_way_to_run_is_asked(project, ways):
    project.set(mode="enforce", block=BLOCKED)
    for name, run in ways.items():
        assert_refused(run("echo a && sudo id"), "'sudo'")
        response = run("echo let in")
        assert response.status in (200, 201), (name, response)
        assert "X-Command-Policy" not in response.headers, name
    project.set(mode="off", block=BLOCKED)
    for name, run in ways.items():
        assert run("echo a && sudo id").status in (200, 201), name


def test_every_way_to_run_can_be_warned(project, ways):
    project.set(mode="warn", block=BLOCKED)
    for name, run in ways.items():
        response = run("echo a && sudo id")
        assert response.status in (200, 201), (name, response)
        warning = response.headers["X-Command-Policy"]
        assert warning == "warning: the command policy blocks 'sudo' by its rule 'sudo'", name


def test_what_it_refuses_does_not_run(project):
    project.set(mode="enforce", block=["touch"])
    assert_refused(project.exec("touch /sandbox/made"), "'touch'")
    assert_refused(project.processes.try_start(["/usr/bin/touch", "/sandbox/made"]), "'touch'")
    listed = project.client.get(project.processes.path).json["items"]
    assert not [item for item in listed if "touch" in " ".join(item["command"])]
    assert project.exec("ls /sandbox").json["stdout"] == ""


@pytest.mark.parametrize("line, rule", [
    ("rm -rf /", "rm -rf /"), ("/bin/rm -r -f //", "rm -rf /"), ("cd / && rm / -fr", "rm -rf /"),
    ("cat /etc/passwd", "cat /etc/passwd"), ("nc -lvp 80", "nc -l"),
    ("sh -c 'bash -c \"su -\"'", "su"), ("A=b env C=d nmap host", "nmap"),
    ("echo $(docker ps)", "docker"), ("echo `kubectl get pods`", "kubectl"),
])
def test_the_answer_names_the_rule(project, line, rule):
    project.set(mode="enforce", block=BLOCKED)
    assert_refused(project.exec(line), f"by its rule '{rule}'")


@pytest.mark.parametrize("line", [
    "npm install && npm run dev", "rm -rf node_modules", "echo 'sudo'", "cat /etc/hostname",
    "for i in 1 2; do echo $i; done", "cat <<'E'\nsudo\nE",
])
def test_what_is_not_blocked_runs(project, line):
    project.set(mode="enforce", block=BLOCKED)
    assert project.exec(line).status == 200


def test_an_allow_list(project):
    project.set(mode="enforce", allow=["python3", "ls"])
    assert project.exec("cd /tmp && ls && python3 -c 'print(1)' | ls").status == 200
    assert_refused(project.exec("ls; cat /etc/hostname"), "does not allow the program: 'cat'")
    assert_refused(project.exec(["/bin/cat", "x"]), "'cat'")
    # The shell that a text is for is ours; one that is named is a program like others.
    assert_refused(project.exec("sh -c ls"), "'sh'")


@pytest.mark.parametrize("line, words", [
    ("$X", "cannot tell which program"), ("$(echo su)", "cannot tell which program"),
    ("echo 'a", "a quote is not closed"), ("echo $(" * 40 + ")" * 40, "nested too deeply"),
    ("eval " * 40 + "true", "nested too deeply"), ("nohup " * 5000 + "su", "nested too deeply"),
    ("nohup " * 5 + "su", "'su'"),
])
def test_what_nobody_can_tell_is_refused(project, line, words):
    project.set(mode="enforce", block=["su"])
    assert_refused(project.exec(line), words)


def test_code_of_other_languages_is_not_looked_at(project):
    project.set(mode="enforce", block=["sudo"])
    code = "import subprocess; print(subprocess.run(['echo', 'sudo']).returncode)"
    run = project.client.post("/v1/runs", {"runtime": "python", "code": code})
    assert run.status == 200 and run.json["stdout"].endswith("0\n")
    script = project.client.post(
        "/v1/runs", {"runtime": "shell", "code": "#!/usr/bin/python3\nsudo = 1\nprint(sudo)\n"})
    assert script.status == 200 and script.json["stdout"] == "1\n"


def test_a_refused_run_is_recorded_as_failed(project, stack):
    project.set(mode="enforce", block=["sudo"])
    assert_refused(project.client.post("/v1/runs", {"runtime": "shell", "code": "sudo"}), "sudo")
    rows = stack.postgres.rows(
        f"SELECT state, exit_code FROM processes WHERE tenant_id = '{project.tenant}'"
        " AND kind IS NULL ORDER BY id DESC LIMIT 1"
    )
    assert [(row["state"], row["exit_code"]) for row in rows] == [("failed", None)]


def test_another_project_has_its_own(project):
    project.set(mode="enforce", block=["echo"])
    other = new_project(project.client)["id"]
    run = {"runtime": "shell", "code": "echo a", "project_id": other}
    assert project.client.post("/v1/runs", run).status == 200
    assert_refused(project.client.post("/v1/runs", {**run, "project_id": None}), "'echo'")


def test_a_change_counts_at_once(project):
    """Whatever is let in was asked of the policy that counts when it begins."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for _ in range(10):
            project.set(mode="off")
            calls = [pool.submit(project.exec, "nmap x || true") for _ in range(3)]
            project.set(mode="enforce", block=["nmap"])
            assert_refused(project.exec("nmap x || true"), "'nmap'")
            assert {call.result().status for call in calls} <= {200, 403}


def test_a_retry_of_what_was_refused_is_asked_anew(project):
    key = {"Idempotency-Key": uuid.uuid4().hex}
    project.set(mode="enforce", block=["true"])
    assert_refused(project.exec("/bin/true", **key), "'true'")
    assert_refused(project.exec("/bin/true", **key), "'true'")
