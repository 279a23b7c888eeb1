#!/bin/bash
# An agent that tells of a memory that begins anew with the first message after that, as codex does; what it tells is known
# to have happened a while ago. It answers with the envelope's flags, if there are any.
report() { printf '{"at":%s,%s}\n' "$(($(date +%s%3N) - 10000))" "$1" >> "$PALIADIN_SPOOL/out/events.jsonl"; }

stty -icanon -echo -icrnl
memory=1
report '"event":"ready","resume_id":"1"'
# By way of `cat`, because bash's own reading of a terminal turns carriage returns into line feeds.
while IFS= read -r -d $'\r' line; do
    envelope=${line#*[}
    envelope=${envelope%%]*}
    turn=${envelope:9:36}
    case $line in
        *forget*)
            memory=$((memory + 1))
            report "\"event\":\"ready\",\"resume_id\":\"$memory\""
            ;;
    esac
    report "\"event\":\"submitted\",\"turn_id\":\"$turn\""
    report "\"event\":\"stopped\",\"turn_id\":\"$turn\",\"message\":\"flags:${envelope:45}\""
done < <(cat)
