package authfi

import (
	"context"
	"net/http"
)

type userKey struct{}

// UserFrom is who the request of a context comes from.
func UserFrom(ctx context.Context) (*User, bool) {
	u, ok := ctx.Value(userKey{}).(*User)
	return u, ok
}

// Can reports whether the user of a context holds a permission; nobody holds none.
func Can(ctx context.Context, permission string) bool {
	u, _ := UserFrom(ctx)
	return u.Can(permission)
}

// Can is the function of the same name, for whoever has an Auth at hand.
func (a *Auth) Can(ctx context.Context, permission string) bool { return Can(ctx, permission) }

// Require lets requests through whose user holds all the permissions. It panics
// when one of them is no permission. The context of a request ends when its token
// would be refused, so that a handler that streams ends with the right to it.
func (a *Auth) Require(permissions ...string) func(http.Handler) http.Handler {
	mustBePermissions(permissions)
	return a.guard(permissions)
}

// Authenticated lets every user through.
func (a *Auth) Authenticated() func(http.Handler) http.Handler { return a.guard(nil) }

func (a *Auth) guard(permissions []string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, leave, err := a.Enter(r.Context(), Call{r.Header.Values("Authorization"), isMutating(r.Method), permissions})
			if err != nil {
				AsRefusal(err).ServeHTTP(w, r)
				return
			}
			defer leave()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

func isMutating(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}
