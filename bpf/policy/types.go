package policy

// Words is the number of 64-bit words in a mask: the roles and permissions that
// an organization's routes name are numbered 0…255.
const Words = 4

// Mask is a set of numbered roles and permissions.
type Mask [Words]uint64

// Rights are the roles and permissions that a user has of those that routes
// name. The same bit is another right in another Numbering, so the rights say
// which one is theirs; zero is of a user who has none at all.
type Rights struct {
	Mask      Mask
	Numbering uint64
}

// Subject is the id of a user. Unlike a number that a process counts, it is
// nobody else's in the next process, where connections of this one live on.
type Subject [16]byte

// Action is what a rule does with a request; zero refuses.
type Action uint8

const (
	Deny   Action = iota // refuse with ReasonNoRoute
	Public               // let through without a token
	Token                // a valid token that satisfies the rule
)

// Rule flags.
const (
	FlagUpgrade uint16 = 1 << iota // the route may switch protocols (WebSocket)
	FlagGetBody                    // GET and HEAD may carry a body
)

// Rule is what one method of one route demands. Its layout is shared with the
// kernel (bpf/src/maps.h); all fields are native-endian.
type Rule struct {
	Action Action
	MFA    uint8 // 1: the token's session passed a second factor
	Flags  uint16
	Org    uint32 // ordinal of the owning organization on this node; never 0 for Token
	Any    Mask   // at least one of these, unless all words are zero
	All    Mask   // every one of these
	// Numbering is that of Any and All.
	Numbering uint64
}

// Methods, in the order of the rules of an Accept.
const (
	MethodGet = iota
	MethodHead
	MethodPost
	MethodPut
	MethodDelete
	MethodPatch
	MethodOptions
	methodSlots = 8
)

// Accept holds the rule of each method at an accepting state.
type Accept [methodSlots]Rule

// Row is one state of the path automaton. State 0 is dead, Accept 0 is none.
type Row struct {
	Accept uint16
	Flags  uint16
	_      [2]uint16
	Next   [256]uint16
	// Hits are where the kernel counts what it decides here, by method. Whoever puts a
	// program there numbers them; the compiler leaves them 0, which is nowhere.
	Hits [methodSlots]uint16
}

// RowDryRun is a flag of every row of a service that refuses nothing. Row 0 is of
// no service and has none.
const RowDryRun uint16 = 1

// TokenKey is SipHash-2-4-128 of a bearer token under the replicated key.
type TokenKey struct{ H0, H1 uint64 }

// TokenEntry is what the verdict needs to know of one access token.
type TokenEntry struct {
	ExpiresNs   uint64 // CLOCK_BOOTTIME
	NotBeforeNs uint64 // CLOCK_BOOTTIME
	Subject     Subject
	Org         uint32 // ordinal of the organization on this node, never 0
	Length      uint32 // bytes of the token
	MFA         uint8
	Revoked     uint8 // marked, not deleted, until it expires
}

// SubjectEntry is what the verdict needs to know of one user: a changed role
// or a deactivation is one write here, whatever the number of tokens.
type SubjectEntry struct {
	Disabled uint32
	Org      uint32
	Rights   Rights
}

// Reason says why a request was let through or refused; it is the value of the
// x-authfi-verdict header. Zero refuses. The numbers are shared with
// bpf/src/verdict.h and append-only.
type Reason uint8

const (
	ReasonNoRoute        Reason = iota // 403 no policy names this path and method
	ReasonAllowed                      // let through: token
	ReasonPublic                       // let through: public route
	ReasonNoToken                      // 401 no bearer token
	ReasonUnknownToken                 // 401 the token is not in the table
	ReasonRevoked                      // 401 session ended
	ReasonExpired                      // 401
	ReasonNotYetValid                  // 401
	ReasonInactive                     // 401 the user is deactivated or gone
	ReasonOrganization                 // 403 token of another organization
	ReasonMFA                          // 403 second factor required
	ReasonRights                       // 403 role or permission missing
	ReasonLease                        // 503 this node cannot prove that it is current
	ReasonMalformed                    // 400 not an unambiguous HTTP/1.1 request
	ReasonScheme                       // 401 Authorization is not a bearer token
	ReasonBody                         // 400 body on GET or HEAD
	ReasonTooLarge                     // 431 header block above the limit
	ReasonNotImplemented               // 501 method, transfer coding or upgrade
	ReasonVersion                      // 505 not HTTP/1.0 or HTTP/1.1
	ReasonTooMany                      // 429 too many requests or fragments in one segment
	ReasonInternal                     // 503 a lookup failed that cannot fail
	ReasonUpstream                     // 502 the service does not answer; of the user-space gate alone
)

// ReasonsMax is one more than the highest number that a reason may have so far; the
// kernel counts as many.
const ReasonsMax = 32
