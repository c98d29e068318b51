package state

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/authfi/authfi/directory"
)

// Bounds of what one entry of the log lists; what is beyond is only counted and
// named by its digest.
const (
	edgesListedMax = 64
	rowsListedMax  = 50
)

// changes collects what a command does to the rows, once for all commands: the
// log tells of an object what it was and what it is.
type changes struct {
	rows   []*rowChange
	edges  []*edgeChange
	rights rights
}

// rowChange is a row before and after a command; nil where there was none.
type rowChange struct {
	key           string
	before, after any
}

// edgeChange is what joined and what left one group.
type edgeChange struct {
	prefix       string // table and group
	joined, left idList
}

type idList struct {
	ids   []string
	count int
	bytes []byte // of all ids, for the digest, once there are too many to list
}

// audited are the tables whose rows people look after.
func audited(table byte) bool {
	switch table {
	case tableEvent, tableAudit, tableRequest, tableProof, tableDevice:
		return false
	}
	return true
}

func (c *changes) row(key string, before, after any) {
	if !audited(key[0]) {
		return
	}
	c.rights.row(before, after)
	for i := len(c.rows) - 1; i >= 0 && i >= len(c.rows)-rowsListedMax; i-- {
		if c.rows[i].key == key {
			c.rows[i].after = after
			return
		}
	}
	c.rows = append(c.rows, &rowChange{key, before, after})
}

func (c *changes) edge(key string, present bool) {
	c.rights.edge(key, present)
	prefix, id := key[:1+len(directory.GroupID{})], key[1+len(directory.GroupID{}):]
	e := c.group(prefix)
	list := &e.left
	if present {
		list = &e.joined
	}
	list.count++
	if list.bytes = append(list.bytes, id...); list.count <= edgesListedMax {
		list.ids = append(list.ids, edgeText(key[0], id))
	}
}

// group finds what is known of a group already; beyond the last rowsListedMax of
// them it begins anew.
func (c *changes) group(prefix string) *edgeChange {
	for i := len(c.edges) - 1; i >= 0 && i >= len(c.edges)-rowsListedMax; i-- {
		if c.edges[i].prefix == prefix {
			return c.edges[i]
		}
	}
	e := &edgeChange{prefix: prefix}
	c.edges = append(c.edges, e)
	return e
}

func edgeText(table byte, id string) string {
	if table == tableNesting {
		return directory.GroupID([]byte(id)).String()
	}
	return directory.UserID([]byte(id)).String()
}

// value lists the ids, or counts them and gives the SHA-256 of their bytes in
// the order in which they changed.
func (l *idList) value() []byte {
	if l.count <= edgesListedMax {
		return textList(l.ids)
	}
	sum := sha256.Sum256(l.bytes)
	var o fields
	o.number("count", int64(l.count))
	o.text("sha256", hex.EncodeToString(sum[:]))
	return o.render()
}

// detail is what the log says of one object.
type detail struct{ before, after fields }

func (d *detail) row(c *rowChange) {
	before, after := fieldsOf(c.before), fieldsOf(c.after)
	for _, b := range before {
		if !after.has(b) {
			d.before = append(d.before, b)
		}
	}
	for _, a := range after {
		if !before.has(a) {
			d.after = append(d.after, a)
		}
	}
}

func (d *detail) edge(c *edgeChange) {
	name := "members"
	if c.prefix[0] == tableNesting {
		name = "groups"
	}
	if c.left.count > 0 {
		d.before.raw(name, c.left.value())
	}
	if c.joined.count > 0 {
		d.after.raw(name, c.joined.value())
	}
}

// describe gives each event what the command changed of its object. What belongs
// to no event's object (an assignment is reported under its role) goes to the
// events without a change of their own, in order, and then to the first as
// "rows", by id.
func describe(events []directory.Event, c changes) {
	details := make([]detail, len(events))
	took := make([]bool, len(events))
	place := map[string]int{}
	for i := range events {
		if _, seen := place[events[i].Object]; !seen {
			place[events[i].Object] = i
		}
	}
	var loose []*rowChange
	for _, r := range c.rows {
		if i, ok := place[objectID(r.key)]; ok {
			details[i].row(r)
			took[i] = true
		} else {
			loose = append(loose, r)
		}
	}
	for i := range events {
		place[events[i].Object] = i // edges belong to the last event of a group
	}
	var rest detail
	groups := 0 // in rest
	for _, e := range c.edges {
		if i, ok := place[objectID(e.prefix)]; ok {
			details[i].edge(e)
			took[i] = true
		} else if groups++; groups <= rowsListedMax {
			var d detail
			d.edge(e)
			rest.nest(objectID(e.prefix), d)
		}
	}
	for i := range events {
		if !took[i] && len(loose) > 0 {
			details[i].row(loose[0])
			loose = loose[1:]
		}
	}
	for _, r := range loose[:min(len(loose), rowsListedMax)] {
		var d detail
		d.row(r)
		rest.nest(objectID(r.key), d)
	}
	rest.more(max(len(loose)-rowsListedMax, 0) + max(groups-rowsListedMax, 0))
	details[0].nest("rows", rest)
	for i := range events {
		if events[i].Before == "" && events[i].After == "" { // a new organization's event is in two logs
			events[i].Before, events[i].After = details[i].text()
		}
	}
}

// nest puts what another detail says under a name.
func (d *detail) nest(name string, inner detail) {
	if len(inner.before) > 0 {
		d.before.raw(name, inner.before.render())
	}
	if len(inner.after) > 0 {
		d.after.raw(name, inner.after.render())
	}
}

func (d *detail) more(rows int) {
	if rows > 0 {
		d.after.number("more", int64(rows))
	}
}

// text is the two JSON objects, empty where there is nothing to say; together
// they keep AuditDetailMax, or only name their fields.
func (d *detail) text() (before, after string) {
	b, a := d.before.render(), d.after.render()
	if len(b)+len(a) > directory.AuditDetailMax {
		b, a = d.before.summary(b), d.after.summary(a)
	}
	return object(d.before, b), object(d.after, a)
}

func object(f fields, rendered []byte) string {
	if len(f) == 0 {
		return ""
	}
	return string(rendered)
}

// summary names the fields and gives the SHA-256 of the whole object.
func (f fields) summary(rendered []byte) []byte {
	var names []string
	for _, field := range f {
		names = append(names, field.name)
	}
	slices.SortFunc(names, strings.Compare)
	sum := sha256.Sum256(rendered)
	var o fields
	o.raw("fields", textList(names))
	o.text("sha256", hex.EncodeToString(sum[:]))
	return o.render()
}

// objectID is the text id of a row as events name it.
func objectID(key string) string {
	var id [16]byte
	if len(key) >= 1+len(id) {
		copy(id[:], key[1:])
	}
	switch key[0] {
	case tableUser:
		return directory.UserID(id).String()
	case tableGroup, tableMember, tableNesting:
		return directory.GroupID(id).String()
	case tableRole:
		return directory.RoleID(id).String()
	case tableAssignment:
		return directory.AssignmentID(id).String()
	case tableSession:
		return directory.SessionID(id).String()
	case tableConnection:
		return directory.ConnectionID(id).String()
	case tableService:
		return directory.ServiceID(id).String()
	case tableAPIKey:
		return directory.APIKeyID(id).String()
	case tableEventStream:
		return directory.EventStreamID(id).String()
	case tableClient:
		return directory.ClientID(id).String()
	case tableOperator:
		return directory.OperatorID(id).String()
	}
	return rowName(key)
}

// rowName names the rows that have no id of their own.
func rowName(key string) string {
	switch key[0] {
	case tableOrganization:
		return "organization"
	case tableSchema:
		return "schema"
	case tablePermission:
		return "permission " + key[1:]
	case tableKey:
		return "key " + key[1:]
	case tableJoinToken:
		return "join token " + key[1:]
	case tableTokenSecret:
		return "token secret"
	case tableRecoveryKey:
		return "recovery key"
	case tableRotation:
		return "rotation"
	case tableLevel:
		return "feature level"
	}
	return ""
}
