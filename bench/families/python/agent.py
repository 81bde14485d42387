"""Runs one Python client for the tests in bench/families: a command a line on standard input, an answer a line on standard output.

doc.go describes the commands. Started as: agent.py confluent|aiokafka|kafka-python HOST:PORT
"""

import json
import os
import queue
import sys
import threading

from records import Failure


def commands():
    """Yields the commands; ends the process when standard input ends, whatever the client is waiting for."""
    lines = queue.Queue()

    def pump():
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=pump, daemon=True).start()
    while True:
        yield json.loads(lines.get())


def main():
    name, address = sys.argv[1:3]
    if name == "confluent":
        from confluent import Client
    elif name == "kafka-python":
        from kafkapython import Client
    else:
        from asyncio_client import Client
    client = Client(address)
    for command in commands():
        try:
            answer = {"ok": client.do(command) or {}}
        except Failure as e:
            answer = {"error": {"kind": e.kind, "code": e.code, "text": str(e)}}
        except Exception as e:  # a client that fails in its own way is told apart from one that was refused
            answer = {"error": {"kind": "client", "code": 0, "text": f"{type(e).__name__}: {e}"}}
        print(json.dumps(answer), flush=True)


main()
