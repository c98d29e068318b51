// Command sample is a protected service in Go.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"

	authfi "github.com/authfi/authfi/sdk/go"
)

func main() {
	ctx := context.Background()
	config := authfi.FromEnv() // AUTHFI_ISSUER and the others
	config.Log = slog.Default()
	auth, err := authfi.New(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /patients", auth.Require("read:patients")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := authfi.UserFrom(r.Context())
		json.NewEncoder(w).Encode(map[string]any{"user": user.ID, "notes": auth.Can(r.Context(), "write:notes")})
	})))
	if err := auth.Ready(ctx); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("go http://%s\n", listener.Addr())
	log.Fatal(http.Serve(listener, mux))
}
