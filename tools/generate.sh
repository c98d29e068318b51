#!/bin/sh
# Regenerates all generated code of the API, that of the SDKs' administration, too,
# with pinned tools, which it keeps under .cache/ of the tree. Needs Go and npm.
set -eu

buf_version=1.75.0
protoc_gen_go_version=v1.36.12
protoc_gen_connect_go_version=v1.21.1

cd "$(dirname "$0")/.."
root=$PWD
bin=$root/.cache/generate
mkdir -p "$bin"

GOBIN=$bin go install "google.golang.org/protobuf/cmd/protoc-gen-go@$protoc_gen_go_version"
GOBIN=$bin go install "connectrpc.com/connect/cmd/protoc-gen-connect-go@$protoc_gen_connect_go_version"

if [ "$("$bin/node_modules/.bin/buf" --version 2>/dev/null || true)" != "$buf_version" ]; then
	npm install --prefix "$bin" --no-save --no-audit --no-fund --silent "@bufbuild/buf@$buf_version"
fi

cd proto
PATH=$bin:$bin/node_modules/.bin:$PATH
# buf keeps its cache in the home directory unless it is told otherwise.
BUF_CACHE_DIR=$root/.cache/buf buf lint
BUF_CACHE_DIR=$root/.cache/buf buf generate

cd "$root"
go run ./tools/admin
