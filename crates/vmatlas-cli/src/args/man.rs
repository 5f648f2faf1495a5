//! Manual pages, one for each command, from the definition of the arguments.

use clap::Command;
use clap_mangen::Man;
use std::io::{self, Write};

/// What the definition of the arguments lacks.
struct Extra {
    /// The command; empty for the program itself.
    command: &'static str,
    /// Command lines, each with what it does.
    examples: &'static [(&'static str, &'static str)],
    /// Files that it reads or writes, each with its meaning.
    files: &'static [(&'static str, &'static str)],
    /// Other pages.
    see_also: &'static [&'static str],
}

const EXTRAS: [Extra; 17] = [
    Extra {
        command: "",
        examples: &[
            ("vmatlas 1234", "Shows the memory of process 1234: sums, then its mappings."),
            ("vmatlas 1234 --deep", "The same; labels also use the contents of its memory."),
            ("vmatlas crash.log", "Shows the rows of maps that a text contains."),
            ("vmatlas at 1234 7f0012345678", "Shows what lies at an address."),
            ("vmatlas explain core.1234", "Explains why a program crashed."),
        ],
        files: &[
            ("maps, smaps, status, auxv, map_files of /proc/PID", "What is read of a process."),
            ("/tmp/perf-PID.map", "Names of code that a runtime made, in the process's root."),
        ],
        see_also: &["proc_pid_maps(5)", "proc_pid_smaps(5)", "pmap(1)", "gdb(1)"],
    },
    Extra {
        command: "show",
        examples: &[
            ("vmatlas show nginx --sizes", "Reads the resident sizes, too (smaps)."),
            (
                "vmatlas show 1234 --where 'perms = rwx'",
                "Shows memory that may be written and executed.",
            ),
            (
                "vmatlas show run.vmrec@1.5 --raw",
                "Prints the kernel's text of a moment of a recording.",
            ),
            ("vmatlas show 1234 --json | jq .totals", "Gives the sums to a script."),
        ],
        files: &[("/tmp/perf-PID.map", "Names of code that a runtime made.")],
        see_also: &["proc_pid_maps(5)", "proc_pid_smaps(5)", "pmap(1)"],
    },
    Extra {
        command: "audit",
        examples: &[
            ("vmatlas audit --all", "Audits all processes, and exits with 1 if a finding is high."),
            ("vmatlas audit nginx --deep", "Also compares changed code with its file."),
            (
                "vmatlas audit --all --format sarif > audit.sarif",
                "Writes the findings for code scanning.",
            ),
            (
                "vmatlas audit --all --learn > policy.toml",
                "Writes a policy that excuses what is found now.",
            ),
        ],
        files: &[
            (
                "maps, status, personality, limits, fd, exe of /proc/PID",
                "What is read of a process.",
            ),
            ("/etc/passwd, /etc/group", "The members of groups that may write files."),
        ],
        see_also: &["proc_pid_maps(5)", "personality(2)", "capabilities(7)"],
    },
    Extra {
        command: "at",
        examples: &[
            ("vmatlas at 1234 7f0012345678", "Shows file, section, symbol and label there."),
            ("vmatlas at core.1234 7f00aa000000 7f00aa000fff", "Looks two addresses up."),
        ],
        files: &[],
        see_also: &["addr2line(1)", "nm(1)"],
    },
    Extra {
        command: "watch",
        examples: &[
            ("vmatlas watch nginx", "Shows what grows in all processes of nginx, each second."),
            ("vmatlas watch 1234 --every 10s --for 1h", "Ends after an hour, with a verdict."),
            ("vmatlas watch @unit:ssh --ndjson", "Prints a JSON object for each look."),
        ],
        files: &[],
        see_also: &["proc_pid_smaps(5)"],
    },
    Extra {
        command: "diff",
        examples: &[
            ("vmatlas diff before.maps 1234", "Compares a saved map with a process."),
            ("vmatlas diff run.vmrec@1 run.vmrec@2", "Compares two moments of a recording."),
            ("vmatlas diff a.snap 1234 --sizes --by label", "Shows which memory has grown since."),
        ],
        files: &[],
        see_also: &["diff(1)"],
    },
    Extra {
        command: "all",
        examples: &[
            ("vmatlas all --top 20", "Sums up the memory of all processes by program."),
            ("vmatlas all postgres --by label", "Shows what the memory of a service is for."),
            (
                "vmatlas all @unit:ssh.service --by process",
                "Lists the processes of a unit of systemd.",
            ),
        ],
        files: &[],
        see_also: &["smem(8)", "proc_meminfo(5)", "cgroups(7)"],
    },
    Extra {
        command: "shared",
        examples: &[
            ("vmatlas shared 1234", "Lists the processes that map the same page frames."),
            ("vmatlas shared @container:0123456789ab", "Shows who uses what a container pays for."),
        ],
        files: &[],
        see_also: &["proc_pid_pagemap(5)", "cgroups(7)"],
    },
    Extra {
        command: "metrics",
        examples: &[
            (
                "vmatlas metrics --textfile /var/lib/node_exporter/vmatlas.prom",
                "Writes metrics for node_exporter.",
            ),
            ("vmatlas metrics --listen 127.0.0.1:9733", "Answers requests of Prometheus."),
        ],
        files: &[],
        see_also: &["systemd.timer(5)"],
    },
    Extra {
        command: "access",
        examples: &[(
            "vmatlas access 1234 --as 1000",
            "Says whether user 1000 may read its maps, and why.",
        )],
        files: &[],
        see_also: &["ptrace(2)", "proc(5)", "capabilities(7)"],
    },
    Extra {
        command: "verify",
        examples: &[
            ("vmatlas verify mremap.scn", "Compares the model of the kernel with this kernel."),
            ("vmatlas verify --random 100 --seed 7", "The same with a hundred random scenarios."),
        ],
        files: &[],
        see_also: &["mmap(2)", "mremap(2)", "mprotect(2)"],
    },
    Extra {
        command: "record",
        examples: &[
            ("vmatlas record -o run.vmrec -- make", "Records make and its children."),
            ("vmatlas record -p 1234 --duration 10", "Records a process for ten seconds."),
        ],
        files: &[("NAME.PID.vmrec", "The recording, if -o names no other file.")],
        see_also: &["strace(1)", "perf(1)", "ptrace(2)", "perf_event_open(2)"],
    },
    Extra {
        command: "blame",
        examples: &[
            ("vmatlas blame run.vmrec", "Ranks the call stacks that mapped memory."),
            ("vmatlas blame run.vmrec 7f00aa000000", "Reports the whole life of an address."),
        ],
        files: &[],
        see_also: &["pprof(1)"],
    },
    Extra {
        command: "explain",
        examples: &[
            ("vmatlas explain core.1234", "Explains a crash from its core dump."),
            ("dmesg | vmatlas explain -", "Explains the crashes in the log of the kernel."),
        ],
        files: &[],
        see_also: &["core(5)", "signal(7)", "coredumpctl(1)"],
    },
    Extra {
        command: "save",
        examples: &[
            ("vmatlas save nginx --sizes -o nginx.snap", "Keeps rows, sizes, labels and threads."),
            (
                "vmatlas save --all -o /var/lib/vmatlas",
                "Keeps all processes, each time what changed.",
            ),
            ("vmatlas all /var/lib/vmatlas@02:30", "Sums up the snapshot of 02:30 UTC."),
            ("vmatlas diff nginx.snap nginx", "Compares the snapshot with the process of today."),
        ],
        files: &[],
        see_also: &["gcore(1)"],
    },
    Extra {
        command: "completions",
        examples: &[
            (
                "source <(vmatlas completions bash)",
                "Loads completions into this shell: bash, or zsh after compinit.",
            ),
            (
                "vmatlas completions bash > ~/.local/share/bash-completion/completions/vmatlas",
                "Installs completions for bash with its package bash-completion; for all users in \
                 /usr/share/bash-completion/completions.",
            ),
            (
                "vmatlas completions zsh > ~/.zfunc/_vmatlas",
                "Installs completions for zsh, if ~/.zshrc has fpath=(~/.zfunc $fpath) before \
                 compinit; for all users in /usr/local/share/zsh/site-functions.",
            ),
            (
                "vmatlas completions fish > ~/.config/fish/completions/vmatlas.fish",
                "Installs completions for fish; for all users in \
                 /usr/share/fish/vendor_completions.d.",
            ),
        ],
        files: &[("comm, stat, exe of /proc/PID", "What completions read of processes.")],
        see_also: &["bash(1)", "zshcompsys(1)", "fish(1)"],
    },
    Extra {
        command: "man",
        examples: &[(
            "vmatlas man show | gzip > /usr/local/share/man/man1/vmatlas-show.1.gz",
            "Installs a page.",
        )],
        files: &[],
        see_also: &["man(1)"],
    },
];

/// The day of the last change of the arguments or the pages.
const DATE: &str = "2026-11-30";

/// The environment of every command.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("PAGER", "The pager of text that is longer than the screen; no pager if it is empty."),
    ("LESS", "The options of less(1), by default FRXK."),
    ("NO_COLOR", "No colors, if it is set and not empty."),
    ("TERM", "No colors, if it is dumb."),
    ("TMPDIR", "The directory of temporary files."),
    ("DEBUGINFOD_URLS", "The servers of --debuginfod."),
];

/// The page of a command, or of the program itself; `None` if there is no such command.
pub(crate) fn page(program: &Command, name: Option<&str>) -> io::Result<Option<Vec<u8>>> {
    let mut program = program.clone();
    program.build();
    let command = match name {
        None => Some(&program),
        Some(name) => program.find_subcommand(name).filter(|command| !command.is_hide_set()),
    };
    let Some(command) = command else { return Ok(None) };
    let title = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let version = format!("vmatlas {}", program.get_version().unwrap_or_default());
    let man = Man::new(command.clone()).title(title.to_uppercase()).date(DATE).source(version);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let others: Vec<&Command> =
        program.get_subcommands().filter(|other| !other.is_hide_set()).collect();
    if name.is_none() {
        writeln!(page, ".SH COMMANDS")?;
        for other in &others {
            let about = other.get_about().map(ToString::to_string).unwrap_or_default();
            writeln!(page, ".TP\n\\fB{}\\fR\n{}", escaped(other.get_name()), escaped(&about))?;
        }
    }
    man.render_extra_section(&mut page)?;
    let extra = EXTRAS.iter().find(|extra| extra.command == name.unwrap_or_default());
    if let Some(extra) = extra {
        section(&mut page, "EXAMPLES", extra.examples)?;
        section(&mut page, "FILES", extra.files)?;
    }
    section(&mut page, "ENVIRONMENT", &ENVIRONMENT)?;
    let own = |other: &&&Command| Some(other.get_name()) != name && other.get_name() != "help";
    let mut pages: Vec<String> = match name {
        None => others
            .iter()
            .filter(own)
            .map(|other| format!("vmatlas-{}(1)", other.get_name()))
            .collect(),
        Some(_) => vec!["vmatlas(1)".to_owned()],
    };
    pages.extend(extra.iter().flat_map(|extra| extra.see_also).map(|&page| page.to_owned()));
    let pages: Vec<String> = pages.iter().filter_map(|page| reference(page)).collect();
    writeln!(page, ".SH \"SEE ALSO\"\n{}", pages.join(" ,\n"))?;
    Ok(Some(tidy(&String::from_utf8_lossy(&page))))
}

/// Writes a section of terms, each with its meaning; nothing if there are none.
fn section(page: &mut Vec<u8>, title: &str, terms: &[(&str, &str)]) -> io::Result<()> {
    if terms.is_empty() {
        return Ok(());
    }
    writeln!(page, ".SH {title}")?;
    terms.iter().try_for_each(|(term, meaning)| {
        writeln!(page, ".TP\n\\fB{}\\fR\n{}", escaped(term), escaped(meaning))
    })
}

/// A reference to a page, such as `proc(5)`.
fn reference(page: &str) -> Option<String> {
    let (name, section) = page.strip_suffix(')')?.split_once('(')?;
    Some(format!(".BR {} ({section})", escaped(name)))
}

/// Text without what roff takes for commands.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

/// Breaks long lines of text, and leaves out blanks and what was said before, as man(7) asks for.
fn tidy(page: &str) -> Vec<u8> {
    /// The longest line in bytes.
    const WIDTH: usize = 80;
    let mut tidy = String::new();
    let mut has_begun = false;
    let mut before = "";
    for line in page.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        // The definition of the apostrophe stands before each section.
        let is_preamble = line.starts_with(".ie ") || line.starts_with(".el ");
        if is_preamble && has_begun || line == ".br" && before == ".br" {
            continue;
        }
        has_begun |= line.starts_with(".TH");
        before = line;
        if line.starts_with('.') || line.len() <= WIDTH {
            tidy.push_str(line);
            tidy.push('\n');
            continue;
        }
        let mut width = 0;
        for word in line.split(' ').filter(|word| !word.is_empty()) {
            let begins_command = word.starts_with('.') || word.starts_with('\'');
            if width > 0 && width + 1 + word.len() > WIDTH && !begins_command {
                tidy.push('\n');
                width = 0;
            } else if width > 0 {
                tidy.push(' ');
                width += 1;
            }
            tidy.push_str(word);
            width += word.len();
        }
        tidy.push('\n');
    }
    tidy.into_bytes()
}
