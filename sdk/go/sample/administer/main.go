// Command administer makes a user of the name given, says what is known of the user
// besides, and names everybody.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/authfi/authfi/sdk/go/admin"
)

func main() {
	ctx, org, email := context.Background(), os.Getenv("AUTHFI_ORG"), os.Args[1]
	api, err := admin.New(admin.FromEnv()) // AUTHFI_URL, AUTHFI_TOKEN and AUTHFI_CACERT
	if err != nil {
		log.Fatal(err)
	}
	user, err := api.CreateUser(ctx, admin.CreateUserRequest{OrgID: org, Email: email})
	if err != nil {
		log.Fatal(err) // a *admin.Problem, with what is wrong with which field
	}
	_, err = api.UpdateUser(ctx, admin.UpdateUserRequest{ID: user.ID, Title: new("Dr.")}, admin.IfVersion(user.Version))
	if errors.Is(err, admin.ErrChanged) {
		log.Fatal("somebody else has changed the user meanwhile")
	}
	for user, err := range api.AllUsers(ctx, admin.ListUsersRequest{OrgID: org, Sort: "email"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(user.Email, user.Title)
	}
}
