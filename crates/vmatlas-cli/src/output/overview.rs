//! The processes of a recording.

use super::Answer;
use super::json::formatter::Addresses;
use super::json::{self, Schema};
use super::style::Paint;
use serde::Serialize;
use std::io::{self, Write};
use vmatlas::Overview;
use vmatlas::recording::EventNumber;
use vmatlas::words::{self, printable};

/// The answer of `show RECORDING --processes`.
pub(crate) struct Processes<'a>(pub(crate) &'a Overview);

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ProcessesJson {
    schema: Schema,
    processes: Vec<ProcessJson>,
    events: u64,
    lost: u64,
    /// How often the model of the kernel was corrected from the kernel's rows.
    corrected: u64,
    /// What recorded it: `ptrace` or `perf`.
    backend: String,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ProcessJson {
    pid: u32,
    comm: String,
    began_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
}

impl Answer for Processes<'_> {
    fn text(&self, _: Paint) -> String {
        let overview = self.0;
        let mut text =
            format!("{:>8} {:<15} {:>10} {:>10} status\n", "pid", "name", "began", "ended");
        for (process, comm) in &overview.processes {
            let began = words::seconds(process.began_ns);
            let last = process.last.map_or("no".to_owned(), |last| format!("#{last}"));
            let ended = if process.last.is_some() { "unknown" } else { "" };
            let status = process.status.map_or(ended.to_owned(), words::status);
            text.push_str(&format!(
                "{:>8} {:<15} {began:>10} {last:>10} {status}\n",
                process.pid,
                printable(comm)
            ));
        }
        let course = overview.course;
        text.push_str(&format!(
            "{} by {}; corrected from the kernel's rows {}; {} lost\n",
            words::count(course.events, "event"),
            printable(overview.backend.as_bytes()),
            words::count(course.observations, "time"),
            course.lost
        ));
        text
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        let process = |(process, comm): &(vmatlas::recording::Process, Vec<u8>)| ProcessJson {
            pid: process.pid,
            comm: String::from_utf8_lossy(comm).into_owned(),
            began_s: process.began_ns as f64 / 1e9,
            last_event: process.last.map(EventNumber::get),
            status: process.status,
        };
        let course = self.0.course;
        let processes = self.0.processes.iter().map(process).collect();
        let (events, lost) = (course.events, course.lost);
        json::write(
            out,
            addresses,
            &ProcessesJson {
                schema: Schema,
                processes,
                events,
                lost,
                corrected: course.observations,
                backend: self.0.backend.clone(),
            },
        )
    }
}
