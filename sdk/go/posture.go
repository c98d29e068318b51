package authfi

import "time"

// Posture is what counts more when the feed is behind: the answer or the service.
type Posture string

const (
	// Fresh asks a node while the feed is behind, and refuses changes when none
	// answers for a minute. It is the default.
	Fresh Posture = "fresh"
	// Strict refuses everything while the feed is behind.
	Strict Posture = "strict"
	// Offline looks at signature and times alone.
	Offline Posture = "offline"
)

// Ages of the last heartbeat, of which there is one every 5 seconds.
const (
	freshMax = 15 * time.Second
	quietMax = 60 * time.Second
)

// never is the age of a heartbeat that has not come.
const never = time.Duration(1<<63 - 1)

// reply is what a node says of a token.
type reply string

const (
	replyNone    reply = "" // not asked
	replyLive    reply = "live"
	replyRevoked reply = "revoked"
	replyStale   reply = "stale"  // its permissions are others now
	replyFailed  reply = "failed" // no node has answered
)

// ask asks the caller to get a reply and to decide again.
const ask Code = "ask"

// decide says whether a token that verifies is served: an empty code, the code of
// the refusal, or ask.
func (p Posture) decide(age time.Duration, v verdict, mutating bool, r reply) Code {
	switch {
	case p == Offline && v == tokenReferred:
		return PermissionsUnavailable // nobody is asked
	case p == Offline:
		return ""
	case v == tokenRevoked, r == replyRevoked:
		return TokenRevoked
	case v == tokenStale, r == replyStale:
		return TokenStale
	case p == Strict && age > freshMax:
		return AuthUnavailable
	case v == tokenReferred && r != replyNone:
		return PermissionsUnavailable // not told, or by a node that is behind
	case age <= freshMax && v == tokenLive, r == replyLive:
		return ""
	case r == replyNone:
		return ask
	case p == Strict, mutating && (age > quietMax || v == tokenUnknown):
		return AuthUnavailable
	}
	return ""
}
