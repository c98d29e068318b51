package scim

import (
	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
)

// switches are those of the connection that asks. Whoever is none has the zero ones,
// and is refused as soon as anything is asked.
func (r *request) switches() (s directory.Switches) {
	org, ok := r.server.Gate.Root().Org(r.org)
	if !ok {
		return s
	}
	if c, ok := org.Connection(directory.ConnectionID(r.caller.Actor.ID)); ok {
		return c.Switches
	}
	return s
}

// options are the connection's choices where the RFC and practice collide.
func (r *request) options() (o patch.Options) {
	s := r.switches()
	if s.NoTarget {
		o.ReplaceMissing = patch.ReplaceNeedsTarget
	}
	if s.RejectMembers {
		o.UnknownMembers = patch.RejectUnknownMembers
	}
	if s.RejectAttributes {
		o.UnknownAttributes = patch.RejectUnknownAttributes
	}
	if org, ok := r.server.Gate.Root().Org(r.org); ok {
		o.Extensions = declaredIn(org.Schema())
	}
	return o
}
