package authfi

import (
	"context"
	"errors"
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
// when one of them is no permission.
func (a *Auth) Require(permissions ...string) func(http.Handler) http.Handler {
	mustBePermissions(permissions)
	return a.guard(permissions)
}

// Authenticated lets every user through.
func (a *Auth) Authenticated() func(http.Handler) http.Handler { return a.guard(nil) }

func (a *Auth) guard(permissions []string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u, refusal := a.admit(r, permissions)
			if refusal != nil {
				refusal.ServeHTTP(w, r)
				return
			}
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, u)))
		})
	}
}

func (a *Auth) admit(r *http.Request, permissions []string) (*User, *Refusal) {
	token, refusal := bearer(r.Header.Values("Authorization"))
	if refusal != nil {
		return nil, refusal
	}
	u, err := a.Verify(r.Context(), token, isMutating(r.Method))
	if err != nil {
		if !errors.As(err, &refusal) {
			refusal = &Refusal{Code: AuthUnavailable}
		}
		return nil, refusal
	}
	if missing := u.Permissions.missing(permissions); len(missing) > 0 {
		return nil, &Refusal{Code: InsufficientPermission, Required: permissions, Missing: missing}
	}
	return u, nil
}

func isMutating(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}
