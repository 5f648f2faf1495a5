//! Tests metrics for monitoring.

use crate::live::Sleeper;
use crate::vmatlas::{PATIENCE, command, vmatlas};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// The samples of a text of OpenMetrics: the name with its labels, and the value.
#[track_caller]
fn samples(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let mut typed = BTreeSet::new();
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            if let Some(of) = comment.strip_prefix("TYPE ") {
                let (name, kind) = of.split_once(' ').unwrap();
                assert_eq!(kind, "gauge", "{line}");
                assert!(typed.insert(name.to_owned()), "{name} has two types");
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let family = name.split('{').next().unwrap();
        assert!(typed.contains(family), "{line} has no type");
        assert!(samples.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{line} twice");
    }
    samples
}

#[test]
fn programs_and_parts_of_the_machine() {
    let sleeper = Sleeper::start();
    let run = vmatlas(&["metrics", "--top", "100000"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let found = samples(&run.text());
    assert!(found["vmatlas_program_processes{program=\"sleep\"}"] >= 1.0, "{found:?}");
    let sleeps = found["vmatlas_program_resident_bytes{program=\"sleep\"}"];
    let unique = found["vmatlas_program_unique_bytes{program=\"sleep\"}"];
    assert!(sleeps > 0.0 && unique > 0.0 && unique < sleeps, "{sleeps} {unique}");
    let parts = found.iter().filter(|(name, _)| name.starts_with("vmatlas_machine_memory_bytes{"));
    let sum: f64 = parts.map(|(_, value)| value).sum();
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total: f64 = meminfo.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!((sum - total * 1024.0).abs() < 1.0, "{sum} {total}");
    // Neither process IDs nor paths are labels.
    let text = run.text();
    let is_pid = |name: &&String| name.contains(&format!("\"{}\"", sleeper.pid()));
    assert!(!text.contains('/') || !text.contains("program=\"/"), "{text}");
    assert!(found.keys().find(is_pid).is_none());
}

#[test]
fn labels_are_bounded() {
    let _sleeper = Sleeper::start();
    let found = samples(&vmatlas(&["metrics", "--top", "1", "--cheap"]).text());
    let programs: Vec<&String> =
        found.keys().filter(|name| name.starts_with("vmatlas_program_mappings{")).collect();
    assert_eq!(programs.len(), 2, "{found:?}");
    assert!(programs.iter().any(|name| name.contains("\"other\"")));
    // Without page tables there are no shares.
    assert!(!found.keys().any(|name| name.contains("proportional") || name.contains("machine")));
}

#[test]
fn kinds_labels_and_rules_where_asked() {
    let _sleeper = Sleeper::start();
    let run = vmatlas(&["metrics", "--cheap", "--also", "kind,label,rule"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let found = samples(&run.text());
    let has = |name: &str| found.get(name).is_some_and(|value| *value > 0.0);
    assert!(has("vmatlas_kind_resident_bytes{kind=\"file\"}"), "{found:?}");
    assert!(has("vmatlas_kind_proportional_bytes{kind=\"stack\"}"), "{found:?}");
    assert!(has("vmatlas_label_resident_bytes{label=\"file\"}"), "{found:?}");
    let rules = found.keys().filter(|name| name.starts_with("vmatlas_findings{rule=\""));
    assert!(rules.count() > 0, "{found:?}");
    assert!(!vmatlas(&["metrics", "--cheap"]).text().contains("findings"));
}

#[test]
fn a_file_for_a_collector() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vmatlas.prom");
    for _ in 0..2 {
        let run = vmatlas(&["metrics", "--cheap", "--textfile", file.to_str().unwrap()]);
        assert_eq!((run.status, run.text().as_str()), (0, ""), "{}", run.stderr);
        samples(&std::fs::read_to_string(&file).unwrap());
    }
    let run = vmatlas(&["metrics", "--textfile", "/nonexistent/x"]);
    assert_eq!(run.status, 2);
}

/// A server that is ended with the test.
struct Served(Child, u16);

impl Served {
    fn start() -> Served {
        let end = Instant::now() + PATIENCE;
        loop {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let address = format!("127.0.0.1:{port}");
            let mut server = command(&["metrics", "-q", "--cheap", "--listen", &address]);
            let mut server = Served(server.stderr(Stdio::null()).spawn().unwrap(), port);
            // Another program may have taken the port.
            while server.0.try_wait().unwrap().is_none() {
                if TcpStream::connect(&address).is_ok() {
                    return server;
                }
                assert!(Instant::now() < end, "no server");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn answer(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.1)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str, host: &str) -> String {
        self.answer(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

#[test]
fn requests_are_answered_on_this_machine_only() {
    let served = Served::start();
    let host = format!("127.0.0.1:{}", served.1);
    let answer = served.get("/metrics", &host);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.to_ascii_lowercase().contains("application/openmetrics-text"), "{head}");
    assert!(body.contains("vmatlas_program_resident_bytes{"), "{body}");
    let local = format!("localhost:{}", served.1);
    assert!(served.get("/metrics", &local).starts_with("HTTP/1.1 200 "));
    assert!(served.get("/metrics", "example.com").starts_with("HTTP/1.1 403 "));
    assert!(served.get("/", &host).starts_with("HTTP/1.1 404 "));
    let post = format!(
        "POST /metrics HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    assert!(served.answer(&post).starts_with("HTTP/1.1 405 "));
    assert!(served.answer("no HTTP\r\n\r\n").starts_with("HTTP/1.1 400 "));
    for address in ["0.0.0.0:9733", "[::]:9733", "192.0.2.1:9733"] {
        let run = vmatlas(&["metrics", "--listen", address]);
        assert_eq!(run.status, 2);
        assert!(run.stderr.contains("for this machine only"), "{}", run.stderr);
    }
    let taken = vmatlas(&["metrics", "--listen", &host]);
    assert_eq!(taken.status, 2, "the port is taken");
    assert!(taken.stderr.contains(&host), "{}", taken.stderr);
}
