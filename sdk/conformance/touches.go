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
