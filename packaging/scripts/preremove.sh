#!/bin/sh
# dpkg says remove, rpm says 0; an upgrade goes on with the old process until the
# new files are there. The data stays, and so does the kernel's guard of the
# protected services: they are not opened because a package goes.
set -e
case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now authfi-api.socket authfi.service
	fi
	;;
esac
