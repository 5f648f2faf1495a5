//! Formats, policies, exit statuses, and the list of rules.

use super::{findings, of_rule, program, start};
use crate::vmatlas::{testdata, vmatlas};
use ::vmatlas::audit::{RULES, Rule};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

fn policy(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn findings_are_the_same_in_two_runs() {
    let prints = || -> BTreeSet<String> {
        let (sleeper, _) = start(program(), &["wx"]).unwrap();
        let found = findings(&[&sleeper.pid()]);
        found.iter().map(|found| found["fingerprint"].as_str().unwrap().to_owned()).collect()
    };
    let first = prints();
    assert!(first.len() > 1);
    assert_eq!(first, prints());
}

#[test]
fn text_is_short() {
    let (sleeper, _) = start(program(), &["wx"]).unwrap();
    let pid = sleeper.pid();
    let run = vmatlas(&["audit", &pid]);
    assert_eq!(run.status, 1);
    let text = run.text();
    assert!(text.starts_with("high      wx: memory that may be written and executed\n"), "{text}");
    let line = format!("  planted ({pid}): 1 MiB of anonymous memory is rwxp, at ");
    assert!(text.contains(&line), "{text}");
    assert!(text.contains("in 1 process: 1 high"), "{text}");
    // Below the limit it is a success.
    assert_eq!(vmatlas(&["audit", &pid, "--fail-on", "critical"]).status, 0);
}

#[test]
fn arguments_that_are_wrong_are_trouble() {
    assert_eq!(vmatlas(&["audit"]).status, 2);
    assert_eq!(vmatlas(&["audit", "no-such-process-here"]).status, 2);
    assert_eq!(vmatlas(&["audit", "--all", "1"]).status, 2);
    let run = vmatlas(&["audit", "self", "--policy", "/no/such/file", "--format", "json"]);
    assert_eq!(run.status, 2);
    assert_eq!(run.json()["error"]["kind"], "io");
}

#[test]
fn a_policy_excuses_until_its_date() {
    let (sleeper, _) = start(program(), &["wx"]).unwrap();
    let pid = sleeper.pid();
    let entry = |more: &str| format!("[[allow]]\nrule = \"wx\"\nreason = \"planted\"\n{more}\n");
    let run = |name: &str, text: &str| {
        let path = policy(name, text);
        let run = vmatlas(&["audit", &pid, "--json", "--policy", path.to_str().unwrap()]);
        assert!(run.status < 2, "{}", run.stderr);
        (run.status, run.json())
    };
    let exe = format!("exe = \"*/{}\"", program().file_name().unwrap().to_str().unwrap());
    let (status, document) = run("valid.toml", &entry(&format!("{exe}\nuntil = 2999-01-01")));
    assert_eq!(status, 0, "{document}");
    assert_eq!(document["excused"][0]["reason"], "planted");
    let (status, _) = run("other.toml", &entry("exe = \"/other\"\nuntil = 2999-01-01"));
    assert_eq!(status, 1);
    let (status, document) = run("expired.toml", &entry("until = 2020-01-01"));
    assert_eq!(status, 1);
    let found = document["findings"].as_array().unwrap();
    let expired = of_rule(found, "expired-exception");
    assert!(expired[0]["evidence"].as_str().unwrap().contains("2020-01-01"), "{document}");
    let (status, _) = run("severity.toml", "[severity]\nwx = \"low\"\n");
    assert_eq!(status, 0);
    let bad = policy("bad.toml", "[[allow]]\nrule = \"wx\"\nuntil = 2999-01-01\n");
    let run = vmatlas(&["audit", &pid, "--policy", bad.to_str().unwrap()]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("line 1: missing field `reason`"), "{}", run.stderr);
}

#[test]
fn a_learned_policy_excuses_what_was_found() {
    let learn = || {
        let (sleeper, _) = start(program(), &["wx"]).unwrap();
        let pid = sleeper.pid();
        (vmatlas(&["audit", &pid, "--learn"]).text(), sleeper)
    };
    let (text, _first) = learn();
    let path = policy("learned.toml", &text);
    let (sleeper, _) = start(program(), &["wx"]).unwrap();
    let run =
        vmatlas(&["audit", &sleeper.pid(), "--fail-on", "low", "--policy", path.to_str().unwrap()]);
    assert_eq!(run.status, 0, "{text}{}{}", run.text(), run.stderr);
}

#[test]
fn sarif_has_rules_and_results() {
    let (sleeper, _) = start(program(), &["wx"]).unwrap();
    let run = vmatlas(&["audit", &sleeper.pid(), "--format", "sarif"]);
    assert_eq!(run.status, 1);
    let log = run.json();
    assert_eq!(log["version"], "2.1.0");
    let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), RULES.len());
    let results = log["runs"][0]["results"].as_array().unwrap();
    let wx: Vec<&Value> = results.iter().filter(|result| result["ruleId"] == "wx").collect();
    assert_eq!(wx.len(), 1);
    assert_eq!(wx[0]["level"], "error");
    assert_eq!(rules[wx[0]["ruleIndex"].as_u64().unwrap() as usize]["id"], "wx");
    let uri = &wx[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert!(uri.as_str().unwrap().starts_with("file:///"), "{uri}");
    assert_eq!(wx[0]["partialFingerprints"]["vmatlas/v1"].as_str().unwrap().len(), 32);
    let pieces = ["7f", "7e", "55"];
    let message = wx[0]["message"]["text"].as_str().unwrap();
    assert!(!pieces.iter().any(|piece| message.contains(&format!("{piece}00000"))), "{message}");
}

#[test]
fn rules_are_explained() {
    for rule in RULES {
        let run = vmatlas(&["audit", "--explain", rule.id]);
        assert_eq!(run.status, 0);
        assert!(run.text().contains(rule.advice) && run.text().contains(rule.condition));
    }
    assert_eq!(vmatlas(&["audit", "--explain", "nonsense"]).status, 2);
}

/// The tables of docs/audit.md.
fn tables() -> String {
    let mut text = String::new();
    let mut group = None;
    for &Rule { id, group: of, severity, condition, honest, advice, .. } in
        RULES.iter().copied().map(|rule| rule as &Rule)
    {
        if group != Some(of) {
            group = Some(of);
            let _ = write!(
                text,
                "\n### {}\n\n| rule | severity | found when | honest causes | to do |\n|---|---|---|---|---|\n",
                of.title()
            );
        }
        let honest = if honest.is_empty() { "–" } else { honest };
        let _ = writeln!(text, "| `{id}` | {severity} | {condition} | {honest} | {advice} |");
    }
    text
}

#[test]
fn docs_list_the_rules() {
    const BEGIN: &str = "<!-- rules: from crates/vmatlas-explain/src/audit/rules.rs; \
        VMATLAS_WRITE_RULES=1 makes the test docs_list_the_rules write them -->\n";
    const END: &str = "\n<!-- end of rules -->";
    let path = testdata().join("../docs/audit.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the begin of the rules");
    let (rules, after) = rest.split_once(END).expect("the end of the rules");
    if std::env::var_os("VMATLAS_WRITE_RULES").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", tables())).unwrap();
        return;
    }
    assert!(rules == tables(), "docs/audit.md differs: VMATLAS_WRITE_RULES=1 writes it");
}
