package login

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// SignIn is how people prove at the issuer who they are.
type SignIn uint8

const (
	// NoSignIn is that they cannot: there is no page, and nobody is signed in.
	NoSignIn SignIn = iota
	// DevelopmentSignIn believes what it is told. It is for clusters on one machine
	// that hold nothing real.
	DevelopmentSignIn
)

// authorization is a request of a client for a code, once nothing in it is wrong.
type authorization struct {
	org       *state.Org
	client    *directory.Client
	redirect  string
	state     string
	nonce     string
	challenge [32]byte
	wish      wish
	key       [32]byte        // that the client has named for its tokens; zero: none
	once      directory.Proof // of a request that was pushed, which counts once
}

// errPage is a failure that the person is told and the client is not: nobody is sent
// to an address that is not known to be the client's (RFC 6749, section 4.1.2.1).
type errPage struct{ text string }

func (e *errPage) Error() string { return e.text }

// authorize is the authorization endpoint: it shows the sign-in page to whoever a
// client sends, and sends them back with a code once they are signed in.
func (h *handler) authorize(w http.ResponseWriter, r *http.Request) {
	name, ok := slug(w, r)
	if !ok {
		return
	}
	if h.signIn != DevelopmentSignIn {
		showError(w, http.StatusForbidden, "Nobody can sign in here: this cluster has no sign-in page. The development sign-in is for clusters that authfi dev makes.")
		return
	}
	fields, ok := pageFields(w, r)
	if !ok {
		return
	}
	a, err := h.asks(r.Context(), name, fields)
	switch {
	case err != nil:
		h.turnAway(w, r, name, a, err)
	case r.Method == http.MethodPost && fields.Has("user_name"):
		h.signInPosted(w, r, name, a, fields)
	default:
		showSignIn(w, http.StatusOK, name, fields, "")
	}
}

// pageFields reads what a browser brings to a page, or shows why it cannot.
func pageFields(w http.ResponseWriter, r *http.Request) (fields url.Values, ok bool) {
	r.Body = http.MaxBytesReader(w, r.Body, formBodyMax)
	if err := r.ParseForm(); err != nil {
		showError(w, http.StatusBadRequest, "The request cannot be read.")
		return nil, false
	}
	fields = r.PostForm
	if r.Method == http.MethodGet {
		fields = r.URL.Query()
	}
	if what, twice := repeated(fields); twice {
		showError(w, http.StatusBadRequest, "The request is not valid: "+what+" is there more than once.")
		return nil, false
	}
	return fields, true
}

// asks reads a request as a browser brings it: whole, or by its reference.
func (h *handler) asks(ctx context.Context, slug string, fields url.Values) (*authorization, error) {
	if !strings.HasPrefix(fields.Get("request_uri"), pushedPrefix) {
		a, err := h.asked(ctx, slug, fields)
		if err == nil && a.client.Pushes {
			err = failed(0, "invalid_request", "the client pushes its requests")
		}
		return a, err
	}
	request, once, err := h.pulled(ctx, slug, fields)
	if err != nil {
		return nil, err
	}
	a, err := h.asked(ctx, slug, request)
	if a != nil {
		a.once = once
	}
	return a, err
}

// asked reads a request. Its client and redirect URI are known to be right when the
// error is one that may be told to the client.
func (h *handler) asked(ctx context.Context, slug string, fields url.Values) (a *authorization, err error) {
	a = &authorization{redirect: fields.Get("redirect_uri"), state: fields.Get("state"), nonce: fields.Get("nonce")}
	if a.org, a.client, err = h.known(ctx, slug, fields.Get("client_id")); err != nil {
		return nil, err
	}
	if !a.client.AllowsRedirect(a.redirect) {
		return nil, &errPage{"The application is set up wrongly: its address to come back to (redirect_uri) is not one that it has registered."}
	}
	if !a.client.Allows(directory.GrantAuthorizationCode) {
		return a, failed(0, "unauthorized_client", "the client may not use this grant")
	}
	if err := checkAsked(fields); err != nil {
		return a, err
	}
	var ok bool
	if a.challenge, ok = challengeOf(fields.Get("code_challenge")); !ok || fields.Get("code_challenge_method") != "S256" {
		return a, failed(0, "invalid_request", "a code_challenge of the method S256 is required")
	}
	if jkt := fields.Get("dpop_jkt"); jkt != "" {
		if a.key, ok = challengeOf(jkt); !ok { // of the same form
			return a, failed(0, "invalid_request", "dpop_jkt is not a thumbprint")
		}
	}
	a.wish, err = wished(a.client, fields.Get("scope"))
	return a, err
}

// checkAsked holds what does not depend on the client.
func checkAsked(fields url.Values) error {
	if fields.Get("response_type") != "code" {
		return failed(0, "unsupported_response_type", "only code is offered")
	}
	if mode := fields.Get("response_mode"); mode != "" && mode != "query" {
		return failed(0, "invalid_request", "only the response_mode query is offered")
	}
	for _, name := range []string{"request", "request_uri", "registration"} {
		if fields.Get(name) != "" {
			return failed(0, name+"_not_supported", name+" is not offered")
		}
	}
	if len(fields.Get("nonce")) > directory.NonceMax {
		return failed(0, "invalid_request", "the nonce is too long")
	}
	if text := fields.Get("max_age"); text != "" { // everybody signs in anew, so any age will do
		if _, err := strconv.ParseUint(text, 10, 32); err != nil {
			return failed(0, "invalid_request", "max_age is not a number of seconds")
		}
	}
	prompts := strings.Fields(fields.Get("prompt"))
	for _, prompt := range prompts {
		if prompt == "none" && len(prompts) > 1 {
			return failed(0, "invalid_request", "prompt has none beside others")
		}
		if prompt == "none" {
			return failed(0, "login_required", "everybody signs in anew")
		}
	}
	return nil
}

// known finds the client, once more in the newest state when this node does not know
// it: another node may have made it a moment ago.
func (h *handler) known(ctx context.Context, slug, name string) (*state.Org, *directory.Client, error) {
	unknown := &errPage{"The application is not known here: its client_id is not one of this organization."}
	id, err := directory.ParseClientID(name)
	if err != nil {
		return nil, nil, unknown
	}
	for fresh := false; ; fresh = true {
		if org, ok := h.organization(slug); ok && org.Record().Active() {
			if client, ok := org.Client(id); ok {
				return org, client, nil
			}
		}
		if fresh {
			return nil, nil, unknown
		}
		if err := h.gate.Fresh(ctx); err != nil {
			return nil, nil, err
		}
	}
}

// signInPosted takes what the page was filled in with. Only the page itself may send
// it, or a stranger's page could sign a person in as somebody else.
func (h *handler) signInPosted(w http.ResponseWriter, r *http.Request, slug string, a *authorization, fields url.Values) {
	if err := new(http.CrossOriginProtection).Check(r); err != nil {
		showError(w, http.StatusForbidden, "The sign-in was sent from another page.")
		return
	}
	who, err := developmentSignIn(a.org, fields)
	who.device = deviceOf(r)
	var code string
	if err == nil && a.once != (directory.Proof{}) {
		if err = h.spend(r.Context(), a.org, a.once); directory.KindOf(err) == directory.KindUnauthenticated {
			err = &errPage{"The request of the application was used already. Go back to it and try again."}
		}
	}
	if err == nil {
		code, err = h.sessions.StartWithCode(r.Context(), a, who)
	}
	switch directory.KindOf(err) {
	case directory.KindNotFound, directory.KindPrecondition, directory.KindExhausted:
		showSignIn(w, http.StatusOK, slug, fields, err.Error())
		return
	}
	if err != nil {
		h.turnAway(w, r, slug, a, err)
		return
	}
	h.sendBack(w, r, slug, a, url.Values{"code": {code}})
}

// developmentSignIn believes who somebody says that they are. Its amr value says no
// more than that a person was there (RFC 8176, section 2).
func developmentSignIn(org *state.Org, fields url.Values) (signedIn, error) {
	user, ok := org.UserByName(fields.Get("user_name"))
	if !ok || !user.Active || user.Service {
		return signedIn{}, directory.NotFound("active person of this name")
	}
	methods := []string{"user"}
	if fields.Get("second_factor") != "" {
		methods = append(methods, "mfa")
	}
	return signedIn{user: user.ID, methods: methods}, nil
}

// deviceOf is what a person's browser says and shows of itself. The address is that of
// the connection: a header could say anything.
func deviceOf(r *http.Request) Device {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = ""
	}
	name := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return -1
		}
		return c
	}, r.UserAgent())
	return Device{Address: host, Name: name[:min(len(name), directory.SessionDeviceMax)]}
}

// turnAway tells the client what is wrong when it is known to be the client, and
// otherwise the person.
func (h *handler) turnAway(w http.ResponseWriter, r *http.Request, slug string, a *authorization, err error) {
	page, told := new(errPage), new(failure)
	switch {
	case errors.As(err, &page):
		showError(w, http.StatusBadRequest, page.text)
	case a != nil && errors.As(err, &told):
		h.sendBack(w, r, slug, a, url.Values{"error": {told.code}, "error_description": {told.detail}})
	case directory.KindOf(err) == directory.KindUnavailable, directory.KindOf(err) == directory.KindUnknownOutcome:
		w.Header().Set("Retry-After", "1")
		showError(w, http.StatusServiceUnavailable, "This cannot be decided now. Try again.")
	case a != nil && directory.KindOf(err) != directory.KindInternal:
		h.sendBack(w, r, slug, a, url.Values{"error": {"access_denied"}, "error_description": {"the sign-in is not allowed any more"}})
	default:
		showError(w, http.StatusInternalServerError, "Something went wrong here.")
	}
}

// sendBack redirects to the client, whose redirect URI is used byte by byte, with the
// issuer beside the answer (RFC 9207).
func (h *handler) sendBack(w http.ResponseWriter, r *http.Request, slug string, a *authorization, values url.Values) {
	values.Set("iss", h.tokens.Issuer(slug))
	if a.state != "" {
		values.Set("state", a.state)
	}
	separator := "?"
	if strings.Contains(a.redirect, "?") {
		separator = "&"
	}
	secure(w)
	w.Header().Set("Location", a.redirect+separator+values.Encode())
	w.WriteHeader(http.StatusSeeOther) // never 307, which would send the form along (RFC 9700, section 4.12)
}
