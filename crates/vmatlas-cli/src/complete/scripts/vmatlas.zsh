#compdef vmatlas
# Completions of vmatlas for zsh: keep this file as _vmatlas in a directory of $fpath, or source it
# after compinit.

_vmatlas() {
    local program=${(Q)words[1]} current=$IPREFIX$PREFIX line text value shown about native=
    local -a lines parts shown_whole whole shown_begun begun
    [[ $program == */* && -x $program ]] || program=vmatlas
    # Between quotes, what is typed stands for itself.
    [[ -n $compstate[quote] ]] || current=${(Q)current}
    lines=("${(@f)$(command $program completions zsh -- \
        "${(@Q)words[1,CURRENT-1]}" "$current" 2> /dev/null < /dev/null)}")
    for line in "${lines[@]}"; do
        parts=("${(@ps:\t:)line}")
        value=${${${parts[1]#?}//\\/\\\\}//:/\\:} shown=${parts[2]} about=${parts[3]}
        # In what _describe shows, a colon separates the meaning.
        text=${${shown//\\/\\\\}//:/\\:}${about:+:${about//\\/\\\\}}
        case $line in
            '+'*) shown_whole+=("$text") whole+=("$value") ;;
            '='*) shown_begun+=("$text") begun+=("$value") ;;
            *) native=$line ;;
        esac
    done
    # A tilde that is inserted would be quoted.
    if (( $#whole )) && [[ -z $compstate[quote] && $current == '~'*/* ]]; then
        whole=("${(@)whole#*/}")
        compset -P '[^/]#/'
    fi
    local ret=1
    (( $#whole )) && _describe -V -t values vmatlas shown_whole whole && ret=0
    (( $#begun )) && _describe -V -t words vmatlas shown_begun begun -S '' && ret=0
    case $native in
        files) _files && ret=0 ;;
        directories) _files -/ && ret=0 ;;
        users) _users && ret=0 ;;
        command*)
            shift ${native#command } words
            (( CURRENT -= ${native#command } ))
            _normal && ret=0
            ;;
    esac
    return ret
}

# In a file of $fpath, this is the body of the function.
if [[ $funcstack[1] == _vmatlas ]]; then
    _vmatlas "$@"
else
    compdef _vmatlas vmatlas
fi
