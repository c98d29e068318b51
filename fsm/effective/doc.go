// Package effective is the index of the effective permissions of one
// organization. It meets in the middle, in role space: a user row names groups
// and direct roles, a permission row names the roles that grant it, and a check
// looks for a role that is in both. Nothing is stored per user and permission,
// so no change costs as much as its number of users, and the grant sources fall
// out of the same rows.
//
// An Index is immutable: readers share it without locks. An Editor is one
// writer's private copy that shares everything it has not touched. Membership
// and assignments live here and nowhere else in memory.
//
// Rows are named by ordinals. The row of a deleted object is cleared from every
// row that names it before its ordinal goes to another, so deleting a group
// costs as much as it has members, and an older Index still means the old row.
// Nodes number differently after a reload: no ordinal, no order of ordinals and
// no count of ordinals ever handed out may show in an answer or decide a limit.
// The package knows no storage, no routes and no API.
package effective
