package gate

// UnderWay is how many exchanges the gate takes for not over. A client may have its whole
// answer a moment earlier.
func (g *Gate) UnderWay() (n int) {
	for _, h := range g.holders() {
		h.review(func(*exchange) bool {
			n++
			return false
		})
	}
	return n
}
