package conformance

import "fmt"

// namedMax is how many users an event names at most.
const namedMax = 64

// touch is an event that names whose rights it touches.
func touch(at float64, typ string, index uint64, users ...string) Step {
	s := hear(at, typ, index, "rol-9", "astronaut")
	s.Hear["user_ids"] = append([]string{}, users...)
	return s
}

func everybody(at float64, typ string, index uint64) Step {
	s := touch(at, typ, index)
	s.Hear["everybody"] = true
	return s
}

// bare is asked of a token that names no roles and groups, as those of clients.
func bare(at float64, ri uint64, expect string) Step {
	return Step{At: at, Expect: expect, Judge: &Judged{Sub: User, Sid: Session, Roles: []string{}, Groups: []string{}, Ri: ri}}
}

// asked is asked of a token by reference that was told its rights at an index.
func asked(at float64, index uint64, expect string) Step {
	s := judge(at, index, expect)
	s.Judge.Referred, s.Judge.Told = true, true
	return s
}

// unasked is asked of one that was not told them yet.
func unasked(at float64, ri uint64, expect string) Step {
	s := bare(at, ri, expect)
	s.Judge.Referred = true
	return s
}

// references are tokens that leave out their rights: they are asked about until a node
// has told them, and again when the feed says that they have changed since.
func references() []Timeline {
	return []Timeline{
		{"by reference, before anything is heard", []Step{unasked(0, 42, "referred"), asked(0, 42, "unknown")}},
		{"by reference, and told once", []Step{
			start(0, 40), unasked(0, 42, "referred"), asked(0, 42, "live"), hear(1, "heartbeat", 99, "", ""), asked(1, 42, "live"), unasked(1, 42, "referred"),
		}},
		{"by reference, told before the beginning", []Step{start(0, 50), asked(0, 49, "unknown"), asked(0, 50, "live")}},
		{"by reference, and the user is named", []Step{
			start(0, 40), touch(1, "role.updated", 43, "usr-0"), hear(1, "role.updated", 44, "rol-9", "astronaut"), asked(1, 44, "live"),
			touch(2, "role.updated", 45, User), asked(2, 44, "referred"), unasked(2, 44, "referred"), asked(2, 45, "live"),
		}},
		{"by reference, and everybody may be touched", []Step{
			start(0, 40), everybody(1, "role.assigned", 43), asked(1, 42, "referred"), asked(1, 43, "live"),
		}},
		{"by reference, and a role is taken", []Step{
			start(0, 40), hear(1, "role.unassigned", 43, "rol-1", "nurse from ward-3"), asked(1, 42, "referred"), asked(1, 43, "live"),
		}},
		{"by reference, and a group has others", []Step{
			start(0, 40), hear(1, "group.members_changed", 43, "grp-1", "ward-3: 0 joined, 1 left"), asked(1, 42, "referred"), asked(1, 43, "live"),
		}},
		{"by reference, and the organization has changed", []Step{
			start(0, 40), hear(1, "organization.updated", 43, Org, "north"), asked(1, 42, "referred"), asked(1, 43, "live"),
		}},
		{"by reference, and the session has ended", []Step{
			start(0, 40), hear(1, "session.ended", 43, Session, "x"), asked(1, 42, "revoked"), asked(1, 43, "revoked"), unasked(1, 42, "revoked"),
		}},
		{"by reference, and the user is gone", []Step{
			start(0, 40), hear(1, "user.deactivated", 43, User, "alice"), asked(1, 42, "revoked"), unasked(1, 42, "revoked"),
		}},
		{"by reference, what a node has vouched for is not what was told", []Step{
			start(0, 40), touch(1, "role.updated", 43, User),
			{At: 1, Expect: "referred", Judge: &Judged{Sub: User, Sid: Session, Roles: []string{}, Groups: []string{}, Ri: 42, Confirmed: 43, Referred: true, Told: true}},
		}},
	}
}

// touches are events that name whose rights they touch: the tokens of those users from
// before are stale, whatever else they hold.
func touches() (timelines []Timeline) {
	for _, typ := range []string{
		"group.members_changed", "group.nested", "role.updated", "role.deleted", "role.assigned", "role.unassigned", "assignment.expired", "something.new",
	} {
		timelines = append(timelines, Timeline{fmt.Sprint(typ, " names the user"), []Step{
			start(0, 40), hear(0, "role.updated", 41, "rol-9", "astronaut"), bare(0, 41, "live"), touch(1, typ, 43, "usr-0", User),
			bare(1, 42, "stale"), bare(1, 43, "live"), bare(1, 44, "live"), judge(1, 42, "stale"), confirmed(1, 42, 43, "live"), confirmed(1, 41, 42, "stale"),
		}})
	}
	many := []string{}
	for i := range namedMax - 1 {
		many = append(many, fmt.Sprint("usr-", i))
	}
	return append(timelines, []Timeline{
		{"another user is named", []Step{start(0, 40), touch(1, "role.assigned", 43, "usr-0"), bare(1, 42, "live"), judge(1, 42, "live")}},
		{"nobody is named", []Step{start(0, 40), touch(1, "role.assigned", 43), bare(1, 42, "live"), judge(1, 42, "live")}},
		{"as many as can be named, the user last", []Step{
			start(0, 40), touch(1, "role.assigned", 43, append(many, User)...), bare(1, 42, "stale"), bare(1, 43, "live"),
		}},
		{"everybody may be touched", []Step{
			start(0, 40), everybody(1, "role.assigned", 43), bare(1, 42, "stale"), judge(1, 42, "stale"), bare(1, 43, "live"), confirmed(1, 42, 43, "live"),
		}},
		{"a user is named twice: the later one counts", []Step{
			start(0, 40), touch(1, "role.assigned", 43, User), touch(2, "role.assigned", 45, User), bare(2, 43, "stale"), bare(2, 44, "stale"), bare(2, 45, "live"),
		}},
		{"who is named and goes is gone", []Step{
			start(0, 40), touch(1, "role.assigned", 43, User), hear(2, "user.deactivated", 44, User, "alice"), bare(2, 42, "revoked"), bare(2, 43, "revoked"),
		}},
		{"that a user was named is forgotten when no token is left from before", []Step{
			start(0, 40), touch(1, "role.assigned", 43, User), hear(memorySeconds, "heartbeat", 50, "", ""), bare(memorySeconds, 42, "stale"),
			hear(memorySeconds+62, "heartbeat", 51, "", ""), bare(memorySeconds+62, 42, "live"),
		}},
	}...)
}
