package login

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// accessTokenMax bounds an access token: half of the 8 KB that common servers take of
// all headers, and what fits a cookie.
const accessTokenMax = 4 << 10

// wording is a way to say in a token what its user may do. They are tried in their
// order, and the first that fits is taken.
type wording uint8

const (
	listed   wording = iota // every permission by name
	grouped                 // for each noun its verbs
	referred                // an address that tells the permissions
	bare                    // and roles and groups, too
	wordings
)

// put writes the rights into a token. A claim that leaves out its values is empty and
// not absent: who does not know the form must find no permission in it.
func (f wording) put(c *accessClaims, session *directory.Session, rights map[string][]string, address string) {
	c.Roles, c.Groups, c.Permissions = rights[claimRoles], rights[claimGroups], rights[claimPermissions]
	switch f {
	case grouped:
		c.Permissions = byNoun(rights[claimPermissions])
	case bare:
		c.Roles, c.RolesRef, c.Groups, c.GroupsRef = []string{}, address, []string{}, address
		fallthrough
	case referred:
		c.Permissions, c.PermissionsRef = []string{}, address
	}
	if session.Client.IsZero() {
		return
	}
	scope := scopeText(session)
	if f != listed {
		scope = strings.Join(session.Scope, " ")
	}
	c.Client, c.Scope = session.Client.String(), &scope
}

// byNoun writes verb:noun as the verbs of each noun.
func byNoun(permissions []string) map[string]string {
	verbs := map[string][]string{}
	for _, p := range permissions {
		verb, noun, _ := strings.Cut(p, ":")
		verbs[noun] = append(verbs[noun], verb)
	}
	nouns := map[string]string{}
	for noun, list := range verbs {
		slices.Sort(list)
		nouns[noun] = strings.Join(list, " ")
	}
	return nouns
}

// fit writes a token with the rights of a session, in the first form that keeps it below
// the bound once a key has signed it.
func (t *Tokens) fit(claims *accessClaims, org *state.Org, session *directory.Session, s *signer) ([]byte, error) {
	rights := rightsOf(org, session)
	for f := range wordings {
		f.put(claims, session, rights, claims.Issuer+"/oauth2/permissions")
		payload, err := json.Marshal(claims)
		if err != nil {
			return nil, err
		}
		if s.tokenBytes(typeAccess, len(payload)) <= accessTokenMax {
			return payload, nil
		}
	}
	return nil, fmt.Errorf("an access token of more than %d bytes", accessTokenMax)
}

// permissions tells what the user of an access token may do now, for tokens that do
// not hold it themselves.
func (h *handler) permissions(w http.ResponseWriter, r *http.Request) {
	shown, ok := h.shown(w, r)
	if !ok {
		return
	}
	told := map[string]any{"index": uint64(shown.org.Applied())}
	for name, list := range rightsOf(shown.org, shown.session) {
		told[name] = list
	}
	answer(w, http.StatusOK, "no-store", told)
}
