package directory

import (
	"cmp"
	"net/url"
	"strings"
	"time"
)

// Branding is how an organization's own pages look.
type Branding struct {
	LogoURL string `cbor:"1,keyasint,omitempty"` // https
	Color   string `cbor:"2,keyasint,omitempty"` // #rrggbb
	Support string `cbor:"3,keyasint,omitempty"` // where people find help: an e-mail address or a URL
}

const urlMax = 2048

// Check holds what is true of branding alone.
func (b *Branding) Check() error {
	if b.LogoURL != "" {
		u, err := url.Parse(b.LogoURL)
		if err != nil || len(b.LogoURL) > urlMax || u.Scheme != "https" || u.Host == "" || u.User != nil {
			return Invalid("branding.logo_url", "must be an https URL of at most %d bytes", urlMax)
		}
	}
	if b.Color != "" && !isColor(b.Color) {
		return Invalid("branding.color", "must be of the form #rrggbb")
	}
	return CheckText("branding.support", b.Support, urlMax, false)
}

func isColor(s string) bool {
	digits, ok := strings.CutPrefix(s, "#")
	return ok && len(digits) == 6 && strings.Trim(digits, "0123456789abcdef") == ""
}

// SignIn is what an organization asks of its sign-ins. Zero durations mean the
// product's own; an organization can only be stricter.
type SignIn struct {
	MFA         bool          `cbor:"1,keyasint,omitempty"` // refuse sessions of one factor
	SessionIdle time.Duration `cbor:"2,keyasint,omitempty"`
	SessionMax  time.Duration `cbor:"3,keyasint,omitempty"`
}

// sessionMin keeps a session alive for longer than one access token.
const sessionMin = 2 * AccessTokenLife

// lives are the durations with the product's own in place of zero.
func (s SignIn) lives() (idle, whole time.Duration) {
	return cmp.Or(s.SessionIdle, SessionIdleLife), cmp.Or(s.SessionMax, SessionMaxLife)
}

// Check holds what is true of the settings alone.
func (s *SignIn) Check() error {
	if s.SessionIdle != 0 && (s.SessionIdle < sessionMin || s.SessionIdle > SessionIdleLife) {
		return Invalid("sign_in.session_idle_seconds", "must be %d to %d", int(sessionMin.Seconds()), int(SessionIdleLife.Seconds()))
	}
	if s.SessionMax != 0 && (s.SessionMax < sessionMin || s.SessionMax > SessionMaxLife) {
		return Invalid("sign_in.session_max_seconds", "must be %d to %d", int(sessionMin.Seconds()), int(SessionMaxLife.Seconds()))
	}
	return nil
}
