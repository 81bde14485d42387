package machine

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Environment is what a result needs beside it to mean anything. Empty fields could not be read.
type Environment struct {
	Kernel       string            `json:"kernel"`
	System       string            `json:"system"` // of os-release
	Architecture string            `json:"architecture"`
	CPU          string            `json:"cpu"`
	CPUs         int               `json:"cpus"`     // online
	Usable       int               `json:"usable"`   // of these, this process may use
	Virtual      bool              `json:"virtual"`  // the processor says that it is a guest's
	Governor     string            `json:"governor"` // of the first processor; a guest usually has none
	Clock        string            `json:"clocksource"`
	MemoryBytes  int64             `json:"memory_bytes"`
	HugePages    string            `json:"transparent_hugepage"`
	Congestion   string            `json:"tcp_congestion_control"` // default of the network this ran in
	OpenFiles    uint64            `json:"open_files_limit"`
	FileSystem   string            `json:"filesystem,omitempty"`   // of the broker's data, where that is known
	Device       string            `json:"device,omitempty"`       // it lies on
	WriteCache   string            `json:"write_cache,omitempty"`  // of the device
	IOScheduler  string            `json:"io_scheduler,omitempty"` // of the device
	Versions     map[string]string `json:"versions"`
	Conditions   []string          `json:"conditions"` // what was set or checked before measuring
}

// Look reads the environment. dir is where the broker's data lies, or empty.
func Look(dir string) Environment {
	e := Environment{Architecture: runtime.GOARCH, Usable: runtime.NumCPU(), Versions: map[string]string{"go": runtime.Version()}, Conditions: []string{}}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		e.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	e.System = keyed("/etc/os-release", "=", "PRETTY_NAME")
	e.CPU = keyed("/proc/cpuinfo", ":", "model name")
	e.Virtual = strings.Contains(keyed("/proc/cpuinfo", ":", "flags"), "hypervisor")
	e.CPUs = processors()
	e.Governor = line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
	e.Clock = line("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	kib, _ := strconv.ParseInt(strings.TrimSuffix(keyed("/proc/meminfo", ":", "MemTotal"), " kB"), 10, 64)
	e.MemoryBytes = kib << 10
	e.HugePages = chosen(line("/sys/kernel/mm/transparent_hugepage/enabled"))
	e.Congestion = line("/proc/sys/net/ipv4/tcp_congestion_control")
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		e.OpenFiles = limit.Cur
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/twmb/franz-go" {
				e.Versions["franz-go"] = m.Version
			}
		}
	}
	if dir != "" {
		e.lookAt(dir)
	}
	return e
}

// lookAt finds what a folder lies on.
func (e *Environment) lookAt(dir string) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return
	}
	var source string
	longest := -1
	for _, m := range lines("/proc/self/mounts") {
		fields := strings.Fields(m)
		if len(fields) < 4 || !strings.HasPrefix(dir+"/", strings.TrimSuffix(fields[1], "/")+"/") || len(fields[1]) < longest {
			continue
		}
		longest, source = len(fields[1]), fields[0]
		e.FileSystem = fields[2] + " (" + fields[3] + ")"
	}
	if !strings.HasPrefix(source, "/dev/") {
		return
	}
	e.Device = source
	path, err := filepath.EvalSymlinks("/sys/class/block/" + filepath.Base(source))
	if err != nil {
		return
	}
	for _, at := range []string{path, filepath.Dir(path)} { // a partition's queue is its disk's
		if cache := line(at + "/queue/write_cache"); cache != "" {
			e.WriteCache = cache
			e.IOScheduler = chosen(line(at + "/queue/scheduler"))
			return
		}
	}
}

// line is the first line of a file, or nothing.
func line(name string) string {
	if all := lines(name); len(all) > 0 {
		return strings.TrimSpace(all[0])
	}
	return ""
}

func lines(name string) (list []string) {
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for in.Scan() {
		list = append(list, in.Text())
	}
	return list
}

// keyed is the value of the first line that has the key.
func keyed(name, between, key string) string {
	for _, l := range lines(name) {
		if k, v, ok := strings.Cut(l, between); ok && strings.TrimSpace(k) == key {
			return strings.Trim(strings.TrimSpace(v), `"`)
		}
	}
	return ""
}

// chosen is the word in brackets, as the kernel marks the one in force.
func chosen(text string) string {
	if _, rest, ok := strings.Cut(text, "["); ok {
		word, _, _ := strings.Cut(rest, "]")
		return word
	}
	return text
}

// processors counts those online: "0-3,8" is five.
func processors() (n int) {
	for part := range strings.SplitSeq(line("/sys/devices/system/cpu/online"), ",") {
		from, to, isRange := strings.Cut(part, "-")
		first, err := strconv.Atoi(from)
		if err != nil {
			return runtime.NumCPU()
		}
		last := first
		if isRange {
			if last, err = strconv.Atoi(to); err != nil {
				return runtime.NumCPU()
			}
		}
		n += last - first + 1
	}
	return n
}

// Remember adds a condition.
func (e *Environment) Remember(format string, args ...any) {
	e.Conditions = append(e.Conditions, fmt.Sprintf(format, args...))
}
