package login

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	"github.com/lestrrat-go/jwx/v3/jwt"
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

// claimReference names where the values of a claim are that does not hold them.
const claimReference = "_ref"

// put writes the rights into a token. A claim that leaves out its values is empty and
// not absent: who does not know the form must find no permission in it.
func (f wording) put(token jwt.Token, session *directory.Session, rights map[string][]string, address string) error {
	claims := map[string]any{}
	for name, list := range rights {
		claims[name] = list
	}
	leave := func(names ...string) {
		for _, name := range names {
			claims[name], claims[name+claimReference] = []string{}, address
		}
	}
	switch f {
	case grouped:
		claims[claimPermissions] = byNoun(rights[claimPermissions])
	case referred:
		leave(claimPermissions)
	case bare:
		leave(claimPermissions, claimRoles, claimGroups)
	}
	if !session.Client.IsZero() {
		claims[claimClient], claims[claimScope] = session.Client.String(), scopeText(session)
		if f != listed {
			claims[claimScope] = strings.Join(session.Scope, " ")
		}
	}
	for name, value := range claims {
		if err := token.Set(name, value); err != nil {
			return err
		}
	}
	return nil
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

// fit writes the rights of a session into a token in the first form that keeps it
// below the bound once a signature of some bytes stands behind it.
func (t *Tokens) fit(build func() (jwt.Token, error), org *state.Org, session *directory.Session, s *signer) (jwt.Token, error) {
	rights := rightsOf(org, session)
	address := t.Issuer(org.Record().Slug) + "/oauth2/permissions"
	for f := range wordings {
		token, err := build()
		if err != nil {
			return nil, err
		}
		if err := f.put(token, session, rights, address); err != nil {
			return nil, err
		}
		payload, err := json.Marshal(token)
		if err != nil {
			return nil, err
		}
		encode := base64.RawURLEncoding.EncodedLen
		if encode(s.headerBytes(typeAccess))+1+encode(len(payload))+1+encode(s.signatureBytes()) <= accessTokenMax {
			return token, nil
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
