# SCRIPT=… ANSWERS=… zsh -f ask.zsh ZSH LINE...: types each line and TAB into a zsh on a terminal of its own, which
# writes into a file what is added as matches, what is shown with them, and "done".
zmodload zsh/zpty zsh/zselect || exit 9
zsh=$1
shift
zpty -b inner ${(q)zsh} -f -i
zpty -w inner 'PS1= PATH=; unsetopt auto_list beep; fpath=(${SCRIPT:h} $fpath); autoload -Uz compinit; compinit -u -D'
# A file _logferry is found as one that is installed.
zpty -w inner '(( $+_comps[logferry] )) || . $SCRIPT'
zpty -w inner 'compadd() {
  if [[ ${argv[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
  local -a hits; local hit at=${argv[(i)-d]}
  builtin compadd -A hits "$@"
  {
    for hit in $hits; do print -r -- "word ${(Q)hit}"; done
    if (( at < $# )); then for hit in "${(P@)argv[at+1]}"; do print -r -- "shown $hit"; done; fi
  } >> $ANSWERS
  builtin compadd "$@"
}'
zpty -w inner 'ask() { COLUMNS=1000; zle complete-word; print done >> $ANSWERS }; zle -N ask; bindkey "^I" ask'
: > $ANSWERS
count=0
for line; do
  (( ++count ))
  # First away with what the line before has left.
  zpty -n -w inner $'\C-U'$line$'\t'
  while true; do
    lines=(${(f)"$(<$ANSWERS)"})
    answered=(${(M)lines:#done})
    (( $#answered < count )) || break
    while zpty -rt inner chunk; do seen+=$chunk; done
    zselect -t 2
    if (( SECONDS > 60 )); then
      print -ru2 -- "no answer to: $line"$'\n'"$seen"
      exit 8
    fi
  done
done
zpty -d inner
