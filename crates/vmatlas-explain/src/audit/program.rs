//! Rules about the protections of a program and its process: `no-relro`, `partial-relro`, `no-pie`,
//! `no-ibt`, `no-shstk`, `no-bti`, `no-pac`, `aslr-off`, `low-map`, `ptrace-window`.

use super::rules::Rule;
use super::{AuditInput, ElfFacts, Finding, MappedFile, Severity, rules, text};
use crate::label::Confidence;
use std::collections::BTreeSet;
use vmatlas_maps::uapi::personality::{ADDR_NO_RANDOMIZE, MMAP_PAGE_ZERO};
use vmatlas_maps::{AddressRange, Mapping};

/// Where x86-64 and AArch64 load movable programs if addresses are not random (`ELF_ET_DYN_BASE`).
const FIXED_BASES: [u64; 2] = [0x5555_5555_4000, 0xaaaa_aaaa_0000];
/// The kernel lets no process map below by default.
const LOWEST: u64 = 64 << 10;
/// `EM_X86_64` and `EM_AARCH64`.
const X86_64: u16 = 62;
const AARCH64: u16 = 183;

pub(super) fn find(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    relro(input, found);
    let program = program(input);
    if let Some((_, file, elf)) = &program {
        found.extend(hardening(file, elf));
    }
    found.extend(aslr(input, program.map(|(row, _, elf)| (row, elf))));
    low(input, found);
    window(input, found);
}

/// The first row of code of the program itself.
fn program<'a>(input: &AuditInput<'a>) -> Option<(Mapping<'a>, &'a MappedFile, &'a ElfFacts)> {
    input.rows().filter(|(_, row)| row.perms.execute()).find_map(|(index, row)| {
        let file = input.file(index)?;
        let elf = file.code.elf.as_ref()?;
        (file.path == input.audit.exe.path).then_some((row, file, elf))
    })
}

/// Addresses that the dynamic linker makes read-only once it has written to them.
fn relro(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    let page = input.page();
    let floor = |address: u64| address - address % page;
    let mut known = BTreeSet::new();
    for (index, row) in input.rows().filter(|(_, row)| row.perms.execute()) {
        let Some(file) = input.file(index) else { continue };
        let Some(elf) = &file.code.elf else { continue };
        let (Some(relro), Some(bias)) = (elf.relro, elf.bias(&row, page)) else { continue };
        let (start, end) = (relro.start.wrapping_add(bias), relro.end.wrapping_add(bias));
        // As glibc does (_dl_protect_relro of elf/dl-reloc.c).
        let Some(range) = AddressRange::try_new(floor(start), floor(end)) else { continue };
        if range.is_empty() || !known.insert((file.path.as_slice(), range.start)) {
            continue;
        }
        let at = input.maps.find(range.start).mapping.and_then(|at| input.maps.get(at));
        let Some(at) = at.filter(|at| at.name == row.name && at.inode == row.inode) else {
            continue;
        };
        if !at.perms.write() {
            continue;
        }
        let evidence = format!("the RELRO of {} is {}", text(&file.path), at.perms);
        let subject = file.path.as_slice();
        let finding = Finding::new(&rules::NO_RELRO, Confidence::Certain, subject, evidence);
        let finding = finding.at(range.intersect(&at.range).unwrap_or(range));
        found.push(match is_loading(input) {
            true => finding.explained(
                Severity::Low,
                "only the program and its dynamic linker are mapped: it is still being loaded",
            ),
            false => finding,
        });
    }
}

/// Whether only a program and its dynamic linker are mapped.
fn is_loading(input: &AuditInput<'_>) -> bool {
    let has_linker = program(input).is_some_and(|(.., elf)| elf.has_linker);
    has_linker && input.audit.files.len() <= 2
}

fn hardening<'a>(
    file: &'a MappedFile,
    elf: &'a ElfFacts,
) -> impl Iterator<Item = Finding> + use<'a> {
    let path = text(&file.path);
    let is_static = !elf.has_linker;
    let relro = match elf.relro {
        _ if is_static => None,
        None => Some("has no RELRO".to_owned()),
        Some(_) if !elf.binds_now => Some("resolves functions late (no BIND_NOW)".to_owned()),
        Some(_) => None,
    };
    let pie = (!elf.is_movable).then(|| "is at fixed addresses".to_owned());
    let lacks = |machine: u16, bit: u32, what: &str| {
        (elf.machine == machine && elf.protections & bit == 0).then(|| format!("lacks {what}"))
    };
    let all: [(&'static Rule, Option<String>); 6] = [
        (&rules::PARTIAL_RELRO, relro),
        (&rules::NO_PIE, pie),
        (&rules::NO_IBT, lacks(X86_64, 1, "IBT")),
        (&rules::NO_SHSTK, lacks(X86_64, 2, "SHSTK")),
        (&rules::NO_BTI, lacks(AARCH64, 1, "BTI")),
        (&rules::NO_PAC, lacks(AARCH64, 2, "PAC")),
    ];
    all.into_iter().filter_map(move |(rule, what)| {
        let evidence = format!("{path} {}", what?);
        let finding = Finding::new(rule, Confidence::Certain, file.path.as_slice(), evidence);
        Some(match is_static && rule.id == rules::NO_PIE.id {
            true => {
                finding.explained(Severity::Info, "it is linked statically, as programs of Go are")
            }
            false => finding,
        })
    })
}

fn aslr(input: &AuditInput<'_>, program: Option<(Mapping<'_>, &ElfFacts)>) -> Option<Finding> {
    let bias = program.filter(|(_, elf)| elf.is_movable);
    let bias = bias.and_then(|(row, elf)| elf.bias(&row, input.page()));
    let evidence = if input.has_persona(ADDR_NO_RANDOMIZE) {
        "its persona has ADDR_NO_RANDOMIZE".to_owned()
    } else if input.audit.randomize == Some(0) {
        "kernel.randomize_va_space is 0".to_owned()
    } else if let Some(bias) = bias.filter(|bias| FIXED_BASES.contains(bias)) {
        format!("the program is at {bias:#x}, where the kernel puts it without ASLR")
    } else {
        return None;
    };
    let path = input.audit.exe.path.as_slice();
    let finding = Finding::new(&rules::ASLR_OFF, Confidence::Certain, path, evidence);
    Some(
        match input
            .audit
            .tracer
            .as_ref()
            .filter(|tracer| tracer.is_of_system && is_installed(&tracer.exe))
        {
            Some(tracer) => {
                let exe = text(&tracer.exe);
                finding.explained(
                    Severity::Low,
                    format!("{exe} (process {}) traces it; debuggers turn it off", tracer.pid),
                )
            }
            None => finding,
        },
    )
}

fn low(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    let lowest = input.audit.lowest_address.unwrap_or(0).max(LOWEST);
    for (_, row) in input.rows().take_while(|(_, row)| row.range.start < lowest) {
        let evidence = format!("a mapping ({}) begins at {:#x}", row.perms, row.range.start);
        let subject = row.kind().word();
        let finding = Finding::new(&rules::LOW_MAP, Confidence::Certain, subject, evidence);
        let finding = finding.at(row.range);
        found.push(if input.has_persona(MMAP_PAGE_ZERO) && row.range.start == 0 {
            finding.explained(
                Severity::High,
                "its persona MMAP_PAGE_ZERO asks for it (personality(2))",
            )
        } else if let Some(name) = emulator(input) {
            finding.explained(
                Severity::Medium,
                format!("{name} is an emulator that maps low addresses, and only root can change its file"),
            )
        } else {
            finding
        });
    }
}

/// The path of the program, if it is an emulator that only root can change.
fn emulator(input: &AuditInput<'_>) -> Option<String> {
    const NAMES: [&str; 6] =
        ["wine", "wine64", "wine-preloader", "wine64-preloader", "dosemu", "dosemu2"];
    let (_, file, _) = program(input).filter(|(_, file, _)| file.code.is_of_system())?;
    let path = text(&file.path);
    let name = path.rsplit('/').next()?;
    NAMES.iter().any(|known| name.starts_with(known)).then_some(path)
}

/// Whether a file lies where systems keep programs: root may run anything elsewhere.
fn is_installed(path: &[u8]) -> bool {
    const PLACES: [&[u8]; 8] = [
        b"/usr/",
        b"/bin/",
        b"/sbin/",
        b"/lib",
        b"/opt/",
        b"/nix/store/",
        b"/gnu/store/",
        b"/snap/",
    ];
    PLACES.iter().any(|place| path.starts_with(place))
}

/// The honest cause of a tracer.
fn installed(path: &str) -> String {
    format!("only root can change {path}: a debugger or tracer that is installed here")
}

fn window(input: &AuditInput<'_>, found: &mut Vec<Finding>) {
    let rule = &rules::PTRACE_WINDOW;
    if let Some(tracer) = &input.audit.tracer {
        let exe = text(&tracer.exe);
        let evidence = format!("process {} ({exe}) traces it", tracer.pid);
        let subject = tracer.exe.as_slice();
        let finding = Finding::new(rule, Confidence::Certain, subject, evidence);
        found.push(match tracer.is_of_system && is_installed(&tracer.exe) || tracer.is_own {
            true => finding.explained(
                Severity::Low,
                match tracer.is_own {
                    true => "it is vmatlas, which records it".to_owned(),
                    false => installed(&exe),
                },
            ),
            false => finding,
        });
    }
    for (fd, pid) in &input.audit.foreign_memory {
        let evidence = format!("its descriptor {fd} is the memory of process {pid}");
        let subject = "memory of another process";
        let finding = Finding::new(rule, Confidence::Certain, subject, evidence);
        let is_installed = |(_, file, _): &(_, &MappedFile, _)| {
            file.code.is_of_system() && is_installed(&file.path)
        };
        let program = program(input).filter(is_installed);
        found.push(match program {
            Some((_, file, _)) => finding.explained(Severity::Low, installed(&text(&file.path))),
            None => finding,
        });
    }
}
