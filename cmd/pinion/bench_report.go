package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newBenchReport() *cobra.Command {
	var page string
	cmd := &cobra.Command{
		Use: "report DIR...", Short: "One page with plots from any number of results",
		Long:    `Write one HTML page with plots of all results in the folders. It holds everything it needs and is read without a network.`,
		Example: `  pinion bench report before after --page both.html`,
		Args:    atLeast(1, "a folder of results"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := outputFormat(cmd)
			if err != nil {
				return err
			}
			if err := writeReport(page, args); err != nil {
				return err
			}
			if f != formatText {
				return writeJSON(cmd.OutOrStdout(), map[string]string{"page": page})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), page)
			return err
		},
	}
	cmd.Flags().StringVar(&page, "page", "report.html", "file of the page")
	return cmd
}
