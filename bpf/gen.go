package bpf

// The objects are committed, so that a build needs Go alone; with clang and the
// kernel's headers this rewrites them. CI does so and compares.
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -go-package obj -output-dir obj -target amd64,arm64 -cc clang -no-strip=false -cflags "-O2 -g -Wall -Werror -mcpu=v3 -fdebug-prefix-map=./= -I/usr/include/x86_64-linux-gnu" Enforce src/enforce.bpf.c
