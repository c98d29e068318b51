package bpf

import "testing"

func TestOldestKernel(t *testing.T) {
	for release, want := range map[string]bool{
		"4.19.0": false, "5.15.0-91-generic": false, "6.0.19": false, "6.1.0-13-amd64": true, "6.1": true,
		"6.12.9": true, "7.0.0-22-generic": true, "10.1": true, "": false, "six": false, "6": false,
	} {
		if got := newEnough(release) == nil; got != want {
			t.Errorf("%q: %v", release, got)
		}
	}
}

func TestBootClockOfATimeNamespace(t *testing.T) {
	for offsets, want := range map[string]bool{
		"": true, "monotonic           0         0\nboottime            0         0\n": true,
		"monotonic           5         0\nboottime            0         0\n": true,
		"monotonic           0         0\nboottime           -1         0\n": false,
		"monotonic           0         0\nboottime            0         7\n": false,
	} {
		if got := ownBootClock(offsets) == nil; got != want {
			t.Errorf("%q: %v", offsets, got)
		}
	}
}
