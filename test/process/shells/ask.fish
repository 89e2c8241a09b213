# fish ask.fish SCRIPT LINE...: what `complete -C` says of each line, and a line "/done/" after each.
source $argv[1]
set -gx PATH
for line in $argv[2..-1]
    complete -C $line
    echo /done/
end
