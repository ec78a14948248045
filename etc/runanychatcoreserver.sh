#!/bin/sh
# Runs the core server with the configuration beside this script; "-d" runs it
# in the background.
directory=$(cd "$(dirname "$0")" && pwd) || exit 1
for program in "$directory/anychatcoreserver" \
    "$directory/../.venv/bin/anychatcoreserver" anychatcoreserver; do
    if command -v "$program" >/dev/null; then
        exec "$program" --config "$directory/AnyChatCoreServer.ini" "$@"
    fi
done
echo "anychatcoreserver is not installed; docs/operations.md says how" >&2
exit 1
