package node

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/node/logbook"
)

// BundleOptions say whose support bundle is made.
type BundleOptions struct {
	Dir      string // data directory
	Settings string // settings file; empty: none
	Version  string // of the program
	// Progress is told of each part when it is there, or why it is not.
	Progress func(part string, err error)
}

// BundleManifest says what a support bundle holds. It is its first file.
type BundleManifest struct {
	Format  string    `json:"format"`
	Time    time.Time `json:"time"`
	Parts   []string  `json:"parts"`
	Missing []Missing `json:"missing"`
}

// Missing is a part that could not be had.
type Missing struct {
	Part string `json:"part"`
	Why  string `json:"why"`
}

const (
	bundleFormat = "authfi-support-1"
	// bundlePartMax bounds a part: the heap profile of a large node is a few megabytes.
	bundlePartMax = 32 << 20
	// bundleFilesMax bounds how many files of the data directory are listed.
	bundleFilesMax = 10_000
	bundleMode     = 0o600
)

// part is one file of a bundle.
type part struct {
	name string
	take func(context.Context) ([]byte, error)
	// profile is of the program and holds no data; what looks like an address in it is
	// the version of a library.
	profile bool
}

// WriteBundle writes what helps to find out what is wrong with a node, as a gzipped tar:
// from the files of the machine, and from the node itself if it runs. No part holds a
// secret, or what an organization holds.
func WriteBundle(ctx context.Context, w io.Writer, o BundleOptions) (BundleManifest, error) {
	b := &bundle{BundleOptions: o}
	manifest := BundleManifest{Format: bundleFormat, Time: time.Now().UTC(), Missing: []Missing{}}
	var files []tarFile
	for _, p := range b.parts() {
		content, err := p.take(ctx)
		if ctx.Err() != nil {
			return manifest, ctx.Err()
		}
		if err == nil && len(content) > bundlePartMax {
			err = fmt.Errorf("it is larger than %d bytes", bundlePartMax)
		}
		if o.Progress != nil {
			o.Progress(p.name, err)
		}
		if err != nil {
			manifest.Missing = append(manifest.Missing, Missing{p.name, logbook.Clean(err.Error())})
			continue
		}
		if !p.profile {
			content = []byte(logbook.Clean(string(content)))
		}
		manifest.Parts = append(manifest.Parts, p.name)
		files = append(files, tarFile{p.name, content})
	}
	first, err := indented(manifest)
	if err != nil {
		return manifest, err
	}
	return manifest, writeTar(w, manifest.Time, append([]tarFile{{"manifest.json", first}}, files...))
}

type tarFile struct {
	name    string
	content []byte
}

func writeTar(w io.Writer, now time.Time, files []tarFile) error {
	zip := gzip.NewWriter(w)
	archive := tar.NewWriter(zip)
	for _, f := range files {
		header := &tar.Header{Name: "authfi-support/" + f.name, Mode: bundleMode, Size: int64(len(f.content)), ModTime: now, Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(f.content); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), zip.Close())
}

func indented(value any) ([]byte, error) {
	body, err := json.MarshalIndent(value, "", "  ")
	return append(body, '\n'), err
}

// bundle is one that is being made.
type bundle struct {
	BundleOptions
	silent error // why the node gave no answer; it is not asked again
}

func (b *bundle) parts() []part {
	of := func(take func(context.Context) (any, error)) func(context.Context) ([]byte, error) {
		return func(ctx context.Context) ([]byte, error) {
			value, err := take(ctx)
			if err != nil {
				return nil, err
			}
			return indented(value)
		}
	}
	asked := func(path string) func(context.Context) ([]byte, error) {
		return func(ctx context.Context) ([]byte, error) { return b.ask(ctx, path) }
	}
	return []part{
		{name: "version.json", take: of(b.version)},
		{name: "machine.json", take: of(b.machine)},
		{name: "settings.json", take: of(b.settings)},
		{name: "files.json", take: of(b.files)},
		{name: "members.json", take: of(b.members)},
		{name: "doctor.json", take: of(func(ctx context.Context) (any, error) { return Doctor(ctx, b.Dir, b.Settings), nil })},
		{name: "status.json", take: asked(askStatus)},
		{name: "cluster.json", take: asked(askCluster)},
		{name: "tallies.json", take: asked(askTallies)},
		{name: "metrics.txt", take: asked(askMetrics)},
		{name: "log.jsonl", take: asked(askLog)},
		{name: "goroutines.txt", take: asked(askGoroutines), profile: true},
		{name: "heap.pprof", take: asked(askHeap), profile: true},
	}
}

// ask asks the node over its socket.
func (b *bundle) ask(ctx context.Context, path string) ([]byte, error) {
	if b.silent != nil {
		return nil, b.silent
	}
	ctx, cancel := context.WithTimeout(ctx, supportTimeout)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dialSupport(b.Dir)}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://node"+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		b.silent = fmt.Errorf("the node does not answer: %w; if it runs, be its user or root, and journalctl -u authfi has its log", err)
		return nil, b.silent
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the node answers %s", answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, bundlePartMax+1))
}

func dialSupport(dir string) func(ctx context.Context, _, _ string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		d, err := os.Open(dir)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		address := supportAddress(d)
		return new(net.Dialer).DialContext(ctx, address.Net, address.Name)
	}
}

func (b *bundle) version(context.Context) (any, error) {
	value := map[string]any{"version": b.Version, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		modules := map[string]string{}
		for _, m := range info.Deps {
			modules[m.Path] = m.Version
		}
		value["modules"] = modules
	}
	return value, nil
}

// machineFiles are what the kernel says of the machine in words.
var machineFiles = []string{
	"/proc/loadavg", "/proc/meminfo", "/proc/uptime", "/proc/pressure/cpu", "/proc/pressure/io", "/proc/pressure/memory", "/proc/sys/kernel/osrelease",
}

func (b *bundle) machine(context.Context) (any, error) {
	value := map[string]any{"cpus": runtime.NumCPU()}
	for _, name := range machineFiles {
		if text, err := os.ReadFile(name); err == nil { // not every kernel has them all
			value[name] = string(text)
		}
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(b.Dir, &disk); err == nil {
		value["disk"] = map[string]any{"bytes": disk.Blocks * uint64(disk.Bsize), "free": disk.Bavail * uint64(disk.Bsize), "type": disk.Type}
	}
	return value, nil
}

func (b *bundle) settings(context.Context) (any, error) {
	c, err := ServedConfig(b.Dir, b.Settings)
	if err != nil {
		return nil, err
	}
	return c.shown()
}

func (b *bundle) members(context.Context) (any, error) {
	if _, err := os.ReadDir(filepath.Join(b.Dir, "raft")); err != nil {
		return nil, err
	}
	return cluster.RememberedMembers(b.Dir), nil
}

// files lists the data directory: names, sizes, modes and times, and nothing of what is
// in them.
func (b *bundle) files(context.Context) (any, error) {
	type file struct {
		Name string    `json:"name"`
		Size int64     `json:"size"`
		Mode string    `json:"mode"`
		Time time.Time `json:"time"`
	}
	all := []file{}
	err := filepath.WalkDir(b.Dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return ignoreGone(err)
		}
		info, err := entry.Info()
		if err != nil {
			return ignoreGone(err)
		}
		below, err := filepath.Rel(b.Dir, name)
		all = append(all, file{below, info.Size(), info.Mode().String(), info.ModTime().UTC()})
		if len(all) == bundleFilesMax {
			return fs.SkipAll
		}
		return err
	})
	return all, err
}
