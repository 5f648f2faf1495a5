# Completions of vmatlas for fish: keep this file as
# ~/.config/fish/completions/vmatlas.fish

function __vmatlas_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program vmatlas
    string match -q -- '*/*' $words[1]; and test -x $words[1]; and set program $words[1]
    for line in (command $program completions fish -- $words "$current" 2>/dev/null </dev/null)
        switch $line
            case '=*'
                string sub -s 2 -- $line
            case files
                # An unknown command takes files.
                complete -C "__vmatlas_files $current"
            case directories
                complete -C "__vmatlas_files $current" | string match -r '.*/(?=\t|$)'
            case users
                __fish_complete_users
            case 'command *'
                set -l at (math (string replace 'command ' '' -- $line) + 1)
                complete -C (string join ' ' -- (string escape -- $words[$at..]) "$current")
        end
    end
end

complete -c vmatlas -k -f -a '(__vmatlas_complete)'
