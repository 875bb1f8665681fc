package main

import (
	"runtime"
	"runtime/debug"
)

// version says which build this is, for people.
func version() string { return "monterey " + release() + ", " + runtime.Version() }

// release is the module's version where it was installed as one, else the commit it was built from.
func release() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown build"
	}
	v, commit, dirty := info.Main.Version, "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			commit = s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = ", modified"
		}
	}
	if v == "" || v == "(devel)" {
		v = "development"
	}
	if commit != "" {
		v += " (" + commit + dirty + ")"
	}
	return v
}
