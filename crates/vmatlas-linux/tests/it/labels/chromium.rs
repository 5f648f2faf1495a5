//! Headless Chromium.

use super::v8::{bytes, letters};
use super::{Seen, check_share, search, source};
use crate::child::stop;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

/// A browser; all its processes are killed on drop.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0.id())]).status();
        let _ = self.0.wait();
    }
}

#[test]
fn chromium() {
    let home = tempfile::tempdir().unwrap();
    let page = home.path().join("page.html");
    let script = fs::read_to_string(source("heaps.js")).unwrap();
    fs::write(&page, format!("<h1>heaps</h1><script>{script}</script>")).unwrap();
    let mut command = Command::new("chromium");
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--remote-debugging-port=0",
        "--enable-logging=stderr",
    ]);
    command.arg(format!("--user-data-dir={}", home.path().display()));
    command.arg(format!("file://{}", page.display()));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    let mut browser = Browser(command.spawn().expect("needs Chromium"));
    let mut log = BufReader::new(browser.0.stderr.take().unwrap()).lines();
    // The page's console output.
    let is_ready = |line: &String| line.contains("CONSOLE") && line.contains("ready");
    assert!(log.by_ref().map_while(Result::ok).any(|line| is_ready(&line)), "it has ended");
    // The browser blocks if its log is not read.
    std::thread::spawn(move || log.for_each(drop));

    let mut kept = 0;
    for pid in renderers(browser.0.id()) {
        // Running processes move objects.
        stop(pid);
        for deep in [false, true] {
            check_share(&Seen::of_pid(pid, deep), deep);
        }
        let seen = Seen::of_pid(pid, true);
        let buffer = search(pid, &seen.maps, &bytes(), 1000);
        // Only one of them has the page.
        if buffer.len() < 1000 {
            continue;
        }
        kept += 1;
        for at in &buffer {
            assert_eq!(seen.at(*at).label.group, "V8 sandbox", "{at:x}\n{}", seen.text());
        }
        let letters = search(pid, &seen.maps, &letters(), 50);
        let groups: Vec<&str> = letters.iter().map(|at| &*seen.at(*at).label.group).collect();
        assert!(groups.contains(&"V8 heap"), "{groups:?}\n{}", seen.text());
    }
    assert_eq!(kept, 1);
    for deep in [false, true] {
        check_share(&Seen::of_pid(browser.0.id(), deep), deep);
    }
}

/// The renderer processes of a browser, its grandchildren.
fn renderers(browser: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let in_group = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default();
        // pgrp, see proc_pid_stat(5).
        fields.split_whitespace().nth(2) == Some(browser.to_string().as_str())
    };
    let is_renderer = |pid: &u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains("--type=renderer")
    };
    pids.filter(in_group).filter(is_renderer).collect()
}
