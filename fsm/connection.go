package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// ConnectionsMax bounds the connections of one organization.
const ConnectionsMax = 32

// CreateConnection gives an identity provider the right to provision. It can then
// put anybody into any group that makes no owners, whatever roles the group has, so
// among delegates only an owner makes one.
type CreateConnection struct {
	Connection directory.Connection `cbor:"1,keyasint"`
}

func (*CreateConnection) Kind() Kind { return KindCreateConnection }

func (c *CreateConnection) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	con := c.Connection
	if err := con.Provider.Check(); err != nil {
		return Outcome{}, err
	}
	if !mayOwn(tx, env) {
		return Outcome{}, directory.Denied("a connection can be made by an owner only: it may put people into any group")
	}
	if _, taken := tx.Connection(con.ID); taken || con.ID.IsZero() {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	if tx.Connections() >= ConnectionsMax {
		return Outcome{}, directory.Exhausted("connections", "the organization has %d connections", ConnectionsMax)
	}
	con.Created, con.Version = env.Now, e.index
	tx.PutConnection(&con)
	e.event(directory.ConnectionCreated, con.ID, "%s", con.Provider)
	e.row(directory.RowConnection, con.ID)
	return changed(con.ID)
}

// DeleteConnection ends a connection at once; what it provisioned stays.
type DeleteConnection struct {
	ID directory.ConnectionID `cbor:"1,keyasint"`
}

func (*DeleteConnection) Kind() Kind { return KindDeleteConnection }

func (c *DeleteConnection) apply(tx *state.OrgTx, _ *Envelope, e *effects) (Outcome, error) {
	con, ok := tx.Connection(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("connection")
	}
	tx.DeleteConnection(con)
	e.event(directory.ConnectionDeleted, con.ID, "%s", con.Provider)
	e.row(directory.RowConnection, con.ID)
	return changed(con.ID)
}
