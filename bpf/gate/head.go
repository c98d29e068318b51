package gate

import (
	"bytes"
	"net/netip"

	"github.com/authfi/authfi/bpf/policy"
)

// fieldsMax is how many header fields one request may have. Browsers send some
// thirty; each costs the service an allocation or more.
const fieldsMax = 128

// fieldKind is what the gate does with a header field.
type fieldKind uint8

const (
	fieldPasses     fieldKind = iota
	fieldIdentity             // says who the client is: only the gate may
	fieldHop                  // of this connection alone
	fieldConnection           // lists more such fields
	fieldUpgrade
	fieldHost
	fieldFraming // decides how the message is read
)

// fields are the names, in lower case and with hyphens, that do not just pass.
var fields = map[string]fieldKind{
	"forwarded": fieldIdentity, "x-real-ip": fieldIdentity, "x-client-ip": fieldIdentity,
	"client-ip": fieldIdentity, "true-client-ip": fieldIdentity, "x-cluster-client-ip": fieldIdentity,
	"cf-connecting-ip": fieldIdentity, "x-original-for": fieldIdentity, "x-original-forwarded-for": fieldIdentity,
	"remote-user": fieldIdentity, "x-remote-user": fieldIdentity, "x-forwarded": fieldIdentity, "x-authfi": fieldIdentity,

	"keep-alive": fieldHop, "proxy-connection": fieldHop, "proxy-authorization": fieldHop, "te": fieldHop,
	"connection": fieldConnection, "upgrade": fieldUpgrade, "host": fieldHost,
	"content-length": fieldFraming, "transfer-encoding": fieldFraming, "authorization": fieldFraming,
}

const nameMax = 32 // longer than every name of fields

// kindOf reads a name as the servers do that take '_' for '-'.
func kindOf[T string | []byte](name T) fieldKind {
	if len(name) == 0 {
		return fieldPasses
	}
	switch name[0] | 0x20 {
	case 'a', 'c', 'f', 'h', 'k', 'p', 'r', 't', 'u', 'x':
	default:
		return fieldPasses
	}
	var folded [nameMax]byte
	n := min(len(name), nameMax)
	for i := range n {
		b := name[i]
		switch {
		case b >= 'A' && b <= 'Z':
			b |= 0x20
		case b == '_':
			b = '-'
		}
		folded[i] = b
	}
	lower := folded[:n]
	if bytes.HasPrefix(lower, []byte("x-forwarded-")) || bytes.HasPrefix(lower, []byte("x-authfi-")) {
		return fieldIdentity
	}
	if len(name) > nameMax {
		return fieldPasses
	}
	return fields[string(lower)]
}

// head is a header block of HTTP/1.1, which the strict machine has read before:
// lines end in CRLF, every one has a name and a colon, none is folded.
type head struct {
	line      []byte   // the request line
	host      []byte   // value of Host
	protocol  []byte   // value of Upgrade
	listed    [][]byte // names in Connection other than the three below
	close     bool
	keepAlive bool
	upgrade   bool
}

// readHead finds what the gate needs to know of a block.
func readHead(block []byte) (h head, refusal policy.Reason) {
	line, rest, _ := bytes.Cut(block, []byte("\r\n"))
	h.line = line
	count := 0
	for {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if len(line) == 0 {
			break
		}
		if count++; count > fieldsMax {
			return h, policy.ReasonTooLarge
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch kindOf(name) {
		case fieldHost:
			h.host = bytes.Trim(value, " \t")
		case fieldUpgrade:
			h.protocol = bytes.Trim(value, " \t")
		case fieldConnection:
			if !h.connection(value) {
				return h, policy.ReasonMalformed
			}
		}
	}
	return h, policy.ReasonAllowed
}

// connection reads the options of one Connection field. A client that lists a
// field without which the request is another one is refused.
func (h *head) connection(value []byte) bool {
	for option := range bytes.SplitSeq(value, []byte(",")) {
		option = bytes.Trim(option, " \t")
		switch {
		case len(option) == 0:
		case bytes.EqualFold(option, []byte("close")):
			h.close = true
		case bytes.EqualFold(option, []byte("keep-alive")):
			h.keepAlive = true
		case bytes.EqualFold(option, []byte("upgrade")):
			h.upgrade = true
		default:
			if kind := kindOf(option); kind == fieldFraming || kind == fieldHost {
				return false
			}
			h.listed = append(h.listed, option)
		}
	}
	return true
}

// lists reports whether Connection makes a field one of this connection alone.
func (h *head) lists(name []byte) bool {
	for _, listed := range h.listed {
		if bytes.EqualFold(listed, name) {
			return true
		}
	}
	return false
}

// method and target is the request line without its version.
func (h *head) methodAndTarget() []byte { return h.line[:len(h.line)-len(" HTTP/1.1")] }

// is10 reports the version before connections were kept.
func (h *head) is10() bool { return bytes.HasSuffix(h.line, []byte("0")) }

// write appends the block as the service gets it: without what a client may not
// say, with what the gate says instead.
func (h *head) write(out, block []byte, from *origin, user string) []byte {
	out = append(append(out, h.line...), "\r\n"...)
	rest := block[len(h.line)+2:]
	for len(rest) > 2 {
		end := bytes.IndexByte(rest, '\n') + 1
		name := rest[:bytes.IndexByte(rest, ':')]
		kind := kindOf(name)
		if kind == fieldPasses || kind == fieldHost || kind == fieldFraming {
			if len(h.listed) == 0 || !h.lists(name) {
				out = append(out, rest[:end]...)
			}
		}
		rest = rest[end:]
	}
	out = append(out, from.fields...)
	if len(h.host) > 0 {
		out = append(append(append(out, "x-forwarded-host: "...), h.host...), "\r\n"...)
	}
	if user != "" {
		out = append(append(append(out, "x-authfi-user: "...), user...), "\r\n"...)
	}
	return out
}

// finish ends the block with what this connection needs.
func (h *head) finish(out []byte) []byte {
	switch {
	case h.close:
		out = append(out, "connection: close\r\n"...)
	case h.keepAlive && h.is10():
		out = append(out, "connection: keep-alive\r\n"...)
	}
	return append(out, "\r\n"...)
}

// origin is where a connection comes from.
type origin struct {
	client netip.AddrPort
	local  netip.AddrPort // where the client connected to
	secure bool
	fields []byte // what every request of the connection is given
}

func newOrigin(client, local netip.AddrPort, secure bool) *origin {
	o := &origin{client: client, local: local, secure: secure}
	address := o.address()
	o.fields = []byte("x-forwarded-for: " + address + "\r\nx-real-ip: " + address + "\r\nx-forwarded-proto: " + o.scheme() + "\r\n")
	return o
}

func (o *origin) address() string { return o.client.Addr().Unmap().WithZone("").String() }

func (o *origin) scheme() string {
	if o.secure {
		return "https"
	}
	return "http"
}
