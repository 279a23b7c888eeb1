#!/bin/sh
# An agent that answers each turn with what the recipe in $RECIPE prints in it.
out=$PALIADIN_SPOOL/out

tell() {
    printf '{"at":0,%s}\n' "$1" >> "$out/events.jsonl"
}

tell '"event":"ready"'
while IFS= read -r line; do
    case $line in
        '[PALIADIN:'*) ;;
        *) continue ;;
    esac
    turn=${line#'[PALIADIN:'}
    turn=${turn%%[] ]*}
    tell "\"event\":\"submitted\",\"turn_id\":\"$turn\""
    sed "s/^turn=.*/turn=$turn/" "$RECIPE" | sh > "$out/.$turn" 2>&1
    mv -f "$out/.$turn" "$out/$turn.txt"
done
