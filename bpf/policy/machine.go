package policy

// Machine reads the requests of one connection, byte by byte and as strictly as
// the kernel's (src/http.h): whatever two parsers could read differently is an
// error, and one error ends the connection. It keeps no bytes, so any split of
// the stream gives the same result.
type Machine struct {
	program     *Program
	k0, k1      uint64
	state       machineState
	method      int
	path        uint16
	dots        uint8
	percent     byte
	word        [8]byte // method, version, scheme or coding being gathered
	count       int
	name        [nameMax]byte
	nameLength  int
	folded      bool
	header      headerKind
	flags       headerFlag
	token       []byte
	body        uint64
	headerBytes int
	flow        Flow
}

// Limits of one request; each is a refusal.
const (
	HeaderMax        = 32 << 10 // bytes of a header block
	lengthDigitsMax  = 15
	chunkDigitsMax   = 8
	nameMax          = 24 // bytes of a header name that are compared
	methodLettersMax = 8
)

type machineState uint8

const (
	atMethod machineState = iota
	atTarget
	inPath
	inPercent1
	inPercent2
	inQuery
	inVersion
	atVersionCR
	atLineLF
	atLine
	inName
	atValue
	inValue
	atEndLF
	inScheme
	atSchemeSpace
	inToken
	inLength
	inCoding
	inTrailingSpace
	inBody // this state and those below are past the header block
	inChunkSize
	atChunkSizeLF
	inChunk
	atChunkCR
	atChunkLF
	atEndCR
	atLastLF
	dead
)

type headerKind uint8

const (
	otherHeader headerKind = iota
	authorization
	contentLength
	transferEncoding
	hostHeader
	upgrade
	forbidden
)

type headerFlag uint8

const (
	hasToken headerFlag = 1 << iota
	hasLength
	hasCoding
	hasHost
	hasUpgrade
	version10
)

// headers are the names that decide something. The forbidden ones make an
// application act on another method or path than the request line says.
var headers = map[string]headerKind{
	"authorization":          authorization,
	"content-length":         contentLength,
	"transfer-encoding":      transferEncoding,
	"host":                   hostHeader,
	"upgrade":                upgrade,
	"x-http-method-override": forbidden,
	"x-http-method":          forbidden,
	"x-method-override":      forbidden,
	"x-original-url":         forbidden,
	"x-rewrite-url":          forbidden,
	"http2-settings":         forbidden,
}

var flagOf = map[headerKind]headerFlag{
	authorization: hasToken, contentLength: hasLength, transferEncoding: hasCoding,
	hostHeader: hasHost, upgrade: hasUpgrade,
}

// NewMachine starts before the first request of a connection.
func NewMachine() *Machine {
	m := &Machine{}
	m.reset()
	return m
}

// Begin gives the program and the secret for the next request. It is called
// whenever Idle, so that a policy swap reaches the next request.
func (m *Machine) Begin(p *Program, k0, k1 uint64) {
	m.program, m.k0, m.k1 = p, k0, k1
	m.path = p.Start()
}

// Idle reports that no byte of a next request has been read.
func (m *Machine) Idle() bool { return m.state == atMethod && m.count == 0 }

// InHeader reports that a header block has begun and is not complete.
func (m *Machine) InHeader() bool { return m.state < inBody && !m.Idle() }

func (m *Machine) reset() {
	m.state, m.count, m.flags, m.headerBytes, m.method = atMethod, 0, 0, 0, MethodGet
	m.token, m.body, m.word, m.dots = m.token[:0], 0, [8]byte{}, 0
	m.path = m.program.Start()
}

// Feed reads bytes until a header block is complete, the bytes of one request
// are over, or an error. It returns how many it took.
//
// complete is true once per request, when Flow is whole; the caller decides and
// calls Allow before it feeds on. A reason other than ReasonAllowed is the
// refusal of the connection.
func (m *Machine) Feed(p []byte) (n int, complete bool, refusal Reason) {
	for n < len(p) {
		if m.state == inBody || m.state == inChunk {
			n += m.skip(len(p) - n)
			if m.Idle() {
				return n, false, ReasonAllowed
			}
			continue
		}
		if m.state == inValue || m.state == inToken {
			if n += m.run(p[n:]); n == len(p) {
				break
			}
		}
		complete, refusal = m.step(p[n])
		n++
		switch {
		case refusal != ReasonAllowed:
			m.state = dead
			return n, false, refusal
		case complete:
			return n, true, ReasonAllowed
		case m.Idle():
			return n, false, ReasonAllowed
		}
	}
	return n, false, ReasonAllowed
}

// Flow is the request whose header block is complete.
func (m *Machine) Flow() Flow { return m.flow }

// Head reports whether the refused request was readable as HEAD.
func (m *Machine) Head() bool { return m.method == MethodHead }

// Allow continues with the body of the request that was let through.
func (m *Machine) Allow() {
	switch {
	case m.flags&hasCoding != 0:
		m.state, m.count, m.body = inChunkSize, 0, 0
	case m.flags&hasLength != 0 && m.body > 0:
		m.state = inBody
	default:
		m.reset()
	}
}

func (m *Machine) skip(available int) int {
	n := uint64(available)
	if m.body < n {
		n = m.body
	}
	if m.body -= n; m.body == 0 {
		if m.state == inBody {
			m.reset()
		} else {
			m.state = atChunkCR
		}
	}
	return int(n)
}

// step reads one byte outside of bodies.
func (m *Machine) step(c byte) (complete bool, refusal Reason) {
	if m.state < inBody {
		if m.headerBytes++; m.headerBytes > HeaderMax {
			return false, ReasonTooLarge
		}
	}
	switch {
	case m.state <= inQuery:
		return false, m.stepTarget(c)
	case m.state <= atLineLF:
		return false, m.stepVersion(c)
	case m.state >= inBody:
		return false, m.stepChunk(c)
	case m.state == atEndLF:
		return m.finish(c)
	case m.state == inName || m.state == atLine:
		return false, m.stepName(c)
	}
	return false, m.stepValue(c)
}

func (m *Machine) gather(c byte) {
	m.word[m.count&7] = c
	m.count++
}

func (m *Machine) gathered() string { return string(m.word[:min(m.count, 8)]) }

// to moves to a state that gathers anew.
func (m *Machine) to(s machineState) Reason {
	m.state, m.count, m.word = s, 0, [8]byte{}
	return ReasonAllowed
}

// finish checks what the whole header block must satisfy.
func (m *Machine) finish(c byte) (complete bool, refusal Reason) {
	both := hasCoding | hasLength
	old := hasCoding | version10
	if c != '\n' || m.flags&both == both || m.flags&old == old || m.flags&(hasHost|version10) == 0 {
		return false, ReasonMalformed
	}
	m.flow = Flow{
		Method: m.method, State: m.path,
		HasToken: m.flags&hasToken != 0, Length: uint32(len(m.token)),
		Upgrade: m.flags&hasUpgrade != 0, Body: m.flags&hasCoding != 0 || m.body > 0,
	}
	if m.flow.HasToken {
		m.flow.Token = SipHash128(m.k0, m.k1, m.token)
	}
	return true, ReasonAllowed
}

// stepChunk reads chunk framing: no extensions, no trailers.
func (m *Machine) stepChunk(c byte) Reason {
	expect := func(want byte, next machineState) Reason {
		if c != want {
			return ReasonMalformed
		}
		m.state = next
		return ReasonAllowed
	}
	switch m.state {
	case inChunkSize:
		if c == '\r' && m.count > 0 {
			m.state = atChunkSizeLF
			return ReasonAllowed
		}
		v, ok := hexValue(c)
		if !ok || m.count >= chunkDigitsMax {
			return ReasonMalformed
		}
		m.body = m.body<<4 | uint64(v)
		m.count++
		return ReasonAllowed
	case atChunkSizeLF:
		if m.body > 0 {
			return expect('\n', inChunk)
		}
		return expect('\n', atEndCR)
	case atChunkCR:
		return expect('\r', atChunkLF)
	case atChunkLF:
		m.count, m.body = 0, 0
		return expect('\n', inChunkSize)
	case atEndCR:
		return expect('\r', atLastLF)
	case atLastLF:
		if c == '\n' {
			m.reset()
			return ReasonAllowed
		}
	}
	return ReasonMalformed
}
