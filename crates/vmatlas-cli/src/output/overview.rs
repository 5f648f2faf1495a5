//! The processes of a recording or a log.

use super::Answer;
use super::json::formatter::Addresses;
use super::json::{self, Schema};
use super::style::Paint;
use serde::Serialize;
use std::io::{self, Write};
use vmatlas::recording::EventNumber;
use vmatlas::words::{self, printable};
use vmatlas::{ListedProcess, Overview};

/// The answer of `show RECORDING --processes`.
pub(crate) struct Processes<'a>(pub(crate) &'a Overview);

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct ProcessesJson {
    schema: Schema,
    processes: Vec<ProcessJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
    /// How often the model of the kernel was corrected from the kernel's rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    corrected: Option<u64>,
    /// What recorded it: `ptrace`, `perf` or `strace`.
    backend: String,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ProcessJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    comm: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    began_s: Option<f64>,
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
        for process in &overview.processes {
            let pid = process.pid.map_or("?".to_owned(), |pid| pid.to_string());
            let began = process.began_ns.map_or("?".to_owned(), words::seconds);
            let last = process.last.map_or("no".to_owned(), |last| format!("#{last}"));
            let ended = if process.last.is_some() { "unknown" } else { "" };
            let status = process.status.map_or(ended.to_owned(), words::status);
            text.push_str(&format!(
                "{pid:>8} {:<15} {began:>10} {last:>10} {status}\n",
                printable(&process.comm)
            ));
        }
        let Some(course) = overview.course else { return text };
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
        let process = |process: &ListedProcess| ProcessJson {
            pid: process.pid,
            comm: String::from_utf8_lossy(&process.comm).into_owned(),
            began_s: process.began_ns.map(|began| began as f64 / 1e9),
            last_event: process.last.map(EventNumber::get),
            status: process.status,
        };
        let course = self.0.course;
        let processes = self.0.processes.iter().map(process).collect();
        json::write(
            out,
            addresses,
            &ProcessesJson {
                schema: Schema,
                processes,
                events: course.map(|course| course.events),
                lost: course.map(|course| course.lost),
                corrected: course.map(|course| course.observations),
                backend: self.0.backend.clone(),
            },
        )
    }
}
