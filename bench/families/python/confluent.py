"""confluent-kafka, which is librdkafka."""

import struct
import threading
import time

import confluent_kafka
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
)

from confluent_groups import Groups
from records import Failure, read_records, write_records

WAIT = 30  # seconds


def failure(error):
    if error.code() in (KafkaError._UNSUPPORTED_FEATURE, KafkaError.UNSUPPORTED_VERSION):
        return Failure("unsupported", str(error), max(0, error.code()))
    return Failure("broker" if error.code() > 0 else "client", f"{error.name()}: {error.str()}", max(0, error.code()))


def only(futures):
    (future,) = futures.values()
    return future.result(WAIT)


class Client(Groups):
    def __init__(self, address):
        self.settings = {"bootstrap.servers": address, "log_level": 2}
        self.admin = AdminClient(self.settings)

    def do(self, command):
        try:
            return getattr(self, command["op"])(command)
        except KafkaException as e:
            raise failure(e.args[0]) from e

    def hello(self, _):
        return {"client": f"confluent-kafka {confluent_kafka.__version__}, librdkafka {confluent_kafka.libversion()[0]}"}

    def produce(self, c):
        offsets = []
        problems = []
        p = Producer(self.settings | {
            "acks": c["acks"],
            "enable.idempotence": c["idempotent"],
            "compression.type": c["codec"],
            "linger.ms": 5,
            "delivery.timeout.ms": WAIT * 1000,
        })
        for at, (partition, timestamp, key, value, headers) in enumerate(read_records(c["file"])):
            offsets.append(-1)

            def delivered(error, message, at=at):
                if error:
                    problems.append(error)
                else:
                    offsets[at] = message.offset()

            p.produce(c["topic"], value=value, key=key, partition=partition, timestamp=timestamp, headers=headers, on_delivery=delivered)
            p.poll(0)
        if p.flush(WAIT):
            raise Failure("client", "records left unsent")
        if problems:
            raise failure(problems[0])
        return {"offsets": [-1 if o is None or o < 0 else o for o in offsets]}

    def pour(self, c):
        self.pouring = Pour(self.settings, c["topic"], c["partition"], c["count"], c["at"])

    def poured(self, c):
        return self.pouring.tell(c["dry"])

    def reader(self):
        # A group id is demanded even of those who never join a group.
        return Consumer(self.settings | {
            "group.id": "nobody",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 100,
        })

    def consume(self, c):
        topic, partition = c["topic"], c["partition"]
        reader = self.reader()
        try:
            place = {"earliest": confluent_kafka.OFFSET_BEGINNING, "latest": confluent_kafka.OFFSET_END}.get(c["start"])
            if c["start"] == "offset":
                place = c["at"]
            elif c["start"] == "timestamp":
                place = self.at_time(reader, topic, partition, c["at"])
            reader.assign([TopicPartition(topic, partition, place)])
            got = []
            deadline = time.monotonic() + WAIT
            while len(got) < c["count"]:
                if time.monotonic() > deadline:
                    raise Failure("client", f"{len(got)} of {c['count']} records in {WAIT} s")
                for m in reader.consume(min(500, c["count"] - len(got)), timeout=0.5):
                    if m.error():
                        cause = m.error()
                        if cause.code() == KafkaError._AUTO_OFFSET_RESET:
                            raise Failure("broker", cause.str(), 1)
                        raise failure(cause)
                    got.append((m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers()))
            write_records(c["file"], got)
        finally:
            reader.close()

    def take(self, c):
        member = Consumer(self.settings | {
            "group.id": c["group"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 200,
            "fetch.wait.max.ms": 100,
        })
        taken = []
        try:
            member.subscribe([c["topic"]])
            deadline = time.monotonic() + WAIT
            while len(taken) < c["count"]:
                if time.monotonic() > deadline:
                    raise Failure("client", f"{len(taken)} of {c['count']} records in {WAIT} s")
                m = member.poll(0.5)
                if m is None:
                    continue
                if m.error():
                    raise failure(m.error())
                member.commit(message=m, asynchronous=False)
                taken.append((m.partition(), m.offset()))
        finally:
            member.close()
        return {"taken": taken}

    @staticmethod
    def at_time(reader, topic, partition, timestamp):
        (found,) = reader.offsets_for_times([TopicPartition(topic, partition, timestamp)], WAIT)
        if found.error:
            raise failure(found.error)
        return found.offset

    def offsets(self, c):
        reader = self.reader()
        try:
            low, high = reader.get_watermark_offsets(TopicPartition(c["topic"], c["partition"]), WAIT)
            # librdkafka says "the end" where there is no record that late.
            at = [max(-1, self.at_time(reader, c["topic"], c["partition"], t)) for t in c["times"]]
            return {"earliest": low, "latest": high, "at": at}
        finally:
            reader.close()

    def create(self, c):
        topic = NewTopic(c["topic"], num_partitions=c["partitions"], replication_factor=1, config=c["configs"])
        only(self.admin.create_topics([topic], validate_only=c["dry"]))

    def delete(self, c):
        only(self.admin.delete_topics([c["topic"]]))

    def list(self, _):
        return {"topics": list(self.admin.list_topics(timeout=WAIT).topics)}

    def describe(self, c):
        topic = only(self.admin.describe_topics(TopicCollection([c["topic"]])))
        return {"partitions": [{"id": p.id, "leader": p.leader.id, "replicas": [r.id for r in p.replicas]} for p in topic.partitions]}

    def grow(self, c):
        only(self.admin.create_partitions([NewPartitions(c["topic"], c["partitions"])]))

    def get_configs(self, c):
        entries = only(self.admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, c["topic"])]))
        return {"configs": {e.name: e.value for e in entries.values()}}

    def set_configs(self, c):
        resource = ConfigResource(ConfigResource.Type.TOPIC, c["topic"])
        if c["how"] == "replace":
            for name, value in c["configs"].items():
                resource.set_config(name, value)
            only(self.admin.alter_configs([resource]))
            return
        for name, value in c["configs"].items():
            how = AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET
            resource.add_incremental_config(ConfigEntry(name, value, incremental_operation=how))
        only(self.admin.incremental_alter_configs([resource]))

    def trim(self, c):
        found = only(self.admin.delete_records([TopicPartition(c["topic"], c["partition"], c["at"])]))
        return {"earliest": found.low_watermark}


class Pour:
    """A producer that is left running."""

    PATIENCE_MS = 600_000  # how long a record may wait: a disk may stay full for a while
    UNDER_WAY = 8
    STEP = 8
    PACE = 0.04  # seconds between two records, at most

    def __init__(self, settings, topic, partition, size, first):
        self.producer = Producer(settings | {"acks": "all", "enable.idempotence": True, "delivery.timeout.ms": self.PATIENCE_MS})
        self.acked, self.failure, self.waiting = [], None, 0  # used by the thread below, and by tell under the lock
        self.lock = threading.Lock()
        self.stop = False
        self.thread = threading.Thread(target=self.run, args=(topic, partition, size, first), daemon=True)
        self.thread.start()

    def run(self, topic, partition, size, first):
        number = first
        while not self.stop or self.waiting:
            if self.stop or self.waiting >= self.UNDER_WAY:
                self.producer.poll(0.05)
                continue
            self.waiting += 1
            self.producer.produce(topic, value=value(number, size), partition=partition, on_delivery=self.delivered(number))
            self.producer.poll(self.PACE)
            number += self.STEP

    def delivered(self, number):
        def note(error, message):
            self.waiting -= 1
            with self.lock:
                if error:
                    self.failure = error
                else:
                    self.acked.append((number, message.offset()))

        return note

    def tell(self, end):
        if end:
            self.stop = True
            self.thread.join()
        with self.lock:
            if self.failure:
                raise failure(self.failure)
            acked, self.acked = self.acked, []
        return {"numbers": [n for n, _ in acked], "offsets": [o for _, o in acked]}


PERIOD = 7 * 256  # of what lies behind the header


def value(number, size):
    raw = struct.pack("<Q", number)
    pattern = bytes(raw[i % 7] ^ (i * 131 & 255) for i in range(PERIOD))
    return raw + struct.pack("<I", size) + (pattern * (size // PERIOD + 1))[12:size]
