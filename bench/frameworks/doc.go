// Package frameworks runs what others built on Kafka, unchanged, against Pinion: Kafka's own tools, Connect, MirrorMaker, Streams, a schema
// registry, Flink. The tests beside it hold them to what they do on Apache Kafka.
//
// Kafka's tools run in one virtual machine (Driver.java), each command on Apache Kafka and on Pinion; what they say is compared. The others
// are processes of their own, which belong to the test that started them. Jars and Python packages are named by the lists in this folder and
// fetched by bench/shelf.
package frameworks
