package access

import (
	"maps"
	"slices"
)

// Operations are the rows of the table in order.
func Operations() []Operation { return slices.Sorted(maps.Keys(rules)) }
