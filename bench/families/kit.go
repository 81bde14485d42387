package families

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"pinion/bench/shelf"
)

// Kit is the agents of one language. Packages are fetched once into a folder of the user's cache that carries the hash of the file
// that lists them; an agent is built anew for each run.
type Kit struct {
	Name  string
	From  string // the folder of this package; empty where that is the working directory
	tools []string
	list  string // the file that lists the packages
	fetch func(dir, list string) [][]string
	build func(dir, out string) [][]string // nil where there is nothing to build
	start func(dir, out string) (args, env []string)
}

// In is the kit for a program that works elsewhere than in the folder of this package.
func (k *Kit) In(folder string) *Kit {
	other := *k
	other.From = folder
	return &other
}

// Kits are the languages. Commands run in the folder of this package.
var (
	Python = &Kit{
		Name: "python", tools: []string{"python3"}, list: "python/requirements.txt",
		fetch: shelf.Wheels("", nil).Fetch,
		start: func(dir, _ string) (args, env []string) {
			return []string{filepath.Join(dir, "bin/python"), "python/agent.py"}, []string{"PYTHONDONTWRITEBYTECODE=1"}
		},
	}
	Node = &Kit{
		Name: "node", tools: []string{"node", "npm"}, list: "node/package-lock.json",
		fetch: func(dir, _ string) [][]string {
			return [][]string{
				{"cp", "node/package.json", "node/package-lock.json", dir},
				{"npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries", "1", "--prefix", dir},
			}
		},
		start: func(dir, _ string) (args, env []string) {
			return []string{"node", "node/agent.js"}, []string{"NODE_PATH=" + filepath.Join(dir, "node_modules"), "KAFKAJS_NO_PARTITIONER_WARNING=1"}
		},
	}
	Java = &Kit{
		Name: "java", tools: []string{"java", "javac", "mvn"}, list: "java/pom.xml",
		fetch: shelf.Jars("", nil).Fetch,
		build: func(dir, out string) [][]string {
			return [][]string{{"javac", "-d", out, "-cp", filepath.Join(dir, "*"), "java/Agent.java", "java/Groups.java", "java/Pour.java", "java/Records.java", "java/Topics.java"}}
		},
		start: func(dir, out string) (args, env []string) {
			return []string{"java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", out + ":" + filepath.Join(dir, "*"), "Agent"}, nil
		},
	}
	// Golang keeps its modules where the go command keeps all modules.
	Golang = &Kit{
		Name: "golang", tools: []string{"go"}, list: "golang/go.sum",
		fetch: func(string, string) [][]string { return [][]string{{"go", "-C", "golang", "mod", "download"}} },
		build: func(_, out string) [][]string {
			return [][]string{{"go", "build", "-C", "golang", "-o", filepath.Join(out, "golang"), "."}}
		},
		start: func(_, out string) (args, env []string) { return []string{filepath.Join(out, "golang")}, nil },
	}
)

// Prepare makes a kit ready; out is a folder for what is built. It returns how to start its agents; the caller appends which client
// and which broker. The error is a *shelf.Missing where the packages are not there and cannot be had.
func (k *Kit) Prepare(out string) (args, env []string, err error) {
	list, err := os.ReadFile(filepath.Join(k.From, k.list))
	if err != nil {
		return nil, nil, fmt.Errorf("packages of %s: %w", k.Name, err)
	}
	set := shelf.Set{Name: k.Name, List: list, Tools: k.tools, From: k.From, Fetch: k.fetch}
	dir, err := set.Get(context.Background(), shelf.Allowed())
	if err != nil {
		return nil, nil, err
	}
	if k.build != nil {
		if err := shelf.Run(context.Background(), k.From, k.build(dir, out)); err != nil {
			return nil, nil, fmt.Errorf("build the %s agent: %w", k.Name, err)
		}
	}
	args, env = k.start(dir, out)
	return args, env, nil
}
