package main

import (
	"strconv"
	"strings"
)

// module is the prefix of our own import paths.
const module = "pinion/"

// A floor may import itself and everything below it.
const (
	cellar = iota // engine/model, engine/must, engine/clock, engine/mutant, engine/blocking: the standard library only
	ground        // disk, raft: know nothing of each other
	middle        // engine
	upper         // net
	roof          // cmd, bench
)

var floorNames = [...]string{"the cellar", "floor 1", "floor 2", "floor 3", "the roof"}

var cellarRooms = []string{"engine/model", "engine/must", "engine/clock", "engine/mutant", "engine/blocking"}

// floorOf tells the floor of a folder; ok is false for one that is not in the house.
func floorOf(dir string) (floor int, ok bool) {
	for _, room := range cellarRooms {
		if dir == room || strings.HasPrefix(dir, room+"/") {
			return cellar, true
		}
	}
	top, _, _ := strings.Cut(dir, "/")
	floor, ok = map[string]int{"disk": ground, "raft": ground, "engine": middle, "net": upper, "cmd": roof, "bench": roof}[top]
	return floor, ok
}

// checkHouse keeps Go files in the house: in its top-level folders, and not directly in those that only hold rooms.
func checkHouse(f *file) []violation {
	if _, ok := floorOf(f.dir); !ok {
		return []violation{f.at(f.syntax.Package, "house", "Go files live in engine, net, disk, raft, bench and cmd")}
	}
	switch f.dir {
	case "engine", "net", "disk", "bench", "cmd":
		return []violation{f.at(f.syntax.Package, "house", "%s holds rooms, not Go files", f.dir)}
	}
	return nil
}

// checkFloors keeps lower floors from importing upper ones.
func checkFloors(f *file) []violation {
	floor, ok := floorOf(f.dir)
	if !ok {
		return nil
	}
	var list []violation
	for _, spec := range f.syntax.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		if why := forbidden(f, floor, name); why != "" {
			list = append(list, f.at(spec.Pos(), "floors", "%s imports %s: %s", f.dir, name, why))
		}
	}
	return list
}

// forbidden says why a folder on a floor may not import a package; empty when it may.
func forbidden(f *file, floor int, name string) string {
	dir, ours := strings.CutPrefix(name, module)
	if !ours {
		first, _, _ := strings.Cut(name, "/")
		if floor == cellar && strings.Contains(first, ".") && !f.test {
			return "the cellar uses the standard library only, so that every floor may stand on it"
		}
		return ""
	}
	target, ok := floorOf(dir)
	switch {
	case !ok:
		return "it is not a room of the house"
	case floor == cellar && dir != f.dir:
		return "the cellar uses the standard library only, so that every floor may stand on it"
	case target > floor:
		return floorNames[floor] + " must not know " + floorNames[target] + "; declare the smallest interface you need beside the call"
	case floor == ground && target == ground && topOf(dir) != topOf(f.dir):
		return "disk and raft know nothing of each other; whoever needs both lives in engine"
	case target == roof && dir != f.dir && topOf(dir) == "cmd":
		return "a command is not a library"
	}
	return ""
}

func topOf(dir string) string {
	top, _, _ := strings.Cut(dir, "/")
	return top
}
