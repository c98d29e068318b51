package admin_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/wire"
	"github.com/authfi/authfi/keyring"
)

// direct makes an operator's changes without HTTP, for what would take too long.
type direct struct {
	t    testing.TB
	log  *memoryLog
	ring *keyring.Keyring
	env  fsm.Envelope
}

// newDirect is a node with one organization, and both ways to it.
func newDirect(t testing.TB) (*server, *direct, string) {
	t.Helper()
	s := newServer(t)
	org, _ := s.organization("clinic")
	id, err := directory.ParseOrgID(org)
	must(t, err)
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(s.token, "afo_"))
	must(t, err)
	d := &direct{t: t, log: s.log, ring: s.ring, env: fsm.Envelope{Org: id, Actor: directory.Actor{Kind: directory.ActorOperator}}}
	copy(d.env.Actor.ID[:], raw)
	return s, d, org
}

// try applies a command and returns what the machine says to it.
func (d *direct) try(command fsm.OrgCommand) error {
	d.t.Helper()
	env := d.env
	env.Now, env.Command = directory.TimeOf(time.Now()), command
	entry, err := wire.Encode(&env)
	must(d.t, err)
	result, err := d.log.Propose(d.t.Context(), entry)
	must(d.t, err)
	return result.Err
}

func (d *direct) do(command fsm.OrgCommand) {
	d.t.Helper()
	must(d.t, d.try(command))
}

func (d *direct) user(name string) directory.UserID {
	d.t.Helper()
	id := access.NewID[directory.UserID](time.Now())
	d.do(&fsm.CreateUser{User: directory.User{ID: id, UserName: name, Active: true, Source: directory.SourceAPI}})
	return id
}

func (d *direct) group(name string, members ...directory.UserID) directory.GroupID {
	d.t.Helper()
	id := access.NewID[directory.GroupID](time.Now())
	d.do(&fsm.CreateGroup{Group: directory.Group{ID: id, Name: name, Source: directory.SourceAPI}, Members: members})
	return id
}

func (d *direct) role(name string, permissions ...directory.Permission) directory.RoleID {
	d.t.Helper()
	id := access.NewID[directory.RoleID](time.Now())
	d.do(&fsm.CreateRole{Role: directory.Role{ID: id, Name: name, Permissions: permissions}})
	return id
}

// give gives a role to a user or to a group.
func (d *direct) give(role directory.RoleID, to any) {
	d.t.Helper()
	command := &fsm.AssignRole{ID: access.NewID[directory.AssignmentID](time.Now()), Role: role}
	switch holder := to.(type) {
	case directory.UserID:
		command.User = holder
	case directory.GroupID:
		command.Group = holder
	default:
		d.t.Fatalf("%T holds no role", to)
	}
	d.do(command)
}
