"""Groups with aiokafka."""

import asyncio
import os
import threading
import traceback

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError, for_code

from members import Notes
from records import Failure

# A commit that comes too late is refused; whoever has the partition now reads its records again.
LATE = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)


class Member:
    """A consumer with a thread and an event loop of its own: that of the commands runs only while there is one."""

    def __init__(self, address, c):
        self.notes, self.over = Notes(c["file"]), False
        self.loop, ready = asyncio.new_event_loop(), threading.Event()
        self.thread = threading.Thread(target=self.work, args=(address, c, ready), daemon=True)
        self.thread.start()
        ready.wait()

    def work(self, address, c, ready):
        try:
            self.loop.run_until_complete(self.take(address, c, ready))
        except BaseException:  # a member that is gone must not look like one that is idle
            traceback.print_exc()
            os._exit(1)

    async def take(self, address, c, ready):
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=address, group_id=c["group"], auto_offset_reset="earliest", enable_auto_commit=False, fetch_max_wait_ms=100,
            session_timeout_ms=c["at"], heartbeat_interval_ms=c["at"] // 10, metadata_max_age_ms=500,
            partition_assignment_strategy=[RangePartitionAssignor],
        )
        if c["how"] == "pattern":
            self.consumer.subscribe(pattern=c["topic"])
        else:
            self.consumer.subscribe([c["topic"]])
        await self.consumer.start()
        ready.set()
        while not self.over:
            found = await self.consumer.getmany(timeout_ms=200)
            self.notes.note([(m.topic, m.partition, m.offset) for messages in found.values() for m in messages])
            last = {place: messages[-1].offset + 1 for place, messages in found.items() if messages}
            if last:
                try:
                    await self.consumer.commit(last)
                except LATE:
                    pass
        await self.consumer.stop()

    def ask(self, do):
        """Calls a function in the loop of the member."""

        async def call():
            do(self.consumer)

        asyncio.run_coroutine_threadsafe(call(), self.loop).result()

    def leave(self):
        self.over = True
        self.thread.join()


class Groups:
    async def join(self, c):
        self.member = Member(self.address, c)

    async def pause(self, _):
        self.member.ask(lambda m: m.pause(*m.assignment()))

    async def resume(self, _):
        self.member.ask(lambda m: m.resume(*m.assignment()))

    async def leave(self, _):
        self.member.leave()

    async def lag(self, c):
        committed = await self.with_admin(lambda a: a.list_consumer_group_offsets(c["group"]))
        places = [TopicPartition(c["topic"], p) for p in range(c["partitions"])]
        reader = await self.reader()
        try:
            ends = await reader.end_offsets(places)
        finally:
            await reader.stop()
        return {"lag": [ends[p] - committed[p].offset if p in committed and committed[p].offset >= 0 else -1 for p in places]}

    async def groups(self, _):
        return {"groups": [g[0] for g in await self.with_admin(lambda a: a.list_consumer_groups())]}

    async def describe_group(self, c):
        (answer,) = await self.with_admin(lambda a: a.describe_consumer_groups([c["group"]]))
        code, _, state, _, _, members, *_ = answer.groups[0]
        if code:
            raise Failure("broker", str(for_code(code)), code)
        return {"state": state, "members": len(members)}

    async def set_offset(self, _):
        raise Failure("absent", "aiokafka has no call to set offsets of groups")

    async def delete_offset(self, _):
        raise Failure("absent", "aiokafka has no call to delete offsets of groups")

    async def delete_group(self, _):
        raise Failure("absent", "aiokafka has no call to delete groups")
