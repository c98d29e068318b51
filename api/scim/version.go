package scim

import (
	"encoding/binary"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// A version is the index of the entry that last changed the resource itself, and
// behind a hyphen what else shows in it: a user has the names of groups, and a
// deleted user leaves groups whose own record no entry has touched. Writes look at
// the index alone, for that is what they could overwrite; reads at both. What the
// connection does not see changes no version, with one exception below.

func (r *request) userTag(view *state.Org, u *directory.User) string {
	groups := view.Permissions().Groups(u.ID)
	if len(groups) == 0 {
		return etag(u.Version, 0)
	}
	sum, none := fnv.New64a(), true
	for _, id := range groups {
		if g, ok := r.sees.groupOf(view, id); ok {
			none = false
			sum.Write(id[:])
			sum.Write([]byte(g.Name))
			sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(g.Name)))) // ends the name
		}
	}
	if none {
		return etag(u.Version, 0)
	}
	return etag(u.Version, sum.Sum64())
}

// seesAllBit tells the versions apart that a group has before and after its
// connection comes to see all its members.
const seesAllBit = 1 << 62

// groupTag counts the members: without a change of the group's version they can only
// become fewer. It counts those that the connection does not see, too, since to look
// at each would cost what the group has members. Into a group of its own nobody but
// the connection itself has put them, when it saw all.
func (r *request) groupTag(view *state.Org, g *directory.Group) string {
	more := uint64(view.Permissions().MemberCount(g.ID) + len(view.Permissions().Children(g.ID)))
	if r.sees.all && more != 0 {
		more |= seesAllBit
	}
	return etag(g.Version, more)
}

func etag(version directory.Index, more uint64) string {
	tag := strconv.FormatUint(uint64(version), 10)
	if more != 0 {
		tag += "-" + strconv.FormatUint(more, 36)
	}
	return `W/"` + tag + `"`
}

// opaque is what tags are compared by, weakly: the states of one version are one and
// the same.
func opaque(tag string) string {
	return strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`)
}

// conditions are the tags of a header that may come in several lines.
func (r *request) conditions(header string) []string {
	values := r.Header.Values(header)
	if len(values) == 0 {
		return nil
	}
	return strings.Split(strings.Join(values, ","), ",")
}

// matches holds If-Match and If-None-Match against a version (RFC 7644 section 3.14). Nobody asks it
// of what is not there: that is not found, whatever the condition (RFC 9110 section
// 13.2.1).
func (r *request) matches(version directory.Index) error {
	if r.names("If-None-Match", version) {
		// No Precondition, after which a change that names no version is tried again.
		detail := "If-None-Match: the resource has version " + etag(version, 0) + ", and the change was asked for unless it has"
		return &failure{status: http.StatusPreconditionFailed, detail: detail}
	}
	if r.guard(version) == 0 || r.names("If-Match", version) {
		return nil
	}
	return directory.Precondition("If-Match", "the resource has version %s; read it again and repeat the change on what it is now", etag(version, 0))
}

// names reports whether a condition holds for a version.
func (r *request) names(header string, version directory.Index) bool {
	for _, tag := range r.conditions(header) {
		index, _, _ := strings.Cut(opaque(tag), "-")
		if strings.TrimSpace(tag) == "*" || index == opaque(etag(version, 0)) {
			return true
		}
	}
	return false
}

// guard is the version a write is bound to when the client asked for one.
func (r *request) guard(version directory.Index) directory.Index {
	for _, tag := range r.conditions("If-Match") {
		switch strings.TrimSpace(tag) {
		case "*":
			return 0
		case "":
		default:
			return version
		}
	}
	return 0
}

// unchanged answers 304 to a client that reads what it has already (RFC 9110 section
// 13.1.2).
func (r *request) unchanged(tag string) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for _, have := range r.conditions("If-None-Match") {
		if strings.TrimSpace(have) == "*" || opaque(have) == opaque(tag) {
			r.w.Header().Set("ETag", tag)
			r.w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	return false
}
