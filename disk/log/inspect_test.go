package log

import (
	"slices"
	"strings"
	"testing"

	"pinion/disk/device"
	"pinion/disk/faulty"
	"pinion/engine/model"
)

// inspect reads the files of a closed log, and is what was found in one of them.
func (r *rig) inspect(from OpenFrom, file string) (found []Finding) {
	r.t.Helper()
	dir, err := r.disk, error(nil)
	if dir == nil {
		dir, err = device.OpenDir(r.path)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	in, err := Inspect(dir, "orders-0", r.cfg.Compact, from, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range in.Findings {
		if strings.HasSuffix(f.File, file) {
			found = append(found, f)
		}
	}
	return found
}

// TestInspectIndexes: an entry that is wrong and looks right is called mended where a start makes the file anew, and nowhere else.
func TestInspectIndexes(t *testing.T) {
	r := newRig(t, testConfig())
	for r.l.Segments() < 3 {
		r.append(1, 1000)
	}
	for range 30 {
		r.append(1, 1000)
	}
	end := r.l.End()
	bases := []model.Offset{r.l.extents[0].base, r.l.last().base}
	r.close()
	for _, base := range bases {
		for _, suffix := range []string{indexSuffix, timeSuffix} {
			good := mustRead(t, r.file(base, suffix))
			bytes := indexEntryBytes
			if suffix == timeSuffix {
				bytes = timeEntryBytes
			}
			for n := range len(good) / bytes {
				for _, point := range []model.Offset{0, base + 10, base + 20, end} {
					bad := slices.Clone(good)
					bad[n*bytes+7] ^= 1 // of a position, or of a timestamp
					mustWrite(t, r.file(base, suffix), bad)
					from := OpenFrom{RecoveryPoint: point}
					found := r.inspect(from, suffix)
					c := r.crash(from)
					after := mustRead(t, c.file(base, suffix))
					at, end := n*bytes, (n+1)*bytes
					mended := len(after) < end || string(after[at:end]) != string(bad[at:end])
					if len(found) != 1 || found[0].Mended != mended {
						t.Errorf("%020d%s, entry %d of %d, recovery point %d: a start mends it: %v; found %+v", base, suffix, n, len(good)/bytes, point, mended, found)
					}
				}
			}
			mustWrite(t, r.file(base, suffix), good)
		}
	}
}

// TestInspectUnreadable: what the disk does not give back is damage that is found, and the rest is read all the same.
func TestInspectUnreadable(t *testing.T) {
	for _, file := range []string{indexSuffix, timeSuffix, logSuffix, metadataFile, epochFile, startFile, pointFile} {
		d := faulty.New(1)
		r := &rig{t: t, disk: d, cfg: compactConfig()}
		r.open(OpenFrom{})
		r.append(3, 100)
		r.run(r.l.StoreStart(2))
		r.close()
		d.Fail(func(op faulty.Op, name string) error {
			if op == faulty.Read && strings.HasSuffix(name, file) {
				return faulty.EIO
			}
			return nil
		})
		in, err := Inspect(d, "orders-0", true, OpenFrom{RecoveryPoint: 3}, nil)
		if err != nil || !slices.ContainsFunc(in.Findings, func(f Finding) bool {
			return strings.HasSuffix(f.File, file) && strings.Contains(f.Reason, "input/output") || strings.Contains(f.Reason, file+": input/output")
		}) {
			t.Errorf("%s: %v, %+v", file, err, in)
			continue
		}
		if file != logSuffix && in.Records != 3 {
			t.Errorf("%s: %d records", file, in.Records)
		}
	}
}
