package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"pinion/disk/device"
	"pinion/disk/identity"
	"pinion/engine/audit"
)

func newBackup() *cobra.Command {
	return &cobra.Command{
		Use:   "backup DIR... TO",
		Short: "Copy the data of a stopped broker, and verify the copy",
		Long: `Copies the data directory of a node that does not run to a new one, makes the copy durable and verifies it as pinion check does. Of a node
with several log directories name all: they are copied into TO/1, TO/2 and so on, in that order. The locks are held meanwhile. TO must not exist, or be
empty; what failed leaves TO without meta.properties, so that no broker starts on it.

Exit code 0: the copy is sound. 4: it is damaged, as the original is. 1: not copied.`,
		Args: atLeast(2, "DIR or TO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, to := args[:len(args)-1], args[len(args)-1]
			if len(from) == 1 {
				return copyDirectories(cmd, from, []string{to})
			}
			if err := vacant(from, to); err != nil {
				return err
			}
			var copies []string
			for i := range from {
				copies = append(copies, filepath.Join(to, strconv.Itoa(i+1)))
			}
			return copyDirectories(cmd, from, copies)
		},
	}
}

func newRestore() *cobra.Command {
	return &cobra.Command{
		Use:   "restore FROM DIR...",
		Short: "Put a backup in the place of a node's data",
		Long: `Copies a backup to DIR, makes it durable and verifies it. Of a node with several log directories name as many as there were, in the order of
the backup. They must not exist, or be empty: nothing is overwritten.

A backup is the node it was taken of, with its cluster, node and directory ids. Start it in the place of that node, never beside it:
two brokers of one identity would both give out offsets. What was written after the backup is gone.`,
		Args: atLeast(2, "FROM or DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := backedUp(args[0])
			if err != nil {
				return err
			}
			if to := args[1:]; len(from) == len(to) {
				return copyDirectories(cmd, from, to)
			}
			return usagef("%s is of a node with %d log directories: name as many to put them", args[0], len(from))
		},
	}
}

// backedUp are the log directories of a backup: itself, or those it holds.
func backedUp(path string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(path, identityName)); err == nil {
		return []string{path}, nil
	}
	var all []string
	for {
		next := filepath.Join(path, strconv.Itoa(len(all)+1))
		_, err := os.Stat(next)
		switch {
		case err == nil:
			all = append(all, next)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		case len(all) == 0:
			return []string{path}, nil // what it is not is said where it is opened
		default:
			return all, nil
		}
	}
}

const (
	lockName     = ".lock"
	identityName = "meta.properties"
)

// copyDirectories copies everything but the locks, the identities last: without them the copies are nobody's.
func copyDirectories(cmd *cobra.Command, from, to []string) error {
	f, err := outputFormat(cmd)
	if err != nil {
		return err
	}
	if err := eachOnce(from); err != nil {
		return err
	}
	for _, path := range from {
		dir, err := device.OpenToRead(path)
		if err != nil {
			return err
		}
		claim, err := identity.Inspect(dir)
		if errors.Is(err, device.ErrLocked) {
			return fmt.Errorf("%w\n  stop the broker first", err)
		}
		if err != nil {
			return err
		}
		defer claim.Close()
	}
	for i := range to {
		if err := vacant(append(append([]string{}, from...), to[:i]...), to[i]); err != nil {
			return err
		}
	}
	for i := range from {
		if err := copyTree(from[i], to[i]); err != nil {
			return fmt.Errorf("copy %s to %s: %w", from[i], to[i], err)
		}
	}
	for i := range from {
		if err := copyIdentity(from[i], to[i]); err != nil {
			return fmt.Errorf("copy %s to %s: %w", from[i], to[i], err)
		}
	}
	reports, err := audit.Check(to...)
	if err != nil {
		return errors.Join(fmt.Errorf("verify the copy: %w", err), disown(to))
	}
	return concluded(cmd, f, reports)
}

// vacant refuses a target that holds anything, or lies inside a source.
func vacant(from []string, to string) error {
	target, err := followed(to)
	if err != nil {
		return err
	}
	for _, path := range from {
		source, err := followed(path)
		if err != nil {
			return err
		}
		if inside, err := filepath.Rel(source, target); err == nil && filepath.IsLocal(inside) {
			return usagef("%s lies inside %s", to, path)
		}
	}
	entries, err := os.ReadDir(to)
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() && e.Name() == identity.LostFound })
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return usagef("%s is not empty (%s): nothing was copied", to, entries[0].Name())
	}
	return nil
}

// followed is where a path leads over all symbolic links, whether there is something already or not.
func followed(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	parent, err := followed(filepath.Dir(abs))
	return filepath.Join(parent, filepath.Base(abs)), err
}

func copyTree(from, to string) error {
	from, err := filepath.EvalSymlinks(from) // WalkDir does not follow one
	if err != nil {
		return err
	}
	if _, err := device.OpenDir(to); err != nil { // which makes it, and its name durable
		return err
	}
	var folders []string
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && name == identity.LostFound:
			return fs.SkipDir
		case d.IsDir():
			folders = append(folders, filepath.Join(to, name))
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		case name == lockName, name == identityName:
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is not a file or a folder", path)
		}
		return copyDurably(path, filepath.Join(to, name))
	})
	for i := len(folders) - 1; i >= 0 && err == nil; i-- {
		err = syncFolder(folders[i])
	}
	return err
}

// copyIdentity makes a copy a broker's.
func copyIdentity(from, to string) error {
	err := copyDurably(filepath.Join(from, identityName), filepath.Join(to, identityName))
	if err != nil {
		return err
	}
	return syncFolder(to)
}

// disown makes copies nobody's again.
func disown(copies []string) error {
	var errs []error
	for _, path := range copies {
		errs = append(errs, os.Remove(filepath.Join(path, identityName)), syncFolder(path))
	}
	return errors.Join(errs...)
}

// copyDurably keeps the time of the file: retention asks for it where records have none.
func copyDurably(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, in)
	if err == nil && n != info.Size() {
		err = fmt.Errorf("%s has %d bytes, %d could be read", from, info.Size(), n)
	}
	if err == nil {
		err = os.Chtimes(to, info.ModTime(), info.ModTime())
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
