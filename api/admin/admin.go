package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/api/rest"
	"github.com/authfi/authfi/api/scim/journal"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/keyring"
	"github.com/authfi/authfi/proto/gen/authfi/v1/authfiv1connect"
)

// Config is what the handlers need of a node.
type Config struct {
	Gate     *access.Gate
	Sessions *login.Sessions
	Ring     *keyring.Keyring
	Issuer   string // https://HOST as clients know the cluster
	Resolver Resolver
	Log      *slog.Logger

	// Status is the cluster as this node sees it.
	Status func() Status
	// Enforcement asks every node, for as long as the context allows.
	Enforcement func(context.Context) []NodeEnforcement
	// Journals asks every node what it remembers of a connection, for as long as the
	// context allows.
	Journals func(context.Context, journal.Question) []journal.Answer
	// CheckIssuer refuses an issuer that the nodes may not ask for its keys.
	CheckIssuer func(issuer string) error
	// JoinToken makes a token with which one node may join.
	JoinToken func(context.Context, *access.SystemPass) (string, error)
	// Beside are services that other packages serve in the same place.
	Beside []rest.Service
	// Latency is how long entries took, as far as the nodes know.
	Latency func(context.Context, []Moment) []Latency
	// Backup writes the newest state that this node has. What it refuses it refuses
	// before the first byte.
	Backup func(context.Context, io.Writer) error
	// RemoveMember takes a dead node out of the cluster, Leave this one.
	RemoveMember func(ctx context.Context, nodeID string) (Rest, error)
	Leave        func(ctx context.Context, force bool) (rest Rest, removed bool, err error)
	// Builds asks every member which build it runs, for as long as the context allows.
	Builds func(context.Context) []Build
	// Authority is the CA of this node; Authorities asks every member for its own.
	Authority   func() Authority
	Authorities func(context.Context) []NodeAuthority
	// NextAuthority makes a CA that is to take the place of the one that signs.
	NextAuthority func() (directory.Rotation, error)
}

func (c Config) check() error {
	if c.Gate == nil || c.Sessions == nil || c.Ring == nil || c.Resolver == nil || c.Log == nil {
		return errors.New("admin: gate, sessions, keyring, resolver and log are required")
	}
	if c.Status == nil || c.Enforcement == nil || c.Journals == nil || c.CheckIssuer == nil || c.JoinToken == nil || c.Latency == nil {
		return errors.New("admin: status, enforcement, journals, check of issuers, join token and latency are required")
	}
	if c.Backup == nil || c.RemoveMember == nil || c.Leave == nil || c.Builds == nil {
		return errors.New("admin: backup, removal of members, leave and builds are required")
	}
	if c.Authority == nil || c.Authorities == nil || c.NextAuthority == nil {
		return errors.New("admin: authority, authorities and next authority are required")
	}
	return nil
}

// api holds the handlers of all services.
type api struct {
	Config
	lookups *lookups
}

// New serves the API: REST under /api/v1/ and procedures under /authfi.v1.*.
func New(config Config) (http.Handler, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config.Issuer = strings.TrimRight(config.Issuer, "/")
	a := &api{Config: config, lookups: newLookups()}
	handler, err := rest.New(append(a.services(), config.Beside...))
	if err != nil {
		return nil, err
	}
	return a.authenticated(a.shortcuts(a.exports(a.backups(handler)))), nil
}

func (a *api) services() (all []rest.Service) {
	answer := connect.WithInterceptors(connect.UnaryInterceptorFunc(a.answer))
	options := append(rest.Options(), answer)
	add := func(path string, handler http.Handler) {
		all = append(all, rest.Service{Path: path, Handler: handler})
	}
	add(authfiv1connect.NewOrganizationServiceHandler(a, options...))
	add(authfiv1connect.NewUserServiceHandler(a, options...))
	add(authfiv1connect.NewGroupServiceHandler(a, options...))
	add(authfiv1connect.NewRoleServiceHandler(a, options...))
	add(authfiv1connect.NewAssignmentServiceHandler(a, options...))
	add(authfiv1connect.NewPermissionServiceHandler(a, options...))
	add(authfiv1connect.NewConnectionServiceHandler(a, options...))
	add(authfiv1connect.NewConnectionStateServiceHandler(a, options...))
	add(authfiv1connect.NewEventStreamServiceHandler(a, options...))
	add(authfiv1connect.NewSessionServiceHandler(a, options...))
	add(authfiv1connect.NewSigningKeyServiceHandler(a, options...))
	add(authfiv1connect.NewClientServiceHandler(a, options...))
	add(authfiv1connect.NewServiceServiceHandler(a, options...))
	add(authfiv1connect.NewPolicyServiceHandler(a, options...))
	add(authfiv1connect.NewSyncLogServiceHandler(a, options...))
	add(authfiv1connect.NewAuditServiceHandler(a, options...))
	add(authfiv1connect.NewEnforcementServiceHandler(a, options...))
	add(authfiv1connect.NewClusterServiceHandler(a, options...))
	add(authfiv1connect.NewOperatorServiceHandler(a, options...))
	add(authfiv1connect.NewApiKeyServiceHandler(a, options...))
	add(authfiv1connect.NewRecoveryKeyServiceHandler(a, options...))
	add(authfiv1connect.NewMemberServiceHandler(a, options...))
	add(authfiv1connect.NewUpgradeServiceHandler(a, options...))
	add(authfiv1connect.NewAuthorityServiceHandler(a, options...))
	bulk, handler := authfiv1connect.NewBulkServiceHandler(a, append(rest.BulkOptions(), answer)...)
	return append(all, rest.Service{Path: bulk, Handler: handler, Bulk: []string{bulkPath}})
}
