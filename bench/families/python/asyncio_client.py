"""aiokafka, which is its own implementation of the protocol in Python and Cython."""

import asyncio

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, for_code

from asyncio_groups import Groups
from records import Failure, read_records, write_records

WAIT = 30  # seconds
BYTES_MAX = 1_048_576


def failure(error):
    if isinstance(error, IncompatibleBrokerVersion):
        return Failure("unsupported", str(error))
    code = getattr(error, "errno", -1)
    if isinstance(code, int) and 0 < code < 1000:
        return Failure("broker", str(error), code)
    return Failure("client", f"{type(error).__name__}: {error}")


def check(code, message):
    if code:
        raise Failure("broker", f"{for_code(code).__name__}: {message}", code)


class Client(Groups):
    """Each command runs in one event loop that lives as long as the process."""

    def __init__(self, address):
        self.address = address
        self.loop = asyncio.new_event_loop()

    def do(self, command):
        try:
            return self.loop.run_until_complete(asyncio.wait_for(getattr(self, command["op"])(command), 2 * WAIT))
        except KafkaError as e:
            raise failure(e) from e

    async def hello(self, _):
        return {"client": f"aiokafka {aiokafka.__version__}"}

    async def produce(self, c):
        acks = c["acks"] if c["acks"] == "all" else int(c["acks"])
        codec = None if c["codec"] == "none" else c["codec"]
        p = AIOKafkaProducer(
            bootstrap_servers=self.address, acks=acks, enable_idempotence=c["idempotent"], compression_type=codec,
            max_request_size=BYTES_MAX, max_batch_size=65_536, linger_ms=5, request_timeout_ms=WAIT * 1000,
        )
        await p.start()
        try:
            sent = []
            for partition, timestamp, key, value, headers in read_records(c["file"]):
                sent.append(await p.send(c["topic"], value, key, partition, timestamp, headers))
            done = await asyncio.gather(*sent)
            return {"offsets": [-1 if d is None or d.offset is None else d.offset for d in done]}
        finally:
            await p.stop()

    async def reader(self):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.address, group_id=None, auto_offset_reset="none", fetch_max_wait_ms=100,
            max_partition_fetch_bytes=BYTES_MAX,
        )
        await consumer.start()
        return consumer

    async def consume(self, c):
        place = TopicPartition(c["topic"], c["partition"])
        reader = await self.reader()
        try:
            reader.assign([place])
            if c["start"] == "earliest":
                await reader.seek_to_beginning(place)
            elif c["start"] == "latest":
                await reader.seek_to_end(place)
            elif c["start"] == "offset":
                reader.seek(place, c["at"])
            else:
                found = (await reader.offsets_for_times({place: c["at"]}))[place]
                reader.seek(place, found.offset)
            got = []
            while len(got) < c["count"]:
                m = await asyncio.wait_for(reader.getone(), WAIT)
                got.append((m.partition, m.offset, m.timestamp, m.key, m.value, m.headers))
            write_records(c["file"], got)
        finally:
            await reader.stop()

    async def take(self, c):
        member = AIOKafkaConsumer(
            c["topic"], bootstrap_servers=self.address, group_id=c["group"], auto_offset_reset="earliest", enable_auto_commit=False,
            fetch_max_wait_ms=100, session_timeout_ms=6000, heartbeat_interval_ms=200,
            partition_assignment_strategy=[RangePartitionAssignor],  # as the others
        )
        await member.start()
        taken = []
        try:
            while len(taken) < c["count"]:
                m = await asyncio.wait_for(member.getone(), WAIT)
                await member.commit({TopicPartition(m.topic, m.partition): m.offset + 1})
                taken.append((m.partition, m.offset))
        finally:
            await member.stop()
        return {"taken": taken}

    async def offsets(self, c):
        place = TopicPartition(c["topic"], c["partition"])
        reader = await self.reader()
        try:
            low = (await reader.beginning_offsets([place]))[place]
            high = (await reader.end_offsets([place]))[place]
            at = []
            for t in c["times"]:
                found = (await reader.offsets_for_times({place: t}))[place]
                at.append(-1 if found is None else found.offset)
            return {"earliest": low, "latest": high, "at": at}
        finally:
            await reader.stop()

    async def with_admin(self, do):
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            return await do(admin)
        finally:
            await admin.close()

    async def create(self, c):
        topic = NewTopic(c["topic"], c["partitions"], 1, topic_configs=c["configs"])
        answer = await self.with_admin(lambda a: a.create_topics([topic], validate_only=c["dry"]))
        for _, code, message, *_ in answer.topic_errors:
            check(code, message)

    async def delete(self, c):
        answer = await self.with_admin(lambda a: a.delete_topics([c["topic"]]))
        for _, code, *_ in answer.topic_error_codes:
            check(code, "")

    async def list(self, _):
        return {"topics": await self.with_admin(lambda a: a.list_topics())}

    async def describe(self, c):
        (topic,) = await self.with_admin(lambda a: a.describe_topics([c["topic"]]))
        check(topic["error_code"], "")
        return {"partitions": [{"id": p["partition"], "leader": p["leader"], "replicas": p["replicas"]} for p in topic["partitions"]]}

    async def grow(self, c):
        await self.with_admin(lambda a: a.create_partitions({c["topic"]: NewPartitions(c["partitions"])}))

    async def get_configs(self, c):
        (answer,) = await self.with_admin(lambda a: a.describe_configs([ConfigResource(ConfigResourceType.TOPIC, c["topic"])]))
        configs = {}
        for code, message, _, _, entries in answer.resources:
            check(code, message)
            configs.update({name: value for name, value, *_ in entries})
        return {"configs": configs}

    async def set_configs(self, c):
        if c["how"] != "replace":
            raise Failure("absent", "aiokafka only replaces configurations")
        resource = ConfigResource(ConfigResourceType.TOPIC, c["topic"], c["configs"])
        (answer,) = await self.with_admin(lambda a: a.alter_configs([resource]))
        for code, message, *_ in answer.resources:
            check(code, message)

    async def trim(self, c):
        place = TopicPartition(c["topic"], c["partition"])
        found = await self.with_admin(lambda a: a.delete_records({place: RecordsToDelete(c["at"])}))
        return {"earliest": found[place]}
