//! `vmatlas watch TARGET…`: what grows.

use crate::args::{CommonArgs, WatchArgs, WatchBy};
use crate::output::fit::Fit;
use crate::output::watch::{LookAnswer, SummaryAnswer};
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use std::io::Write as _;
use std::time::{Duration, Instant};
use vmatlas::words::printable;
use vmatlas::{By, Interrupt, Look, Watch, WatchOptions};

pub(crate) fn run(args: &WatchArgs) -> Result<bool, Trouble> {
    let mut options = WatchOptions::default();
    let by = match args.by {
        WatchBy::Kind => By::Kind,
        WatchBy::Label => By::Label,
        WatchBy::File => By::File,
        WatchBy::Image => By::Image,
    };
    options.by = by;
    options.proc.clone_from(&args.proc);
    options.always_sizes = args.sizes;
    let interrupt = Interrupt::on_signals()
        .map_err(|error| Trouble::new(format!("cannot install signal handlers: {error}")))?;
    let mut watch = Watch::of_targets(&args.targets, options)?;
    let mut common = CommonArgs::of_processes(args.ndjson, args.color, &args.proc, args.quiet);
    common.json = false;
    let format = if args.ndjson { Format::Ndjson(common.addresses()) } else { Format::Text };
    let target = args.targets.join(" ");
    if !args.quiet && !args.ndjson {
        notes::note(&format!("watching {}; Ctrl-C ends it", printable(target.as_bytes())));
    }
    let began = Instant::now();
    let end = args.duration.map(|duration| began + duration);
    let (mut next, mut seen) = (began, Seen::default());
    let fit = Fit::of_stdout();
    let is_gone = loop {
        let Some(look) = watch.look(began.elapsed())? else { break true };
        if !args.quiet {
            seen.note_cost(&look, args.every);
        }
        let heading = (seen.count == 0).then(|| by.word());
        let answer = LookAnswer { look: &look, target: &target, top: args.top, fit, heading };
        output::print(&answer, format, &common)?;
        std::io::stdout().flush()?;
        seen.add(look);
        // After a slow look the next ones are not rushed.
        next = (next + args.every).max(Instant::now());
        let is_last = end.is_some_and(|end| next > end);
        let until = end.map_or(next, |end| end.min(next));
        if interrupt.wait(until.saturating_duration_since(Instant::now())) || is_last {
            break false;
        }
    };
    if format == Format::Text {
        let (first, last, sizes) = (seen.first_rss, seen.last.as_ref(), seen.last_sizes.as_ref());
        let answer =
            SummaryAnswer { first, last, sizes, looks: seen.count, is_gone, top: args.top, fit };
        output::print(&answer, format, &common)?;
    }
    Ok(true)
}

/// The looks so far: what the summary needs of them.
#[derive(Default)]
struct Seen {
    count: u64,
    first_rss: u64,
    last: Option<Look>,
    /// The last one with sizes, unless that is the last one.
    last_sizes: Option<Look>,
    is_cost_noted: bool,
}

impl Seen {
    fn add(&mut self, look: Look) {
        if self.count == 0 {
            self.first_rss = look.rss;
        }
        self.count += 1;
        let before = self.last.replace(look);
        if let Some(before) = before.filter(|before| before.has_sizes) {
            self.last_sizes = Some(before);
        }
    }

    /// Notes once that the sizes of rows are read more seldom than the processes are looked at.
    fn note_cost(&mut self, look: &Look, every: Duration) {
        let Some(sizes) = look.sizes_every.filter(|sizes| *sizes > every) else { return };
        if self.is_cost_noted {
            return;
        }
        self.is_cost_noted = true;
        notes::note(&format!(
            "the sizes of mappings take {:.0} ms of CPU time, so they are read every {:.0} s; --sizes reads them \
             at each look",
            sizes.as_secs_f64() * 10.0,
            sizes.as_secs_f64().ceil()
        ));
    }
}
