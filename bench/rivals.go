package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// side is one way to a service that answers the same.
type side struct {
	name  string // in the metrics
	what  string // in the report
	base  string
	token string
}

// rivals are processes that guard, in their way, the service that is unprotected.
type rivals struct {
	sides []side
	procs []*exec.Cmd
	dir   string
	why   string // what could not be had, and so is not in the report
}

// stop may be called twice. A program that has workers must end them itself.
func (r *rivals) stop() {
	for _, p := range r.procs {
		p.Process.Signal(syscall.SIGTERM)
	}
	for _, p := range r.procs {
		late := time.AfterFunc(answerWait, func() { p.Process.Kill() })
		p.Wait()
		late.Stop()
	}
	r.procs = nil
}

// startRivals starts those that can be had here.
func (b *bench) startRivals(ctx context.Context, c *cluster, bare, token string) (r *rivals, err error) {
	r = &rivals{}
	defer func() {
		if err != nil {
			r.stop()
		}
	}()
	if r.dir, err = os.MkdirTemp(b.dir, "rivals-"); err != nil {
		return r, err
	}
	if err := r.writeKeys(ctx, c); err != nil {
		return r, err
	}
	upstream := strings.TrimPrefix(bare, "http://")
	auth := ""
	for _, own := range []struct{ kind, name, what string }{
		{"auth", "", ""},
		{"app", "app_cached", "the application checks the token itself, known tokens by their hash (Go, standard library)"},
		{"app-uncached", "app", "the application verifies the token's signature every time (Go, standard library)"},
		{"proxy", "go_proxy", "a Go reverse proxy (net/http/httputil) that checks as the application with a cache does"},
	} {
		address, err := r.startSelf(ctx, own.kind, upstream)
		if err != nil {
			return r, err
		}
		if own.name == "" {
			auth = address
			continue
		}
		r.sides = append(r.sides, side{own.name, own.what, "http://" + address, token})
	}
	return r, errors.Join(r.nginx(ctx, upstream, auth, token), r.haproxy(ctx, upstream, token))
}

// writeKeys stores the issuer's key set, and its key as PEM.
func (r *rivals) writeKeys(ctx context.Context, c *cluster) error {
	var text []byte
	if err := c.api("", "").do(ctx, http.MethodGet, "/o/"+c.slug+"/.well-known/jwks.json", nil, &text); err != nil {
		return err
	}
	keys, err := keySet(text)
	if err != nil {
		return err
	}
	for _, key := range keys {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return err
		}
		file := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		if err := os.WriteFile(r.file("key.pem"), file, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(r.file("keys.json"), text, 0o644)
}

func (r *rivals) file(name string) string { return filepath.Join(r.dir, name) }

func (r *rivals) startSelf(ctx context.Context, kind, upstream string) (address string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if address, err = freeAddress(); err != nil {
		return "", err
	}
	return address, r.start(ctx, address, self, "-rival", kind, "-rival-listen", address, "-rival-upstream", upstream, "-rival-keys", r.file("keys.json"))
}

// start runs a program until it listens.
func (r *rivals) start(ctx context.Context, address, program string, args ...string) error {
	log, err := os.Create(r.file(fmt.Sprintf("rival-%d.log", len(r.procs))))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = log, log // files: Wait would wait for the workers of a killed program
	if err := cmd.Start(); err != nil {
		return err
	}
	r.procs = append(r.procs, cmd)
	for deadline := time.Now().Add(answerWait); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not listen: %w: %s", filepath.Base(program), err, lastLines(log.Name()))
		}
	}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// installed finds a program, or installs it as root on a Debian. When it cannot be
// had, the report says so.
func (r *rivals) installed(ctx context.Context, name, pkg string) (program string, ok bool) {
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if program, err := exec.LookPath(path); err == nil {
			return program, true
		}
	}
	if os.Geteuid() != 0 {
		r.why += fmt.Sprintf(" %s is not installed, and only root can install it.", name)
		return "", false
	}
	install := exec.CommandContext(ctx, "apt-get", "install", "--yes", "--no-install-recommends", pkg)
	install.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if said, err := install.CombinedOutput(); err != nil {
		r.why += fmt.Sprintf(" %s cannot be installed: %v: %.200s.", pkg, err, said)
		return "", false
	}
	return "/usr/sbin/" + name, true
}

// version is the first line of what a program says about itself.
func version(ctx context.Context, program, flag string) string {
	said, _ := exec.CommandContext(ctx, program, flag).CombinedOutput()
	line, _, _ := strings.Cut(string(said), "\n")
	return line
}

// A location that sets one header of its own inherits none: without Connection there
// every question opened a connection, and after some ten thousand of them nginx had no
// port left and answered 500.
const nginxConfig = `daemon off;
%[6]s
pid %[1]s/nginx.pid;
error_log %[1]s/nginx.log error;
worker_processes auto;
events { worker_connections 1024; }
http {
  access_log off;
  large_client_header_buffers 8 16k;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  proxy_cache_path %[1]s/cache keys_zone=auth:16m;
  upstream app { server %[2]s; keepalive 64; }
  upstream auth { server %[3]s; keepalive 64; }
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  keepalive_requests 1000000000;
  server {
    listen %[4]s;
    location / { auth_request /_auth; proxy_pass http://app; }
    location = /_auth { internal; proxy_pass http://auth; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header Connection ""; }
  }
  server {
    listen %[5]s;
    location / { auth_request /_auth; proxy_pass http://app; }
    location = /_auth {
      internal; proxy_pass http://auth; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header Connection "";
      proxy_cache auth; proxy_cache_key $http_authorization; proxy_cache_valid 204 60s;
    }
  }
}
`

func (r *rivals) nginx(ctx context.Context, upstream, auth, token string) error {
	program, ok := r.installed(ctx, "nginx", "nginx-light")
	if !ok {
		return nil
	}
	uncached, err := freeAddress()
	if err != nil {
		return err
	}
	cached, err := freeAddress()
	if err != nil {
		return err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // the directory is root's, and the cache is in it
	}
	config := fmt.Sprintf(nginxConfig, r.dir, upstream, auth, uncached, cached, user)
	if err := os.WriteFile(r.file("nginx.conf"), []byte(config), 0o644); err != nil {
		return err
	}
	if err := r.start(ctx, uncached, program, "-c", r.file("nginx.conf"), "-p", r.dir); err != nil {
		return err
	}
	v := version(ctx, program, "-v")
	r.sides = append(r.sides,
		side{"nginx", v + " with auth_request to a Go service that verifies every time", "http://" + uncached, token},
		side{"nginx_cached", v + " with auth_request, its answers cached for a minute by token", "http://" + cached, token})
	return nil
}

const haproxyConfig = `global
  nbthread 2
  tune.bufsize 32768
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend gate
  bind %[1]s
  http-request set-var(txn.token) http_auth_bearer
  http-request set-var(txn.exp) http_auth_bearer,jwt_payload_query('$.exp','int')
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 unless { var(txn.token),jwt_verify("ES256","%[2]s") -m int 1 }
  http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }
  default_backend app
backend app
  http-reuse always
  server app %[3]s
`

func (r *rivals) haproxy(ctx context.Context, upstream, token string) error {
	program, ok := r.installed(ctx, "haproxy", "haproxy")
	if !ok {
		return nil
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	config := fmt.Sprintf(haproxyConfig, address, r.file("key.pem"), upstream)
	if err := os.WriteFile(r.file("haproxy.cfg"), []byte(config), 0o644); err != nil {
		return err
	}
	if err := r.start(ctx, address, program, "-db", "-f", r.file("haproxy.cfg")); err != nil {
		return err
	}
	r.sides = append(r.sides, side{"haproxy", version(ctx, program, "-v") + " with jwt_verify and exp, no permissions", "http://" + address, token})
	return nil
}
