"""An HTTP client for the sandbox dialect, and one for raw bytes."""

import http.client
import json
import socket
import time


class Response:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:400]!r}>"


class Client:
    """Calls one server with one token. A connection a request: safe to share between threads."""

    def __init__(self, address, token=None, created=None):
        self.host, port = address.rsplit(":", 1)
        self.port = int(port)
        self.token = token
        self.created = created if created is not None else set()

    def request(self, method, path, body=None, headers=None, timeout=90):
        """body: bytes are sent as they are, anything else as JSON."""
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=sent)
            reply = connection.getresponse()
            return Response(reply.status, reply.headers, reply.read())
        finally:
            connection.close()

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.request("POST", path, body=body, **options)

    def try_create(self, **definition):
        response = self.post("/sandbox", definition)
        if response.status == 201:
            self.created.add(response.json["id"])
        return response

    def create(self, runtime="shell", code="true", **definition):
        """Creates a sandbox and returns its id."""
        response = self.try_create(runtime=runtime, code=code, **definition)
        assert response.status == 201, response
        return response.json["id"]

    def try_execute(self, sandbox_id, **options):
        return self.post(f"/sandbox/{sandbox_id}/execute", **options)

    def patient_execute(self, sandbox_id, **options):
        """As often as it is told to come again: a slow host does not start many within 2 s."""
        while (response := self.try_execute(sandbox_id, **options)).status == 429:
            time.sleep(int(response.headers["Retry-After"]))
        return response

    def execute(self, sandbox_id, **options):
        """Executes a sandbox and returns the result."""
        response = self.patient_execute(sandbox_id, **options)
        assert response.status == 200, response
        return response.json

    def info(self, sandbox_id):
        response = self.get(f"/sandbox/{sandbox_id}")
        assert response.status == 200, response
        return response.json

    def delete(self, sandbox_id):
        return self.request("DELETE", f"/sandbox/{sandbox_id}")

    def run(self, runtime, code, **definition):
        """create, execute, delete: the result of the execution."""
        sandbox_id = self.create(runtime, code, **definition)
        try:
            return self.execute(sandbox_id)
        finally:
            assert self.delete(sandbox_id).status == 200

    def list_all(self, limit=None):
        """The items of every page of GET /sandboxes."""
        items, cursor = [], None
        while True:
            query = [f"limit={limit}"] if limit else []
            query += [f"cursor={cursor}"] if cursor else []
            response = self.get("/sandboxes" + ("?" + "&".join(query) if query else ""))
            assert response.status == 200, response
            items += response.json["sandboxes"]
            cursor = response.json["next_cursor"]
            if cursor is None:
                return items


class UnclosedReader:
    """A buffered reader whose close() does nothing: bytes that it read ahead are kept."""

    def __init__(self, reader):
        self.reader = reader

    def __getattr__(self, name):
        return getattr(self.reader, name)

    def close(self):
        pass


class RawConnection:
    """A socket to the server that sends exactly the bytes it is given."""

    def __init__(self, address, timeout=20):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.reader = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.close()
        self.socket.close()

    def makefile(self, _mode):
        """What http.client reads from: it closes its copy, the connection goes on."""
        return UnclosedReader(self.reader)

    def send(self, data):
        self.socket.sendall(data)
        return self

    def finish(self):
        """Says that no more bytes come."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def response(self, method="GET"):
        """Reads one response, keeping what follows it on the connection unread."""
        reply = http.client.HTTPResponse(self, method=method)
        reply.begin()
        return Response(reply.status, reply.headers, reply.read())

    def read_to_end(self):
        """Everything until the server closes; a socket timeout when it does not."""
        chunks = []
        try:
            while chunk := self.reader.read1(65536):
                chunks.append(chunk)
        except ConnectionResetError:
            pass  # closed with our bytes unread
        return b"".join(chunks)


def status_lines(stream):
    """The status codes of all responses in a byte stream."""
    return [
        int(part.split(b" ", 2)[1])
        for part in stream.split(b"\r\n")
        if part.startswith(b"HTTP/1.")
    ]


def assert_problem(response, status, code=None):
    """RFC 9457, with the members that every error of the service has."""
    assert response.status == status, response
    assert response.headers["Content-Type"].split(";")[0] == "application/problem+json"
    problem = response.json
    assert problem["status"] == status
    assert problem["title"] and problem["detail"] and problem["request_id"]
    assert problem["error"] == problem["detail"]
    if code:
        assert problem["code"] == code, problem
    return problem
