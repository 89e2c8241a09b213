# bash --norc ask.bash SCRIPT WORD...: what the completion function makes of these words, as bash cuts them, the last
# one before the cursor; each ended by a zero byte.
script=$1
shift
PATH=
. "$script"
read -r _ _ name _ < <(complete -p logferry)
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
"$name" logferry "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
for reply in "${COMPREPLY[@]}"; do printf '%s\0' "$reply"; done
