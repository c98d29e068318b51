package conformance

import (
	"fmt"
	"slices"
)

// Limits that the timelines of the feed touch.
const (
	memorySeconds = 3600 + 2*60
	marksMax      = 200_000
)

func start(at float64, index uint64) Step { return Step{At: at, Start: &index} }

func hear(at float64, typ string, index uint64, object, detail string) Step {
	o := Object{"type": typ, "index": index}
	if typ != "heartbeat" && typ != "synced" && typ != "resync" && typ != "row" {
		o["ordinal"] = 0
	}
	if object != "" {
		o["object"] = object
	}
	if detail != "" {
		o["detail"] = detail
	}
	keys := typ == "key.changed" || typ == "synced"
	return Step{At: at, Hear: o, Changed: &keys}
}

func judge(at float64, ri uint64, expect string) Step { return confirmed(at, ri, 0, expect) }

func confirmed(at float64, ri, confirmed uint64, expect string) Step {
	return Step{At: at, Expect: expect, Judge: &Judged{
		Sub: User, Sid: Session, Roles: []string{"nurse"}, Groups: []string{"ward-3"}, Ri: ri, Confirmed: confirmed,
	}}
}

// MakeFeed makes the file feed.json.
func MakeFeed() []Timeline {
	return slices.Concat(changes(), touches(), references(), []Timeline{
		{"before anything is heard", []Step{judge(0, 42, "unknown"), {At: 0, Age: true}}},
		{"a token from before the beginning is unknown until a node vouches for it", []Step{
			start(0, 50), judge(0, 49, "unknown"), judge(0, 50, "live"), judge(0, 51, "live"), confirmed(0, 49, 50, "live"),
			confirmed(0, 49, 49, "unknown"), hear(1, "user.deactivated", 51, User, "alice"), confirmed(1, 49, 50, "revoked"),
		}},
		{"a session that has ended, whatever the index", []Step{
			start(0, 40), judge(0, 42, "live"), hear(1, "session.ended", 41, Session, "user deactivated"), judge(1, 42, "revoked"),
			judge(1, 99, "revoked"), confirmed(1, 42, 99, "revoked"),
		}},
		{"another's session", []Step{start(0, 40), hear(1, "session.ended", 43, "ses-0", "x"), judge(1, 42, "live")}},
		{"a user who comes back has new tokens", []Step{
			start(0, 40), hear(1, "user.deactivated", 43, User, "alice"), judge(1, 42, "revoked"), judge(1, 43, "live"), judge(1, 44, "live"),
			judge(2, 42, "revoked"),
		}},
		{"another user", []Step{start(0, 40), hear(1, "user.deactivated", 43, "usr-0", "bob"), judge(1, 42, "live")}},
		{"keys", []Step{start(0, 40), hear(1, "key.changed", 43, Org, "k2"), judge(1, 42, "live")}},
		{"heartbeats have an age", []Step{
			start(0, 40), {At: 1, Age: true}, hear(2, "heartbeat", 44, "", ""), {At: 2, Age: true, Expect: 0.0}, {At: 9, Age: true, Expect: 7.0},
			hear(10, "session.ended", 45, "ses-0", "x"), {At: 12, Age: true, Expect: 10.0},
		}},
		{"where to go on", []Step{
			start(0, 40), {At: 0, Place: true, Expect: []any{40}}, hear(1, "session.ended", 45, "ses-0", "x"),
			{At: 1, Place: true, Expect: []any{45, 0}}, hear(2, "heartbeat", 47, "", ""), {At: 2, Place: true, Expect: []any{47}},
			hear(3, "session.ended", 49, "ses-0", "x"), hear(4, "heartbeat", 48, "", ""), {At: 4, Place: true, Expect: []any{49, 0}},
			{At: 5, Age: true, Expect: 1.0}, hear(6, "heartbeat", 49, "", ""), {At: 6, Place: true, Expect: []any{49}},
		}},
		{"after a resync nothing from before is known", []Step{
			start(0, 40), hear(1, "heartbeat", 60, "", ""), hear(1, "session.ended", 61, Session, "x"), judge(1, 42, "revoked"),
			hear(2, "resync", 30, "", ""), judge(2, 42, "unknown"), judge(2, 99, "unknown"), {At: 2, Age: true}, {At: 2, Place: true, Expect: []any{0}},
			hear(3, "row", 30, User, "alice"), judge(3, 42, "unknown"),
			hear(4, "synced", 30, "", ""), judge(4, 29, "unknown"), judge(4, 30, "live"), {At: 5, Age: true},
			{At: 5, Place: true, Expect: []any{30}}, hear(6, "heartbeat", 30, "", ""), {At: 7, Age: true, Expect: 1.0},
		}},
		{"what is older than any token is forgotten", []Step{
			start(0, 40), hear(1, "user.deactivated", 43, User, "alice"), hear(memorySeconds, "heartbeat", 50, "", ""), judge(memorySeconds, 42, "revoked"),
			hear(memorySeconds+62, "heartbeat", 51, "", ""), judge(memorySeconds+62, 42, "live"),
		}},
		{"too much to remember", tooMuch()},
	})
}

// changes are events and what they make of a token of the role nurse and the group
// ward-3 at index 42.
func changes() (timelines []Timeline) {
	for _, row := range []struct{ typ, object, detail, expect string }{
		{"user.deactivated", User, "alice", "revoked"},
		{"user.deleted", User, "alice", "revoked"},
		{"organization.updated", Org, "suspended", "stale"},
		{"organization.deleted", Org, "north", "stale"},
		{"group.members_changed", "grp-1", "ward-3: 0 joined, 1 left", "stale"},
		{"group.members_changed", "grp-2", "ward-33: 0 joined, 1 left", "live"},
		{"group.members_changed", "grp-2", "ward-3: 0 joined, 1 left: 0 joined, 1 left", "live"},
		{"group.deleted", "grp-2", "ward-9", "stale"},
		{"group.unnested", "grp-2", "ward-9 from hospital", "stale"},
		{"group.updated", "grp-2", "ward-9", "stale"}, // its old name was never heard
		{"role.updated", "rol-2", "doctor", "stale"},
		{"role.deleted", "rol-1", "nurse", "stale"},
		{"role.unassigned", "rol-1", "nurse from ward-3", "stale"},
		{"role.unassigned", "rol-1", "nurse from people from afar", "stale"},
		{"role.unassigned", "rol-2", "doctor from ward-3", "live"},
		{"role.unassigned", "rol-2", "night nurse from ward-3", "live"},
		{"assignment.expired", "rol-1", "nurse from alice", "stale"},
		{"session.refreshed", Session, "refresh token rotated", "live"},
		{"role.assigned", "rol-2", "doctor to ward-3", "live"},
		{"user.updated", User, "alice", "live"},
		{"something.new", User, "nurse", "live"},
	} {
		timelines = append(timelines, Timeline{fmt.Sprintf("%s %s", row.typ, row.detail), []Step{
			start(0, 40), hear(1, row.typ, 43, row.object, row.detail), judge(1, 42, row.expect), judge(1, 43, "live"), confirmed(1, 42, 43, "live"),
		}})
	}
	return append(timelines,
		Timeline{"a role whose names were heard concerns those who hold it", []Step{
			start(0, 40), hear(1, "role.updated", 41, "rol-2", "doctor"), hear(2, "role.updated", 43, "rol-2", "physician"), judge(2, 42, "live"),
		}},
		Timeline{"a renamed role, by the old name", []Step{
			start(0, 30), hear(1, "role.updated", 31, "rol-1", "nurse"), hear(2, "role.updated", 43, "rol-1", "carer"), judge(2, 42, "stale"),
		}},
		Timeline{"a renamed group, by the old name", []Step{
			start(0, 30), hear(1, "group.members_changed", 31, "grp-1", "ward-3: 1 joined, 0 left"),
			hear(2, "group.updated", 43, "grp-1", "ward-4"), judge(2, 42, "stale"),
		}},
	)
}

// tooMuch is the one step with a pattern: it is heard as often as it expects, with
// a number from 0 in the object.
func tooMuch() []Step {
	return []Step{
		start(0, 40), judge(0, 42, "live"),
		{At: 1, Hear: Object{"type": "session.ended", "index": 50, "ordinal": 0, "object": "ses-%d"}, Changed: new(bool), Expect: marksMax},
		judge(1, 42, "live"),
		hear(2, "session.ended", 51, "ses-last", "x"), judge(2, 42, "unknown"), judge(2, 50, "unknown"), judge(2, 51, "live"),
	}
}
