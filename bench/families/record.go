package families

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// Record is one record as agents read and write it: a line of a file. A nil key or value is null, and not the same as an empty one.
type Record struct {
	Partition int32    `json:"p"`
	Offset    int64    `json:"o"`
	Timestamp int64    `json:"t"` // milliseconds since 1970
	Key       []byte   `json:"k"`
	Value     []byte   `json:"v"`
	Headers   []Header `json:"h"`
}

// Header is one header of a record.
type Header struct {
	Key   string `json:"k"`
	Value []byte `json:"v"`
}

// WriteRecords writes the file of a produce command.
func WriteRecords(path string, records []Record) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("records for an agent: %w", err)
	}
	defer f.Close()
	buffer := bufio.NewWriter(f)
	out := json.NewEncoder(buffer)
	for i := range records {
		if err := out.Encode(&records[i]); err != nil {
			return fmt.Errorf("records for an agent: %w", err)
		}
	}
	if err := buffer.Flush(); err != nil {
		return fmt.Errorf("records for an agent: %w", err)
	}
	return nil
}

// ReadRecords reads the file that a consume command wrote.
func ReadRecords(path string) ([]Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("records of an agent: %w", err)
	}
	defer f.Close()
	var list []Record
	for in := json.NewDecoder(bufio.NewReader(f)); in.More(); {
		var r Record
		if err := in.Decode(&r); err != nil {
			return nil, fmt.Errorf("record %d of an agent: %w", len(list), err)
		}
		list = append(list, r)
	}
	return list, nil
}
