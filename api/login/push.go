package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/authfi/authfi/directory"
)

// Bounds of pushed requests.
const (
	pushedPrefix = "urn:ietf:params:oauth:request_uri:"
	// pushedLife is how long a person may take to sign in.
	pushedLife = 5 * time.Minute
	// pushedMax keeps the reference, which holds the request, inside the address that a
	// browser is sent to.
	pushedMax = 3 << 10
)

// pushed is a request that a client has pushed. It travels sealed in its reference, so
// that every node can read it and none must remember it.
type pushed struct {
	Fields  url.Values     `json:"f"`
	Expires directory.Time `json:"e"`
	Salt    []byte         `json:"s"` // no two references are the same
}

func pushedPurpose(org directory.OrgID) string { return "pushed-request " + org.String() }

// push is RFC 9126: a client sends its request itself and gets a reference to it, which
// the browser carries. What is wrong with it the client hears at once.
func (h *handler) push(w http.ResponseWriter, r *http.Request) {
	name, ok := slug(w, r)
	if !ok {
		return
	}
	fields, ok := form(w, r)
	if !ok {
		return
	}
	reference, err := h.pushed(w, r, name, fields)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusCreated, "no-store", map[string]any{"request_uri": reference, "expires_in": int(pushedLife.Seconds())})
}

func (h *handler) pushed(w http.ResponseWriter, r *http.Request, slug string, fields url.Values) (string, error) {
	if h.signIn == NoSignIn {
		return "", failed(http.StatusForbidden, "access_denied", "nobody can sign in here")
	}
	proof, presented, err := proofOf(r, fields)
	if err != nil || !presented {
		return "", errClient()
	}
	with, err := h.held(w, r, h.tokens.Issuer(slug)+"/oauth2/par", "")
	if err != nil {
		return "", err
	}
	org, client, err := h.client(r.Context(), slug, proof, with)
	if err != nil {
		return "", err
	}
	kept := url.Values{}
	for _, name := range asking {
		if fields.Has(name) {
			kept.Set(name, fields.Get(name))
		}
	}
	kept.Set("client_id", client.ID.String())
	if with.shown() {
		jkt := binding(with.key)["jkt"]
		if said := kept.Get("dpop_jkt"); said != "" && said != jkt {
			return "", failed(http.StatusBadRequest, "invalid_request", "dpop_jkt is of another key than the proof")
		}
		kept.Set("dpop_jkt", jkt)
	}
	for _, name := range []string{"request", "request_uri"} {
		if fields.Get(name) != "" {
			return "", failed(http.StatusBadRequest, "invalid_request", name+" cannot be pushed")
		}
	}
	if _, err := h.asked(r.Context(), slug, kept); err != nil {
		return "", pushable(err)
	}
	return h.seal(org.ID(), kept)
}

// pushable says to a client what a person would be told.
func pushable(err error) error {
	if page, ok := err.(*errPage); ok {
		return failed(http.StatusBadRequest, "invalid_request", page.text)
	}
	if told, ok := err.(*failure); ok {
		return failed(http.StatusBadRequest, told.code, told.detail)
	}
	return err
}

func (h *handler) seal(org directory.OrgID, fields url.Values) (string, error) {
	request := pushed{Fields: fields, Expires: directory.TimeOf(h.tokens.now()).Add(pushedLife), Salt: make([]byte, 16)}
	if _, err := rand.Read(request.Salt); err != nil {
		return "", err
	}
	plain, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	sealed, err := h.tokens.ring.Seal(pushedPurpose(org), plain)
	if err != nil {
		return "", err
	}
	reference := pushedPrefix + base64.RawURLEncoding.EncodeToString(sealed)
	if len(reference) > pushedMax {
		return "", failed(http.StatusRequestEntityTooLarge, "invalid_request", "the request is too large")
	}
	return reference, nil
}

// pulled reads the request that a reference holds. A reference is its client's.
func (h *handler) pulled(ctx context.Context, slug string, fields url.Values) (url.Values, directory.Proof, error) {
	lapsed := &errPage{"The request of the application is not good any more. Go back to it and try again."}
	org, client, err := h.known(ctx, slug, fields.Get("client_id"))
	if err != nil {
		return nil, directory.Proof{}, err
	}
	reference := fields.Get("request_uri")
	text, ok := strings.CutPrefix(reference, pushedPrefix)
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(reference) > pushedMax {
		return nil, directory.Proof{}, lapsed
	}
	plain, err := h.tokens.ring.Open(pushedPurpose(org.ID()), sealed)
	var request pushed
	if err != nil || json.Unmarshal(plain, &request) != nil {
		return nil, directory.Proof{}, lapsed
	}
	if request.Fields.Get("client_id") != client.ID.String() || request.Expires <= directory.TimeOf(h.tokens.now()) {
		return nil, directory.Proof{}, lapsed
	}
	once := directory.Proof{Hash: sha256.Sum256([]byte("pushed " + reference)), Expires: request.Expires.Add(skew)}
	return request.Fields, once, nil
}
