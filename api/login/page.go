package login

import (
	"bytes"
	"html/template"
	"net/http"
	"net/url"
	"slices"
)

// The pages are plain: no script, no style, nothing from elsewhere.
var (
	signInPage = template.Must(template.New("sign-in").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Development sign-in</title></head><body>
<h1>Development sign-in</h1>
<p>This page asks for no proof. It exists only in a cluster that authfi dev made.</p>
{{if .Problem}}<p role="alert">{{.Problem}}</p>{{end}}
<form method="post" action="/o/{{.Slug}}/oauth2/authorize">
{{range .Hidden}}<input type="hidden" name="{{.Name}}" value="{{.Value}}">
{{end}}<p><label>User name <input name="user_name" value="{{.User}}" autocomplete="username" required autofocus></label></p>
<p><label><input type="checkbox" name="second_factor" value="yes"> with a second factor</label></p>
<p><button>Sign in</button></p>
</form></body></html>
`))
	devicesPage = template.Must(template.New("device").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in a device</title></head><body>
<h1>Sign in a device</h1>
{{if .Problem}}<p role="alert">{{.Problem}}</p>{{end}}
{{if .Done}}<p role="status">{{.Done}}</p>{{else}}<form method="post" action="/o/{{.Slug}}/oauth2/device">
{{if .Client}}<p>{{.Client}} asks for: {{if .Scope}}{{.Scope}}{{else}}what it may have{{end}}</p>
<p>Allow this only if the device before you shows the code {{.Code}}.</p>
<input type="hidden" name="user_code" value="{{.Code}}">
<p>This page asks for no proof. It exists only in a cluster that authfi dev made.</p>
<p><label>User name <input name="user_name" value="{{.User}}" autocomplete="username" required autofocus></label></p>
<p><label><input type="checkbox" name="second_factor" value="yes"> with a second factor</label></p>
<p><button name="decision" value="allow">Allow</button> <button name="decision" value="deny">Refuse</button></p>
{{else}}<p><label>Code <input name="user_code" autocomplete="off" required autofocus></label></p>
<p><button>Go on</button></p>
{{end}}</form>{{end}}
</body></html>
`))
	signedOutPage = template.Must(template.New("signed-out").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Signed out</title></head><body>
<h1>Signed out</h1>
<p role="status">You are signed out.</p>
</body></html>
`))
	errorPage = template.Must(template.New("error").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign-in</title></head><body>
<h1>Sign-in</h1>
<p role="alert">{{.}}</p>
</body></html>
`))
)

type hiddenField struct{ Name, Value string }

// asking are the parameters of a request.
var asking = []string{
	"client_id", "code_challenge", "code_challenge_method", "dpop_jkt", "max_age", "nonce", "prompt", "redirect_uri",
	"response_mode", "response_type", "scope", "state",
}

// kept are those that the sign-in page carries along.
var kept = append([]string{"request_uri"}, asking...)

func showSignIn(w http.ResponseWriter, status int, slug string, fields url.Values, problem string) {
	var hidden []hiddenField
	for _, name := range kept {
		if fields.Has(name) {
			hidden = append(hidden, hiddenField{name, fields.Get(name)})
		}
	}
	user := fields.Get("user_name")
	if user == "" {
		user = fields.Get("login_hint")
	}
	show(w, status, signInPage, struct {
		Slug, User, Problem string
		Hidden              []hiddenField
	}{slug, user, problem, slices.Clip(hidden)})
}

// devicePage is what a person sees who signs a device in.
type devicePage struct{ Slug, Code, Client, Scope, User, Problem, Done string }

func showDevice(w http.ResponseWriter, slug string, page devicePage) {
	page.Slug = slug
	show(w, http.StatusOK, devicesPage, page)
}

func showError(w http.ResponseWriter, status int, text string) { show(w, status, errorPage, text) }

func show(w http.ResponseWriter, status int, page *template.Template, data any) {
	var body bytes.Buffer
	if err := page.Execute(&body, data); err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	secure(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// secure is on every answer of the authorization endpoint. The policy names no
// form-action: browsers hold it against the redirect that follows the form, too.
func secure(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}
