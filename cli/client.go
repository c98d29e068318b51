package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// connectionsKept are the idle connections to a node that are kept for the next
// request.
const connectionsKept = 32

// answerMax bounds what is held in memory of one answer: the API sends a page of
// 1,000 users with all their attributes.
const answerMax = 80 << 20

// options are the flags that every command of the API has.
type options struct {
	url, token, cacert string
	org                string
	output, query      string
	noHeaders          bool
	timeout            time.Duration

	client *http.Client // made by the first request
}

func (o *options) add(f *pflag.FlagSet) {
	f.StringVar(&o.url, "url", "", "address of any node, https://HOST:PORT (AUTHFI_URL)")
	f.StringVar(&o.token, "token", "", "bearer token, or @FILE that holds it (AUTHFI_TOKEN)")
	f.StringVar(&o.cacert, "cacert", "", "file of the CA that signed the node's certificate (AUTHFI_CACERT)")
	f.StringVar(&o.org, "org", "", "organization, by slug or id (AUTHFI_ORG)")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "longest wait for one answer")
}

func (o *options) addOutput(f *pflag.FlagSet) {
	f.StringVarP(&o.output, "output", "o", formatTable, "table, json, jsonl or yaml")
	f.StringVar(&o.query, "query", "", "jq expression over the JSON answer, as in '.users[].email'")
	f.BoolVar(&o.noHeaders, "no-headers", false, "print tables without the line of headers")
}

func setting(flag, variable string) string {
	if flag != "" {
		return flag
	}
	return os.Getenv(variable)
}

// request is one call of the REST dialect.
type request struct {
	method, path string
	body         any               // JSON; nil for none
	header       map[string]string // beside the usual ones
}

// do answers with the body of a success; a refusal is a *Problem.
func (o *options) do(ctx context.Context, r request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	res, err := o.send(ctx, r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerMax+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > answerMax {
		return nil, fmt.Errorf("the answer is larger than %d MiB", answerMax>>20)
	}
	if res.StatusCode/100 != 2 {
		return nil, problemOf(res.StatusCode, body)
	}
	return body, nil
}

// send leaves the reading of the answer to the caller.
func (o *options) send(ctx context.Context, r request) (*http.Response, error) {
	base := strings.TrimRight(setting(o.url, "AUTHFI_URL"), "/")
	token, err := readSecret(setting(o.token, "AUTHFI_TOKEN"))
	if err != nil {
		return nil, err
	}
	if base == "" || token == "" {
		return nil, usage("set AUTHFI_URL and AUTHFI_TOKEN, or --url and --token (and AUTHFI_CACERT for the cluster's own CA)")
	}
	if !strings.HasPrefix(base, "https://") {
		return nil, usage("--url %q does not start with https://", base)
	}
	var body []byte
	if r.body != nil {
		if body, err = json.Marshal(r.body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, r.method, base+r.path, bytes.NewReader(body))
	if err != nil {
		return nil, usage("%v", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	if err := o.connect(); err != nil {
		return nil, err
	}
	return o.client.Do(req)
}

// readSecret keeps a token out of the list of processes: @FILE names where it
// stands.
func readSecret(text string) (string, error) {
	name, ok := strings.CutPrefix(text, "@")
	if !ok {
		return text, nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return "", usage("--token: %v", err)
	}
	return strings.TrimSpace(string(content)), nil
}

func (o *options) connect() error {
	if o.client != nil {
		return nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = connectionsKept
	if file := setting(o.cacert, "AUTHFI_CACERT"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return usage("--cacert: %v", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return usage("--cacert: %s holds no certificate", file)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	// A redirect would carry the token to another host.
	o.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return nil
}

// answer asks a procedure and reads the JSON.
func (o *options) answer(ctx context.Context, procedure string, fields map[string]any, out any) error {
	route, _ := routeOf(methodOf(procedure))
	r, err := route.request(fields)
	if err != nil {
		return err
	}
	body, err := o.do(ctx, r)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, out)
}
