#!/bin/sh
# An agent that is a shell: it runs what it is asked, with $turn, and answers what that prints, and how it ended.
out=$PALIADIN_SPOOL/out
export turn

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
    sh -c "${line#*] }" > "$out/.$turn" 2>&1 < /dev/null
    echo "status $?" >> "$out/.$turn"
    mv -f "$out/.$turn" "$out/$turn.txt"
done
