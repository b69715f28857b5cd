#!/bin/sh
# without_directory.sh DIRECTORY COMMAND…: run it where DIRECTORY is an empty disk (own mounts needed)
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
shift
exec "$@"
