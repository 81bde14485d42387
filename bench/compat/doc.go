// Package compat says what Pinion is compatible with, and who has found that out: the table of claims, which the tests that make them hold
// against what they saw on the wire, and docs/compatibility.md, which is made from that table, the broker's own tables of versions and
// configuration keys, the clients' lists of packages, and the differences from Apache Kafka that are intended.
//
// `make docs` writes the page; a test fails while the page in the repository is another. Nothing is run for it: the package owns no broker
// and judges no answer.
package compat
