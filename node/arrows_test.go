package node_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/authfi/authfi/"

// arrows is the import table: a package may import the packages of ours in its
// row and no others, and a package without a row may not exist. A pattern that
// ends in /* stands for everything below it. A change that needs a new arrow
// changes this table in the same commit and says why.
var arrows = map[string][]string{
	"directory": {},

	"fsm/codec":             {},
	"audit":                 {"directory", "fsm/codec"},
	"fsm/effective":         {"directory"},
	"fsm/state":             {"audit", "directory", "fsm/codec", "fsm/effective"}, // the chain is sealed where entries are kept
	"fsm/state/storagetest": {"directory", "fsm/state"},
	"fsm":                   {"directory", "fsm/codec", "fsm/effective", "fsm/state"},
	"fsm/wire":              {"directory", "fsm", "fsm/codec"},
	"fsm/disk":              {"fsm/codec", "fsm/state"},

	// durable is how the rest writes files that must be whole.
	"durable":             {},
	"cluster":             {"durable"},
	"cluster/clustertest": {"cluster"},
	"keyring":             {},
	"backup":              {},

	"bpf/policy": {"directory"},
	"bpf/obj":    {},
	"bpf":        {"bpf/policy", "bpf/obj"},
	"bpf/gate":   {"bpf/policy"},

	"api/access":      {"directory", "fsm", "fsm/codec", "fsm/state", "fsm/wire"},
	"api/scim/filter": {},
	"api/scim/patch":  {"api/scim/filter"},
	// redact reads filters and paths as the server does, and folds case as it does.
	"api/scim/redact": {"directory", "api/scim/filter"},
	// journal knows a provider's test query by its filter.
	"api/scim/journal": {"directory", "api/scim/filter", "api/scim/redact"},
	"api/scim":         {"directory", "fsm", "fsm/state", "api/access", "api/scim/filter", "api/scim/journal", "api/scim/patch", "keyring"}, // seals cursors
	// issuer verifies the tokens of others, and signs none.
	"api/issuer": {"directory"},
	// login mints tokens, so it knows how the kernel names one (bpf/policy).
	"api/login": {"directory", "fsm", "fsm/state", "api/access", "bpf/policy", "keyring"},
	// admin checks recovery keys (backup), compiles route policies before it proposes
	// them (bpf/policy), shows grant sources (fsm/effective), seals its cursors (keyring) and filters its
	// lists in the language of SCIM (api/scim/filter), and puts together what the
	// nodes remember of a connection (api/scim/journal).
	"api/admin": {
		"audit", "directory", "fsm", "fsm/effective", "fsm/state", "api/access", "api/login", "api/problem", "api/rest",
		"api/scim/filter", "api/scim/journal", "backup", "bpf/policy", "keyring", "proto/gen/*",
	},
	// openapi describes the messages by their descriptors and the words of their
	// sources.
	"api/openapi": {"proto", "proto/gen/*"},

	"api/openapi/openapitest": {"api/openapi"},

	// problem maps the kinds of failure to the codes of the API.
	"api/problem": {"directory", "proto/gen/*"},
	// authzen answers from the state, and seals the tokens of its pages (keyring).
	"api/authzen": {"directory", "fsm/state", "api/access", "keyring"},
	// rest is a dialect: it knows the messages and nothing behind them.
	"api/rest": {"proto/gen/*"},
	// watch answers a procedure and writes its messages as REST does.
	"api/watch": {"directory", "fsm/state", "api/access", "api/problem", "api/rest", "proto/gen/*"},
	// eventstream shows resources as SCIM does and signs as login does; what it pushes
	// carries a header that the keyring sealed.
	"api/eventstream": {"directory", "fsm", "fsm/state", "api/access", "api/login", "api/scim", "keyring"},
	"api":             {"api/*", "directory", "fsm", "fsm/state", "proto/gen/*"},

	"node/feed":    {"directory"},
	"node/enforce": {"directory", "fsm/state", "bpf", "bpf/gate", "bpf/policy"},
	"node": {
		"directory", "fsm", "fsm/disk", "fsm/state", "fsm/wire", "backup", "cluster", "durable", "keyring",
		"api", "api/access", "api/admin", "api/authzen", "api/eventstream", "api/issuer", "api/login", "api/rest", "api/scim", "api/scim/journal", "api/watch",
		"bpf", "bpf/gate", "bpf/policy", "node/acme", "node/enforce", "node/feed", "node/logbook",
	},
	"node/acme":          {"durable"},
	"node/acme/acmetest": {},
	"node/logbook":       {},
	"node/nodetest":      {"backup", "node"},

	// The development cluster talks to nodes as processes, over the public API.
	"dev":        {"proto/gen/*"},
	"cmd/authfi": {"backup", "durable", "node", "dev", "cli"}, // init makes the recovery key that it prints
	// The command line knows the API by its messages and their comments alone; an
	// exported audit log and an organization's file are checked without a cluster,
	// by the rules that the directory has for names.
	// A recovery key is made where it is shown, so that it never travels.
	// Examples of requests are tried where they are written, by the gates' own verdict
	// (bpf/policy).
	"cli": {"archive", "audit", "backup", "bpf/policy", "directory", "durable", "proto", "proto/gen/*"},
	// A file's route policies are compiled before anything of it is applied.
	"archive": {"bpf/policy", "directory"},
	"proto":   {},
	// bench measures parts alone, too: the index, the filter parser, the verdict.
	"bench": {"bench/chaos", "bench/dataset", "api/scim/filter", "directory", "fsm", "fsm/effective", "fsm/state", "bpf", "bpf/gate", "bpf/policy", "dev", "node", "node/nodetest", "sdk/go"}, // and verification in process

	"bench/dataset": {},
	// The fault runs drive the program as processes, over the public API.
	"bench/chaos":          {"bench/chaos/volatile", "bench/history"},
	"bench/chaos/volatile": {},
	"bench/history":        {},

	// The SDK is a client of the public API and nothing else, its tests' issuer too.
	"sdk/go":               {"sdk/go/internal/dial", "sdk/go/internal/rehearsal"},
	"sdk/go/internal/dial": {},
	// Administration is generated from the served document, above one way to ask.
	"sdk/go/rest":              {"sdk/go/internal/dial"},
	"sdk/go/admin":             {"sdk/go/rest"},
	"sdk/go/sample":            {"sdk/go"},
	"sdk/go/sample/administer": {"sdk/go/admin"},
	"sdk/conformance":          {},
	// Interceptors are packages of their own, so that the SDK's core stays without
	// dependencies.
	"sdk/go/grpcauth":    {"sdk/go"},
	"sdk/go/connectauth": {"sdk/go"},
	// The test issuer has what marks it, which nothing outside of the SDK can have.
	"sdk/go/authfitest":         {"sdk/go", "sdk/go/internal/rehearsal"},
	"sdk/go/internal/rehearsal": {},

	"proto/gen/*": {"proto/gen/*"},
	"tools/*":     {},
	// It writes the SDKs' administration by the document and the messages.
	"tools/admin": {"api/openapi", "proto", "proto/gen/*"},
}

// guests are the foreign libraries and the packages that know their names: one
// each, and generated code where the generator leaves no choice. A library
// named here includes the packages below it; the longest name decides.
var guests = map[string][]string{
	"filippo.io/age":                      {"backup"},
	"github.com/fxamacker/cbor/v2":        {"fsm/codec"},
	"github.com/tidwall/btree":            {"fsm/effective", "fsm/state"},
	"github.com/dgraph-io/badger/v4":      {"fsm/disk"},
	"github.com/hashicorp/raft":           {"cluster", "cluster/clustertest"},
	"github.com/hashicorp/raft-boltdb":    {"cluster"},
	"github.com/hashicorp/raft-wal":       {"cluster"},
	"github.com/hashicorp/go-hclog":       {"cluster"},
	"go.etcd.io/bbolt":                    {"cluster"},
	"github.com/cilium/ebpf":              {"bpf", "bpf/obj"},
	"golang.org/x/crypto":                 {"node/acme"},
	"golang.org/x/sys":                    {"bench", "bpf", "bpf/gate", "cli"},
	"github.com/lestrrat-go/jwx/v3":       {"api/issuer", "api/login"},
	"github.com/elimity-com/scim":         {"api/scim"},
	"golang.org/x/time":                   {"api/scim"},
	"connectrpc.com/vanguard":             {"api/rest", "api/admin/rest"},
	"connectrpc.com/connect":              {"api/problem", "api/rest", "api/admin", "api/admin/rest", "api/watch", "proto/gen/*", "sdk/go/connectauth"},
	"google.golang.org/grpc":              {"sdk/go/grpcauth"},
	"google.golang.org/protobuf":          {"api/openapi", "api/rest", "api/admin", "api/admin/rest", "api/watch", "cli", "proto/gen/*", "tools/admin"},
	"google.golang.org/genproto":          {"api/openapi", "api/rest", "api/admin/rest", "cli", "proto/gen/*", "sdk/go/connectauth", "sdk/go/grpcauth"},
	"github.com/prometheus/client_golang": {"node"},
	"github.com/spf13/cobra":              {"cli", "cmd/authfi"},
	"github.com/spf13/pflag":              {"cli", "cmd/authfi"},
	"github.com/goccy/go-yaml":            {"node"},
	"github.com/coreos/go-systemd/v22":    {"cmd/authfi"},
	"github.com/itchyny/gojq":             {"cli"},
	"github.com/hanwen/go-fuse/v2":        {"bench/chaos/volatile"},
	"github.com/anishathalye/porcupine":   {"bench/history"},

	"github.com/letsencrypt/challtestsrv": {"node/acme/acmetest"},
	"github.com/letsencrypt/pebble/v2":    {"node/acme/acmetest"},

	"github.com/santhosh-tekuri/jsonschema/v6": {"api/openapi/openapitest"},
}

// still are the packages that take values and return values: none of their own
// imports, direct or through our other packages, may name one of unstill. What
// foreign and standard packages import for themselves is theirs: math/big, for
// one, imports math/rand without making arithmetic random.
var (
	still = []string{
		"audit", "directory", "fsm", "fsm/codec", "fsm/effective", "fsm/state", "fsm/wire",
		"bpf/policy", "api/scim/filter", "api/scim/patch",
	}
	unstill = []string{"net", "net/http", "os/exec", "crypto/rand", "math/rand", "math/rand/v2"}
)

// imports lists, for each package of the module by its path below the module,
// what its non-test files import.
type imports map[string][]string

func TestArrows(t *testing.T) {
	for _, finding := range listImports(t).violations() {
		t.Error(finding)
	}
}

// TestArrowsRefuse shows that each rule can fail.
func TestArrowsRefuse(t *testing.T) {
	for name, tree := range map[string]imports{
		"no row in the table":         {"newcomer": nil},
		"arrow not in the table":      {"directory": {module + "fsm"}},
		"library that nobody invited": {"fsm": {"example.org/guest"}},
		"library in another's house":  {"directory": {"github.com/hashicorp/raft"}},
		"still package, directly":     {"fsm": {"crypto/rand"}},
		"still package, through ours": {"fsm": {module + "fsm/state"}, "fsm/state": {"net/http"}},
	} {
		if len(tree.violations()) == 0 {
			t.Errorf("%s: not found in %v", name, tree)
		}
	}
}

func (all imports) violations() []string {
	var found []string
	for pkg, list := range all {
		row, known := lookUp(arrows, pkg)
		if !known {
			found = append(found, pkg+" has no row in the import table")
		}
		for _, path := range list {
			if problem := judge(pkg, row, path); problem != "" {
				found = append(found, pkg+" "+problem)
			}
		}
	}
	for _, pkg := range still {
		found = append(found, all.reaches(pkg, pkg, map[string]bool{})...)
	}
	slices.Sort(found)
	return found
}

// judge says what is wrong with one import, or nothing.
func judge(pkg string, row []string, path string) string {
	if ours, ok := strings.CutPrefix(path, module); ok {
		if !matchesAny(row, ours) {
			return "may not import " + ours
		}
		return ""
	}
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		return "" // standard library
	}
	for library := path; library != ""; library = parent(library) {
		if homes, ok := guests[library]; ok {
			if !matchesAny(homes, pkg) {
				return "may not know the library " + library
			}
			return ""
		}
	}
	return "imports " + path + ", which is not in the table of guests"
}

// reaches reports the unstill packages that from arrives at through ours.
func (all imports) reaches(pkg, from string, seen map[string]bool) []string {
	if seen[pkg] {
		return nil
	}
	seen[pkg] = true
	var found []string
	for _, path := range all[pkg] {
		if slices.Contains(unstill, path) {
			found = append(found, from+" reaches "+path+" in "+pkg)
		}
		if ours, ok := strings.CutPrefix(path, module); ok {
			found = append(found, all.reaches(ours, from, seen)...)
		}
	}
	return found
}

func lookUp(table map[string][]string, pkg string) ([]string, bool) {
	if row, ok := table[pkg]; ok {
		return row, true
	}
	for dir := parent(pkg); dir != ""; dir = parent(dir) {
		if row, ok := table[dir+"/*"]; ok {
			return row, true
		}
	}
	return nil, false
}

func matchesAny(patterns []string, pkg string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if dir, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix(pkg, dir)
		}
		return pattern == pkg
	})
}

func parent(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return ""
	}
	return path[:i]
}

func listImports(t *testing.T) imports {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	all := imports{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all[strings.TrimPrefix(pkg.ImportPath, module)] = pkg.Imports
	}
	if len(all) == 0 {
		t.Fatal("go list names no package: the table was not compared with anything")
	}
	return all
}
