#!/bin/sh
# Rewrites everything under proto/gen from proto/authfi. What it needs is pinned
# and kept in .cache/; a second run changes nothing.
set -eu
cd "$(dirname "$0")/.."

BUF_VERSION=1.75.0 # released under Apache-2.0; its registry package holds the binary

cache=$PWD/.cache/generate
export GOBIN="$cache/bin"
export BUF_CACHE_DIR="$cache/buf"
mkdir -p "$GOBIN" "$BUF_CACHE_DIR"

# The plugins come from the versions in go.mod, so that generated code and
# runtime never differ.
go install google.golang.org/protobuf/cmd/protoc-gen-go connectrpc.com/connect/cmd/protoc-gen-connect-go

buf=$cache/npm-$BUF_VERSION/node_modules/.bin/buf
if [ ! -x "$buf" ]; then
	npm install --silent --no-audit --no-fund --prefix "$cache/npm-$BUF_VERSION" "@bufbuild/buf@$BUF_VERSION"
fi

cd proto
PATH="$GOBIN:$PATH"
"$buf" format --exit-code >/dev/null || { echo "proto: run buf format" >&2; exit 1; }
"$buf" lint
"$buf" generate
