package admin

import (
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
)

// TestUpgradeWaitsForEveryNode: the level is that of the node that understands least,
// and of one that is silent nothing is assumed.
func TestUpgradeWaitsForEveryNode(t *testing.T) {
	build := func(id string, most directory.Level) Build { return Build{NodeID: id, LevelMin: 1, LevelMax: most} }
	for name, c := range map[string]struct {
		now    directory.Level
		builds []Build
		to     directory.Level
		word   string
	}{
		"all new":             {1, []Build{build("a", 2), build("b", 2)}, 2, ""},
		"levels are skipped":  {1, []Build{build("a", 3), build("b", 4)}, 3, ""},
		"one is old":          {1, []Build{build("a", 2), build("b", 1)}, 1, "nothing to finalize"},
		"all is done":         {2, []Build{build("a", 2), build("b", 2)}, 2, "nothing to finalize"},
		"one is silent":       {1, []Build{build("a", 2), {NodeID: "b"}}, 1, "b does not say"},
		"two are silent":      {1, []Build{{NodeID: "a"}, build("b", 2), {NodeID: "c"}}, 1, "a, c does not say"},
		"nobody is a member":  {1, nil, 1, "no members"},
		"a level never falls": {3, []Build{build("a", 2)}, 3, "nothing to finalize"},
	} {
		to, hindrance := upgrade(c.now, c.builds)
		if to != c.to || (c.word == "") != (hindrance == "") || !strings.Contains(hindrance, c.word) {
			t.Errorf("%s: to %d, %q", name, to, hindrance)
		}
	}
}
