package fsm_test

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
)

func id[ID ~[16]byte](n int) (id ID) {
	binary.BigEndian.PutUint64(id[:], uint64(n)+1)
	return id
}

var operator = directory.Actor{Kind: directory.ActorOperator, ID: id[directory.OperatorID](0)}

// history makes random commands of every kind, many of which must be refused, for
// two organizations whose objects have the same ids and names.
type history struct {
	rng     *rand.Rand
	now     directory.Time
	carried *fsm.StartSession // whose code may still be good
	at      directory.OrgID   // its organization
}

const objects = 12

func pick[ID ~[16]byte](h *history, of int) ID { return id[ID](h.rng.Intn(of)) }

func (h *history) org() directory.OrgID       { return pick[directory.OrgID](h, 2) }
func (h *history) user() directory.UserID     { return pick[directory.UserID](h, objects) }
func (h *history) group() directory.GroupID   { return pick[directory.GroupID](h, objects) }
func (h *history) role() directory.RoleID     { return pick[directory.RoleID](h, 4) }
func (h *history) key() directory.APIKeyID    { return pick[directory.APIKeyID](h, 3) }
func (h *history) client() directory.ClientID { return pick[directory.ClientID](h, 3) }
func (h *history) connection() directory.ConnectionID {
	return pick[directory.ConnectionID](h, 4)
}
func (h *history) session() directory.SessionID { return pick[directory.SessionID](h, objects) }
func (h *history) assignment() directory.AssignmentID {
	return pick[directory.AssignmentID](h, 10*objects)
}

// nested is one of so few groups that the same pair comes again.
func (h *history) nested() directory.GroupID { return pick[directory.GroupID](h, 3) }

func (h *history) name(noun string) string { return fmt.Sprintf("%s-%d", noun, h.rng.Intn(objects)) }
func (h *history) maybe() bool             { return h.rng.Intn(2) == 0 }
func (h *history) users() (us []directory.UserID) {
	for range h.rng.Intn(4) {
		us = append(us, h.user())
	}
	return us
}

func (h *history) groups() (gs []directory.GroupID) {
	for range h.rng.Intn(8) / 6 {
		gs = append(gs, h.group())
	}
	return gs
}

// soon is an end that some later entries reach.
func (h *history) soon() directory.Time { return h.now + directory.Time(h.rng.Intn(100_000)) }

// hash is one of few, so that what is presented is often what is kept.
func (h *history) hash() (sum [32]byte) {
	sum[0] = byte(1 + h.rng.Intn(2))
	return sum
}

// short is one of two keys of devices.
func (h *history) short() (key [16]byte) {
	key[0] = byte(1 + h.rng.Intn(2))
	return key
}

func (h *history) next() *fsm.Envelope {
	h.now += directory.Time(h.rng.Intn(5000))
	if h.rng.Intn(128) == 0 { // long enough for sessions to be forgotten
		h.now += 40 * 24 * 3600 * 1000
	}
	env := &fsm.Envelope{Org: h.org(), Actor: operator, Source: "api", Now: h.now, Command: h.command()}
	if h.rng.Intn(4) == 0 { // repeats of a request, some of them for another body
		env.Request = id[directory.RequestID](h.rng.Intn(40))
		env.Digest[0] = byte(h.rng.Intn(2))
	}
	switch env.Command.Kind() {
	case fsm.KindCreateUser, fsm.KindUpdateUser, fsm.KindDeleteUser, fsm.KindCreateGroup, fsm.KindChangeGroup, fsm.KindDeleteGroup:
		if h.rng.Intn(5) == 0 {
			con := h.connection()
			env.Actor = directory.Actor{Kind: directory.ActorConnection, ID: con}
			if c, ok := env.Command.(*fsm.CreateGroup); ok {
				c.Group.Connection = con
			}
		}
	}
	if _, ok := env.Command.(fsm.SystemCommand); ok {
		env.Org = directory.OrgID{}
	}
	switch env.Command.Kind() {
	case fsm.KindSpendProofs, fsm.KindAskDevice, fsm.KindDecideDevice, fsm.KindToldLogout:
		env.Actor = directory.Actor{Kind: directory.ActorNode}
	}
	if start, ok := env.Command.(*fsm.StartSession); ok && !start.Client.IsZero() {
		env.Actor = directory.Actor{Kind: directory.ActorNode}
		if start.Code != nil {
			h.carried, h.at = start, env.Org
		}
	}
	if redeem, ok := env.Command.(*fsm.RedeemCode); ok && h.carried != nil && redeem.ID == h.carried.ID {
		env.Org = h.at
	}
	if told, ok := env.Command.(*fsm.ToldLogout); ok && h.carried != nil && told.ID == h.carried.ID {
		env.Org = h.at
	}
	return env
}

// sender is the connection by which something came, and nobody half of the time.
func (h *history) sender() (none directory.ConnectionID) {
	if h.maybe() {
		return h.connection()
	}
	return none
}

// command is of one of the kinds that a directory lives on, or of any.
func (h *history) command() fsm.Command {
	daily := []fsm.Kind{
		fsm.KindCreateUser, fsm.KindCreateUser, fsm.KindUpdateUser, fsm.KindSetUserActive, fsm.KindDeleteUser,
		fsm.KindCreateGroup, fsm.KindChangeGroup, fsm.KindChangeGroup, fsm.KindNestGroup,
		fsm.KindCreateRole, fsm.KindUpdateRole, fsm.KindAssignRole, fsm.KindUnassignRole, fsm.KindStartSession,
		fsm.KindRefreshSession, fsm.KindCreateAPIKey, fsm.KindCreateOrganization, fsm.KindRedeemCode,
	}
	if h.rng.Intn(3) > 0 {
		return h.of(daily[h.rng.Intn(len(daily))])
	}
	return h.of(kinds[h.rng.Intn(len(kinds))])
}

// kinds are all that there are.
var kinds = fsm.Kinds()

func (h *history) of(kind fsm.Kind) fsm.Command {
	for _, of := range []func(fsm.Kind) fsm.Command{h.person, h.collection, h.granting, h.access, h.application, h.service, h.eventStream, h.settings, h.signingKey, h.instance} {
		if c := of(kind); c != nil {
			return c
		}
	}
	panic(fmt.Sprintf("no command of kind %d in random histories", kind))
}

func (h *history) person(kind fsm.Kind) fsm.Command {
	switch kind {
	case fsm.KindCreateUser:
		if h.rng.Intn(6) == 0 {
			return &fsm.CreateUser{User: directory.User{
				ID: h.user(), UserName: h.name("robot"), Active: true, Service: true, Owner: h.user(), Custom: []byte(`{"badge":7}`),
			}}
		}
		return &fsm.CreateUser{User: directory.User{ID: h.user(), UserName: h.name("User"), Active: true, ExternalID: h.name("x"), Connection: h.sender()}}
	case fsm.KindUpdateUser:
		return &fsm.UpdateUser{User: directory.User{ID: h.user(), UserName: h.name("uSER"), Active: h.maybe(), Email: h.name("mail")}}
	case fsm.KindSetUserActive:
		return &fsm.SetUserActive{User: h.user(), Active: h.maybe()}
	case fsm.KindDeleteUser:
		return &fsm.DeleteUser{User: h.user()}
	}
	return nil
}

func (h *history) collection(kind fsm.Kind) fsm.Command {
	switch kind {
	case fsm.KindCreateGroup:
		return &fsm.CreateGroup{
			Group:   directory.Group{ID: h.group(), Name: h.name("group"), Connection: h.sender()},
			Members: h.users(), SkipUnknown: h.maybe(), SentOnly: h.rng.Intn(8) == 0,
		}
	case fsm.KindChangeGroup:
		var name *string
		if h.rng.Intn(8) == 0 {
			other := h.name("group")
			name = &other
		}
		return &fsm.ChangeGroup{
			Group: h.group(), Name: name, SentOnly: h.rng.Intn(8) == 0, Add: h.users(), Remove: h.users(),
			SetMembers: h.rng.Intn(4) == 0, Set: h.users(), SkipUnknown: h.maybe(),
			SetNested: h.rng.Intn(8) == 0, AddNested: h.groups(), RemoveNested: h.groups(),
		}
	case fsm.KindDeleteGroup:
		return &fsm.DeleteGroup{Group: h.group()}
	case fsm.KindNestGroup:
		return &fsm.NestGroup{Parent: h.nested(), Child: h.nested()}
	case fsm.KindUnnestGroup:
		return &fsm.UnnestGroup{Parent: h.nested(), Child: h.nested()}
	}
	return nil
}

func (h *history) granting(kind fsm.Kind) fsm.Command {
	switch kind {
	case fsm.KindCreateRole:
		return &fsm.CreateRole{Role: directory.Role{ID: h.role(), Name: h.name("role"), Permissions: []directory.Permission{"read:a", "write:b"}}}
	case fsm.KindUpdateRole:
		permissions := []directory.Permission{directory.Permission("do:" + h.name("p")), "read:*"}
		return &fsm.UpdateRole{Role: h.role(), SetPermissions: true, Permissions: permissions[:1+h.rng.Intn(2)]}
	case fsm.KindDeleteRole:
		return &fsm.DeleteRole{Role: h.role()}
	case fsm.KindAssignRole:
		c := &fsm.AssignRole{ID: h.assignment(), Role: h.role(), Expires: h.soon()}
		c.User, c.Group = h.holder()
		return c
	case fsm.KindUnassignRole:
		c := &fsm.UnassignRole{Role: h.role()}
		c.User, c.Group = h.holder()
		return c
	case fsm.KindDescribePermission:
		return &fsm.DescribePermission{Permission: "read:a", Description: h.name("text")}
	case fsm.KindExpireGrants:
		c := &fsm.ExpireGrants{}
		for range 10 * objects {
			c.Assignments = append(c.Assignments, h.assignment())
			c.APIKeys = append(c.APIKeys, h.key())
		}
		return c
	}
	return nil
}

// holder is one of few users or groups, like the roles that they get.
func (h *history) holder() (u directory.UserID, g directory.GroupID) {
	if h.maybe() {
		return pick[directory.UserID](h, 4), g
	}
	return u, h.nested()
}

func (h *history) access(kind fsm.Kind) fsm.Command {
	switch kind {
	case fsm.KindStartSession:
		if h.rng.Intn(3) == 0 {
			return h.signIn()
		}
		return &fsm.StartSession{ID: h.session(), User: h.user(), Refresh: h.hash()}
	case fsm.KindRefreshSession:
		return &fsm.RefreshSession{ID: h.session(), Presented: h.hash(), Refresh: h.hash()}
	case fsm.KindEndSession:
		return &fsm.EndSession{ID: h.session(), Reason: "test"}
	case fsm.KindEndUserSessions:
		return &fsm.EndUserSessions{User: h.user(), Reason: "test"}
	case fsm.KindSpendProofs:
		return &fsm.SpendProofs{Proofs: []directory.Proof{{Hash: h.hash(), Expires: h.now/60_000*60_000 + directory.Time(h.rng.Intn(4))*60_000}}}
	case fsm.KindEndOrganizationSessions:
		return &fsm.EndOrganizationSessions{Reason: "test"}
	case fsm.KindExpireSessions:
		c := &fsm.ExpireSessions{}
		for n := range objects {
			c.IDs = append(c.IDs, id[directory.SessionID](n))
		}
		return c
	case fsm.KindCreateAPIKey:
		return &fsm.CreateAPIKey{Key: directory.APIKey{
			ID: h.key(), Name: "k", Owner: h.user(), Permissions: []directory.Permission{"read:a"}, Expires: h.soon() + 100_000,
		}}
	case fsm.KindRevokeAPIKey:
		return &fsm.RevokeAPIKey{ID: h.key()}
	}
	return nil
}

func (h *history) application(kind fsm.Kind) fsm.Command {
	redirect := "https://" + h.name("app") + ".example/back"
	switch kind {
	case fsm.KindCreateClient:
		c := directory.Client{ID: h.client(), Name: h.name("app"), Secret: h.hash(), Unbounded: h.maybe()}
		if h.rng.Intn(3) == 0 {
			c.Grants, c.Account = []directory.GrantType{directory.GrantClientCredentials}, h.user()
		} else {
			c.Grants = []directory.GrantType{directory.GrantAuthorizationCode, directory.GrantDevice, directory.GrantRefreshToken}
			c.Logout = "https://app.example/logout"
			for n := range objects {
				c.Redirects = append(c.Redirects, fmt.Sprintf("https://app-%d.example/back", n))
			}
		}
		return &fsm.CreateClient{Client: c}
	case fsm.KindUpdateClient:
		name, unbounded, secret := h.name("renamed"), h.maybe(), h.hash()
		return &fsm.UpdateClient{ID: h.client(), Name: &name, Unbounded: &unbounded, Secret: &secret}
	case fsm.KindAskDevice:
		return &fsm.AskDevice{Request: directory.DeviceRequest{Key: h.short(), Hash: h.hash(), Client: h.client(), Bounded: true, Expires: h.now + 500_000}}
	case fsm.KindDecideDevice:
		if h.maybe() {
			return &fsm.DecideDevice{Key: h.short()}
		}
		return &fsm.DecideDevice{Key: h.short(), Session: h.session(), User: h.user()}
	case fsm.KindToldLogout:
		if h.carried != nil {
			return &fsm.ToldLogout{ID: h.carried.ID}
		}
		return &fsm.ToldLogout{ID: h.session()}
	case fsm.KindDeleteClient:
		return &fsm.DeleteClient{ID: h.client()}
	case fsm.KindRedeemCode:
		if start := h.carried; start != nil {
			return &fsm.RedeemCode{
				ID: start.ID, Presented: start.Code.Hash, Client: start.Client, Redirect: start.Code.Redirect,
				Verifier: start.Code.Challenge, Refresh: h.hash(),
			}
		}
		return &fsm.RedeemCode{
			ID: h.session(), Presented: h.hash(), Client: h.client(), Redirect: redirect, Verifier: h.hash(), Refresh: h.hash(),
		}
	}
	return nil
}

// signIn is a session for a client, of a person or of a service account.
func (h *history) signIn() fsm.Command {
	c := &fsm.StartSession{ID: h.session(), User: h.user(), Client: h.client(), Bounded: h.rng.Intn(4) > 0}
	if h.rng.Intn(4) > 0 {
		c.Code = &directory.Code{
			Hash: h.hash(), Redirect: "https://" + h.name("app") + ".example/back", Challenge: h.hash(), Expires: h.now + 60_000,
		}
	}
	c.Standing = c.Code == nil && h.maybe()
	return c
}

func (h *history) service(kind fsm.Kind) fsm.Command {
	service := pick[directory.ServiceID](h, 4)
	connection := h.connection()
	switch kind {
	case fsm.KindCreateService:
		return &fsm.CreateService{Service: directory.Service{ID: service, Name: h.name("service"), Listen: []string{fmt.Sprintf("192.0.2.%d:80", 1+h.rng.Intn(objects))}}}
	case fsm.KindSetPolicies:
		return &fsm.SetPolicies{Service: service, Policies: []directory.RoutePolicy{{Path: "/" + h.name("path"), Roles: []string{h.name("role")}}}}
	case fsm.KindWritePolicies:
		folds := h.maybe()
		c := &fsm.WritePolicies{Service: service, Policies: []directory.RoutePolicy{{
			Path: "/" + h.name("path"), RolesAll: []string{h.name("role")}, PermissionsAny: []directory.Permission{"read:a"}, Upgrade: folds,
		}}}
		if h.maybe() {
			c.FoldCase, c.FoldSlash = &folds, &folds
		}
		return c
	case fsm.KindSetDryRun:
		return &fsm.SetDryRun{Service: service, On: h.maybe()}
	case fsm.KindDeleteService:
		return &fsm.DeleteService{ID: service}
	case fsm.KindCreateConnection:
		return &fsm.CreateConnection{Connection: directory.Connection{ID: connection, Provider: directory.ProviderOkta, Token: h.hash(), Switches: directory.Switches{SharesNames: h.maybe()}}}
	case fsm.KindDeleteConnection:
		return &fsm.DeleteConnection{ID: connection}
	case fsm.KindUpdateConnection:
		disabled, name, all, shares := h.maybe(), h.name("connection"), h.maybe(), h.maybe()
		issuer := "https://" + name + ".example/"
		return &fsm.UpdateConnection{
			ID: connection, Disabled: &disabled, Name: &name, Issuer: &issuer, Audience: &name, SeesAll: &all, SharesNames: &shares,
		}
	case fsm.KindRotateConnectionToken:
		return &fsm.RotateConnectionToken{ID: connection, Token: directory.ConnectionToken{Hash: h.hash()}}
	case fsm.KindRevokeConnectionToken:
		return &fsm.RevokeConnectionToken{ID: connection, Token: (&directory.ConnectionToken{Hash: h.hash()}).Name()}
	case fsm.KindSetConnectionMappings:
		return &fsm.SetConnectionMappings{ID: connection, Mappings: []directory.Mapping{{Name: h.name("group"), Role: h.role()}}}
	}
	return nil
}

func (h *history) eventStream(kind fsm.Kind) fsm.Command {
	stream := pick[directory.EventStreamID](h, 3)
	switch kind {
	case fsm.KindPutEventStream:
		s := directory.EventStream{ID: stream, Audience: h.name("audience"), Delivery: directory.DeliveryPoll, Token: h.hash()}
		if h.maybe() {
			s.Version = directory.Index(h.rng.Intn(2000)) // seldom the one that it has
		}
		return &fsm.PutEventStream{Stream: s}
	case fsm.KindDeleteEventStream:
		return &fsm.DeleteEventStream{ID: stream}
	case fsm.KindAcknowledgeEvents:
		c := &fsm.AcknowledgeEvents{ID: stream, Presented: h.hash(), Through: h.place(), Refused: uint32(h.rng.Intn(2)), Refusal: h.name("text")}
		for range h.rng.Intn(4) {
			c.Places = append(c.Places, h.place())
		}
		return c
	}
	return nil
}

// place is one that the log of an organization may have reached.
func (h *history) place() directory.EventPlace {
	return directory.EventPlace{Index: directory.Index(h.rng.Intn(2000)), Ordinal: uint32(h.rng.Intn(3))}
}

func (h *history) settings(kind fsm.Kind) fsm.Command {
	domain := h.name("d") + ".example"
	switch kind {
	case fsm.KindUpdateOrganization:
		name := h.name("renamed")
		return &fsm.UpdateOrganization{Name: &name, SetDomains: true, Domains: []directory.Domain{{Name: domain, Challenge: "c"}}}
	case fsm.KindSetOrganizationLimits:
		return &fsm.SetOrganizationLimits{Status: directory.OrganizationStatus(h.rng.Intn(4)), UserQuota: uint32(h.rng.Intn(20))}
	case fsm.KindPutSchema:
		return &fsm.PutSchema{Schema: directory.Schema{Attributes: []directory.AttributeDefinition{
			{Name: "badge", Type: directory.AttributeInteger, URN: "urn:x:1.0:User"}, {Name: "wing", Type: directory.AttributeString, Several: h.maybe()},
		}}}
	case fsm.KindVerifyDomain:
		return &fsm.VerifyDomain{Name: domain}
	case fsm.KindSetRetention:
		return &fsm.SetRetention{Retention: directory.Retention{Count: 1 << h.rng.Intn(24), Days: 400 * uint32(h.rng.Intn(3))}}
	case fsm.KindRecordRefusal:
		return &fsm.RecordRefusal{Method: "POST", Class: "Users", Status: uint16(390 + h.rng.Intn(100)), Detail: h.name("text")}
	case fsm.KindPutKey:
		return &fsm.PutKey{Key: directory.SigningKey{ID: h.name("kid"), State: directory.KeyState(h.rng.Intn(5))}}
	}
	return nil
}

// signingKey is about keys of few names and two algorithms.
func (h *history) signingKey(kind fsm.Kind) fsm.Command {
	by := directory.KeyAlgorithms()[h.rng.Intn(2)]
	key := directory.SigningKey{ID: h.name("kid"), Public: []byte{1}, Sealed: []byte{1}, Algorithm: by}
	switch kind {
	case fsm.KindAnnounceKey:
		return &fsm.AnnounceKey{Key: key}
	case fsm.KindMoveKey:
		return &fsm.MoveKey{ID: key.ID, To: directory.KeyState(h.rng.Intn(4))}
	case fsm.KindRevokeKey:
		next := key
		next.ID = h.name("kid")
		return &fsm.RevokeKey{ID: key.ID, Next: next}
	case fsm.KindSetKeyPolicy:
		policy := directory.KeyPolicy{Announce: time.Duration(1+h.rng.Intn(3)) * time.Second}
		if h.rng.Intn(3) > 0 {
			policy.Algorithms = directory.KeyAlgorithms()[:2]
		}
		return &fsm.SetKeyPolicy{Policy: policy}
	}
	return nil
}

func (h *history) instance(kind fsm.Kind) fsm.Command {
	other := id[directory.OperatorID](1 + h.rng.Intn(3))
	join := fmt.Sprintf("join-%d", h.rng.Intn(objects)/4)
	switch kind {
	case fsm.KindCreateOrganization:
		return &fsm.CreateOrganization{
			Organization: directory.Organization{ID: h.org(), Slug: h.name("org"), Name: "o"},
			Key:          directory.SigningKey{ID: h.name("kid")},
		}
	case fsm.KindDeleteOrganization:
		return &fsm.DeleteOrganization{ID: h.org()}
	case fsm.KindCreateOperator:
		return &fsm.CreateOperator{Operator: directory.Operator{ID: other, Name: h.name("operator"), Token: h.hash()}}
	case fsm.KindDeleteOperator:
		return &fsm.DeleteOperator{ID: other}
	case fsm.KindPutTokenSecret:
		return &fsm.PutTokenSecret{Secret: directory.TokenSecret{Sealed: []byte{1}}}
	case fsm.KindSetRecoveryKey:
		key := directory.RecoveryKey{Name: h.name("key"), Recipient: h.name("age1pq"), Proof: []byte{1}}
		return &fsm.SetRecoveryKey{Key: [2]directory.RecoveryKey{key, {Name: key.Name}}[h.rng.Intn(2)]}
	case fsm.KindRaiseLevel:
		return &fsm.RaiseLevel{Level: directory.Level(h.rng.Intn(int(directory.LevelMax) + 1))}
	case fsm.KindStartRotation:
		return rotation(h.name("ca"), h.name("ca"))
	case fsm.KindMoveRotation:
		return &fsm.MoveRotation{ID: h.name("ca"), To: directory.RotationPhase(1 + h.rng.Intn(4)), Early: h.rng.Intn(2) > 0}
	case fsm.KindCreateJoinToken:
		return &fsm.CreateJoinToken{Token: directory.JoinToken{ID: join, Secret: h.hash(), Expires: h.soon() + 1_000_000}}
	case fsm.KindRedeemJoinToken:
		return &fsm.RedeemJoinToken{ID: join, Secret: h.hash(), Node: h.name("node")}
	}
	return nil
}

// TestHistoriesHaveEveryKind and each organization's rows are moved by its own
// commands alone, whatever its neighbour of the same names does.
func TestHistoriesHaveEveryKind(t *testing.T) {
	changed, refused := map[fsm.Kind]int{}, map[fsm.Kind]int{}
	missing := func(kind fsm.Kind) bool { return changed[kind] == 0 || refused[kind] == 0 }
	// Kinds are many, and some seldom find what they change.
	for seed := int64(1); seed <= 12 || seed <= 200 && slices.ContainsFunc(kinds, missing); seed++ {
		h := &history{rng: rand.New(rand.NewSource(seed)), now: 1_700_000_000_000}
		m := open(t, disk.NewMemory())
		begin(t, m)
		for i := range 2000 {
			before := m.Root()
			env := h.next()
			r := apply(t, m, fsm.Entry{Index: directory.Index(i + 2), Term: 1, Envelopes: []*fsm.Envelope{env}})[0][0]
			kind := env.Command.Kind()
			if r.Err != nil {
				refused[kind]++
			} else if r.Outcome.Changed {
				changed[kind]++
			}
			for n := range 2 {
				if org := id[directory.OrgID](n); org != subject(env) {
					sameRows(t, seed, i, org, before, m.Root())
				}
			}
		}
	}
	for _, kind := range kinds {
		if missing(kind) {
			t.Errorf("kind %d (%T): %d changed something, %d were refused", kind, fsm.New(kind), changed[kind], refused[kind])
		}
	}
}

// subject is the organization that a command is about.
func subject(env *fsm.Envelope) directory.OrgID {
	switch c := env.Command.(type) {
	case *fsm.CreateOrganization:
		return c.Organization.ID
	case *fsm.DeleteOrganization:
		return c.ID
	}
	return env.Org
}

func sameRows(t *testing.T, seed int64, entry int, org directory.OrgID, before, after *state.Root) {
	t.Helper()
	a, had := before.Org(org)
	b, has := after.Org(org)
	if had != has || had && a.Sum() != b.Sum() {
		t.Fatalf("seed %d: entry %d of another organization changed %s", seed, entry, org)
	}
}
