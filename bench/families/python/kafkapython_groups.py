"""Groups with kafka-python."""

from kafka import KafkaConsumer, TopicPartition, errors
from kafka.admin import OffsetSpec
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError
from kafka.structs import OffsetAndMetadata

from members import Notes, Worker
from records import Failure

# A commit that comes too late is refused; whoever has the partition now reads its records again.
LATE = (CommitFailedError, IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError)


class Groups:
    def join(self, c):
        notes = Notes(c["file"])
        consumer = KafkaConsumer(
            bootstrap_servers=self.address, group_id=c["group"], auto_offset_reset="earliest", enable_auto_commit=False, fetch_max_wait_ms=100,
            session_timeout_ms=c["at"], heartbeat_interval_ms=c["at"] // 10, metadata_max_age_ms=500,
            partition_assignment_strategy=[RangePartitionAssignor],
        )
        if c["how"] == "pattern":
            consumer.subscribe(pattern=c["topic"])
        else:
            consumer.subscribe([c["topic"]])

        def poll():
            taken = [m for messages in consumer.poll(timeout_ms=200).values() for m in messages]
            notes.note([(m.topic, m.partition, m.offset) for m in taken])
            last = {TopicPartition(m.topic, m.partition): OffsetAndMetadata(m.offset + 1, "", -1) for m in taken}
            if last:
                try:
                    consumer.commit(last)
                except LATE:
                    pass

        self.consumer, self.member = consumer, Worker(poll, consumer.close)

    def pause(self, _):
        self.member.ask(lambda: self.consumer.pause(*self.consumer.assignment()))

    def resume(self, _):
        self.member.ask(lambda: self.consumer.resume(*self.consumer.assignment()))

    def leave(self, _):
        self.member.leave()

    def lag(self, c):
        committed = self.with_admin(lambda a: a.list_group_offsets(c["group"]))[c["group"]]
        places = [TopicPartition(c["topic"], p) for p in range(c["partitions"])]
        ends = self.with_admin(lambda a: a.list_partition_offsets({p: OffsetSpec.LATEST for p in places}))
        return {"lag": [ends[p].offset - committed[p].offset if p in committed and committed[p].offset >= 0 else -1 for p in places]}

    def groups(self, _):
        return {"groups": [g["group_id"] for g in self.with_admin(lambda a: a.list_groups())]}

    def describe_group(self, c):
        group = self.with_admin(lambda a: a.describe_groups([c["group"]]))[c["group"]]
        if group.get("error_code"):
            raise Failure("broker", str(group), group["error_code"])
        return {"state": group["group_state"], "members": len(group["members"])}

    def set_offset(self, c):
        place = TopicPartition(c["topic"], c["partition"])
        done = self.with_admin(lambda a: a.alter_group_offsets(c["group"], {place: OffsetAndMetadata(c["at"], "", -1)}))
        self.check_each(done)

    def delete_offset(self, c):
        place = TopicPartition(c["topic"], c["partition"])
        self.check_each(self.with_admin(lambda a: a.delete_group_offsets(c["group"], [place])))

    def delete_group(self, c):
        said = self.with_admin(lambda a: a.delete_groups([c["group"]]))[c["group"]]
        if said != "OK":  # the name of an error
            raise getattr(errors, said)()

    @staticmethod
    def check_each(done):
        for error in done.values():  # classes, that of no error among them
            if error.errno:
                raise error()
