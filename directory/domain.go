package directory

import "strings"

// Domain is a mail domain that an organization claims. Verified is zero until
// the claim was proved: by a TXT record that holds Challenge, or by an operator.
type Domain struct {
	Name      string `cbor:"1,keyasint"` // lower case, without a final dot
	Challenge string `cbor:"2,keyasint,omitempty"`
	Verified  Time   `cbor:"3,keyasint,omitempty"`
}

const (
	domainMax    = 253 // RFC 1035, section 2.3.4, without the final dot
	challengeMax = 64
)

// Check demands at least two labels of letters, digits and inner hyphens.
func (d *Domain) Check() error {
	if len(d.Name) > domainMax || !strings.Contains(d.Name, ".") || CheckText("domains", d.Challenge, challengeMax, false) != nil {
		return Invalid("domains", "%.64q is not a domain name", d.Name)
	}
	for label := range strings.SplitSeq(d.Name, ".") {
		if CheckSlug(label) != nil {
			return Invalid("domains", "%.64q is not a domain name", d.Name)
		}
	}
	return nil
}
