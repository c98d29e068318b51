package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/authfi/authfi/backup"
	"github.com/authfi/authfi/durable"
	"github.com/authfi/authfi/node/acme"
)

// SettingsFile is where an installed node has its settings.
const SettingsFile = "/etc/authfi/authfi.yaml"

// settingsMax bounds the settings file, in bytes.
const settingsMax = 1 << 20

// Settings are what the settings file says.
type Settings struct {
	Config `yaml:",inline"`
	// Start is how a machine becomes a node without anybody at its keyboard.
	Start StartSettings `json:"start"`
}

// StartSettings make a node of an empty data directory when it is served: the first
// one of a new cluster, or a further one. They do nothing once it is a node.
type StartSettings struct {
	// First begins a cluster. The operator's token is written to a file, and so is the
	// recovery key, unless the file has one; without a file for it there is none.
	First             bool   `json:"first"`
	OperatorTokenFile string `json:"operator_token_file"`
	RecoveryKeyFile   string `json:"recovery_key_file"`
	// Join is the peer address of any node of the cluster to join, and TokenFile
	// holds the join token.
	Join      string `json:"join"`
	TokenFile string `json:"token_file"`
}

// Read takes what a settings file says over what is set. A key that there is none of,
// and a value of the wrong type, are errors that name the line.
func (s *Settings) Read(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, settingsMax+1))
	switch {
	case err != nil:
		return fmt.Errorf("settings: %w", err)
	case len(text) > settingsMax:
		return fmt.Errorf("settings: %s is larger than %d bytes", file, settingsMax)
	case len(bytes.TrimSpace(text)) == 0:
		return nil
	}
	var checked Settings
	if err := yaml.UnmarshalWithOptions(text, &checked, yaml.Strict()); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("settings: %w", located(file, err))
	}
	var said map[string]any
	if err := yaml.Unmarshal(text, &said); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("settings: %w", located(file, err))
	}
	if err := s.set(said); err != nil {
		return fmt.Errorf("settings: %s: %w", file, err)
	}
	if err := s.Start.check(); err != nil {
		return fmt.Errorf("settings: %s: start: %w", file, err)
	}
	if err := s.Certificate.ACME.Check(); err != nil {
		return fmt.Errorf("settings: %w", placed(file, text, "certificate.acme", err))
	}
	return nil
}

// placed is a mistake in a section with the line of its key, or of the section where the
// key is missing.
func placed(file string, text []byte, section string, err error) error {
	var mistake *acme.Mistake
	if !errors.As(err, &mistake) {
		return fmt.Errorf("%s: %s: %w", file, section, err)
	}
	for _, key := range []string{section + "." + mistake.Key, section} {
		path, failed := yaml.PathString("$." + key)
		if failed != nil {
			continue
		}
		node, failed := path.ReadNode(bytes.NewReader(text))
		if failed != nil || node.GetToken() == nil {
			continue
		}
		at := node.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s.%w", file, at.Line, at.Column, section, err)
	}
	return fmt.Errorf("%s: %s.%w", file, section, err)
}

// located is a mistake with its line and column.
func located(file string, err error) error {
	var mistake yaml.Error
	if !errors.As(err, &mistake) || mistake.GetToken() == nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	at := mistake.GetToken().Position
	return fmt.Errorf("%s:%d:%d: %s", file, at.Line, at.Column, mistake.GetMessage())
}

// set takes what was said. A key without a value, as of a section whose lines are all
// comments, says nothing; the library would take it for the zero value.
func (s *Settings) set(said map[string]any) error {
	withoutEmpty(said)
	if len(said) == 0 {
		return nil
	}
	text, err := yaml.Marshal(said)
	if err != nil {
		return err
	}
	return yaml.Unmarshal(text, s)
}

func withoutEmpty(said map[string]any) {
	maps.DeleteFunc(said, func(_ string, value any) bool {
		if below, ok := value.(map[string]any); ok {
			withoutEmpty(below)
			return len(below) == 0
		}
		return value == nil
	})
}

func (s StartSettings) check() error {
	switch {
	case s.First && s.Join != "":
		return errors.New("a node cannot be the first of a cluster and join one")
	case s.First && s.OperatorTokenFile == "":
		return errors.New("operator_token_file must say where the operator's token goes, which is shown nowhere else")
	case !s.First && (s.OperatorTokenFile != "" || s.RecoveryKeyFile != ""):
		return errors.New("only the first node of a cluster makes an operator's token and a recovery key")
	case (s.Join == "") != (s.TokenFile == ""):
		return errors.New("join and token_file belong together")
	}
	return nil
}

// ServedConfig is the configuration of a data directory with what a settings file
// says else; without a file, as it is. The name of a node is not changed by a file; an
// address of its own that is, the node tells to the others.
func ServedConfig(dir, file string) (Config, error) {
	c, err := LoadConfig(dir)
	if err != nil || file == "" {
		return c, err
	}
	s := Settings{Config: c}
	if err := s.Read(file); err != nil {
		return Config{}, err
	}
	if s.Dir = c.Dir; s.NodeID != c.NodeID {
		return Config{}, fmt.Errorf("settings: %s: node_id is %q, and the node of %s is %q", file, s.NodeID, dir, c.NodeID)
	}
	return s.Config, s.check()
}

// Begin makes a node of a data directory that is none's, if the settings say so.
func (s Settings) Begin(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(s.Dir, configFile)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.Start.First || s.Start.Join != "" {
		return s.begin(ctx)
	}
	return nil
}

// begin makes the node that the settings describe.
func (s Settings) begin(ctx context.Context) error {
	if s.Start.Join != "" {
		token, err := os.ReadFile(s.Start.TokenFile)
		if err != nil {
			return fmt.Errorf("join token: %w", err)
		}
		return Join(ctx, s.Config, s.Start.Join, strings.TrimSpace(string(token)))
	}
	var recovery *backup.Public
	if s.Start.RecoveryKeyFile != "" {
		key, err := recoveryKeyAt(s.Start.RecoveryKeyFile)
		if err != nil {
			return fmt.Errorf("the recovery key: %w", err)
		}
		public := key.Public()
		recovery = &public
	}
	return initialise(s.Config, recovery, func(token string) error { return keepSecret(s.Start.OperatorTokenFile, token) })
}

// recoveryKeyAt reads a recovery key, which may be of an attempt that did not come to
// a node, or makes one.
func recoveryKeyAt(file string) (backup.Key, error) {
	text, err := os.ReadFile(file)
	if err == nil {
		return backup.ParseKey(strings.TrimSpace(string(text)))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return backup.Key{}, err
	}
	key, err := backup.NewKey()
	if err != nil {
		return backup.Key{}, err
	}
	return key, keepSecret(file, key.String())
}

// keepSecret writes a secret for its owner's eyes.
func keepSecret(file, secret string) error {
	return durable.Replace(file, durable.OwnerOnly, durable.Content(secret+"\n"))
}
