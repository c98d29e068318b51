package directory

import "strings"

// Trust is an issuer whose tokens are those of a connection, beside the tokens that
// the connection has of its own. Zero trusts nobody.
type Trust struct {
	Issuer      string `cbor:"1,keyasint,omitempty"` // as the tokens name it, and where its metadata is
	Audience    string `cbor:"2,keyasint,omitempty"` // for whom the tokens must be
	Application string `cbor:"3,keyasint,omitempty"` // to whom they must have been issued; empty: to any
}

// TrustTextMax bounds each of the texts in bytes: an issuer of Entra's has 62.
const TrustTextMax = 512

// Check holds what is true of a trust alone.
func (t Trust) Check() error {
	if t == (Trust{}) {
		return nil
	}
	if err := checkIssuer(t.Issuer); err != nil {
		return err
	}
	if err := CheckText("audience", t.Audience, TrustTextMax, true); err != nil {
		return err
	}
	return CheckText("application", t.Application, TrustTextMax, false)
}

// checkIssuer wants an https URL of host and path and nothing else: what is asked for
// keys is decided by it.
func checkIssuer(issuer string) error {
	if len(issuer) > TrustTextMax {
		return Invalid("issuer", "longer than %d bytes", TrustTextMax)
	}
	rest, secure := strings.CutPrefix(issuer, "https://")
	host, path, _ := strings.Cut(rest, "/")
	isHost := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.ContainsRune(".-:", c)
	}
	isPath := func(c rune) bool { return isHost(c) || c >= 'A' && c <= 'Z' || strings.ContainsRune("/_~", c) }
	if !secure || host == "" || strings.ContainsFunc(host, func(c rune) bool { return !isHost(c) }) ||
		strings.ContainsFunc(path, func(c rune) bool { return !isPath(c) }) || strings.Contains(path, "..") {
		return Invalid("issuer", "must be an https URL of a host in lower case and a path, as https://sts.windows.net/TENANT/")
	}
	return nil
}
