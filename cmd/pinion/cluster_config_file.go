package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/magiconair/properties"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// settingChange is one row of `cluster config diff` and `import`: what a file makes of a setting that was changed while brokers run.
type settingChange struct {
	Key    string  `json:"key"`
	Now    *string `json:"now"`  // nil: as the broker was started
	Then   *string `json:"then"` // the same
	Status string  `json:"status,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// dynamic are the settings that were changed while brokers run, of one scope.
type dynamic struct {
	broker int32             // noBroker: those of the whole cluster
	values map[string]string // what they are
	hidden []string          // those whose values are not told, as passwords are
}

func (d *dynamic) scope() string {
	if d.broker == noBroker {
		return "the cluster"
	}
	return fmt.Sprintf("broker %d", d.broker)
}

func readDynamic(ctx context.Context, client *kadm.Client, broker int32) (*dynamic, error) {
	d := &dynamic{broker: broker, values: map[string]string{}}
	described, err := client.DescribeBrokerConfigs(ctx, only(broker)...)
	if err == nil && len(described) != 1 {
		err = errors.New("the broker did not answer for it")
	}
	if err == nil {
		err = described[0].Err
	}
	if err != nil {
		return nil, fmt.Errorf("settings of %s: %w", d.scope(), reason(err))
	}
	source := kmsg.ConfigSourceDynamicBrokerConfig
	if broker == noBroker {
		source = kmsg.ConfigSourceDynamicDefaultBrokerConfig
	}
	for _, e := range described[0].Configs {
		switch {
		case e.Source != source:
		case e.Value == nil:
			d.hidden = append(d.hidden, e.Key)
		default:
			d.values[e.Key] = *e.Value
		}
	}
	return d, nil
}

// write is the file that `import` reads.
func (d *dynamic) write(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Settings of %s that were changed while brokers run. Import makes them what this file says: what is missing here goes back to what\n", d.scope())
	fmt.Fprintf(&b, "# the broker was started with.\n")
	p := properties.NewProperties()
	p.DisableExpansion, p.WriteSeparator = true, "="
	for _, key := range slices.Sorted(maps.Keys(d.values)) {
		if _, _, err := p.Set(key, d.values[key]); err != nil {
			return err
		}
	}
	if _, err := p.Write(&b, properties.UTF8); err != nil {
		return err
	}
	for _, key := range d.hidden {
		fmt.Fprintf(&b, "# %s is set, and not told; it stays unless a line here says otherwise\n", key)
	}
	_, err := b.WriteTo(w)
	return err
}

// changes are what the text of a file makes of the settings.
func (d *dynamic) changes(name string, text []byte) ([]settingChange, error) {
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	parsed, err := loader.LoadBytes(text)
	if err != nil {
		return nil, usagef("%s is not a properties file: %v", name, err)
	}
	var list []settingChange
	for _, key := range parsed.Keys() {
		value, _ := parsed.Get(key)
		was, there := d.values[key]
		switch {
		case there && was == value:
		case there:
			list = append(list, settingChange{Key: key, Now: &was, Then: &value})
		default:
			list = append(list, settingChange{Key: key, Then: &value})
		}
	}
	for key, was := range d.values {
		if _, stays := parsed.Get(key); !stays {
			list = append(list, settingChange{Key: key, Now: &was})
		}
	}
	slices.SortFunc(list, func(a, b settingChange) int { return strings.Compare(a.Key, b.Key) })
	return list, nil
}

// apply makes the changes, or has the broker check them. All are made or none.
func (d *dynamic) apply(ctx context.Context, client *kadm.Client, list []settingChange, dryRun bool) (failed int, err error) {
	var changes []kadm.AlterConfig
	for _, c := range list {
		change := kadm.AlterConfig{Op: kadm.SetConfig, Name: c.Key, Value: c.Then}
		if c.Then == nil {
			change.Op = kadm.DeleteConfig
		}
		changes = append(changes, change)
	}
	done, status, err := alterSettings(ctx, client, changes, d.broker, dryRun)
	if err != nil {
		return 0, err
	}
	for i := range list {
		list[i].Status = status
		if done.Err != nil {
			list[i].Status, list[i].Error, failed = "FAILED", describeError(done.Err, done.ErrMessage), 1
		}
	}
	return failed, nil
}

func writeChanges(cmd *cobra.Command, list []settingChange) error {
	return writeList(cmd, []string{"KEY", "NOW", "THEN", "STATUS"}, list, func(c settingChange) []string {
		text := func(s *string) string {
			if s == nil {
				return ""
			}
			return *s
		}
		status := c.Status
		if c.Error != "" {
			status = c.Error
		}
		return []string{c.Key, text(c.Now), text(c.Then), status}
	})
}

// readInput is the text of a file, of standard input for -.
func readInput(con *console, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(con.in)
	}
	return os.ReadFile(name)
}

func newConfigExport() *cobra.Command {
	broker := int32(noBroker)
	cmd := &cobra.Command{
		Use: "export", Short: "Write what was changed while brokers run as a properties file",
		Long:    "Write what was changed while brokers run, for the whole cluster or with --broker for one broker, as a properties file that import reads.",
		Example: "  pinion cluster config export > cluster.properties\n  pinion cluster config export --broker 1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				d, err := readDynamic(ctx, client, broker)
				if err != nil {
					return err
				}
				return exportSettings(cmd, d)
			})
		},
	}
	cmd.Flags().Int32Var(&broker, "broker", noBroker, "of this broker alone")
	return cmd
}

// exportSettings writes a file, or where another form is wanted a list.
func exportSettings(cmd *cobra.Command, d *dynamic) error {
	if form, err := outputFormat(cmd); err != nil || form == formatText {
		return errors.Join(err, d.write(cmd.OutOrStdout()))
	}
	type setting struct {
		Key   string  `json:"key"`
		Value *string `json:"value"` // null: it is not told
	}
	var list []setting
	for _, key := range slices.Sorted(maps.Keys(d.values)) {
		value := d.values[key]
		list = append(list, setting{key, &value})
	}
	for _, key := range d.hidden {
		list = append(list, setting{Key: key})
	}
	return writeList(cmd, nil, list, nil)
}

func newConfigDiff(con *console) *cobra.Command {
	broker := int32(noBroker)
	cmd := &cobra.Command{
		Use: "diff FILE", Short: "Show what an import of a file would change",
		Example: "  pinion cluster config diff cluster.properties\n  pinion --brokers other:9092 cluster config export | pinion cluster config diff -",
		Args:    exactly(1, "the file, - for standard input"),
		RunE: func(cmd *cobra.Command, names []string) error {
			return compareSettings(cmd, con, broker, names[0], func(_ context.Context, _ *kadm.Client, _ *dynamic, list []settingChange) error {
				return writeChanges(cmd, list)
			})
		},
	}
	cmd.Flags().Int32Var(&broker, "broker", noBroker, "of this broker alone")
	return cmd
}

// compareSettings calls then with the settings and what a file makes of them.
func compareSettings(cmd *cobra.Command, con *console, broker int32, name string,
	then func(ctx context.Context, client *kadm.Client, d *dynamic, list []settingChange) error) error {
	text, err := readInput(con, name)
	if err != nil {
		return err
	}
	return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
		d, err := readDynamic(ctx, client, broker)
		if err != nil {
			return err
		}
		list, err := d.changes(name, text)
		if err != nil {
			return err
		}
		return then(ctx, client, d, list)
	})
}

func newConfigImport(con *console) *cobra.Command {
	var yes, dryRun bool
	broker := int32(noBroker)
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Make settings what a properties file says",
		Long: `Make what was changed while brokers run, for the whole cluster or with --broker for one broker, what a properties file says: what is missing there goes
back to what the broker was started with. All is changed or nothing. Asks first on a terminal; elsewhere --yes is needed.`,
		Example: "  pinion cluster config import cluster.properties --dry-run\n  pinion cluster config import cluster.properties --yes",
		Args:    exactly(1, "the file, - for standard input"),
		RunE: func(cmd *cobra.Command, names []string) error {
			return compareSettings(cmd, con, broker, names[0], func(ctx context.Context, client *kadm.Client, d *dynamic, list []settingChange) error {
				if len(list) > 0 && !yes && !dryRun {
					if err := confirm(con, fmt.Sprintf("change %d settings of %s", len(list), d.scope())); err != nil {
						return err
					}
				}
				return importSettings(ctx, cmd, client, d, list, dryRun)
			})
		},
	}
	cmd.Flags().Int32Var(&broker, "broker", noBroker, "for this broker alone")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "let the broker check everything and change nothing")
	return cmd
}

// importSettings makes changes and shows them.
func importSettings(ctx context.Context, cmd *cobra.Command, client *kadm.Client, d *dynamic, list []settingChange, dryRun bool) error {
	failed := 0
	if len(list) > 0 {
		var err error
		if failed, err = d.apply(ctx, client, list, dryRun); err != nil {
			return err
		}
	}
	if err := writeChanges(cmd, list); err != nil {
		return err
	}
	return outcome(failed, 1)
}

func newConfigEdit(con *console) *cobra.Command {
	broker := int32(noBroker)
	cmd := &cobra.Command{
		Use: "edit", Short: "Change settings in an editor",
		Long: `Write what export writes into a file, open it with $VISUAL, $EDITOR or vi, and import it when the editor ends. What is taken out goes back to what the
broker was started with. A file that the broker refuses is kept.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var d *dynamic
			err := admin(cmd, func(ctx context.Context, client *kadm.Client) (err error) {
				d, err = readDynamic(ctx, client, broker)
				return err
			})
			if err != nil {
				return err
			}
			return editSettings(cmd, con, d)
		},
	}
	cmd.Flags().Int32Var(&broker, "broker", noBroker, "of this broker alone")
	return cmd
}

// editSettings has a person change the settings. It may take him any time: what others have changed meanwhile stays where he changed nothing.
func editSettings(cmd *cobra.Command, con *console, d *dynamic) (err error) {
	file, err := os.CreateTemp("", "pinion-*.properties")
	if err != nil {
		return err
	}
	name := file.Name()
	defer func() {
		if err == nil {
			err = os.Remove(name)
		} else {
			fmt.Fprintf(con.err, "what was written is in %s\n", name)
		}
	}()
	if err := errors.Join(d.write(file), file.Close()); err != nil {
		return err
	}
	// The variable may hold arguments, which a shell takes apart.
	editor := exec.CommandContext(cmd.Context(), "sh", "-c", editorOf(con)+` "$1"`, "sh", name)
	editor.Stdin, editor.Stdout, editor.Stderr = con.in, con.err, con.err
	if err := editor.Run(); err != nil {
		return fmt.Errorf("%s: %w", editorOf(con), err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	list, err := d.changes(name, text)
	if err != nil {
		return err
	}
	return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
		return importSettings(ctx, cmd, client, d, list, false)
	})
}

// editorOf is the command that opens a file.
func editorOf(con *console) string {
	for _, name := range []string{"VISUAL", "EDITOR"} {
		for _, entry := range con.env {
			if value, ok := strings.CutPrefix(entry, name+"="); ok && strings.TrimSpace(value) != "" {
				return value
			}
		}
	}
	return "vi"
}
