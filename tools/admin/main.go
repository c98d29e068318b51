// Command admin writes the SDKs' administration: a method for every operation of the
// served document, in Go, JavaScript and Python. The document says what there is and how
// it is asked; the messages say which fields a request has. With -check it writes nothing
// and fails when what is there is not what it would write.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

func main() {
	check := flag.Bool("check", false, "compare, and write nothing")
	root := flag.String("root", ".", "the tree")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "admin:", err)
		os.Exit(1)
	}
}

// folders hold what is written, and nothing else.
var folders = []string{"sdk/go/admin", "sdk/js/admin", "sdk/python/authfi/admin"}

func run(root string, check bool) error {
	files, err := generate()
	if err != nil {
		return err
	}
	if check {
		return compare(root, files)
	}
	for _, folder := range folders {
		if err := os.RemoveAll(filepath.Join(root, folder)); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(root, folder), 0o755); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(root, name), files[name], 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate makes all files, by their path in the tree.
func generate() (map[string][]byte, error) {
	api, err := read()
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if err := writeGo(api, files); err != nil {
		return nil, err
	}
	writeJavaScript(api, files)
	if err := writePython(api, files); err != nil {
		return nil, err
	}
	return files, nil
}

// compare finds every file that differs, is missing or should not be there.
func compare(root string, files map[string][]byte) error {
	var found []error
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if text, err := os.ReadFile(filepath.Join(root, name)); err != nil {
			found = append(found, err)
		} else if !bytes.Equal(text, files[name]) {
			found = append(found, fmt.Errorf("%s is not what the document gives; run tools/generate.sh", name))
		}
	}
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() && entry.Name() == "__pycache__" {
				return filepath.SkipDir // what Python keeps of modules that were used
			}
			name, err := filepath.Rel(root, path)
			if _, known := files[filepath.ToSlash(name)]; err == nil && !known && !entry.IsDir() {
				err = fmt.Errorf("%s is not generated", name)
			}
			return err
		})
		found = append(found, err)
	}
	return errors.Join(found...)
}
