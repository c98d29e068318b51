package policy

// inRun are the bytes that leave the machine where it is, in a value and in a
// token: most of a header block.
var inRun = runClasses()

func runClasses() (classes [256]struct{ value, token bool }) {
	for c := range classes {
		classes[c].value = c >= 0x20 && c != 0x7f || c == '\t'
		classes[c].token = c > 0x20 && c < 0x7f && c != ','
	}
	return classes
}

// run takes the bytes of a value or a token that step would take one by one, and
// leaves the first other one, and the one past the limit, to it.
func (m *Machine) run(p []byte) (n int) {
	p = p[:min(len(p), HeaderMax-m.headerBytes)]
	if m.state == inValue {
		for n < len(p) && inRun[p[n]].value {
			n++
		}
	} else {
		for n < len(p) && inRun[p[n]].token {
			n++
		}
		m.token = append(m.token, p[:n]...)
	}
	m.headerBytes += n
	return n
}

// stepValue reads a header value. Values of headers that decide nothing are
// checked for control characters and passed over.
func (m *Machine) stepValue(c byte) Reason {
	switch m.state {
	case atValue:
		return m.beginValue(c)
	case inValue:
		if c == '\r' {
			return m.to(atLineLF)
		}
		if c < 0x20 && c != '\t' || c == 0x7f {
			return ReasonMalformed
		}
		return ReasonAllowed
	case inScheme:
		return m.stepScheme(c)
	case atSchemeSpace:
		if c != ' ' {
			return ReasonScheme
		}
		m.token = m.token[:0]
		return m.to(inToken)
	case inToken:
		return m.stepToken(c)
	case inLength:
		return m.stepLength(c)
	case inCoding:
		return m.stepCoding(c)
	}
	return m.endOfValue(c, ReasonMalformed) // inTrailingSpace
}

func (m *Machine) beginValue(c byte) Reason {
	if c == ' ' || c == '\t' {
		return ReasonAllowed
	}
	switch m.header {
	case authorization:
		if c|0x20 != 'b' {
			return ReasonScheme
		}
		m.to(inScheme)
		m.gather('b')
		return ReasonAllowed
	case contentLength:
		if c < '0' || c > '9' {
			return ReasonMalformed
		}
		m.to(inLength)
		m.body, m.count = uint64(c-'0'), 1
		return ReasonAllowed
	case transferEncoding:
		m.to(inCoding)
		m.gather(c | 0x20)
		return ReasonAllowed
	}
	if c == '\r' {
		if m.header == hostHeader {
			return ReasonMalformed
		}
		return m.to(atLineLF)
	}
	if c < 0x20 || c == 0x7f {
		return ReasonMalformed
	}
	return m.to(inValue)
}

func (m *Machine) stepScheme(c byte) Reason {
	m.gather(c | 0x20)
	if m.count < len("bearer") {
		return ReasonAllowed
	}
	if m.gathered() != "bearer" {
		return ReasonScheme
	}
	return m.to(atSchemeSpace)
}

func (m *Machine) stepToken(c byte) Reason {
	switch {
	case c == '\r' || c == ' ' || c == '\t':
		if len(m.token) == 0 {
			return ReasonScheme
		}
		return m.endOfValue(c, ReasonMalformed)
	case c <= 0x20, c >= 0x7f, c == ',': // a comma joins two headers
		return ReasonScheme
	}
	m.token = append(m.token, c)
	return ReasonAllowed
}

func (m *Machine) stepLength(c byte) Reason {
	if c < '0' || c > '9' {
		return m.endOfValue(c, ReasonMalformed)
	}
	if m.count >= lengthDigitsMax {
		return ReasonMalformed
	}
	m.body = m.body*10 + uint64(c-'0')
	m.count++
	return ReasonAllowed
}

// stepCoding takes exactly "chunked".
func (m *Machine) stepCoding(c byte) Reason {
	if m.count < len("chunked") {
		m.gather(c | 0x20)
		if m.count == len("chunked") && m.gathered() != "chunked" {
			return ReasonNotImplemented
		}
		return ReasonAllowed
	}
	return m.endOfValue(c, ReasonNotImplemented)
}

// endOfValue takes the end of a value or the space before it.
func (m *Machine) endOfValue(c byte, otherwise Reason) Reason {
	switch c {
	case '\r':
		m.state = atLineLF
	case ' ', '\t':
		m.state = inTrailingSpace
	default:
		return otherwise
	}
	return ReasonAllowed
}
