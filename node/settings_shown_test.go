package node

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// withheldSettings are the keys that a support bundle hides.
var withheldSettings = []string{"certificate.acme.email", "first.operator_id", "first.operator_hash", "first.recovery.name", "first.recovery.recipient", "first.recovery.proof"}

// leaves are all keys of a type, as its JSON has them.
func leaves(t reflect.Type, at string) (all []string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()), t.Kind() != reflect.Struct && t.Kind() != reflect.Map:
		return []string{at}
	case t.Kind() == reflect.Map:
		return leaves(t.Elem(), at+".*")
	}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		all = append(all, leaves(t.Field(i).Type, strings.TrimPrefix(at+"."+name, "."))...)
	}
	return all
}

// TestEverySettingIsShownOrHidden: whoever adds a key decides which, and without a
// decision it is hidden.
func TestEverySettingIsShownOrHidden(t *testing.T) {
	keys := leaves(reflect.TypeFor[Config](), "")
	if len(keys) < 25 {
		t.Fatalf("only %d keys: %v", len(keys), keys)
	}
	for _, key := range keys {
		shown, withheld := isShown(strings.Split(key, ".")), slices.Contains(withheldSettings, key)
		if shown == withheld {
			t.Errorf("%s: shown %v, hidden %v; decide in shownSettings or here", key, shown, withheld)
		}
	}
	for _, key := range [][]string{{"newcomer"}, {"push", "password"}, {"enforce", "services", "127.0.0.1:1", "newcomer"}} {
		if isShown(key) {
			t.Errorf("%v is shown", key)
		}
	}
}

// TestShownConfiguration has the values of what is shown, and of the rest only that it
// is there.
func TestShownConfiguration(t *testing.T) {
	c := Config{NodeID: "node-1", Enforce: EnforceConfig{Upstreams: map[string]string{"127.0.0.1:80": "127.0.0.1:81"}},
		First: &FirstConfig{Recovery: &RecoveryConfig{Name: "namecanary", Proof: []byte("proof")}}}
	shown, err := c.shown()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"node_id":"node-1"`, `"127.0.0.1:80":"127.0.0.1:81"`, `"name":"[not shown]"`, `"proof":"[not shown]"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if strings.Contains(string(text), "namecanary") {
		t.Errorf("%s", text)
	}
}
