// Package families starts the clients that others wrote, one program for each language, and gives them work: the tests beside it let
// each of them write what the others read, and administer topics.
//
// A program is an agent: it takes a command a line on its standard input, a JSON object, and answers a line on its standard output,
// {"ok": {...}} or {"error": {"kind", "code", "text"}}. It ends when its input ends. Commands have an "op" and the fields of Command:
//
//	hello        {client}       name and version
//	produce      {offsets}      sends the records of a file; -1 for an offset that was not acknowledged
//	pour         {}             goes on sending values of count bytes to a partition, with ever larger numbers, of which at is the first
//	poured       {numbers, offsets}   what was acknowledged since it was asked last; with dry it also ends
//	consume      {}             reads count records of a partition into a file
//	take         {taken}        joins a group, reads count records, commits them as they come, leaves
//	offsets      {earliest, latest, at}   at: the first offset at each of times, -1 for none
//	create, delete, grow        one topic; grow raises its partitions
//	list         {topics}
//	describe     {partitions}
//	get_configs  {configs}      of a topic
//	set_configs  {}             how: set (null takes a key back to its default) or replace
//	trim         {earliest}     deletes the records below an offset
//	join         {}             makes a member of a group that works on until it leaves: it appends a line for each record to a file, "topic partition
//	                            offset", before it commits it; at: its session; how: pattern where topic is a regular expression
//	pause, resume, leave        what the member does
//	lag          {lag}          how far a group is behind in partitions of a topic; -1 where it has committed nothing
//	groups       {groups}
//	describe_group              {state, members}
//	set_offset, delete_offset   of a group in a partition
//	delete_group {}
//
// A poured value begins with its number and its length, little-endian in 8 and 4 bytes; byte i behind that is byte i%7 of the number, exclusive or
// i*131. The numbers go up by 8, and at most 25 are sent in a second. Only java and confluent-kafka pour.
//
// The kinds of error: broker, with the error code of Kafka's that the client showed; unsupported, the client says that the broker does
// not know the request; absent, the client has no call for it; client, anything else.
//
// An Agent belongs to the test that started it. The package judges nothing, and it never touches a process that it did not start.
package families
