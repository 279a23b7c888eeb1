#!/bin/bash
# Plays an agent that says nothing when it is interrupted. A message with `wait` in it makes it wait for that; then the file
# `interrupted` is there.
out=$PALIADIN_SPOOL/out
tell() { printf '{"at":0,%s}\n' "$1" >> "$out/events.jsonl"; }

count=0
tell '"event":"ready","resume_id":null'
while IFS= read -r line; do
    case $line in '[PALIADIN:'*) ;; *) continue ;; esac
    id=${line:10:36} count=$((count + 1))
    tell "\"event\":\"submitted\",\"turn_id\":\"$id\""
    case $line in
        *wait*)
            # The key comes without an end of line.
            read -rsn1
            : > "$HOME/interrupted"
            continue
            ;;
    esac
    printf '%s' "$count" > "$out/.$id"
    mv -f "$out/.$id" "$out/$id.txt"
    tell "\"event\":\"stopped\",\"turn_id\":\"$id\""
done
