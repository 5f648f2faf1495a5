//! Tests who maps the same page frames.

use crate::all::{CHILDREN, Cgroup, Forked, PAGE, PAGES, is_root, number};
use crate::live::Sleeper;
use crate::schema::Schema;
use crate::vmatlas::{command, finished, vmatlas};
use serde_json::Value;
use std::os::unix::process::CommandExt as _;

/// Whether frames may be read; fails under CI where they may not.
fn frames_can_be_read() -> bool {
    let is_readable = is_root() && std::fs::File::open("/proc/kpageflags").is_ok();
    if !is_readable {
        assert!(std::env::var_os("CI").is_none(), "needs root and /proc/kpageflags");
        eprintln!("skipped: needs root and /proc/kpageflags");
    }
    is_readable
}

fn json(target: &str) -> Value {
    let run = vmatlas(&["shared", "-q", "--json", target]);
    let document = run.json();
    Schema::of("shared").check(&document);
    document
}

/// What a process shares with the targets by the mapping at an address of theirs.
fn by_mapping(document: &Value, pid: &str, address: u64) -> u64 {
    let pid: u64 = pid.parse().unwrap();
    let sharer = |sharer: &&Value| sharer["pid"] == pid;
    let sharer = document["sharers"].as_array().unwrap().iter().find(sharer);
    let mappings = sharer.map(|sharer| sharer["mappings"].as_array().unwrap().clone());
    let start = format!("{address:#x}");
    let is_it = |pair: &&Value| pair["target"]["start"] == start && pair["other"]["start"] == start;
    mappings.unwrap_or_default().iter().filter(is_it).map(|pair| number(pair, "bytes")).sum()
}

#[test]
fn a_parent_shares_with_its_children() {
    if !frames_can_be_read() {
        return;
    }
    let forked = Forked::start();
    let document = json(&forked.pids[0]);
    for (place, pid) in forked.pids.iter().enumerate().skip(1) {
        let wrote = 16 * place as u64;
        let shared = by_mapping(&document, pid, forked.address);
        assert_eq!(shared, (PAGES - wrote) * PAGE, "child {place}: {document}");
    }
    // Pages that a child wrote are copies; those that all children wrote are the parent's own.
    assert!(number(&document, "resident") >= PAGES * PAGE);
    let own = number(&document, "resident") - number(&document, "shared");
    assert!(own >= 16 * PAGE, "{document}");
    // A child shares with its parent and with other children.
    let document = json(&forked.pids[1]);
    assert_eq!(by_mapping(&document, &forked.pids[0], forked.address), (PAGES - 16) * PAGE);
    assert_eq!(by_mapping(&document, &forked.pids[2], forked.address), (PAGES - 32) * PAGE);
    let text = vmatlas(&["shared", "-q", &forked.pids[0], "--top", "2", "--mappings"]).text();
    // Other tests run the same program, whose file they share.
    let count = text.split(" other processes map").next().and_then(|text| text.rsplit(' ').next());
    let count: u64 = count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    assert!(count >= CHILDREN && text.contains("largest mapping of it"), "{text}");
    assert!(text.contains(&format!("{} more; --top {count} shows all", count - 2)), "{text}");
    assert!(text.contains(&format!("{:x}-", forked.address)), "{text}");
    // Together they share the mapping with nobody.
    let pids: Vec<&str> = forked.pids.iter().map(String::as_str).collect();
    let document = vmatlas(&[&["shared", "-q", "--json"], &pids[..]].concat()).json();
    assert!(number(&document, "shared") < PAGES * PAGE / 2, "{document}");
    assert_eq!(document["targets"].as_array().unwrap().len(), pids.len());
}

#[test]
fn nobody_shares_with_a_static_program() {
    if !frames_can_be_read() {
        return;
    }
    let forked = Forked::start_with(0);
    let run = vmatlas(&["shared", "-q", &forked.pids[0]]);
    // Another test may run the same program now.
    if run.status == 1 {
        assert!(run.text().contains("No other process maps any of it."), "{}", run.text());
    }
    assert_eq!(by_mapping(&json(&forked.pids[0]), "1", forked.address), 0);
}

#[test]
fn the_group_that_touched_first_pays() {
    if !frames_can_be_read() || !std::path::Path::new("/proc/kpagecgroup").exists() {
        return;
    }
    let forked = Forked::start();
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let document = json(&forked.pids[1]);
    let payers = document["payers"].as_array().unwrap();
    let sum: u64 = payers.iter().map(|payer| number(payer, "bytes")).sum();
    assert_eq!(sum, number(&document, "resident"), "{document}");
    let mine = payers.iter().find(|payer| own.contains(payer["cgroup"].as_str().unwrap_or("-")));
    assert!(mine.is_some_and(|payer| number(payer, "bytes") >= PAGES * PAGE), "{document}");
    let Some(group) = Cgroup::new("shared") else {
        return eprintln!("skipped: needs cgroups that may be written");
    };
    if !group.0.join("memory.stat").exists() {
        return eprintln!("skipped: needs a memory controller");
    }
    // What the process touched before it came stays charged to the group that it came from.
    std::fs::write(group.0.join("cgroup.procs"), &forked.pids[1]).unwrap();
    let document = json(&forked.pids[1]);
    let path = format!("/{}", group.0.file_name().unwrap().to_str().unwrap());
    let users = |payer: &&Value| payer["users"].as_array().unwrap().contains(&path.clone().into());
    assert!(
        !document["payers"].as_array().unwrap().iter().any(|payer| users(&payer)),
        "{document}"
    );
    let document = json(&forked.pids[0]);
    let payer = document["payers"].as_array().unwrap().iter().find(users);
    let used = payer.map(|payer| number(payer, "used_by_others")).unwrap_or_default();
    assert!(used >= (PAGES - 16) * PAGE, "{document}");
    let text = vmatlas(&["shared", "-q", &forked.pids[0]]).text();
    assert!(text.contains(" pays for ") && text.contains("group uses"), "{text}");
}

#[test]
fn frames_need_privileges() {
    if !is_root() {
        return eprintln!("skipped: needs root, to become another user");
    }
    let sleeper = Sleeper::start();
    let mut nobody = command(&["shared", &sleeper.pid()]);
    nobody.uid(65534).gid(65534).current_dir("/");
    let run = finished(nobody.output().unwrap());
    assert_eq!(run.status, 2, "{}", run.text());
    assert!(run.stderr.contains("only to root (CAP_SYS_ADMIN)"), "{}", run.stderr);
}

#[test]
fn what_has_no_memory() {
    if !frames_can_be_read() || !std::path::Path::new("/proc/2/stat").exists() {
        return;
    }
    let run = vmatlas(&["shared", "2"]);
    assert_eq!(run.status, 2, "{}", run.text());
    assert!(run.stderr.contains("it has no memory, or has ended"), "{}", run.stderr);
}
