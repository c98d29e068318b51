package disk

import (
	"slices"
	"strings"
	"sync"

	"github.com/authfi/authfi/fsm/state"
)

// Memory is a state.Storage that forgets when the process ends, for machines
// that live inside a test or are filled from elsewhere.
type Memory struct {
	mu   sync.Mutex
	meta state.Meta
	rows map[string]string
}

var _ state.Storage = (*Memory)(nil)

// NewMemory is empty.
func NewMemory() *Memory { return &Memory{rows: map[string]string{}} }

// Load implements state.Storage.
func (m *Memory) Load(row func(key, value []byte) error) (state.Meta, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	keys := make([]string, 0, len(m.rows))
	for key := range m.rows {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, strings.Compare)
	for _, key := range keys {
		if err := row([]byte(key), []byte(m.rows[key])); err != nil {
			return state.Meta{}, err
		}
	}
	return m.meta, nil
}

// Commit implements state.Storage.
func (m *Memory) Commit(meta state.Meta, writes []state.Write) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range writes {
		if w.Value == nil {
			delete(m.rows, string(w.Key))
			continue
		}
		m.rows[string(w.Key)] = string(w.Value)
	}
	m.meta = meta
	return nil
}

// Sync implements state.Storage.
func (m *Memory) Sync() error { return nil }

// Replace implements state.Storage.
func (m *Memory) Replace(fill func(put func(key, value []byte) error) (state.Meta, error)) error {
	rows := map[string]string{}
	meta, err := fill(func(key, value []byte) error {
		rows[string(key)] = string(value)
		return nil
	})
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows, m.meta = rows, meta
	return nil
}

// Close implements state.Storage.
func (m *Memory) Close() error { return nil }
