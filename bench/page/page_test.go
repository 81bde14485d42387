package page

import (
	"bytes"
	"context"
	"image/color"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pinion/bench/load"
	"pinion/bench/measure"
	"pinion/bench/results"
)

// made is a result of ten seconds with everything a plot can show; its name and conditions try to break out of the page.
func made(name string, factor int64) results.Named {
	run := &measure.Run{Outcome: &load.Outcome{Began: time.Unix(1_700_000_000, 0)}}
	for second := range 10 {
		i := load.Interval{Start: time.Duration(second) * time.Second, End: time.Duration(second+1) * time.Second,
			Sent: load.Count{Requests: 1000, Records: 1000 + int64(second)*10, Bytes: 100_000}, Received: load.Count{Requests: 10, Records: 900, Bytes: 90_000}}
		for n := range int64(1000) {
			load.Record(&i.Latency, factor*100_000+n*n)
			load.Record(&i.EndToEnd, factor*150_000+n*n*2)
			load.Record(&i.Delay, n*10)
		}
		run.Intervals = append(run.Intervals, i)
		run.Samples = append(run.Samples, measure.Sample{Cores: 0.5, CPUPerGB: 0.6 + float64(second)/100, Resident: 1 << 24})
		run.Total.Merge(&i)
	}
	r := &results.Result{Workload: "1 topic </script><script>alert(1)</script> & more"}
	r.Set(run)
	r.Pinion.OpenLoop = true
	r.Pinion.Partial, r.Pinion.Error = factor > 1, "the broker <went> away"
	return results.Named{Result: r, Path: name}
}

func render(t *testing.T, list ...results.Named) string {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, list); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPageHoldsEverythingAndNothingBreaksOut(t *testing.T) {
	text := render(t, made("r1/</td>", 1), made("r2", 2))
	if strings.Contains(text, "{{") {
		t.Error("a place was left open")
	}
	if strings.Contains(text, "<script>alert(1)") || strings.Contains(text, "<went>") || strings.Contains(text, "r1/</td>") {
		t.Error("a name became markup")
	}
	if got := strings.Count(text, "</script>"); got != 3 {
		t.Errorf("%d scripts end, want 3", got)
	}
	if m := regexp.MustCompile(`(src|href)="?(https?:|//)[^"]*`).FindString(text); m != "" {
		t.Errorf("the page needs a network: %s", m)
	}
	if err := Write(&bytes.Buffer{}, nil); err == nil {
		t.Error("a page of nothing")
	}
}

// browser finds Chromium, or skips.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("chromium is not installed; make test-tools installs it where it may")
	return ""
}

// browse opens the page and gives what the browser printed; flags ask for a screenshot or the DOM.
func browse(t *testing.T, page string, flags ...string) (out, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args := append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr", "--user-data-dir=" + t.TempDir(),
		"--window-size=1240,1800", "--virtual-time-budget=5000", "--host-resolver-rules=MAP * ~NOTFOUND"}, flags...)
	cmd := exec.CommandContext(ctx, browser(t), append(args, "file://"+page)...)
	cmd.WaitDelay = 5 * time.Second
	var dom, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &dom, &words
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, words.String())
	}
	return dom.String(), words.String()
}

// TestPageInABrowser renders the page as people see it: every plot is there and drawn in its colours, and the console is silent.
func TestPageInABrowser(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "report.html")
	if err := os.WriteFile(file, []byte(render(t, made("r1", 1), made("r2", 2))), 0o644); err != nil {
		t.Fatal(err)
	}
	dom, said := browse(t, file, "--dump-dom")
	if strings.Contains(said, "CONSOLE") {
		t.Errorf("the console is not silent:\n%s", said)
	}
	const plots = 6
	if !strings.Contains(dom, `data-drawn="`+strconv.Itoa(plots)+`"`) {
		t.Errorf("the page does not say that it drew %d plots", plots)
	}
	if got := strings.Count(dom, "<canvas"); got != plots {
		t.Errorf("%d canvases, want %d", got, plots)
	}
	for _, title := range []string{"Latency by percentile", "Throughput over time", "Backlog over time", "Broker processor time", "CPU s/GB"} {
		if !strings.Contains(dom, title) {
			t.Errorf("%q is not on the page", title)
		}
	}
	picture := filepath.Join(dir, "page.png")
	_, said = browse(t, file, "--screenshot="+picture)
	if strings.Contains(said, "CONSOLE") {
		t.Errorf("the console is not silent:\n%s", said)
	}
	if keep := os.Getenv("PAGE_PICTURE"); keep != "" {
		if text, err := os.ReadFile(picture); err == nil {
			_ = os.WriteFile(keep, text, 0o644)
		}
	}
	for name, colour := range map[string]color.RGBA{"first": {0x25, 0x63, 0xa8, 255}, "second": {0xc2, 0x57, 0x1a, 255}} {
		// A curve of one and a half pixels over some 400 columns in each of six plots; anti-aliasing takes most of them.
		if got := near(t, picture, colour); got < 1000 {
			t.Errorf("%d pixels have the colour of the %s result's curves", got, name)
		}
	}
}

// TestControlOfTheBrowserTest shows that the checks above can fail: a script that throws is seen on the console.
func TestControlOfTheBrowserTest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.html")
	broken := strings.Replace(render(t, made("r1", 1)), `"use strict";`, `"use strict"; noSuchThing();`, 1)
	if err := os.WriteFile(file, []byte(broken), 0o644); err != nil {
		t.Fatal(err)
	}
	dom, said := browse(t, file, "--dump-dom")
	if !strings.Contains(said, "CONSOLE") || strings.Contains(dom, "data-drawn") {
		t.Errorf("a page that throws looks well:\n%s", said)
	}
}

// near counts the pixels whose colour is close to one.
func near(t *testing.T, name string, c color.RGBA) (count int) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y++ {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x++ {
			r, g, b, _ := picture.At(x, y).RGBA()
			distance := math.Abs(float64(r>>8)-float64(c.R)) + math.Abs(float64(g>>8)-float64(c.G)) + math.Abs(float64(b>>8)-float64(c.B))
			if distance < 60 {
				count++
			}
		}
	}
	return count
}
