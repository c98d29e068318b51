package authfi

import (
	"math"
	"regexp"
	"strings"
	"time"
)

// Bounds of what is remembered of the feed.
const (
	// memory outlasts every token: one that is older has run out.
	memory = lifeMax + 2*SkewMax
	// marksMax bounds what is remembered; beyond it all is forgotten, and tokens
	// from before are asked about, one by one.
	marksMax = 200_000
)

// followed are the types of events that can take something away. What is given
// reaches a user with the next token. An entry names whose rights it touches in its
// first event, which may be one that gives.
var followed = []string{
	"user.deactivated", "user.deleted", "session.ended", "key.changed",
	"organization.updated", "organization.deleted",
	"group.members_changed", "group.updated", "group.deleted", "group.unnested", "group.nested",
	"role.updated", "role.deleted", "role.unassigned", "role.assigned", "assignment.expired",
}

// message is one of the feed.
type message struct {
	Type      string   `json:"type"`
	Index     uint64   `json:"index"`
	Ordinal   uint32   `json:"ordinal"`
	Object    string   `json:"object"`
	Detail    string   `json:"detail"`
	UserIDs   []string `json:"user_ids"`  // whose rights it touches
	Everybody bool     `json:"everybody"` // they are too many to be named
	Proof     string   `json:"proof"`     // of a heartbeat
}

// verdict is what the feed says of a token.
type verdict string

const (
	tokenLive    verdict = "live"
	tokenRevoked verdict = "revoked"
	tokenStale   verdict = "stale"   // something that it was made of has changed
	tokenUnknown verdict = "unknown" // it is from before the feed was followed

	// tokenReferred is one by reference whose rights were not told yet, or have changed
	// since.
	tokenReferred verdict = "referred"
)

// mark is the index of a change and when it may be forgotten.
type mark struct {
	index uint64
	until time.Time
}

// marks are the newest changes, by id or by name.
type marks map[string]mark

func (m marks) after(id string, index uint64) bool { return m[id].index > index }

func (m marks) prune(now time.Time) {
	for id, at := range m {
		if now.After(at.until) {
			delete(m, id)
		}
	}
}

// feed is what has been heard. The owner calls it under a lock.
type feed struct {
	floor    uint64 // tokens from before it are unknown
	at       uint64 // place to go on from
	ordinal  *uint32
	beat     time.Time // of the last heartbeat; zero: none since the beginning
	org      uint64    // of the last change that may concern every token
	users    marks     // those who are gone
	touched  marks     // users whose rights have changed
	sessions marks
	roles    marks // by name, which is what tokens hold
	groups   marks
	names    map[string]string // of roles and groups, by id
	pruned   time.Time
}

func newFeed() *feed {
	f := &feed{}
	f.forget(math.MaxUint64)
	return f
}

// forget begins anew: of tokens from before floor nothing is known.
func (f *feed) forget(floor uint64) {
	f.floor, f.org = floor, 0
	f.users, f.touched, f.sessions, f.roles, f.groups = marks{}, marks{}, marks{}, marks{}, marks{}
	f.names = map[string]string{}
}

// start follows from an index on.
func (f *feed) start(index uint64) {
	f.forget(index)
	f.at, f.ordinal, f.beat = index, nil, time.Time{}
}

// hear takes one message, in order, and reports whether keys have changed. Of
// heartbeats it takes those that are proven.
func (f *feed) hear(m message, now time.Time) (keysChanged bool) {
	switch m.Type {
	case "row", "closed":
		return false
	case "resync":
		f.start(math.MaxUint64)
		f.at = 0
		return false
	case "synced":
		f.forget(m.Index)
		f.at, f.ordinal, f.beat = m.Index, nil, time.Time{} // a heartbeat follows, and proves it
		return true                                         // whatever has changed meanwhile
	case "heartbeat":
		if f.beat = now; m.Index >= f.at { // one that has waited for its key may be older
			f.at, f.ordinal = m.Index, nil
		}
		f.prune(now)
		return false
	}
	f.at, f.ordinal = m.Index, &m.Ordinal
	f.note(m, mark{m.Index, now.Add(memory)})
	if len(f.users)+len(f.touched)+len(f.sessions)+len(f.roles)+len(f.groups)+len(f.names) > marksMax {
		f.forget(m.Index)
	}
	return m.Type == "key.changed"
}

func (f *feed) note(m message, at mark) {
	// Whoever is named is reached whatever the type: it is by this alone that a
	// client's token, which names no roles and groups, is known to be stale.
	for _, user := range m.UserIDs {
		f.touched[user] = at
	}
	if m.Everybody {
		f.org = m.Index
	}
	switch m.Type {
	case "user.deactivated", "user.deleted":
		f.users[m.Object] = at
	case "session.ended":
		f.sessions[m.Object] = at
	case "organization.updated", "organization.deleted", "group.deleted", "group.unnested":
		f.org = m.Index // groups in groups: tokens name only those that a user is in
	case "group.members_changed":
		name := counts.ReplaceAllString(m.Detail, "")
		f.groups[name], f.names[m.Object] = at, name
	case "group.updated":
		f.rename(f.groups, m, at)
	case "role.updated", "role.deleted":
		f.rename(f.roles, m, at)
	case "role.unassigned", "assignment.expired":
		for _, name := range beforeFrom(m.Detail) {
			f.roles[name] = at
		}
	}
}

// counts end the detail of a change of members.
var counts = regexp.MustCompile(`: [0-9]+ joined, [0-9]+ left$`)

// rename marks the old name, which older tokens hold, and the new one. An old name
// that was never heard may be any.
func (f *feed) rename(of marks, m message, at mark) {
	old, heard := f.names[m.Object]
	if !heard {
		f.org = m.Index
	}
	of[old], of[m.Detail], f.names[m.Object] = at, at, m.Detail
}

// beforeFrom are the names that "NAME from HOLDER" may begin with; names may hold
// the word, too.
func beforeFrom(detail string) (names []string) {
	const from = " from "
	for i := 0; ; {
		n := strings.Index(detail[i:], from)
		if n < 0 {
			return names
		}
		names = append(names, detail[:i+n])
		i += n + len(from)
	}
}

// pruneEvery keeps the work of forgetting away from most heartbeats.
const pruneEvery = time.Minute

func (f *feed) prune(now time.Time) {
	if now.Sub(f.pruned) < pruneEvery {
		return
	}
	f.pruned = now
	for _, m := range []marks{f.users, f.touched, f.sessions, f.roles, f.groups} {
		m.prune(now)
	}
}

// judge says what is known of a token. confirmed is the index at which a node has
// vouched for what it holds, or zero; of one by reference counts when it was told.
func (f *feed) judge(u *User, confirmed uint64) verdict {
	index := u.index
	if !u.referred {
		index = max(index, confirmed)
	}
	if _, ended := f.sessions[u.SessionID]; ended || f.users.after(u.ID, index) {
		return tokenRevoked
	}
	changed := f.org > index || f.touched.after(u.ID, index) || f.roles.any(u.Roles, index) || f.groups.any(u.Groups, index)
	switch {
	case u.referred && (changed || !u.told):
		return tokenReferred
	case changed:
		return tokenStale
	case index < f.floor:
		return tokenUnknown
	}
	return tokenLive
}

func (m marks) any(names []string, index uint64) bool {
	if len(m) == 0 {
		return false
	}
	for _, name := range names {
		if m.after(name, index) {
			return true
		}
	}
	return false
}
