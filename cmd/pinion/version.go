package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is stamped by the Makefile.
var version = "dev"

type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (v versionInfo) String() string {
	return fmt.Sprintf("pinion %s (%s, %s)", v.Version, v.Go, v.Platform)
}

// thisVersion describes the running binary.
func thisVersion() versionInfo {
	v := versionInfo{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v.Revision = s.Value
			}
		}
	}
	return v
}

func newVersion(*console) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version of this binary",
		Args:  exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := outputFormat(cmd)
			if err != nil {
				return err
			}
			v := thisVersion()
			if f == formatText {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), v)
				return err
			}
			return writeList(cmd, nil, []versionInfo{v}, nil)
		},
	}
}
