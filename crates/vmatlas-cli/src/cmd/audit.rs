//! `vmatlas audit [TARGET…|--all]`: what is wrong in processes.

use super::open;
use crate::args::{AuditArgs, AuditFormat, AuditSeverity, CommonArgs, MomentArgs};
use crate::output::audit::{AuditAnswer, RuleAnswer};
use crate::output::fit::Fit;
use crate::output::json::formatter::Addresses;
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use std::io::Write as _;
use vmatlas::audit::{Audit, AuditOptions, Date, Policy, Severity, learned_policy, rule};
use vmatlas::{Census, Needs};

pub(crate) fn run(args: &AuditArgs) -> Result<bool, Trouble> {
    let (common, fit) = (common(args), Fit::of_stdout());
    let format = match args.format {
        AuditFormat::Json => Format::Json(Addresses::Text),
        AuditFormat::Sarif => Format::Sarif,
        AuditFormat::Text => Format::of(&common),
    };
    if let Some(rule) = args.explain.as_deref().and_then(rule) {
        output::print(&RuleAnswer { rule, fit }, format, &common)?;
        return Ok(true);
    }
    // Mistakes in it are said before anything is read.
    let policy = args.policy.as_deref().map(Policy::read).transpose()?;
    let mut audit = audit(args, &common)?;
    if let Some(policy) = policy {
        policy.apply(&mut audit, Date::today());
    }
    if args.learn {
        std::io::stdout().write_all(learned_policy(&audit).as_bytes())?;
        return Ok(true);
    }
    let answer = AuditAnswer { audit: &audit, fit };
    if !args.quiet {
        answer.notes().iter().for_each(|text| notes::note(text));
    }
    output::print(&answer, format, &common)?;
    let limit = severity(args.fail_on);
    Ok(audit.findings.iter().all(|found| found.finding.severity < limit))
}

/// Audits processes together, and each file by itself.
fn audit(args: &AuditArgs, common: &CommonArgs) -> Result<Audit, Trouble> {
    let options = AuditOptions { deep: args.deep, limits: args.budget };
    if args.all {
        return Ok(Census::of_machine(&args.proc)?.audit(&options));
    }
    let opened = |word: &String| open(word, common, &MomentArgs::default());
    let is_file = |word: &&String| matches!(opened(word).process(), Ok(None));
    let (files, processes): (Vec<&String>, Vec<&String>) = args.targets.iter().partition(is_file);
    let mut audit = Audit::default();
    if !processes.is_empty() {
        let words: Vec<String> = processes.into_iter().cloned().collect();
        audit.add(Census::of_targets(&words, &args.proc)?.audit(&options));
    }
    for word in files {
        let atlas = opened(word).needs(Needs::ROWS).deep(args.deep).open()?;
        audit.add(atlas.audit());
    }
    Ok(audit)
}

fn severity(severity: AuditSeverity) -> Severity {
    match severity {
        AuditSeverity::Info => Severity::Info,
        AuditSeverity::Low => Severity::Low,
        AuditSeverity::Medium => Severity::Medium,
        AuditSeverity::High => Severity::High,
        AuditSeverity::Critical => Severity::Critical,
    }
}

fn common(args: &AuditArgs) -> CommonArgs {
    let common = CommonArgs::of_processes(args.json, args.color, &args.proc, args.quiet);
    CommonArgs { budget: args.budget, ..common }
}
