#!/bin/sh
# Runs the sample business server with the configuration beside this script.
directory=$(cd "$(dirname "$0")" && pwd) || exit 1
for program in "$directory/anychat-business" \
    "$directory/../.venv/bin/anychat-business" anychat-business; do
    if command -v "$program" >/dev/null; then
        exec "$program" --config "$directory/AnyChatServerSDK.ini" "$@"
    fi
done
echo "anychat-business is not installed; docs/operations.md says how" >&2
exit 1
