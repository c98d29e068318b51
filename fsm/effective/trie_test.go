package effective

import (
	"math/rand"
	"testing"
)

// clash is a key whose first hash is useless, as if somebody had found keys
// that collide in all 64 bits.
type clash uint32

func (k clash) hash(round int) uint64 {
	if round == 0 {
		return uint64(k & 3)
	}
	return uint64(k) * 0x9e3779b97f4a7c15
}

type clashRow struct {
	name  clash
	value int
}

func (r *clashRow) key() clash { return r.name }

func TestTrieEqualsAMapThoughHashesCollide(t *testing.T) {
	for seed := int64(1); seed <= 5; seed++ {
		rng := rand.New(rand.NewSource(seed))
		var tr, frozen trie[clash, *clashRow]
		want, kept := map[clash]int{}, map[clash]int{}
		for step := range 4000 {
			if step%500 == 0 {
				sameTrie(t, seed, step, &frozen, kept)
				frozen, kept = tr, map[clash]int{}
				for k, v := range want {
					kept[k] = v
				}
			}
			k, token := clash(rng.Intn(100)), uint64(step/500+1)
			if rng.Intn(3) == 0 {
				tr.drop(k, token)
				delete(want, k)
			} else {
				tr.put(&clashRow{k, step}, token)
				want[k] = step
			}
		}
		sameTrie(t, seed, 4000, &tr, want)
	}
}

func sameTrie(t *testing.T, seed int64, step int, tr *trie[clash, *clashRow], want map[clash]int) {
	t.Helper()
	for k := range clash(100) {
		value, has := want[k]
		row := tr.get(k)
		if (row != nil) != has || has && row.value != value {
			t.Fatalf("seed %d step %d: key %d is %v, want %v %v", seed, step, k, row, has, value)
		}
	}
}
