"""Records as files, and what a client refused: what every Python agent shares."""

import base64
import json


class Failure(Exception):
    """What the client refused: kind is broker (an error code of Kafka's), unsupported, or client."""

    def __init__(self, kind, text, code=0):
        super().__init__(text)
        self.kind, self.code = kind, code


def unpack(text):
    return None if text is None else base64.b64decode(text)


def pack(data):
    return None if data is None else base64.b64encode(data).decode()


def read_records(path):
    """The records of a file, one JSON object a line: partition, timestamp, key, value, headers."""
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            r = json.loads(line)
            headers = [(h["k"], unpack(h["v"])) for h in r["h"] or []]
            yield r["p"], r["t"], unpack(r["k"]), unpack(r["v"]), headers


def write_records(path, records):
    """Writes (partition, offset, timestamp, key, value, headers) as read_records reads them."""
    with open(path, "w", encoding="utf-8") as out:
        for partition, offset, timestamp, key, value, headers in records:
            h = [{"k": k, "v": pack(v)} for k, v in headers or []]
            out.write(json.dumps({"p": partition, "o": offset, "t": timestamp, "k": pack(key), "v": pack(value), "h": h}) + "\n")
