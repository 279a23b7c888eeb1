#!/bin/bash
# Plays an agent that asks by hooks. Its first argument is the program whose hooks these are; the message says what it does,
# and the pipe `go-on` when it goes on.
out=$PALIADIN_SPOOL/out
tell() { printf '{"at":0,%s}\n' "$1" >> "$out/events.jsonl"; }
# hook EVENT FIELDS
hook() { printf '{"hook_event_name":"%s",%s}' "$1" "$2" | "$paliadin" hook --reply > /dev/null; }
# leave EVENT TEXT: leave to use a tool with this text, or that it was used.
leave() { hook "$1" "\"tool_name\":\"Write\",\"tool_input\":{\"content\":\"$2\"}"; }
# The one who told it before may have it open still, with nothing more to say.
go_on() { until read -r _ < "$HOME/go-on"; do :; done; }
# attention FIELDS
attention() { tell "\"event\":\"attention\",$turn,\"kind\":\"question\",$1"; }
# awaited NAME: as a hook does that waits for this reply.
awaited() { exec {file}> "$out/.asked-$1" && flock "$file"; }

paliadin=$1
long=$(head -c 8000 /dev/zero | tr '\0' x)
tell '"event":"ready","resume_id":null'
while IFS= read -r line; do
    case $line in '[PALIADIN:'*) ;; *) continue ;; esac
    id=${line:10:36} turn="\"turn_id\":\"${line:10:36}\""
    hook UserPromptSubmit "\"prompt\":\"[PALIADIN:$id] x\""
    case $line in
        *flood*)
            # One question stays open while another comes and goes, whose name is called as in versions before.
            awaited a
            awaited b
            attention "\"prompt\":\"$long$long\",\"options\":[\"yes\",\"no\"],\"reply\":\"a\""
            for _ in {1..1000}; do
                printf '{"at":0,"event":"attention",%s,"kind":"question","prompt":"?","reply":"b"}\n' "$turn"
                printf '{"at":0,"event":"attention_over",%s,"reply":"b"}\n' "$turn"
            done >> "$out/events.jsonl"
            stat -c %s "$out/events.jsonl" > "$HOME/size"
            attention '"prompt":"That is all."'
            # An answer may be seen before what was reported just before it.
            go_on
            ;;
        *"side by side"*)
            for name in a b c; do
                awaited "$name"
                attention "\"prompt\":\"$name?\",\"reply\":\"$name\""
            done
            for name in c b; do
                tell "\"event\":\"attention_over\",$turn,\"name\":\"$name\""
                go_on
            done
            ;;
        *"given up"*)
            for name in a b; do
                awaited "$name"
                attention "\"prompt\":\"$name?\",\"reply\":\"$name\""
            done
            # Without a word.
            exec {file}>&-
            go_on
            tell "\"event\":\"attention_over\",$turn,\"name\":\"a\""
            go_on
            awaited c
            attention '"prompt":"c?","reply":"c"'
            go_on
            ;;
        *"without a word"*)
            # Nothing is to be seen in the terminal meanwhile.
            for _ in {1..24}; do
                tell "\"event\":\"heartbeat\",$turn"
                sleep 0.25
            done
            ;;
        *endless*)
            awaited a
            attention "\"prompt\":\"?\",\"options\":[\"$long\",\"$long\",\"$long\"],\"reply\":\"a\""
            go_on
            ;;
        *path*)
            mkdir -p "$PALIADIN_SPOOL/in/.$id.reply-x" "$PALIADIN_SPOOL/in/$id.reply-x"
            attention '"prompt":"Astray?","reply":"x/../../../../victim"'
            awaited x
            attention '"prompt":"Here?","reply":"x-1"'
            go_on
            rmdir "$PALIADIN_SPOOL/in/.$id.reply-x" "$PALIADIN_SPOOL/in/$id.reply-x"
            ;;
        *killed*)
            leave PermissionRequest short
            hook Notification '"notification_type":"permission_prompt","message":"Still open"'
            go_on
            ;;
        *silent*)
            leave PermissionRequest short
            go_on
            ;;
        *terminal*)
            leave PermissionRequest "$long"
            leave PermissionRequest "${long}y"
            hook PreToolUse '"tool_name":"Read","tool_input":{"file_path":"/x"}'
            go_on
            leave PostToolUse "${long}y"
            go_on
            leave PostToolUse "$long"
            go_on
            ;;
    esac
    printf 'done' > "$out/.$id"
    mv -f "$out/.$id" "$out/$id.txt"
    hook Stop '"last_assistant_message":"done"'
done
