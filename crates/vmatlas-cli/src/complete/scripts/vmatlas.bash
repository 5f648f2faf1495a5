# Completions of vmatlas for bash: source this file, or keep it as
# ~/.local/share/bash-completion/completions/vmatlas

_vmatlas() {
    local program=$1 line native=
    [[ $program == */* && -x $program ]] || program=vmatlas
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == =* ]]; then
            COMPREPLY+=("${line#=}")
        else
            native=$line
        fi
    done <<< "$(command "$program" completions bash -- \
        "${COMP_LINE:0:COMP_POINT}" "$2" "$COMP_TYPE" 2> /dev/null < /dev/null)"
    case $native in
        files) compopt -o bashdefault -o default ;;
        directories) compopt +o nospace -o dirnames ;;
        users)
            compopt +o nospace
            mapfile -t COMPREPLY < <(compgen -u -- "$2")
            ;;
        command*) _vmatlas_command "$2" ;;
    esac 2> /dev/null
    # Files of bash's own.
    [[ ${#COMPREPLY[@]} -gt 0 || $native != files ]] || compopt +o nospace 2> /dev/null
}

# The program that `vmatlas record` runs, and its arguments.
_vmatlas_command() {
    local at
    compopt +o nospace
    for ((at = 1; at < COMP_CWORD; at++)); do
        if [[ ${COMP_WORDS[at]} == -- ]]; then
            if declare -F _comp_command_offset > /dev/null; then
                _comp_command_offset $((at + 1))
                return
            elif declare -F _command_offset > /dev/null; then
                _command_offset $((at + 1))
                return
            fi
            compopt -o filenames
            ((COMP_CWORD > at + 1)) || mapfile -t COMPREPLY < <(compgen -c -- "$1")
        fi
    done
    compopt -o bashdefault -o default
}

complete -o nospace -o nosort -F _vmatlas vmatlas
