package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// format is how a command writes its data.
type format string

const (
	formatText  format = "text"
	formatJSON  format = "json"
	formatJSONL format = "jsonl"
)

// outputFormat reads --output.
func outputFormat(cmd *cobra.Command) (format, error) {
	name, err := cmd.Flags().GetString("output")
	if err != nil {
		return "", err
	}
	switch f := format(name); f {
	case formatText, formatJSON, formatJSONL:
		return f, nil
	}
	return "", usagef("--output %s: want text, json or jsonl", name)
}

// writeList writes a list of items: a table whose columns come from row, a JSON array, or one JSON object a line.
func writeList[T any](cmd *cobra.Command, header []string, items []T, row func(T) []string) error {
	f, err := outputFormat(cmd)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	switch f {
	case formatJSON:
		if items == nil {
			items = []T{} // an empty list is [], never null
		}
		return writeJSON(out, items)
	case formatJSONL:
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		for _, item := range items {
			if err := encoder.Encode(item); err != nil {
				return err
			}
		}
		return nil
	}
	rows := make([][]string, len(items))
	for i, item := range items {
		rows[i] = row(item)
	}
	return writeTable(out, header, rows)
}

func writeJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// writeTable writes rows under upper-case headers, aligned by spaces, without borders. Empty cells are "-", so that columns can
// be cut by awk. A nil header is left out.
func writeTable(out io.Writer, header []string, rows [][]string) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	if header != nil {
		rows = append([][]string{header}, rows...)
	}
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		if _, err := fmt.Fprintln(w, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}
