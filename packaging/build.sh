#!/usr/bin/env bash
# Builds packages and tarballs for each architecture into a directory: the same
# commit gives the same bytes. Usage: build.sh NFPM VERSION OUT
set -euo pipefail
cd "$(dirname "$0")/.."
nfpm=$1 described=$2 out=$3

# v1.2.3-4-gabcdef becomes 1.2.3+4.gabcdef, and what has no tag 0.0.0+described:
# both package managers order these.
version=${described#v}
case "$version" in
[0-9]*.[0-9]*) version=$(sed -E 's/-/+/; s/-/./g' <<<"$version") ;;
*) version=0.0.0+${version//-/.} ;;
esac
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$out" "$stage/completion"
build() { # GOARCH, where to
	CGO_ENABLED=0 GOARCH=$1 go build -trimpath -ldflags "-buildid= -X main.version=$described" -o "$2" ./cmd/authfi
}

# What this machine can run says what the commands are.
build "$(go env GOHOSTARCH)" "$stage/host"
"$stage/host" man "$stage/man"
gzip -n9 "$stage"/man/*
"$stage/host" completion bash >"$stage/completion/authfi.bash"
"$stage/host" completion zsh >"$stage/completion/_authfi"
"$stage/host" completion fish >"$stage/completion/authfi.fish"

for arch in amd64 arm64; do
	build $arch "$stage/authfi"
	for packager in deb rpm; do
		ARCH=$arch VERSION=$version STAGE=$stage "$nfpm" package -f packaging/nfpm.yaml -p $packager -t "$out/authfi_${version}_$arch.$packager" >"$stage/log" || { cat "$stage/log" >&2; exit 1; }
		echo "authfi_${version}_$arch.$packager"
	done
	tarball=authfi_${version}_linux_$arch.tar.gz
	tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -C "$stage" -cf - authfi man completion |
		gzip -n9 >"$out/$tarball"
	echo "$tarball"
done
(cd "$out" && sha256sum authfi_"$version"_* >SHA256SUMS)
