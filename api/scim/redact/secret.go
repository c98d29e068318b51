package redact

// secrets are what the names of attributes with secrets have in them, as isSecret
// reads them, in lower case.
var secrets = [...]string{"password", "secret", "token"}

// MayHoldSecret is true of a text in which some name could be that of a secret, in
// any case, or in which a name could be hidden: by an escape of JSON, or of a query.
// It is quick, and wrong only in taking for a secret what is none.
func MayHoldSecret[T string | []byte](text T) bool {
	for i := range len(text) {
		switch lower(text[i]) {
		case '\\':
			if i+1 < len(text) && text[i+1] == 'u' {
				return true
			}
		case '%':
			if i+1 < len(text) && text[i+1] >= '4' { // of a letter
				return true
			}
		case 'p', 's', 't':
			for _, name := range secrets {
				if beginsFolded(text[i:], name) {
					return true
				}
			}
		case 0xe2: // the first byte of the Kelvin sign, whose lower case is a k
			return true
		}
	}
	return false
}

func beginsFolded[T string | []byte](text T, name string) bool {
	if len(text) < len(name) {
		return false
	}
	for i := range len(name) {
		if lower(text[i]) != name[i] {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}
