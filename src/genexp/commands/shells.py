"""What a shell is told so that it completes `genexp`. Imports nothing."""

_BASH = """\
_genexp() {
    local line="${COMP_LINE:0:COMP_POINT}" IFS=$'\\n' word typed
    COMPREPLY=($(COMP_LINE="$line" "$1" -sc query=bash 2>/dev/null))
    word="${line##*[[:space:]]}"
    typed="$word"
    [[ "$COMP_WORDBREAKS" == *=* ]] && typed="${typed##*=}"
    [[ "$COMP_WORDBREAKS" == *:* ]] && typed="${typed##*:}"
    COMPREPLY=("${COMPREPLY[@]#"${word%"$typed"}"}")
}
complete -o nospace -F _genexp genexp
"""
"""bash replaces what stands behind the last letter of COMP_WORDBREAKS, usually `=` and `:`, and not the whole word."""

_ZSH = """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
_genexp() {
    local -a offered
    offered=("${(@f)$(COMP_LINE="${BUFFER[1,CURSOR]}" "${words[1]}" -sc query=zsh 2>/dev/null)}")
    [[ -n "$offered" ]] && compadd -U -S '' -Q -- "${offered[@]}"
}
compdef _genexp genexp
"""

_FISH = """\
complete --command genexp --no-files --arguments '(COMP_LINE=(commandline -cp) genexp -sc query=fish 2>/dev/null)'
"""

INSTALL = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""By shell, what installs the completion when the shell evaluates it."""

UNINSTALL = {
    "bash": "complete -r genexp 2>/dev/null; unset -f _genexp\n",
    "zsh": "compdef -d genexp; unfunction _genexp\n",
    "fish": "complete --command genexp --erase\n",
}
"""By shell, what takes it away again."""

HOW = {
    "bash": 'eval "$(genexp -sc install=bash)"',
    "zsh": 'eval "$(genexp -sc install=zsh)"',
    "fish": "genexp -sc install=fish | source",
}
"""By shell, the line that installs the completion in a running shell; at the end of its own file, in every shell."""
