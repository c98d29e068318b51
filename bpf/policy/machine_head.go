package policy

import "strings"

// stepTarget reads method, path and query of the request line.
func (m *Machine) stepTarget(c byte) Reason {
	switch m.state {
	case atMethod:
		return m.stepMethod(c)
	case atTarget: // origin form only
		if c != '/' {
			return ReasonMalformed
		}
		m.path, m.dots = m.program.Next(m.program.Start(), c), 0
		return m.to(inPath)
	case inPath:
		return m.stepPath(c)
	case inPercent1, inPercent2:
		return m.stepPercent(c)
	}
	switch { // inQuery
	case c == ' ':
		return m.to(inVersion)
	case c <= 0x20, c >= 0x7f, c == '#':
		return ReasonMalformed
	}
	return ReasonAllowed
}

func (m *Machine) stepMethod(c byte) Reason {
	if c != ' ' {
		if c < 'A' || c > 'Z' || m.count >= methodLettersMax {
			return ReasonMalformed
		}
		m.gather(c)
		return ReasonAllowed
	}
	name := m.gathered()
	for i, known := range methodNames {
		if name == known {
			m.method = i
			return m.to(atTarget)
		}
	}
	switch name {
	case "":
		return ReasonMalformed
	case "PRI": // HTTP/2 preface
		return ReasonVersion
	}
	return ReasonNotImplemented
}

// Segments of dots are counted while the path is read: 0 empty, 1 ".", 2 "..",
// 3 anything else.
func (m *Machine) stepPath(c byte) Reason {
	switch {
	case c == '/' || c == '?' || c == ' ':
		if m.dots == 1 || m.dots == 2 || c == '/' && m.dots == 0 {
			return ReasonMalformed
		}
		m.dots = 0
		if c == '?' {
			return m.to(inQuery)
		}
		if c == ' ' {
			return m.to(inVersion)
		}
	case c == '%':
		m.state = inPercent1
		return ReasonAllowed
	case !isPathByte(c):
		return ReasonMalformed
	case c == '.' && m.dots < 2:
		m.dots++
	default:
		m.dots = 3
	}
	m.path = m.program.Next(m.path, c)
	return ReasonAllowed
}

// stepPercent decodes; what a second decoding or a normalisation would change
// is refused.
func (m *Machine) stepPercent(c byte) Reason {
	v, ok := hexValue(c)
	if !ok {
		return ReasonMalformed
	}
	if m.state == inPercent1 {
		m.percent, m.state = v, inPercent2
		return ReasonAllowed
	}
	decoded := m.percent<<4 | v
	if decoded < 0x20 || decoded == 0x7f || strings.IndexByte("/\\%.;?#", decoded) >= 0 {
		return ReasonMalformed
	}
	m.dots = 3
	m.path = m.program.Next(m.path, decoded)
	m.state = inPath
	return ReasonAllowed
}

func (m *Machine) stepVersion(c byte) Reason {
	switch m.state {
	case inVersion:
		m.gather(c)
		if m.count < 8 {
			return ReasonAllowed
		}
		switch m.gathered() {
		case "HTTP/1.0":
			m.flags |= version10
		case "HTTP/1.1":
		default:
			return ReasonVersion
		}
		return m.to(atVersionCR)
	case atVersionCR:
		if c != '\r' {
			return ReasonMalformed
		}
		return m.to(atLineLF)
	}
	if c != '\n' { // a bare CR
		return ReasonMalformed
	}
	return m.to(atLine)
}

func (m *Machine) stepName(c byte) Reason {
	if m.state == atLine {
		if c == '\r' {
			return m.to(atEndLF)
		}
		if !isNameByte(c) { // a folded line, a bare LF, an empty name
			return ReasonMalformed
		}
		m.nameLength, m.folded, m.state = 0, false, inName
	}
	if c == ':' {
		return m.finishName()
	}
	if !isNameByte(c) {
		return ReasonMalformed
	}
	if c >= 'A' && c <= 'Z' {
		c |= 0x20
	}
	if c == '_' { // CGI and WSGI servers take it for a hyphen
		c, m.folded = '-', true
	}
	if m.nameLength < nameMax {
		m.name[m.nameLength] = c
	}
	m.nameLength++
	return ReasonAllowed
}

func (m *Machine) finishName() Reason {
	m.header = otherHeader
	if m.nameLength <= nameMax {
		m.header = headers[string(m.name[:m.nameLength])]
	}
	flag := flagOf[m.header]
	if m.header != otherHeader && m.folded || m.header == forbidden || m.flags&flag != 0 {
		return ReasonMalformed
	}
	m.flags |= flag
	return m.to(atValue)
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// isNameByte is RFC 9110's tchar.
func isNameByte(c byte) bool { return isAlnum(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 }

// isPathByte is RFC 3986's pchar without ';', which Java servers take for a
// path parameter.
func isPathByte(c byte) bool { return isAlnum(c) || strings.IndexByte("!$&'()*+,-.:=@_~", c) >= 0 }

func hexValue(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
