//! Policies: exceptions with a reason and an end, and other severities.

use super::found::{Audit, Found};
use super::policy_date::Date;
use super::process::AuditedProcess;
use crate::error::{Error, ErrorKind, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use vmatlas_explain::audit::{Severity, expired_exception, rule};

/// The largest policy that is read.
const MAX_SIZE: u64 = 4 << 20;

/// A policy.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The exceptions.
    pub exceptions: Vec<Exception>,
    /// Other severities of rules.
    pub severities: BTreeMap<String, Severity>,
}

/// An exception of a policy. A finding is excused if all conditions that are given hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exception {
    /// The name of the rule.
    pub rule: String,
    /// The build ID of the executable, or a pattern of its path.
    pub exe: Option<String>,
    /// The user: a number or a name.
    pub user: Option<String>,
    /// A pattern of what the finding is about: the path of a file, or what memory is for.
    pub subject: Option<String>,
    /// The fingerprint of the finding.
    pub fingerprint: Option<String>,
    /// Why it is harmless.
    pub reason: String,
    /// The last day.
    pub until: Date,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    allow: Vec<Entry>,
    #[serde(default)]
    severity: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    rule: String,
    exe: Option<String>,
    user: Option<String>,
    subject: Option<String>,
    fingerprint: Option<String>,
    reason: String,
    until: toml::value::Datetime,
}

impl Policy {
    /// Reads a policy from a file of TOML.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the file cannot be read, [`ErrorKind::Usage`] if it is no policy: the
    /// message has the line.
    pub fn read(path: &Path) -> Result<Policy> {
        use std::io::Read as _;
        let name = path.display().to_string();
        let mut text = String::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_SIZE).read_to_string(&mut text))
            .map_err(|error| Error::new(ErrorKind::Io, format!("{name}: {error}")))?;
        Policy::parse(&text).map_err(|why| Error::new(ErrorKind::Usage, format!("{name}: {why}")))
    }

    /// Parses a policy.
    ///
    /// # Errors
    /// A line that says what is wrong, and where.
    pub fn parse(text: &str) -> std::result::Result<Policy, String> {
        let file: File = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map(|before| before.matches('\n').count() + 1);
            let why = error.message().replace('\n', " ");
            line.map_or_else(|| why.clone(), |line| format!("line {line}: {why}"))
        })?;
        let known = |id: &str| match rule(id) {
            Some(_) => Ok(()),
            None => Err(format!("there is no rule `{id}`; docs/audit.md lists them")),
        };
        let mut policy = Policy::default();
        for entry in file.allow {
            known(&entry.rule)?;
            if entry.reason.trim().is_empty() {
                return Err(format!("the exception of `{}` needs a reason", entry.rule));
            }
            let Some(date) = entry.until.date else {
                return Err(format!(
                    "`until` of the exception of `{}` needs a date, as in 2027-01-31",
                    entry.rule
                ));
            };
            policy.exceptions.push(Exception {
                rule: entry.rule,
                exe: entry.exe,
                user: entry.user,
                subject: entry.subject,
                fingerprint: entry.fingerprint,
                reason: entry.reason,
                until: Date { year: date.year, month: date.month, day: date.day },
            });
        }
        for (id, word) in file.severity {
            known(&id)?;
            let Some(severity) = Severity::named(&word) else {
                return Err(format!(
                    "`{word}` is no severity; there are info, low, medium, high, critical"
                ));
            };
            policy.severities.insert(id, severity);
        }
        Ok(policy)
    }

    /// Applies the policy to an audit on a day.
    pub fn apply(&self, audit: &mut Audit, today: Date) {
        for found in &mut audit.findings {
            if let Some(severity) = self.severities.get(found.finding.rule.id) {
                // What an honest explanation has lowered is not raised.
                let is_lowered = found.finding.severity < found.finding.rule.severity;
                let before = found.finding.severity;
                found.finding.severity = if is_lowered { before.min(*severity) } else { *severity };
            }
        }
        let users = Users::read();
        let valid = || self.exceptions.iter().filter(|exception| exception.until >= today);
        for found in std::mem::take(&mut audit.findings) {
            match valid().find(|exception| exception.excuses(&found, &users)) {
                Some(exception) => audit.excused.push((found, exception.reason.clone())),
                None => audit.findings.push(found),
            }
        }
        let process = Arc::new(AuditedProcess::default());
        for exception in self.exceptions.iter().filter(|exception| exception.until < today) {
            let of = exception.exe.as_ref().map(|exe| format!(" of {exe}")).unwrap_or_default();
            let subject = format!("{}{of}", exception.rule);
            let evidence = format!(
                "the exception of {subject} ended on {}: {}",
                exception.until, exception.reason
            );
            let mut finding = expired_exception(&subject, evidence);
            if let Some(severity) = self.severities.get(finding.rule.id) {
                finding.severity = *severity;
            }
            audit.findings.push(Found::new(&process, finding));
        }
        audit.sort();
    }
}

impl Exception {
    fn excuses(&self, found: &Found, users: &Users) -> bool {
        let process = &found.process;
        let is_exe = |pattern: &String| {
            process.build_id.as_ref() == Some(pattern) || matches(pattern.as_bytes(), &process.exe)
        };
        let is_user = |user: &String| process.uid.is_some_and(|uid| users.is(user, uid));
        self.rule == found.finding.rule.id
            && self.exe.as_ref().is_none_or(is_exe)
            && self.user.as_ref().is_none_or(is_user)
            && self
                .subject
                .as_ref()
                .is_none_or(|pattern| matches(pattern.as_bytes(), &found.finding.subject))
            && self.fingerprint.as_ref().is_none_or(|known| *known == found.fingerprint)
    }
}

/// The names of users, see passwd(5).
struct Users(String);

impl Users {
    fn read() -> Users {
        Users(std::fs::read_to_string("/etc/passwd").unwrap_or_default())
    }

    /// Whether a name or number is a user.
    fn is(&self, user: &str, uid: u32) -> bool {
        let number = || {
            let line = self.0.lines().find(|line| line.split(':').next() == Some(user))?;
            line.split(':').nth(2)?.parse().ok()
        };
        user.parse().ok().or_else(number) == Some(uid)
    }
}

/// Whether bytes match a pattern, in which `*` stands for any bytes, also none, and `?` for one.
fn matches(pattern: &[u8], bytes: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Where the last star stands, and the first byte that it does not cover.
    let mut star: Option<(usize, usize)> = None;
    while place < bytes.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == bytes[place] => {
                at += 1;
                place += 1;
            }
            _ => match star {
                Some((last, covered)) => {
                    star = Some((last, covered + 1));
                    at = last + 1;
                    place = covered + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::{Policy, matches};

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("/usr/bin/*", "/usr/bin/node", true),
            ("/usr/bin/*", "/usr/binx", false),
            ("*", "", true),
            ("", "", true),
            ("/a?c*e", "/abcde", true),
            ("/a*b*c", "/axxbyyc", true),
            ("/a*b*c", "/axxbyyd", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), path.as_bytes()), expected, "{pattern} {path}");
        }
        let (stars, path) = ("*a".repeat(64), "a".repeat(5000) + "b");
        assert!(!matches(stars.as_bytes(), path.as_bytes()));
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| Policy::parse(text).unwrap_err();
        let entry = |more: &str| format!("[[allow]]\nrule = \"wx\"\n{more}");
        let until = "until = 2027-01-01\n";
        assert!(error(&entry(until)).contains("reason"), "{}", error(&entry(until)));
        assert!(error(&entry("reason = \"x\"\n")).contains("until"));
        assert!(error(&entry(&format!("reason = \" \"\n{until}"))).contains("needs a reason"));
        assert!(error(&entry(&format!("why = \"x\"\n{until}"))).contains("line 3"));
        assert!(error("[severity]\nwx = \"bad\"").contains("no severity"));
        assert!(error("[severity]\nxw = \"low\"").contains("no rule `xw`"));
        assert!(error(&entry("reason = \"x\"\nuntil = 12:00:00\n")).contains("needs a date"));
        assert!(Policy::parse(&entry(&format!("reason = \"x\"\n{until}"))).is_ok());
        assert!(Policy::parse("").is_ok());
    }
}
