package directory

import (
	"slices"
	"strings"
)

// OrganizationStatus: a suspended organization keeps its data and loses all
// access; zero is invalid.
type OrganizationStatus uint8

const (
	OrganizationActive OrganizationStatus = iota + 1
	OrganizationSuspended
)

// Bounds of an organization. UserQuotaDefault holds until the operator sets
// another quota; a cluster is built for UserQuotaMax users.
const (
	UserQuotaDefault = 5_000
	UserQuotaMax     = 1_000_000
	DomainsMax       = 100
)

// Organization is the wall around everything else.
type Organization struct {
	ID        OrgID              `cbor:"1,keyasint"`
	Slug      string             `cbor:"2,keyasint"`
	Name      string             `cbor:"3,keyasint"`
	Status    OrganizationStatus `cbor:"4,keyasint"`
	UserQuota uint32             `cbor:"5,keyasint"`
	Created   Time               `cbor:"6,keyasint"`
	Modified  Time               `cbor:"7,keyasint"`
	Version   Index              `cbor:"8,keyasint"`
	Domains   []Domain           `cbor:"9,keyasint,omitempty"` // sorted by name
	Branding  Branding           `cbor:"10,keyasint,omitzero"`
	SignIn    SignIn             `cbor:"11,keyasint,omitzero"`
	Keys      KeyPolicy          `cbor:"20,keyasint,omitzero"`
}

// Active reports whether the organization may be used at all.
func (o *Organization) Active() bool { return o.Status == OrganizationActive }

// Proved reports whether the organization has a mail domain and has proved it.
func (o *Organization) Proved(domain string) bool {
	return slices.ContainsFunc(o.Domains, func(d Domain) bool { return d.Name == domain && d.Verified != 0 })
}

const slugMax = 63 // one DNS label, since a slug may become a host name

// CheckSlug allows lower-case letters, digits and inner hyphens.
func CheckSlug(slug string) error {
	if len(slug) == 0 || len(slug) > slugMax {
		return Invalid("slug", "must have 1 to %d characters", slugMax)
	}
	bad := strings.IndexFunc(slug, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-')
	})
	if bad >= 0 || slug[0] == '-' || slug[len(slug)-1] == '-' {
		return Invalid("slug", "only lower-case letters, digits and inner hyphens")
	}
	return nil
}
