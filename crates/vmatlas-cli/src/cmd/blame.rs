//! `vmatlas blame RECORDING|LOG`: reports the origins of mapped memory.

use super::address::{addresses, parse};
use super::nothing_matches::nothing_matches;
use super::target_words::TargetWords;
use super::{filter_of, is_default_proc, open, replace};
use crate::args::{BlameArgs, By, Count};
use crate::output::blame::answer::BlameAnswer;
use crate::output::blame::{Folded, pprof, profile};
use crate::output::life::LivesAnswer;
use crate::output::{self, Answer, Format, notes};
use crate::trouble::Trouble;
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::time::Duration;
use vmatlas::words::{self, printable};
use vmatlas::{
    Atlas, Blame, BlameBy, BlameOptions, ErrorKind, FieldNeeds, Filter, Note, Request, write_file,
};

pub(crate) fn run(args: &BlameArgs, matches: &ArgMatches) -> Result<bool, Trouble> {
    refuse_without_effect(args, matches)?;
    let words =
        TargetWords::new(args.recording.as_deref(), &args.addresses, &args.moment, &args.common)?;
    let name = &words.target;
    let locations = parse(&words.rest)?;
    let atlas = read(&words, args)?;
    if !locations.is_empty() {
        if args.csv {
            return Err(Trouble::new(
                "--csv lists origins of mappings, not the life of an address",
            ));
        }
        return lives(&atlas, &addresses(&atlas, &locations)?, name, args);
    }
    refuse(args.filter.as_ref())?;
    let atlas = match args.count {
        Count::Mapped => atlas,
        Count::Resident | Count::Touched => atlas.into_last_look()?,
    };
    if args.debuginfod
        && let Some(why) = atlas.source().lacks(Request::Symbols)
    {
        let name = printable(name.as_bytes());
        return Err(Trouble::new(format!("{name}: {why}, so it takes no --debuginfod")));
    }
    if args.since.is_some() && atlas.recorded().is_some_and(|recorded| recorded.time_ns().is_none())
    {
        return Err(Trouble::new(format!(
            "{}: the log has no times (strace -ttt has), so it takes no --since",
            printable(name.as_bytes())
        )));
    }
    let filter = filter_of(&[&atlas], args.filter.as_ref(), &args.common);
    let nanoseconds = |since: Duration| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    let mut options = BlameOptions::default();
    options.count = args.count.into();
    options.since_ns = args.since.map(nanoseconds);
    options.filter = filter.as_ref();
    let blame = atlas.pieces(options)?;
    if !args.common.quiet {
        let warnings = atlas.notes().map(|note| notes::text(&note));
        let warnings = warnings.chain(blame.notes().iter().cloned());
        warnings.for_each(|warning| notes::note(&format!("{name}: {warning}")));
    }
    if let Some(path) = &args.pprof {
        write_file(path, "a profile", &pprof::pprof(&blame), replace(args.force))?;
    }
    if let Some(path) = &args.svg {
        write_file(path, "a flame graph", profile::svg(&blame)?.as_bytes(), replace(args.force))?;
    }
    let answer = BlameAnswer {
        atlas: &atlas,
        blame: &blame,
        by: args.by.into(),
        count: args.count.into(),
        top: args.top,
        frames: args.frames,
        mappings: args.mappings,
    };
    let folded = Folded(answer);
    let answer: &dyn Answer = if args.folded { &folded } else { &answer };
    if args.common.json || args.csv || args.folded || args.pprof.is_none() && args.svg.is_none() {
        output::print(answer, Format::with_csv(&args.common, args.csv), &args.common)?;
    }
    let has_answer = !nothing_matches(&[&atlas], filter.as_ref(), &args.common);
    Ok(has_answer && !nothing_counted(&blame, name, args))
}

/// Whether nothing is counted, though a row may match `--where`; then a note says why.
fn nothing_counted(blame: &Blame<'_>, name: &str, args: &BlameArgs) -> bool {
    if !blame.pieces().is_empty() {
        return false;
    }
    let what = match args.count {
        Count::Mapped if args.since.is_some() => "still mapped that was mapped",
        Count::Mapped => "mapped",
        Count::Resident => "in memory",
        Count::Touched => "in memory by a recorded touch",
    };
    let matching = if args.filter.is_some() { " that matches --where" } else { "" };
    let since = match (args.since, blame.recorded().time_ns()) {
        (Some(since), Some(last)) => format!(
            " after {} s; the last event of that moment is at {}",
            since.as_secs_f64(),
            words::seconds(last)
        ),
        _ => String::new(),
    };
    if !args.common.quiet {
        let name = printable(name.as_bytes());
        notes::note(&format!("{name}: nothing{matching} is {what}{since}"));
    }
    true
}

/// Refuses options about files that are not written, and about text that is not printed.
fn refuse_without_effect(args: &BlameArgs, matches: &ArgMatches) -> Result<(), Trouble> {
    let writes = args.pprof.is_some() || args.svg.is_some();
    if args.force && !writes {
        return Err(Trouble::new("--force is about the file of --pprof or --svg"));
    }
    let given = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let of_text = ["top", "frames", "mappings", "by"].into_iter().find(given);
    match of_text.filter(|_| writes && !args.common.json && !args.csv && !args.folded) {
        Some(option) => Err(Trouble::new(format!(
            "--{option} is about text, and --pprof and --svg alone print none"
        ))),
        None => Ok(()),
    }
}

/// Opens a process of a recording or a log, or the unfinished recording of a live process.
fn read(words: &TargetWords, args: &BlameArgs) -> Result<Atlas, Trouble> {
    let name = words.target.as_str();
    let open = open(name, &args.common, &words.moment).debuginfod(args.debuginfod);
    let shown = printable(name.as_bytes());
    if !is_default_proc(&args.common) {
        let why = "blame reads recordings, for which --proc has no meaning";
        return Err(Trouble::new(format!("{shown}: {why}")));
    }
    if name == "-" || open.is_file() {
        let atlas = open.open()?;
        return match atlas.source().has_origins() {
            true => Ok(atlas),
            false => Err(Trouble::new(format!("{shown}: neither a recording nor a log of strace"))),
        };
    }
    let pid = match open.process() {
        Ok(Some(process)) => process.pid,
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {
            let error = std::fs::metadata(name).err();
            let why = error.map_or("not a file".to_owned(), |error| error.to_string());
            return Err(Trouble::new(format!("{shown}: no recording can be read there: {why}")));
        }
    };
    open.open_recording_of(pid, args.moment.at).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Trouble::new(format!(
            "{shown}: {error}; start the program with vmatlas record -- CMD, or attach with vmatlas \
             record -p {pid}"
        )),
        _ => error.into(),
    })
}

fn lives(atlas: &Atlas, addresses: &[u64], name: &str, args: &BlameArgs) -> Result<bool, Trouble> {
    let is_unfinished =
        |note: &Note| matches!(note, Note::RecordedBy { .. } | Note::DifferentRows { .. });
    for found in atlas.notes().filter(|note| !args.common.quiet && is_unfinished(note)) {
        notes::note(&format!("{name}: {}", notes::text(&found)));
    }
    let lives = atlas.lives(addresses)?;
    for error in lives.iter().filter_map(|life| life.error) {
        notes::note(&format!("{name}: {error}; later events are left out"));
    }
    let answer = LivesAnswer { atlas, lives: &lives, most: args.frames };
    output::print(&answer, Format::of(&args.common), &args.common)?;
    Ok(lives.iter().all(|life| !life.steps.is_empty()))
}

fn refuse(filter: Option<&Filter>) -> Result<(), Trouble> {
    let Some(filter) = filter.filter(|filter| filter.needs_more_than_rows()) else { return Ok(()) };
    Err(Trouble::new(match filter {
        filter if filter.needs(FieldNeeds::Sizes) => {
            "recordings and logs have no sizes of smaps: --where cannot ask for one"
        }
        filter if filter.needs(FieldNeeds::Labels) => {
            "blame reports origins of rows, not labels: --where cannot ask for a label"
        }
        _ => "blame reports origins of rows: --where cannot ask for facts from other sources",
    }))
}

impl From<By> for BlameBy {
    fn from(by: By) -> BlameBy {
        match by {
            By::Stack => BlameBy::Stack,
            By::Function => BlameBy::Function,
            By::Module => BlameBy::Module,
            By::Thread => BlameBy::Thread,
        }
    }
}

impl From<Count> for vmatlas::Count {
    fn from(count: Count) -> vmatlas::Count {
        match count {
            Count::Mapped => vmatlas::Count::Mapped,
            Count::Resident => vmatlas::Count::Resident,
            Count::Touched => vmatlas::Count::Touched,
        }
    }
}
