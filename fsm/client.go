package fsm

import (
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// CreateClient lets an application ask for tokens. Whoever has its secret or its
// redirect URI gets the tokens, so nobody makes one whose tokens may carry what they
// do not hold, and only an owner one whose tokens carry all that any user holds.
type CreateClient struct {
	Client directory.Client `cbor:"1,keyasint"`
}

func (*CreateClient) Kind() Kind { return KindCreateClient }

func (c *CreateClient) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	client := c.Client
	if err := client.Check(); err != nil {
		return Outcome{}, err
	}
	if err := mayHaveClient(tx, env, &client); err != nil {
		return Outcome{}, err
	}
	if _, taken := tx.Client(client.ID); taken {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	if tx.Clients() >= directory.ClientsMax {
		return Outcome{}, directory.Exhausted("clients", "the organization has %d clients", directory.ClientsMax)
	}
	client.Created, client.Version = env.Now, e.index
	tx.PutClient(&client)
	e.event(directory.ClientCreated, client.ID, "%s", client.Name)
	e.row(directory.RowClient, client.ID)
	return changed(client.ID)
}

// mayHaveClient asks of the actor what the client could get for them.
func mayHaveClient(tx *state.OrgTx, env *Envelope, client *directory.Client) error {
	if err := maySignBy(tx, client.Algorithm); err != nil {
		return err
	}
	if client.Unbounded && client.Allows(directory.GrantAuthorizationCode) && !mayOwn(tx, env) {
		return directory.Denied("a client with all permissions of its users can be kept by an owner only")
	}
	if err := mayGive(tx, env, client.Permissions); err != nil {
		return err
	}
	if client.Account.IsZero() {
		return nil
	}
	account, ok := tx.User(client.Account)
	if !ok {
		return directory.NotFound("user")
	}
	if !account.Service {
		return directory.Invalid("account_id", "is not a service account")
	}
	if !account.Active { // what it holds would not show
		return directory.Precondition("account_id", "the service account is deactivated")
	}
	if err := mayTouch(tx, env, account.ID); err != nil {
		return err
	}
	for _, r := range tx.Edges().Roles(account.ID) {
		if err := mayGiveRole(tx, env, r); err != nil {
			return err
		}
	}
	return nil
}

// UpdateClient changes what is not nil. It takes the same of the actor as making the
// client that comes of it; and where the client may do less than before, its
// sessions end.
type UpdateClient struct {
	ID          directory.ClientID      `cbor:"1,keyasint"`
	Name        *string                 `cbor:"2,keyasint,omitempty"`
	Redirects   *[]string               `cbor:"3,keyasint,omitempty"`
	Grants      *[]directory.GrantType  `cbor:"4,keyasint,omitempty"`
	Permissions *[]directory.Permission `cbor:"5,keyasint,omitempty"`
	Unbounded   *bool                   `cbor:"6,keyasint,omitempty"`
	Secret      *[32]byte               `cbor:"7,keyasint,omitempty"` // takes the place of keys, too
	Keys        *[]byte                 `cbor:"8,keyasint,omitempty"` // take the place of the secret, too
	IfVersion   directory.Index         `cbor:"9,keyasint,omitempty"`
	Algorithm   *directory.KeyAlgorithm `cbor:"20,keyasint,omitempty"`
	Logout      *string                 `cbor:"21,keyasint,omitempty"`
	PostLogout  *[]string               `cbor:"22,keyasint,omitempty"`
	Binds       *bool                   `cbor:"23,keyasint,omitempty"`
	Pushes      *bool                   `cbor:"24,keyasint,omitempty"`
}

func (*UpdateClient) Kind() Kind { return KindUpdateClient }

func (c *UpdateClient) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	old, ok := tx.Client(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("client")
	}
	if c.IfVersion != 0 && c.IfVersion != old.Version {
		return Outcome{}, directory.Precondition("version", "the client has changed since it was read")
	}
	client := *old
	set(&client.Name, c.Name)
	set(&client.Redirects, c.Redirects)
	set(&client.Grants, c.Grants)
	set(&client.Permissions, c.Permissions)
	set(&client.Unbounded, c.Unbounded)
	set(&client.Algorithm, c.Algorithm)
	set(&client.Logout, c.Logout)
	set(&client.PostLogout, c.PostLogout)
	set(&client.Binds, c.Binds)
	set(&client.Pushes, c.Pushes)
	if c.Secret != nil {
		client.Secret, client.Keys = *c.Secret, nil
	}
	if c.Keys != nil {
		client.Secret, client.Keys = [32]byte{}, *c.Keys
	}
	if err := client.Check(); err != nil {
		return Outcome{}, err
	}
	if err := mayHaveClient(tx, env, &client); err != nil {
		return Outcome{}, err
	}
	client.Version = e.index
	tx.PutClient(&client)
	e.event(directory.ClientUpdated, client.ID, "%s", client.Name)
	e.row(directory.RowClient, client.ID)
	if narrows(old, &client) {
		endClientSessions(tx, env, e, client.ID, "client may do less")
	}
	return changed(client.ID)
}

// narrows reports whether a token of before may carry what one of after may not, or
// by whoever has it.
func narrows(before, after *directory.Client) bool {
	if after.Binds && !before.Binds {
		return true
	}
	if before.Unbounded {
		return !after.Unbounded
	}
	return slices.ContainsFunc(before.Permissions, func(p directory.Permission) bool { return !after.Covers(p) })
}

func endClientSessions(tx *state.OrgTx, env *Envelope, e *effects, id directory.ClientID, reason string) {
	endSessions(tx, env, e, reason, func(s *directory.Session) bool { return s.Client == id })
}

// DeleteClient ends a client with all its sessions.
type DeleteClient struct {
	ID directory.ClientID `cbor:"1,keyasint"`
}

func (*DeleteClient) Kind() Kind { return KindDeleteClient }

func (c *DeleteClient) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	client, ok := tx.Client(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("client")
	}
	deleteClient(tx, env, e, client)
	return changed(client.ID)
}

func deleteClient(tx *state.OrgTx, env *Envelope, e *effects, client *directory.Client) {
	tx.DeleteClient(client)
	e.event(directory.ClientDeleted, client.ID, "%s", client.Name)
	e.row(directory.RowClient, client.ID)
	endClientSessions(tx, env, e, client.ID, "client deleted")
}

// deleteClientsOf deletes the clients that act as a service account which goes.
func deleteClientsOf(tx *state.OrgTx, env *Envelope, e *effects, account directory.UserID) {
	var clients []*directory.Client
	tx.EachClient(func(c *directory.Client) bool {
		if c.Account == account {
			clients = append(clients, c)
		}
		return true
	})
	for _, c := range clients {
		deleteClient(tx, env, e, c)
	}
}
