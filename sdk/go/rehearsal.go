package authfi

// service is what the test issuer may see of an Auth: it waits until what it did was
// taken in.
type service struct{ auth *Auth }

// Heard reports whether the feed was followed up to the heartbeat behind an index, and
// everything open was looked at since.
func (s service) Heard(index uint64) bool {
	s.auth.mu.Lock()
	defer s.auth.mu.Unlock()
	f := s.auth.feed
	return (f.at > index || f.at == index && f.ordinal == nil) && !s.auth.toLook
}

// Knows reports whether the key set names a key.
func (s service) Knows(kid string) bool {
	s.auth.mu.Lock()
	defer s.auth.mu.Unlock()
	return s.auth.keys.known[kid] != nil && !s.auth.toLook
}

// Follows reports whether there is a feed to hear of.
func (s service) Follows() bool { return s.auth.config.Posture != Offline }
