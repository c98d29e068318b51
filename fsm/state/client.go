package state

import "github.com/authfi/authfi/directory"

// Client returns the record; callers must not modify it.
func (r *rows) Client(id directory.ClientID) (*directory.Client, bool) {
	return get[directory.Client](r, idKey(tableClient, id))
}

// EachClient walks in id order, which is the order of creation.
func (r *rows) EachClient(yield func(*directory.Client) bool) { each(r, tableClient, "", yield) }

// Clients counts rows.
func (r *rows) Clients() int { return r.counts[tableClient] }

// PutClient creates or replaces a client.
func (tx *OrgTx) PutClient(c *directory.Client) { tx.put(idKey(tableClient, c.ID), c) }

// DeleteClient removes a client; ending its sessions is the command's.
func (tx *OrgTx) DeleteClient(c *directory.Client) { tx.remove(idKey(tableClient, c.ID)) }

// client names the fields of a client for the log. Its keys are public.
func (f *fields) client(c *directory.Client) {
	grants := make([]string, len(c.Grants))
	for i, g := range c.Grants {
		grants[i] = string(g)
	}
	f.text("name", c.Name)
	f.flag("public", c.Public)
	f.text("keys", string(c.Keys))
	f.list("redirect_uris", c.Redirects)
	f.list("grant_types", grants)
	f.list("permissions", permissionTexts(c.Permissions))
	f.flag("all_permissions", c.Unbounded)
	f.id("account_id", c.Account, c.Account.IsZero())
	f.text("signing_algorithm", string(c.Algorithm))
	f.text("backchannel_logout_uri", c.Logout)
	f.list("post_logout_redirect_uris", c.PostLogout)
	f.flag("dpop_bound_access_tokens", c.Binds)
	f.flag("require_pushed_authorization_requests", c.Pushes)
}
