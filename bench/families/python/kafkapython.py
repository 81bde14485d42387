"""kafka-python, which is its own implementation of the protocol in pure Python."""

import re

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import IncompatibleBrokerVersion, KafkaError, UnsupportedVersionError

from kafkapython_groups import Groups
from records import Failure, read_records, write_records

WAIT = 30  # seconds
BYTES_MAX = 1_048_576


def failure(error):
    if isinstance(error, (IncompatibleBrokerVersion, UnsupportedVersionError)):
        return Failure("unsupported", str(error))
    code = getattr(error, "errno", -1)
    if isinstance(code, int) and 0 < code < 1000:
        return Failure("broker", str(error), code)
    return Failure("client", f"{type(error).__name__}: {error}")


class Client(Groups):
    def __init__(self, address):
        self.address = address

    def do(self, command):
        try:
            return getattr(self, command["op"])(command)
        except KafkaError as e:
            raise failure(e) from e

    def hello(self, _):
        return {"client": f"kafka-python {kafka.__version__}"}

    def produce(self, c):
        p = KafkaProducer(
            bootstrap_servers=self.address, acks=c["acks"] if c["acks"] == "all" else int(c["acks"]), enable_idempotence=c["idempotent"],
            compression_type=None if c["codec"] == "none" else c["codec"], max_request_size=BYTES_MAX, linger_ms=5,
            delivery_timeout_ms=WAIT * 1000, request_timeout_ms=10_000, max_in_flight_requests_per_connection=5 if c["idempotent"] else 1,
        )
        try:
            sent = []
            for partition, timestamp, key, value, headers in read_records(c["file"]):
                sent.append(p.send(c["topic"], value, key, headers, partition, timestamp))
            p.flush(WAIT)
            done = [s.get(WAIT) for s in sent]
            if c["acks"] == "0":  # what it says then, nobody has told it
                return {"offsets": [-1] * len(done)}
            return {"offsets": [-1 if d is None or d.offset is None else d.offset for d in done]}
        finally:
            p.close(WAIT)

    def reader(self):
        return KafkaConsumer(bootstrap_servers=self.address, group_id=None, auto_offset_reset="none", fetch_max_wait_ms=100,
                             max_partition_fetch_bytes=BYTES_MAX)

    @staticmethod
    def polled(consumer, count):
        """Yields what polls bring, at least count records in all."""
        left = count
        while left > 0:
            found = consumer.poll(timeout_ms=WAIT * 1000, max_records=left)
            if not found:
                raise Failure("client", f"{left} of {count} records missing after {WAIT} s")
            for messages in found.values():
                left -= len(messages)
                yield from messages

    def consume(self, c):
        place = TopicPartition(c["topic"], c["partition"])
        reader = self.reader()
        try:
            reader.assign([place])
            if c["start"] == "earliest":
                reader.seek_to_beginning(place)
            elif c["start"] == "latest":
                reader.seek_to_end(place)
            elif c["start"] == "offset":
                reader.seek(place, c["at"])
            else:
                reader.seek(place, reader.offsets_for_times({place: c["at"]})[place].offset)
            got = [(m.partition, m.offset, m.timestamp, m.key, m.value, m.headers) for m in self.polled(reader, c["count"])]
            write_records(c["file"], got)
        finally:
            reader.close()

    def take(self, c):
        member = KafkaConsumer(
            c["topic"], bootstrap_servers=self.address, group_id=c["group"], auto_offset_reset="earliest", enable_auto_commit=False,
            fetch_max_wait_ms=100, session_timeout_ms=6000, heartbeat_interval_ms=200, max_poll_records=1,
            partition_assignment_strategy=[RangePartitionAssignor],  # as the others
        )
        taken = []
        try:
            while len(taken) < c["count"]:
                for m in self.polled(member, 1):
                    member.commit({TopicPartition(m.topic, m.partition): kafka.OffsetAndMetadata(m.offset + 1, "", -1)})
                    taken.append((m.partition, m.offset))
        finally:
            member.close()
        return {"taken": taken}

    def offsets(self, c):
        place = TopicPartition(c["topic"], c["partition"])
        reader = self.reader()
        try:
            low = reader.beginning_offsets([place])[place]
            high = reader.end_offsets([place])[place]
            at = []
            for t in c["times"]:
                found = reader.offsets_for_times({place: t})[place]
                at.append(-1 if found is None else found.offset)
            return {"earliest": low, "latest": high, "at": at}
        finally:
            reader.close()

    def with_admin(self, do):
        admin = KafkaAdminClient(bootstrap_servers=self.address)
        try:
            return do(admin)
        finally:
            admin.close()

    def create(self, c):
        topic = {"num_partitions": c["partitions"], "replication_factor": 1, "configs": c["configs"] or {}}
        self.with_admin(lambda a: a.create_topics({c["topic"]: topic}, validate_only=c["dry"]))

    def delete(self, c):
        self.with_admin(lambda a: a.delete_topics([c["topic"]]))

    def list(self, _):
        return {"topics": self.with_admin(lambda a: a.list_topics())}

    def describe(self, c):
        (topic,) = self.with_admin(lambda a: a.describe_topics([c["topic"]]))
        if topic["error_code"]:
            raise Failure("broker", str(topic), topic["error_code"])
        return {"partitions": [{"id": p["partition_index"], "leader": p["leader_id"], "replicas": p["replica_nodes"]} for p in topic["partitions"]]}

    def grow(self, c):
        self.with_admin(lambda a: a.create_partitions({c["topic"]: c["partitions"]}))

    def get_configs(self, c):
        resource = ConfigResource(ConfigResourceType.TOPIC, c["topic"], None)
        found = self.with_admin(lambda a: a.describe_configs([resource], config_filter="all"))
        ((_, entries),) = found["topic"].items()
        return {"configs": {name: entry["value"] for name, entry in entries.items()}}

    def set_configs(self, c):
        if c["how"] == "replace":  # it fills in what it was not told
            raise Failure("absent", "kafka-python only sets configurations")
        changes = {}
        for name, value in c["configs"].items():
            changes[name] = (AlterConfigOp.DELETE if value is None else AlterConfigOp.SET, value)
        resource = ConfigResource(ConfigResourceType.TOPIC, c["topic"], changes)
        answer = self.with_admin(lambda a: a.alter_configs([resource], raise_on_unknown=False))
        for results in answer.values():
            for said in results.values():  # words, also where it was refused
                refused = re.match(r"\[Error (\d+)\]", said)
                if refused:
                    raise Failure("broker", said, int(refused[1]))

    def trim(self, c):
        place = TopicPartition(c["topic"], c["partition"])
        found = self.with_admin(lambda a: a.delete_records({place: c["at"]}))
        return {"earliest": found[place]["low_watermark"]}
