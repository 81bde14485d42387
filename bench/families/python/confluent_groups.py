"""Groups with confluent-kafka."""

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from members import Notes, Worker
from records import Failure

WAIT = 30  # seconds
# A commit that comes too late is refused; whoever has the partition now reads its records again.
LATE = (KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError._ASSIGNMENT_LOST, KafkaError._NO_OFFSET)


class Groups:
    def join(self, c):
        notes = Notes(c["file"])
        consumer = Consumer(self.settings | {
            "group.id": c["group"],
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": c["at"],
            "heartbeat.interval.ms": c["at"] // 10,
            "fetch.wait.max.ms": 100,
            "topic.metadata.refresh.interval.ms": 500,
        })
        consumer.subscribe(["^" + c["topic"] if c["how"] == "pattern" else c["topic"]])

        def poll():
            taken = [m for m in consumer.consume(100, timeout=0.2) if not m.error()]
            notes.note([(m.topic(), m.partition(), m.offset()) for m in taken])
            last = {(m.topic(), m.partition()): m.offset() + 1 for m in taken}
            if last:
                try:
                    consumer.commit(offsets=[TopicPartition(t, p, o) for (t, p), o in last.items()], asynchronous=False)
                except KafkaException as e:
                    if e.args[0].code() not in LATE:
                        raise

        self.consumer, self.member = consumer, Worker(poll, consumer.close)

    def pause(self, _):
        self.member.ask(lambda: self.consumer.pause(self.consumer.assignment()))

    def resume(self, _):
        self.member.ask(lambda: self.consumer.resume(self.consumer.assignment()))

    def leave(self, _):
        self.member.leave()

    def lag(self, c):
        (found,) = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(c["group"])]).values()
        committed = {(p.topic, p.partition): p.offset for p in found.result(WAIT).topic_partitions}
        places = [TopicPartition(c["topic"], p) for p in range(c["partitions"])]
        ends = self.admin.list_offsets({p: OffsetSpec.latest() for p in places})
        lag = []
        for p in places:
            at = committed.get((p.topic, p.partition), -1)
            end = next(f.result(WAIT).offset for place, f in ends.items() if place == p)
            lag.append(-1 if at < 0 else end - at)
        return {"lag": lag}

    def groups(self, _):
        found = self.admin.list_consumer_groups().result(WAIT)
        if found.errors:
            raise found.errors[0]
        return {"groups": [g.group_id for g in found.valid]}

    def describe_group(self, c):
        (found,) = self.admin.describe_consumer_groups([c["group"]]).values()
        group = found.result(WAIT)
        return {"state": group.state.name.replace("_", " ").title().replace(" ", ""), "members": len(group.members)}

    def set_offset(self, c):
        place = TopicPartition(c["topic"], c["partition"], c["at"])
        (done,) = self.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(c["group"], [place])]).values()
        for p in done.result(WAIT).topic_partitions:
            if p.error:
                raise KafkaException(p.error)

    def delete_offset(self, _):
        raise Failure("absent", "confluent-kafka has no call to delete offsets")

    def delete_group(self, c):
        (done,) = self.admin.delete_consumer_groups([c["group"]]).values()
        done.result(WAIT)
