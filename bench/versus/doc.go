// Package versus sends the same requests to Apache Kafka and to Pinion and compares the answers.
//
// The script asks every version of every key that Pinion advertises, rightly and wrongly. Both brokers are fresh and get the requests in
// the same order, over plain TCP; answers are decoded by kmsg and laid out as path and value. What has to differ is made equal first:
// addresses, ids that a broker gives out, times, throttling, the words of messages. What may differ is in Intended, each with its reason;
// whatever else differs is an error, and so is an entry of Intended that no longer occurs.
//
// A broker that has acknowledged a change must show it at once, and Pinion is held to that. Kafka's brokers follow its controller with a
// delay, so Kafka alone is asked again for a while where the answers to a question differ.
//
// The package starts no broker and judges answers only, neither speed nor what lies on the disk.
package versus
