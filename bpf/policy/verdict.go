package policy

// Flow is what a gate has read of one request when its header block is whole.
type Flow struct {
	Method   int // index of the rule in an Accept
	State    uint16
	HasToken bool
	Token    TokenKey
	Length   uint32 // bytes of the token
	Upgrade  bool
	Body     bool // a body is announced
}

// Tables are the rows that a verdict looks up.
type Tables interface {
	Token(TokenKey) (TokenEntry, bool)
	Subject(Subject) (SubjectEntry, bool)
}

// Verdict decides one request. nowNs and leaseNs are on the boot clock; a lease
// of zero has lapsed. The order of the questions is part of the contract with
// the kernel: the first that fails names the reason.
func Verdict(p *Program, f Flow, t Tables, nowNs, leaseNs uint64) Reason {
	rule := p.rule(f)
	switch {
	case rule == nil || rule.Action == Deny:
		return ReasonNoRoute
	case f.Upgrade && rule.Flags&FlagUpgrade == 0:
		return ReasonNotImplemented
	case f.Method <= MethodHead && rule.Flags&FlagGetBody == 0 && f.Body:
		return ReasonBody
	case rule.Action == Public:
		return ReasonPublic
	case !f.HasToken || f.Length == 0:
		return ReasonNoToken
	case nowNs >= leaseNs:
		return ReasonLease
	}
	return checkToken(rule, f, t, nowNs)
}

func checkToken(rule *Rule, f Flow, t Tables, nowNs uint64) Reason {
	token, ok := t.Token(f.Token)
	switch {
	case !ok || token.Length != f.Length:
		return ReasonUnknownToken
	case token.Revoked != 0:
		return ReasonRevoked
	case nowNs >= token.ExpiresNs:
		return ReasonExpired
	case nowNs < token.NotBeforeNs:
		return ReasonNotYetValid
	}
	subject, ok := t.Subject(token.Subject)
	switch {
	case !ok || subject.Disabled != 0:
		return ReasonInactive
	case rule.Org == 0 || token.Org != rule.Org || subject.Org != rule.Org:
		return ReasonOrganization
	case rule.MFA != 0 && token.MFA == 0:
		return ReasonMFA
	}
	return rule.checkRights(subject.Rights)
}

// checkRights asks for one of Any, unless Any is empty, and every one of All.
func (r *Rule) checkRights(held Rights) Reason {
	var any, oneOf, allOf, missing uint64
	for i, bits := range held.Mask {
		oneOf |= r.Any[i]
		allOf |= r.All[i]
		any |= r.Any[i] & bits
		missing |= r.All[i] &^ bits
	}
	switch {
	case oneOf == 0 && allOf == 0:
		return ReasonAllowed
	case held.Numbering == 0:
		return ReasonRights
	case held.Numbering != r.Numbering:
		return ReasonLease // until the user's rights are written in the new numbering
	case oneOf != 0 && any == 0, missing != 0:
		return ReasonRights
	}
	return ReasonAllowed
}

// rule is the rule for a flow, nil when no route accepts.
func (p *Program) rule(f Flow) *Rule {
	if p == nil || int(f.State) >= len(p.Rows) || f.Method < 0 || f.Method >= methodSlots {
		return nil
	}
	accept := p.Rows[f.State].Accept
	if accept == 0 || int(accept) >= len(p.Accepts) {
		return nil
	}
	return &p.Accepts[accept][f.Method]
}
