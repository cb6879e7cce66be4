#!/bin/sh
# Compares the code of two builds of one executable, function by function:
#   Scripts/compare-code.sh BEFORE AFTER
# Addresses are left out, so code that only moved counts as equal. Prints the
# functions that differ; exit status 1 if there are any.
set -eu
functions() {
    objdump --disassemble --no-show-raw-insn --section=.text "$1" | awk '
        /^[0-9a-f]+ <.*>:$/ { name = $2; next }
        /^ / {
            sub(/^ *[0-9a-f]+:[ \t]*/, "")
            if ($1 ~ /^nop|^xchg|^cs|^data16|^int3/) next
            sub(/#.*/, ""); gsub(/0x[0-9a-f]+\(%rip\)/, "(%rip)")
            if ($1 ~ /^(call|j)/) sub(/[0-9a-f]+ </, "<")
            gsub(/[ \t]+/, " ")
            print name " " $0
        }' | sort --stable --key=1,1
}
before=$(mktemp) after=$(mktemp)
trap 'rm -f "$before" "$after"' EXIT
functions "$1" > "$before"
functions "$2" > "$after"
if cmp -s "$before" "$after"; then
    echo "equal: $(cut -d' ' -f1 "$before" | uniq | wc -l) functions, $(wc -l < "$before") instructions"
else
    diff "$before" "$after" | sed -n 's/^[<>] \(<[^ ]*>:\).*/\1/p' | sort | uniq -c
    exit 1
fi
