"""A reader of server-sent events."""

import http.client
import json


class EventStream:
    """GET with Accept: text/event-stream; iterate over it for (id, kind, data)."""

    def __init__(self, client, path, last_id=None, headers=None, timeout=40):
        sent = {"Accept": "text/event-stream", **(headers or {})}
        if client.token:
            sent["Authorization"] = f"Bearer {client.token}"
        if last_id:
            sent["Last-Event-ID"] = last_id
        self.connection = http.client.HTTPConnection(client.host, client.port, timeout=timeout)
        self.connection.request("GET", path, headers=sent)
        self.reply = self.connection.getresponse()
        self.status = self.reply.status
        self.last_id = last_id

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reply.close()
        self.connection.close()

    def __iter__(self):
        fields = {}
        while line := self.reply.readline():
            text = line.decode().rstrip("\n")
            if text.startswith(":"):
                continue
            if text:
                name, _, value = text.partition(": ")
                fields[name] = value
            elif fields:
                self.last_id = fields.get("id", self.last_id)
                yield fields.get("id"), fields["event"], json.loads(fields["data"])
                fields = {}

    def take(self, count):
        """The next `count` events."""
        events = []
        for event in self:
            events.append(event)
            if len(events) == count:
                return events
        raise AssertionError(f"the stream ended after {events}")
