#!/bin/sh
# The node is not started: it has to be made first, by init, join or the settings.
set -e
systemd-sysusers /usr/lib/sysusers.d/authfi.conf
systemd-tmpfiles --create /usr/lib/tmpfiles.d/authfi.conf
chown root:authfi /etc/authfi /etc/authfi/authfi.yaml
chmod 0640 /etc/authfi/authfi.yaml
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl try-restart authfi.service
fi
