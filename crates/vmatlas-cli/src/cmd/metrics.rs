//! `vmatlas metrics`: sums over all processes for monitoring.

use crate::args::{MetricsArgs, MetricsBy};
use crate::output::metrics::Metrics;
use crate::output::notes;
use crate::trouble::Trouble;
use oxhttp::Server;
use oxhttp::model::{Body, Request, Response, StatusCode};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use vmatlas::audit::AuditOptions;
use vmatlas::{By, Census, GroupBy, Replace, SurveyOptions, write_file};

/// The media type of OpenMetrics, version 1.0.0.
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The longest time to wait for a client.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most clients at the same time: a collector is one.
const MAX_CLIENTS: usize = 8;
/// How long an answer is given again: many requests must not cost more than one.
const FRESH: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &MetricsArgs) -> Result<bool, Trouble> {
    let (proc, also) = (args.proc.clone(), args.also.clone());
    let source = Source { proc, cheap: args.cheap, top: args.top, also };
    if let Some(address) = args.listen {
        return serve(address, source, args.quiet);
    }
    let text = source.text()?;
    match &args.textfile {
        Some(file) => write_file(file, "metrics", text.as_bytes(), Replace::Own)?,
        None => std::io::stdout().write_all(text.as_bytes())?,
    }
    Ok(true)
}

/// What is measured.
struct Source {
    proc: PathBuf,
    cheap: bool,
    top: usize,
    also: Vec<MetricsBy>,
}

impl Source {
    fn text(&self) -> Result<String, Trouble> {
        let began = Instant::now();
        let census = || Census::of_machine(&self.proc);
        let survey =
            |by, cheap| census()?.survey(SurveyOptions { by, cheap, ..SurveyOptions::default() });
        let mut metrics = Metrics::new();
        metrics.programs(&survey(GroupBy::Program, self.cheap)?, self.top);
        for (also, by) in [(MetricsBy::Kind, By::Kind), (MetricsBy::Label, By::Label)] {
            if self.also.contains(&also) {
                metrics.groups(&survey(GroupBy::Rows(by), false)?, by);
            }
        }
        if self.also.contains(&MetricsBy::Rule) {
            metrics.findings(&census()?.audit(&AuditOptions::default()));
        }
        metrics.took(began.elapsed());
        metrics.text().map_err(|_| Trouble::new("the metrics could not be formatted"))
    }
}

fn serve(address: SocketAddr, source: Source, quiet: bool) -> Result<bool, Trouble> {
    if !address.ip().is_loopback() {
        let help = "the names of programs are for this machine only: give 127.0.0.1 or ::1, and let a \
                    proxy that knows its clients pass them on";
        return Err(Trouble::new(format!("{address}: {help}")));
    }
    let kept: Mutex<Option<(Instant, String)>> = Mutex::new(None);
    let text = move || {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((since, text)) if since.elapsed() < FRESH => Ok(text.clone()),
            _ => source.text().inspect(|text| *kept = Some((Instant::now(), text.clone()))),
        }
    };
    let answer = move |request: &mut Request<Body>| match refuse(request, address) {
        Some((status, why)) => response(status, "text/plain; charset=utf-8", format!("{why}\n")),
        None => match text() {
            Ok(text) => response(StatusCode::OK, MEDIA_TYPE, text),
            Err(trouble) => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                response(status, "text/plain; charset=utf-8", format!("{trouble}\n"))
            }
        },
    };
    let server = Server::new(answer).bind(address);
    let server = server.with_global_timeout(PATIENCE).with_max_concurrent_connections(MAX_CLIENTS);
    let wrong = |error: std::io::Error| Trouble::new(format!("{address}: {error}"));
    let server = server.spawn().map_err(wrong)?;
    if !quiet {
        notes::note(&format!("http://{address}/metrics until Ctrl-C"));
    }
    server.join().map_err(wrong)?;
    Ok(true)
}

/// Why a request is refused; `None` if it is answered. A page of a browser could send one by another
/// name of this machine, and would read the answer: so the name must be the address.
fn refuse(request: &Request<Body>, address: SocketAddr) -> Option<(StatusCode, &'static str)> {
    let host =
        request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let local = format!("localhost:{}", address.port());
    if host != address.to_string() && host != local {
        return Some((StatusCode::FORBIDDEN, "the host is another one than that of the address"));
    }
    if request.method() != "GET" {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "only GET is answered"));
    }
    (request.uri().path() != "/metrics")
        .then_some((StatusCode::NOT_FOUND, "there is only /metrics"))
}

fn response(status: StatusCode, media_type: &str, text: String) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", media_type);
    // Only a wrong header could fail, and these are right.
    response.body(Body::from(text)).unwrap_or_default()
}
