#!/bin/bash
# Plays Claude Code in a pane: reads pasted prompts, and runs the hooks of its settings as Claude Code does, by a shell
# with the event on standard input. Answers what it got.
source=startup session=abc123
if [ "$1" = --version ]; then
    echo "2.1.78 (plays Claude Code)"
    exit
fi
while [ $# -gt 0 ]; do
    case $1 in
        --settings) settings=$2; shift ;;
        --add-dir) [ -d "$2" ] || exit 64; shift ;;
        --append-system-prompt) rules=$2; shift ;;
        --resume)
            [ -e "$HOME/no-resume" ] && exit 1
            source=resume session=$2
            shift
            ;;
        *) echo "what is $1?"; exit 64 ;;
    esac
    shift
done

# event NAME FIELDS: runs the hook of this event.
event() {
    local hook
    hook=$(sed -n "/\"$1\": \[/,/^    \]/s/^ *\"command\": \"\(.*\)\",\$/\1/p" "$settings")
    hook=${hook//\\\\/\\}
    printf '{"session_id":"%s","cwd":"%s","hook_event_name":"%s",%s}' "$session" "$PWD" "$1" "$2" |
        sh -c "$hook" >> "$PALIADIN_SPOOL/hook.stdout" 2>> "$PALIADIN_SPOOL/hook.stderr" || echo "$1: $?" >> "$PALIADIN_SPOOL/hook.stderr"
}

# asks TOOL: asks for leave as Claude Code does, whose hooks may wait long; gives what the hook has printed.
asks() {
    local hook file="$PALIADIN_SPOOL/work/decision.$$"
    hook=$(sed -n "/\"PermissionRequest\": \[/,/^    \]/s/^ *\"command\": \"\(.*\)\",\$/\1/p" "$settings")
    hook=${hook//\\\\/\\}
    printf '{"session_id":"%s","cwd":"%s","hook_event_name":"PermissionRequest",%s}' "$session" "$PWD" "$1" |
        sh -c "$hook" > "$file" 2>> "$PALIADIN_SPOOL/hook.stderr" &
    local waits=$!
    # Another tool runs meanwhile.
    local other='"tool_name":"Read","tool_input":{"file_path":"/x"},"tool_use_id":"toolu_02"'
    # Earlier turns have asked, too.
    local asked="\"event\":\"attention\",\"turn_id\":\"${prompt:10:36}\""
    until grep -qF "$asked" "$PALIADIN_SPOOL/out/events.jsonl"; do sleep 0.05; done
    event PreToolUse "$other"
    event PostToolUse "$other,\"tool_response\":{}"
    wait "$waits"
    decision=$(< "$file")
    rm "$file"
}

quoted() {
    local text=${1//\\/\\\\}
    text=${text//\"/\\\"}
    printf '"%s"' "${text//$'\n'/\\n}"
}

# The terminal shows what is typed behind the sign of its input, as Claude Code does.
prompt() { printf '\n\342\235\257\302\240'; }

stty -icanon echo -icrnl
printf '\033[?2004h'
prompt
event SessionStart "\"source\":\"$source\",\"model\":\"none\""
# By way of `cat`, because bash's own reading of a terminal turns carriage returns into line feeds.
while IFS= read -r -d $'\r' line; do
    prompt=${line#$'\e[200~'}
    prompt=${prompt%$'\e[201~'}
    prompt=${prompt% }
    event UserPromptSubmit "\"prompt\":$(quoted "$prompt")"
    tool='"tool_name":"Bash","tool_input":{"command":"wc","description":"Count"},"tool_use_id":"toolu_01"'
    event PreToolUse "$tool"
    event PostToolUse "$tool,\"tool_response\":{\"stdout\":\"1\"}"
    case $prompt in
        *hang*) sleep 1000 ;;
        *"by file"*)
            # It answers, and has more to say, which nobody is to take for another answer.
            id=${prompt:10:36} out=$PALIADIN_SPOOL/out
            printf 'in a file' > "$out/beside"
            mv "$out/beside" "$out/$id.txt"
            read -r _ < "$HOME/go-on"
            ;;
        *overload*)
            event StopFailure '"error":"server_error","last_assistant_message":"API Error: Overloaded"'
            prompt
            continue
            ;;
    esac
    case $prompt in
        *"may I"*)
            asks '"tool_name":"Bash","tool_input":{"command":"touch x","description":"Touch"}'
            prompt="x] ${decision#*\"decision\":}"
            ;;
    esac
    [ "${prompt#*] }" = flags ] && prompt="x] ${prompt%%]*}"
    answer="You said: ${prompt#*] }"$'\n'"Rules: ${rules:0:15}"
    answer+=$'\n''<!-- paliadin {"used_tools":["Bash"],"rows_seen":[1],"classifier_tag":"lookup"} -->'
    prompt
    event Stop "\"stop_hook_active\":false,\"last_assistant_message\":$(quoted "$answer")"
done < <(cat)
