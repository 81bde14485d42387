"""Members of groups that work until they are ended: each notes a record before it commits it."""

import os
import sys
import threading
import traceback


class Notes:
    """The file of the records that a member was handed. What is written there is there even when the process is killed."""

    def __init__(self, path):
        self.file = open(path, "ab", buffering=0)

    def note(self, records):
        self.file.write(b"".join(b"%s %d %d\n" % (topic.encode(), partition, offset) for topic, partition, offset in records))


class Worker(threading.Thread):
    """A thread that has a consumer to itself: it polls, and does what it is asked in between."""

    def __init__(self, poll, end):
        super().__init__(daemon=True)
        self.poll, self.end = poll, end
        self.asked, self.done, self.over = None, threading.Event(), False
        self.start()

    def run(self):
        try:
            while not self.over:
                if self.asked:
                    self.asked()
                    self.asked = None
                    self.done.set()
                self.poll()
            self.end()
        except BaseException:  # a member that is gone must not look like one that is idle
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)

    def ask(self, work):
        self.done.clear()
        self.asked = work
        self.done.wait()

    def leave(self):
        self.over = True
        self.join()
