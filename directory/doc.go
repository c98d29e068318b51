// Package directory is the dictionary of AuthFI: the nouns that every other
// package speaks of and the rules that hold for each of them alone. It takes
// values and returns values; it knows no storage, no protocol and no clock.
// The integer tags number the fields of the frozen log and store format: a
// number is never reused and never changes its meaning.
//
// # Vocabulary
//
//   - organization: the wall; everything below belongs to exactly one.
//   - user: a person or workload identity in one organization.
//   - group: a named set of users, usually owned by the identity provider.
//   - role: a named set of permissions.
//   - permission: one thing that may be done, verb:noun as in read:patients.
//   - right: one fact of who may do what: a membership, an assignment, a permission
//     in a role. The log tells how rights change, so that the past can be told.
//   - assignment: role → user or group, inside one organization.
//   - grant source: why a user holds a permission: through which role, via
//     which group, by which assignment.
//   - effective permissions: the permissions a user holds, with all grant
//     sources, at one applied index.
//   - session: one sign-in, revocable at once.
//   - refresh token: the rotating secret that renews a session; stored as a
//     hash; reuse ends the session.
//   - connection: an identity provider's right to provision one organization.
//   - extension: attributes of an organization's own that identity providers send and
//     read under one URN.
//   - API key: a program's credential; does what it names and its owner still holds.
//   - service account: a user that is no person and acts for its owner.
//   - client: an application that asks for tokens at the organization's issuer.
//   - code: what a browser carries from a sign-in to a client; good once.
//   - signing key: what an organization's tokens are signed by; announced, active,
//     retiring, gone.
//   - proof: a signed text that is good once: a client's assertion, or that of a key.
//   - device request: a device without a browser that asks a person, elsewhere, for a
//     session.
//   - domain: a mail domain that an organization claims, and has once it has proved it.
//   - challenge: what a claimed domain must hold in the DNS to be proved.
//   - service: a protected HTTP service of one organization.
//   - route policy: what a request on a route needs: roles, permissions, MFA.
//   - finding: what is probably not meant of a route policy.
//   - dry run: of a service that refuses nothing, and counts what it would.
//   - caller: who is asking: a user's session, an API key, a connection, an operator.
//   - operator: who runs the instance; not a user of any organization.
//   - operation: a thing the API can be asked to do; a row of the access table.
//   - pass: proof that one caller may perform one operation in one organization.
//   - command: a request for change, inside an envelope.
//   - envelope: organization, actor, required permission, time, request id, command.
//   - entry: an envelope as bytes in the log.
//   - applied index: the last log index whose effects are in the local state.
//   - event: a fact that followed from an entry; (index, ordinal) is its name.
//   - delta: the rows that one entry changed, never a list of users.
//   - feed: the local, ordered tail of events.
//   - event stream: a receiver's feed of events about users and groups, as tokens
//     that the organization signs; it knows what the receiver has acknowledged.
//   - verdict: deny or allow, with the reason; zero denies.
//   - enforced index: the last index that the enforcement tables reflect.
//   - digest: a checksum of the state at an index; equal on all nodes.
//   - feature level: what the log and the state may hold, as all nodes can read it;
//     an operator raises it when no node will go back to an older build.
//   - rotation: of the CA that signs the certificates of nodes; both CAs are trusted
//     while clients learn of the next one.
//   - node: one machine's process with its copy of the state.
package directory
