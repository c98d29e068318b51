package directory

import (
	"fmt"
	"strconv"
	"strings"
)

// RightKind says which fact of who may do what has changed. Append-only: the
// numbers are in the log.
type RightKind uint8

const (
	RightUser        RightKind = iota + 1 // there is the user
	RightActive                           // the user is active
	RightGroup                            // there is the group
	RightRole                             // there is the role
	RightPermissions                      // the role has the permissions, or Count of them that are not named
	RightMember                           // the group has the user
	RightMembers                          // the group has Count users who are not named
	RightNested                           // the group has the group To in it
	RightUserRole                         // the role is assigned to the user To
	RightGroupRole                        // the role is assigned to the group To
	RightUnnamed                          // Count further changes, of whatever kind
)

// Right is one change of who may do what, as an entry of the log tells it: enough to
// be undone, so that the past can be told from the present.
type Right struct {
	Kind        RightKind    `cbor:"1,keyasint"`
	On          bool         `cbor:"2,keyasint,omitempty"` // it came to be; otherwise it ended
	Of          [16]byte     `cbor:"3,keyasint,omitzero"`
	To          [16]byte     `cbor:"4,keyasint,omitzero"`
	Permissions []Permission `cbor:"5,keyasint,omitempty"`
	Count       uint32       `cbor:"6,keyasint,omitempty"`
}

// Bounds of what one entry tells. What is beyond is counted.
const (
	RightsPerEntryMax       = 1_024
	MembersPerRightsMax     = 64      // of one group and direction
	PermissionsPerRightsMax = 2 << 10 // bytes of the names that a role gained or lost
)

// form is how a kind is written: its word and the prefixes of its ids.
type form struct{ word, of, to string }

var forms = [...]form{
	RightUser:        {"user", userPrefix, ""},
	RightActive:      {"active", userPrefix, ""},
	RightGroup:       {"group", groupPrefix, ""},
	RightRole:        {"role", rolePrefix, ""},
	RightPermissions: {"permissions", rolePrefix, ""},
	RightMember:      {"member", groupPrefix, userPrefix},
	RightMembers:     {"members", groupPrefix, ""},
	RightNested:      {"nested", groupPrefix, groupPrefix},
	RightUserRole:    {"user-role", rolePrefix, userPrefix},
	RightGroupRole:   {"group-role", rolePrefix, groupPrefix},
	RightUnnamed:     {"unnamed", "", ""},
}

// String is the change on one line: "+member grp-… usr-…".
func (r Right) String() string {
	if int(r.Kind) >= len(forms) {
		return "unknown"
	}
	f, sign := forms[r.Kind], "-"
	if r.On {
		sign = "+"
	}
	words := []string{sign + f.word}
	if f.of != "" {
		words = append(words, format(f.of, r.Of))
	}
	if f.to != "" {
		words = append(words, format(f.to, r.To))
	}
	for _, p := range r.Permissions {
		words = append(words, string(p))
	}
	if r.Count > 0 {
		words = append(words, strconv.FormatUint(uint64(r.Count), 10))
	}
	return strings.Join(words, " ")
}

// ParseRight reads what String writes.
func ParseRight(s string) (r Right, err error) {
	words := strings.Split(s, " ")
	sign, word := words[0], ""
	if sign != "" {
		sign, word = sign[:1], sign[1:]
	}
	r.On = sign == "+"
	for kind, f := range forms {
		if f.word == word && word != "" {
			r.Kind = RightKind(kind)
		}
	}
	if r.Kind == 0 || sign != "+" && sign != "-" {
		return Right{}, fmt.Errorf("%.64q is no change of a right", s)
	}
	words = words[1:]
	for _, end := range []struct {
		prefix string
		id     *[16]byte
	}{{forms[r.Kind].of, &r.Of}, {forms[r.Kind].to, &r.To}} {
		if end.prefix == "" {
			continue
		}
		if len(words) == 0 {
			return Right{}, fmt.Errorf("%.64q names too little", s)
		}
		if *end.id, err = parse(end.prefix, "rights", words[0]); err != nil {
			return Right{}, err
		}
		words = words[1:]
	}
	return r, r.parseRest(words)
}

func (r *Right) parseRest(words []string) error {
	for _, word := range words {
		p := Permission(word)
		switch n, err := strconv.ParseUint(word, 10, 32); {
		case err == nil && n > 0 && r.Count == 0 && strconv.FormatUint(n, 10) == word:
			r.Count = uint32(n)
		case r.Kind == RightPermissions && r.Count == 0 && p.Check() == nil:
			r.Permissions = append(r.Permissions, p)
		default:
			return fmt.Errorf("%.64q does not belong to a change of a right", word)
		}
	}
	return nil
}
