// Package dataset makes the one directory that everything is measured on, at any
// size, and says what is true of it. The same size gives the same directory on
// every machine. Its evaluator is slow and obvious: it is the reference that
// every measured answer is compared with.
package dataset

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Shape of a directory: every user is in five groups and has one role of their
// own, every group has three roles, every role ten permissions. Membership is
// uniform and random, which no cache and no shared row makes easier.
const (
	Roles       = 500
	Permissions = 2_000

	GroupsPerUser      = 5
	RolesPerGroup      = 3
	PermissionsPerRole = 10

	usersPerGroup = 50    // groups are this much fewer than users
	largeGroup    = 5_000 // members of group 0, or half the users of a small directory
)

// Directory holds everything by number: users, groups, roles and permissions
// count from 0.
type Directory struct {
	UserGroups      [][]int32 `json:"user_groups"`
	UserRole        []int32   `json:"user_role"`
	GroupRoles      [][]int32 `json:"group_roles"`
	RolePermissions [][]int32 `json:"role_permissions"`
}

// New is the directory of so many users, at least 500.
func New(users int) *Directory {
	random := rand.New(rand.NewPCG(42, uint64(users)))
	d := &Directory{
		UserGroups:      make([][]int32, users),
		UserRole:        make([]int32, users),
		GroupRoles:      make([][]int32, users/usersPerGroup),
		RolePermissions: make([][]int32, Roles),
	}
	inLarge := random.Perm(users)[:min(largeGroup, users/2)]
	for _, user := range inLarge {
		d.UserGroups[user] = []int32{0}
	}
	for user := range d.UserGroups {
		d.UserGroups[user] = fill(random, d.UserGroups[user], GroupsPerUser, 1, len(d.GroupRoles))
		d.UserRole[user] = int32(random.IntN(Roles))
	}
	for group := range d.GroupRoles {
		d.GroupRoles[group] = fill(random, nil, RolesPerGroup, 0, Roles)
	}
	for role := range d.RolePermissions {
		d.RolePermissions[role] = fill(random, nil, PermissionsPerRole, 0, Permissions)
	}
	return d
}

// fill adds distinct numbers from low to below high until there are n.
func fill(random *rand.Rand, numbers []int32, n, low, high int) []int32 {
	for len(numbers) < n {
		if number := int32(low + random.IntN(high-low)); !slices.Contains(numbers, number) {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// Permission is the name of a permission, the same to every engine.
func Permission(number int32) string { return fmt.Sprintf("read:thing-%04d", number) }

// Members are the users of every group.
func (d *Directory) Members() [][]int32 {
	members := make([][]int32, len(d.GroupRoles))
	for user, groups := range d.UserGroups {
		for _, group := range groups {
			members[group] = append(members[group], int32(user))
		}
	}
	return members
}

// Holds says whether a user holds a permission, by looking at everything that
// the user has.
func (d *Directory) Holds(user, permission int32) bool {
	return slices.Contains(d.Held(user), permission)
}

// Held are a user's permissions, once for each way in which they reach the user.
func (d *Directory) Held(user int32) (permissions []int32) {
	permissions = slices.Clone(d.RolePermissions[d.UserRole[user]])
	for _, group := range d.UserGroups[user] {
		for _, role := range d.GroupRoles[group] {
			permissions = append(permissions, d.RolePermissions[role]...)
		}
	}
	return permissions
}

// Question is one check and its answer.
type Question struct {
	User       int32 `json:"user"`
	Permission int32 `json:"permission"`
	Allowed    bool  `json:"allowed"`
}

// Questions are n distinct ones of random users, half of them with the answer
// yes, in random order.
func (d *Directory) Questions(n int, seed uint64) []Question {
	random := rand.New(rand.NewPCG(seed, uint64(n)))
	asked := map[Question]bool{}
	for yes := 0; yes < n/2; {
		user := int32(random.IntN(len(d.UserGroups)))
		held := d.Held(user)
		q := Question{User: user, Permission: held[random.IntN(len(held))], Allowed: true}
		if !asked[q] {
			asked[q] = true
			yes++
		}
	}
	for len(asked) < n {
		q := Question{User: int32(random.IntN(len(d.UserGroups))), Permission: int32(random.IntN(Permissions))}
		if !d.Holds(q.User, q.Permission) {
			asked[q] = true
		}
	}
	return shuffled(random, asked)
}

// shuffled starts from an order of its own: a map has none.
func shuffled(random *rand.Rand, asked map[Question]bool) []Question {
	questions := make([]Question, 0, len(asked))
	for q := range asked {
		questions = append(questions, q)
	}
	slices.SortFunc(questions, func(a, b Question) int {
		if a.User != b.User {
			return int(a.User - b.User)
		}
		return int(a.Permission - b.Permission)
	})
	random.Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
	return questions
}
