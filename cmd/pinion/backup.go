package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"pinion/disk/device"
	"pinion/disk/identity"
	"pinion/engine/audit"
)

func newBackup() *cobra.Command {
	return &cobra.Command{
		Use:   "backup DIR TO",
		Short: "Copy the data directory of a stopped broker, and verify the copy",
		Long: `Copies a data directory that no broker works in to a new one, makes the copy durable and verifies it as pinion check does. The lock is
held meanwhile. TO must not exist, or be empty; what failed leaves TO without meta.properties, so that no broker starts on it.

Exit code 0: the copy is sound. 4: it is damaged, as the original is. 1: not copied.`,
		Args: exactly(2, "DIR or TO"),
		RunE: func(cmd *cobra.Command, args []string) error { return copyDirectory(cmd, args[0], args[1]) },
	}
}

func newRestore() *cobra.Command {
	return &cobra.Command{
		Use:   "restore FROM DIR",
		Short: "Put a backup in the place of a data directory",
		Long: `Copies a backup to DIR, makes it durable and verifies it. DIR must not exist, or be empty: nothing is overwritten.

A backup is the node it was taken of, with its cluster, node and directory ids. Start it in the place of that node, never beside it:
two brokers of one identity would both give out offsets. What was written after the backup is gone.`,
		Args: exactly(2, "FROM or DIR"),
		RunE: func(cmd *cobra.Command, args []string) error { return copyDirectory(cmd, args[0], args[1]) },
	}
}

const (
	lockName     = ".lock"
	identityName = "meta.properties"
)

// copyDirectory copies everything but the lock, the identity last: without it the copy is nobody's.
func copyDirectory(cmd *cobra.Command, from, to string) error {
	if _, err := os.Stat(from); err != nil {
		return err
	}
	dir, err := device.OpenDir(from)
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
	if err := vacant(from, to); err != nil {
		return err
	}
	if err := copyTree(from, to); err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	report, err := audit.Check(to)
	if err != nil {
		return fmt.Errorf("verify the copy: %w", err)
	}
	if err := writeAudit(cmd, report); err != nil {
		return err
	}
	if !report.Sound() {
		return &failure{exitDamage, nil}
	}
	return nil
}

// vacant refuses a target that holds anything, or lies inside the source.
func vacant(from, to string) error {
	source, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	target, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	if inside, err := filepath.Rel(source, target); err == nil && filepath.IsLocal(inside) {
		return usagef("%s lies inside %s", to, from)
	}
	entries, err := os.ReadDir(to)
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

func copyTree(from, to string) error {
	var folders []string
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
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
	if err == nil {
		err = copyDurably(filepath.Join(from, identityName), filepath.Join(to, identityName))
	}
	if err == nil {
		err = syncFolder(to)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(filepath.Clean(to)))
	}
	return err
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
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
