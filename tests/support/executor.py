"""A sandbox's executor, as a test calls it."""

import http.client
import json

from support.client import Client


class Executor:
    """Calls the executor of one sandbox by the address and secret of its creation."""

    def __init__(self, client, made, secret=None):
        self.id = made["id"]
        self.client = client
        self.url = made["executor"]["url"]
        self.secret = secret or made["executor"]["secret"]
        self.caller = Client(f"{client.host}:{client.port}", self.secret)
        self.path = f"/s/{self.id}"

    def try_post(self, operation, body=None, **options):
        return self.caller.post(f"{self.path}/{operation}", body, **options)

    def post(self, operation, **body):
        response = self.try_post(operation, body)
        assert response.status == 200, response
        assert response.headers["Content-Type"] == "application/json"
        return response.json

    def run(self, cmd, **fields):
        return self.post("run", cmd=cmd, **fields)

    def start(self, cmd, **fields):
        response = self.try_post("start_process", {"cmd": cmd, **fields})
        assert response.status == 201, response
        return response.json

    def list(self):
        response = self.caller.get(f"{self.path}/list_processes")
        assert response.status == 200, response
        return response.json["processes"]

    def status(self, process_id):
        return {process["id"]: process["status"] for process in self.list()}[process_id]

    def run_streaming(self, cmd, **fields):
        return Events(self, "POST", "run_streaming", {"cmd": cmd, **fields})

    def logs(self, process_id):
        return Events(self, "GET", f"process_logs_streaming?id={process_id}")


class Events:
    """An event stream: iterate over it for (kind, data). Each event has one line of data."""

    def __init__(self, executor, method, operation, body=None, timeout=60):
        caller = executor.caller
        self.connection = http.client.HTTPConnection(caller.host, caller.port, timeout=timeout)
        self.connection.request(
            method, f"{executor.path}/{operation}", body=json.dumps(body) if body else None,
            headers={"Authorization": f"Bearer {executor.secret}"},
        )
        self.reply = self.connection.getresponse()
        self.status = self.reply.status
        self.media = self.reply.headers["Content-Type"]

    def close(self):
        self.reply.close()
        self.connection.close()

    def __iter__(self):
        try:
            kind, data = None, None
            while line := self.reply.readline():
                text = line.decode().removesuffix("\n")
                if text.startswith("event: "):
                    kind = text.removeprefix("event: ")
                elif text.startswith("data: "):
                    assert data is None, "a second line of data"
                    data = json.loads(text.removeprefix("data: "))
                elif text == "" and kind:
                    yield kind, data
                    kind, data = None, None
            assert kind is None and data is None, "the stream ended inside an event"
        finally:
            self.close()
