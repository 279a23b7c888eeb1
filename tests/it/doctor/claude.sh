#!/bin/sh
# Plays Claude Code: signed in where ~/signed is, and not ready before somebody trusts a directory.
case "$1" in
    --version) echo '2.1.332 (Claude Code)'; exit ;;
    auth) [ "$2" = status ] && [ -e "$HOME/signed" ] && exit; echo 'not signed in' >&2; exit 1 ;;
esac
if ! grep -q '"hasTrustDialogAccepted": *true' "$HOME/.claude.json"; then
    printf 'Accessing workspace:\n%s\n\n> No, exit\n  Yes, I trust this folder\n' "$PWD"
    exec sleep 1000
fi
exec "$PALIADIN_PROGRAM" agent demo
