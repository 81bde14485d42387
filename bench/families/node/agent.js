// Runs kafkajs for the tests in bench/families: a command a line on standard input, an answer a line on standard output.
// doc.go describes the commands. kafkajs reads only in groups, so this agent takes and has no consume. Started as: agent.js HOST:PORT
'use strict'

const fs = require('fs')
const readline = require('readline')
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = require('kafkajs')
const { version } = require('kafkajs/package.json')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')

const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy }
const kafka = new Kafka({
  brokers: [process.argv[2]],
  clientId: 'families',
  logLevel: logLevel.NOTHING,
  retry: { retries: 2, initialRetryTime: 50 },
})

const unpack = text => (text === null ? null : Buffer.from(text, 'base64'))

// A kafkajs header is a property; several of one name are a list.
function message(line) {
  const r = JSON.parse(line)
  const headers = {}
  for (const { k, v } of r.h || []) {
    const value = unpack(v)
    if (!(k in headers)) headers[k] = value
    else headers[k] = [].concat(headers[k], [value])
  }
  return { partition: r.p, timestamp: String(r.t), key: unpack(r.k), value: unpack(r.v), headers }
}

// The member of this process, and the file of the records that it was handed.
let member = null

async function withAdmin(work) {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

const batchRecords = 100

const client = {
  async hello() {
    return { client: `kafkajs ${version}` }
  },

  async produce(c) {
    const producer = kafka.producer({ idempotent: c.idempotent, maxInFlightRequests: 1 })
    await producer.connect()
    try {
      const messages = fs.readFileSync(c.file, 'utf8').split('\n').filter(Boolean).map(message)
      const offsets = []
      for (let at = 0; at < messages.length; at += batchRecords) {
        const batch = messages.slice(at, at + batchRecords)
        const answers = await producer.send({
          topic: c.topic,
          acks: c.acks === 'all' ? -1 : Number(c.acks),
          compression: codecs[c.codec],
          messages: batch,
        })
        const next = new Map((answers || []).map(a => [a.partition, Number(a.baseOffset)]))
        for (const { partition } of batch) {
          if (!next.has(partition)) {
            offsets.push(-1)
            continue
          }
          offsets.push(next.get(partition))
          next.set(partition, next.get(partition) + 1)
        }
      }
      return { offsets }
    } finally {
      await producer.disconnect()
    }
  },

  async take(c) {
    const member = kafka.consumer({ groupId: c.group, sessionTimeout: 6000, heartbeatInterval: 200, maxWaitTimeInMs: 100, retry: { retries: 10, initialRetryTime: 50 } })
    await member.connect()
    const taken = []
    try {
      await member.subscribe({ topics: [c.topic], fromBeginning: true })
      await new Promise((resolve, reject) => {
        setTimeout(() => reject(new Error(`${taken.length} of ${c.count} records in time`)), 30000).unref()
        member.on(member.events.CRASH, ({ payload }) => reject(payload.error))
        member.run({
          autoCommit: false,
          eachMessage: async ({ topic, partition, message }) => {
            if (taken.length >= c.count) return
            await member.commitOffsets([{ topic, partition, offset: String(Number(message.offset) + 1) }])
            taken.push([partition, Number(message.offset)])
            if (taken.length === c.count) resolve()
          },
        }).catch(reject)
      })
    } finally {
      await member.disconnect()
    }
    return { taken }
  },

  // The member works until it is ended: it notes each record before it commits it. What is written is there even when the process is killed.
  async join(c) {
    if (c.how === 'pattern') throw absent('kafkajs looks for the topics of a pattern only once')
    const consumer = kafka.consumer({ groupId: c.group, sessionTimeout: c.at, rebalanceTimeout: c.at, heartbeatInterval: c.at / 10, maxWaitTimeInMs: 100, retry: { retries: 10, initialRetryTime: 50 } })
    const notes = fs.openSync(c.file, 'a')
    member = { consumer, topic: c.topic }
    await consumer.connect()
    await consumer.subscribe({ topics: [c.topic], fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ topic, partition, message }) => {
        fs.writeSync(notes, `${topic} ${partition} ${message.offset}\n`)
        await consumer.commitOffsets([{ topic, partition, offset: String(Number(message.offset) + 1) }])
      },
    })
  },

  async pause() {
    member.consumer.pause([{ topic: member.topic }])
  },

  async resume() {
    member.consumer.resume([{ topic: member.topic }])
  },

  async leave() {
    await member.consumer.disconnect()
  },

  async lag(c) {
    return withAdmin(async admin => {
      const [{ partitions }] = await admin.fetchOffsets({ groupId: c.group, topics: [c.topic] })
      const ends = await admin.fetchTopicOffsets(c.topic)
      const lag = ends.map(() => -1)
      for (const { partition, offset } of partitions) {
        if (Number(offset) >= 0) lag[partition] = Number(ends.find(e => e.partition === partition).high) - Number(offset)
      }
      return { lag }
    })
  },

  async groups() {
    const { groups } = await withAdmin(admin => admin.listGroups())
    return { groups: groups.map(g => g.groupId) }
  },

  async describe_group(c) {
    const { groups } = await withAdmin(admin => admin.describeGroups([c.group]))
    if (groups[0].errorCode) throw refusal(groups[0].errorCode, 'describeGroups gave a code')
    return { state: groups[0].state, members: groups[0].members.length }
  },

  async set_offset(c) {
    const partitions = [{ partition: c.partition, offset: String(c.at) }]
    await withAdmin(admin => admin.setOffsets({ groupId: c.group, topic: c.topic, partitions }))
  },

  async delete_offset() {
    throw absent('kafkajs has no call to delete offsets of groups')
  },

  async delete_group(c) {
    await withAdmin(admin => admin.deleteGroups([c.group]))
  },

  async offsets(c) {
    return withAdmin(async admin => {
      const mine = list => list.find(o => o.partition === c.partition)
      const ends = mine(await admin.fetchTopicOffsets(c.topic))
      const at = []
      for (const t of c.times) at.push(Number(mine(await admin.fetchTopicOffsetsByTimestamp(c.topic, t)).offset))
      return { earliest: Number(ends.low), latest: Number(ends.high), at }
    })
  },

  async create(c) {
    const configEntries = Object.entries(c.configs || {}).map(([name, value]) => ({ name, value }))
    const topics = [{ topic: c.topic, numPartitions: c.partitions, replicationFactor: 1, configEntries }]
    return withAdmin(async admin => {
      // kafkajs says false, instead of failing, where the topic exists.
      if (!(await admin.createTopics({ topics, validateOnly: c.dry, waitForLeaders: !c.dry }))) throw refusal(36, 'createTopics gave false')
    })
  },

  async delete(c) {
    await withAdmin(admin => admin.deleteTopics({ topics: [c.topic] }))
  },

  async list() {
    return { topics: await withAdmin(admin => admin.listTopics()) }
  },

  async describe(c) {
    const { topics } = await withAdmin(admin => admin.fetchTopicMetadata({ topics: [c.topic] }))
    const partitions = topics[0].partitions.map(p => ({ id: p.partitionId, leader: p.leader, replicas: p.replicas }))
    return { partitions }
  },

  async grow(c) {
    await withAdmin(admin => admin.createPartitions({ topicPartitions: [{ topic: c.topic, count: c.partitions }] }))
  },

  async get_configs(c) {
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: c.topic }]
    const answer = await withAdmin(admin => admin.describeConfigs({ resources, includeSynonyms: false }))
    return { configs: Object.fromEntries(answer.resources[0].configEntries.map(e => [e.configName, e.configValue])) }
  },

  async set_configs(c) {
    if (c.how !== 'replace') throw absent('kafkajs only replaces configurations')
    const configEntries = Object.entries(c.configs).map(([name, value]) => ({ name, value }))
    const resources = [{ type: ConfigResourceTypes.TOPIC, name: c.topic, configEntries }]
    await withAdmin(admin => admin.alterConfigs({ validateOnly: false, resources }))
  },

  async trim(c) {
    const partitions = [{ partition: c.partition, offset: String(c.at) }]
    await withAdmin(async admin => {
      await admin.fetchTopicOffsets(c.topic) // else kafkajs knows no leader and gives up before it asks
      await admin.deleteTopicRecords({ topic: c.topic, partitions })
    })
    return { earliest: (await client.offsets({ ...c, times: [] })).earliest }
  },
}

function refusal(code, text) {
  return Object.assign(new Error(text), { code })
}

function absent(text) {
  return Object.assign(new Error(text), { absent: true })
}

function inner(e) {
  return e.cause || e.originalError || (e.errors && e.errors[0]) || (e.groups && e.groups[0].error) || (e.partitions && e.partitions[0].error)
}

// kafkajs wraps what the broker said, once or several times.
function described(e) {
  const text = `${e.name}: ${e.message}`
  for (let cause = e; cause; cause = inner(cause)) {
    if (cause.absent) return { kind: 'absent', code: 0, text }
    if (cause.name === 'KafkaJSServerDoesNotSupportApiKey') return { kind: 'unsupported', code: 0, text }
    if (Number.isInteger(cause.code) && cause.code > 0) return { kind: 'broker', code: cause.code, text }
  }
  return { kind: 'client', code: 0, text }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line)
    let answer
    try {
      answer = { ok: (await client[command.op](command)) || {} }
    } catch (e) {
      answer = { error: described(e) }
    }
    process.stdout.write(JSON.stringify(answer) + '\n')
  }
  process.exit(0)
}

main()
