package main

import (
	"path/filepath"
	"testing"
)

// A run that was ended is gone on with, and the counts of another commit are not.
func TestSiegeLogGoesOn(t *testing.T) {
	b := &bench{out: filepath.Join(t.TempDir(), "out"), report: &report{Commit: "a"}, sizes: sizes{hostile: 1000}}
	open := func() *siegeLog {
		t.Helper()
		l, err := openSiegeLog(b)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := open()
	if n := l.share(l.Kernel, l.kernelMax, 3); n != 334 {
		t.Errorf("the first of three runs sends %d", n)
	}
	l.Kernel.add(siegeFigures{Sent: 400, Legal: 20})
	l.Gate.add(siegeFigures{Sent: 60, Served: 1})
	if err := l.keep(); err != nil {
		t.Fatal(err)
	}
	l = open()
	if l.Kernel.Sent != 400 || l.Kernel.Legal != 20 || l.share(l.Kernel, l.kernelMax, 1) != 600 || l.share(l.Gate, l.gateMax, 1) != 0 {
		t.Errorf("it goes on with %+v", l)
	}
	if l.failure() == nil {
		t.Error("a served hostile request is no failure")
	}
	b.report.Commit = "b"
	if l = open(); l.Kernel != (siegeFigures{}) || l.Commit != "b" {
		t.Errorf("another commit goes on with %+v", l)
	}
	b.report.Commit = "c" + dirty
	l = open()
	l.Kernel.Sent = 5
	if err := l.keep(); err != nil {
		t.Fatal(err)
	}
	if l = open(); l.Kernel.Sent != 0 {
		t.Error("what was not committed is gone on with")
	}
}
