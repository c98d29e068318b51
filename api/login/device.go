package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"net/http"
	"net/url"
	"strings"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// A user code is of letters that make no words and are not mistaken for one another
// (RFC 8628, section 6.1).
const (
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"
	userCodeLength  = 8
)

// newUserCode is 34 random bits, as people read and type them.
func newUserCode() (string, error) {
	var code strings.Builder
	for i := range userCodeLength {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(userCodeLetters))))
		if err != nil {
			return "", err
		}
		if i == userCodeLength/2 {
			code.WriteByte('-')
		}
		code.WriteByte(userCodeLetters[n.Int64()])
	}
	return code.String(), nil
}

// userCodeKey is by what a request is found; what people type is read kindly.
func userCodeKey(typed string) (key [16]byte) {
	letters := strings.Map(func(c rune) rune {
		if strings.ContainsRune(userCodeLetters, c) {
			return c
		}
		return -1
	}, strings.ToUpper(typed))
	sum := sha256.Sum256([]byte("user code " + letters))
	copy(key[:], sum[:])
	return key
}

// askDevice is the device authorization endpoint (RFC 8628, section 3.1).
func (h *handler) askDevice(w http.ResponseWriter, r *http.Request) {
	name, ok := slug(w, r)
	if !ok {
		return
	}
	fields, ok := form(w, r)
	if !ok {
		return
	}
	body, err := h.asksDevice(r, name, fields)
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, "no-store", body)
}

func (h *handler) asksDevice(r *http.Request, slug string, fields url.Values) (map[string]any, error) {
	if h.signIn == NoSignIn {
		return nil, failed(http.StatusForbidden, "access_denied", "nobody can sign in here")
	}
	proof, presented, err := proofOf(r, fields)
	if err != nil || !presented {
		return nil, errClient()
	}
	org, client, err := h.client(r.Context(), slug, proof, holder{})
	if err != nil {
		return nil, err
	}
	if !client.Allows(directory.GrantDevice) {
		return nil, failed(http.StatusBadRequest, "unauthorized_client", "the client may not use this grant")
	}
	wish, err := wished(client.Client, fields.Get("scope"))
	if err != nil {
		return nil, err
	}
	userCode, err := newUserCode()
	if err != nil {
		return nil, err
	}
	key := userCodeKey(userCode)
	code, hash := access.NewDeviceCode(org.ID(), key)
	if _, err := h.gate.ProposeAsNode(r.Context(), org.ID(), &fsm.AskDevice{Request: directory.DeviceRequest{
		Key: key, Hash: hash, Client: client.ID, Scope: wish.scope, Bounded: wish.bounded, Permissions: wish.permissions,
		Expires: directory.TimeOf(h.tokens.now()).Add(directory.DeviceLife),
	}}); err != nil {
		return nil, err
	}
	page := h.tokens.Issuer(slug) + "/oauth2/device"
	return map[string]any{
		"device_code": code, "user_code": userCode, "verification_uri": page,
		"verification_uri_complete": page + "?user_code=" + userCode,
		"expires_in":                int(directory.DeviceLife.Seconds()), "interval": int(pollInterval.Seconds()),
	}, nil
}

// device is the grant of RFC 8628, section 3.4. The device asks until a person has
// decided.
func (h *handler) device(ctx context.Context, t *tokenRequest) (map[string]any, error) {
	if !t.presented {
		return nil, errClient()
	}
	org, client, err := h.client(ctx, t.slug, t.proof, t.holder)
	if err != nil {
		return nil, err
	}
	if err := mayGrant(client, directory.GrantDevice, t.holder); err != nil {
		return nil, err
	}
	code := t.fields.Get("device_code")
	owner, key, ok := access.ParseDeviceCode(code)
	if !ok || owner != org.ID() {
		return nil, errCode()
	}
	request, ok := org.Device(key)
	if !ok || request.Client != client.ID || !access.Matches(code, request.Hash) {
		return nil, errCode()
	}
	if err := h.waits(org.ID(), request); err != nil {
		return nil, err
	}
	redeemed, err := h.sessions.redeem(ctx, org, client.Client, request.Session, &fsm.RedeemCode{Presented: access.Hash(code)}, t.holder)
	if err != nil {
		return nil, err
	}
	return redeemedBody(redeemed, t.holder), nil
}

// waits says why a device has no tokens yet; nil when a person has allowed it. Only one
// that waits can come too early: what is decided it hears at once.
func (h *handler) waits(org directory.OrgID, request *directory.DeviceRequest) error {
	key, now := pollKey{org, request.Key}, h.tokens.now()
	waits := func(code, detail string) error { return failed(http.StatusBadRequest, code, detail) }
	switch {
	case request.Denied:
		return waits("access_denied", "the person has refused")
	case request.Expires <= directory.TimeOf(now):
		return waits("expired_token", "nobody has decided in time")
	case !request.Session.IsZero():
		h.sessions.polls.over(key)
		return nil
	case h.sessions.polls.early(key, request.Expires.Std(), now):
		return waits("slow_down", "nobody has decided yet; wait five seconds longer from now on")
	}
	return waits("authorization_pending", "nobody has decided yet")
}

// decide is the page on which a person types the code of a device, sees who asks, and
// decides. Only the page itself may send what it is filled in with.
func (h *handler) decide(w http.ResponseWriter, r *http.Request) {
	name, ok := slug(w, r)
	if !ok {
		return
	}
	if h.signIn != DevelopmentSignIn {
		showError(w, http.StatusForbidden, "Nobody can sign in here: this cluster has no sign-in page. The development sign-in is for clusters that authfi dev makes.")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, formBodyMax)
	if err := r.ParseForm(); err != nil {
		showError(w, http.StatusBadRequest, "The request cannot be read.")
		return
	}
	if what, twice := repeated(r.Form); twice {
		showError(w, http.StatusBadRequest, "The request is not valid: "+what+" is there more than once.")
		return
	}
	code := r.Form.Get("user_code")
	if code == "" {
		showDevice(w, name, devicePage{})
		return
	}
	if err := h.gate.Fresh(r.Context()); err != nil {
		h.turnAway(w, r, name, nil, err)
		return
	}
	org, request, client, ok := h.undecided(name, code)
	if !ok {
		showDevice(w, name, devicePage{Problem: "No device asks with this code."})
		return
	}
	page := devicePage{Code: code, Client: client.Name, Scope: scopeText(&directory.Session{Scope: request.Scope, Permissions: request.Permissions})}
	decision := r.PostForm.Get("decision")
	if r.Method != http.MethodPost || decision == "" {
		showDevice(w, name, page)
		return
	}
	h.decided(w, r, name, org, request, page, decision == "allow")
}

// undecided finds the request of a user code that nobody has decided on.
func (h *handler) undecided(slug, code string) (*state.Org, *directory.DeviceRequest, *directory.Client, bool) {
	org, ok := h.organization(slug)
	if !ok || !org.Record().Active() {
		return nil, nil, nil, false
	}
	request, ok := org.Device(userCodeKey(code))
	if !ok || request.Denied || !request.Session.IsZero() || request.Expires <= directory.TimeOf(h.tokens.now()) {
		return nil, nil, nil, false
	}
	client, ok := org.Client(request.Client)
	return org, request, client, ok
}

func (h *handler) decided(w http.ResponseWriter, r *http.Request, slug string, org *state.Org, request *directory.DeviceRequest, page devicePage, allowed bool) {
	if err := new(http.CrossOriginProtection).Check(r); err != nil {
		showError(w, http.StatusForbidden, "The decision was sent from another page.")
		return
	}
	who, err := developmentSignIn(org, r.PostForm)
	command := &fsm.DecideDevice{Key: request.Key}
	if allowed && err == nil {
		device := deviceOf(r)
		command.Session, command.User, command.Methods = access.NewID[directory.SessionID](h.tokens.now()), who.user, who.methods
		command.Address, command.Device = device.Address, device.Name
	}
	if err == nil {
		_, err = h.gate.ProposeAsNode(r.Context(), org.ID(), command)
	}
	switch directory.KindOf(err) {
	case directory.KindNotFound, directory.KindPrecondition, directory.KindExhausted:
		page.Problem, page.User = err.Error(), r.PostForm.Get("user_name")
		showDevice(w, slug, page)
		return
	}
	if err != nil {
		h.turnAway(w, r, slug, nil, err)
		return
	}
	page = devicePage{Done: "The device was refused."}
	if allowed {
		page.Done = "The device is signed in. You can go back to it."
	}
	showDevice(w, slug, page)
}
