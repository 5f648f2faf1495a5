//! Values of conditions on permissions: `perms = rw-`, `perms has x`.

/// The letters that the kernel prints at each of the four places; `S` is that of kernels without an
/// MMU.
const LETTERS: [&str; 4] = ["r", "w", "x", "psS"];

/// Permissions that are often looked for.
pub(super) const USUAL: [&str; 5] = ["r--", "rw-", "r-x", "rwx", "---"];

/// The letters that `perms has` takes, one by one.
pub(super) fn single_letters() -> impl Iterator<Item = &'static str> {
    let letters = LETTERS.iter().flat_map(|own| own.split("").filter(|letter| !letter.is_empty()));
    letters.filter(|letter| letter.chars().all(|c| c.is_ascii_lowercase()))
}

/// The glob of `perms = VALUE`. Three letters leave it open whether the mapping is shared.
///
/// # Errors
/// Describes what to write instead of a value that no permissions can match.
pub(super) fn glob(value: &str) -> Result<String, String> {
    let write = "write three letters (`rw-`) or four (`rw-p`), each at its place, with `?` for \
                 any; or `perms has x`";
    if value.contains('*') {
        return Ok(value.to_owned());
    }
    let stands =
        |(letter, own): (char, &&str)| !letter.is_ascii_alphabetic() || own.contains(letter);
    let fits = value.chars().zip(&LETTERS).all(stands);
    match value.chars().count() {
        3 if fits => Ok(format!("{value}?")),
        4 if fits => Ok(value.to_owned()),
        _ => Err(format!("no permissions are `{value}`: {write}")),
    }
}

/// The letters of `perms has VALUE`.
///
/// # Errors
/// Describes what to write instead of a value with other letters.
pub(super) fn letters(value: &str) -> Result<Box<[u8]>, String> {
    let is_letter = |letter: char| LETTERS.iter().any(|own| own.contains(letter));
    match value.chars().all(is_letter) {
        true => Ok(value.to_ascii_lowercase().into_bytes().into()),
        false => Err(format!(
            "`perms has` takes letters of r w x p s, not `{value}`; `not perms has w` asks for \
             mappings without one"
        )),
    }
}

/// Whether the permissions hold all of the letters.
pub(super) fn has_all(perms: &[u8], letters: &[u8]) -> bool {
    letters.iter().all(|letter| perms.iter().any(|own| own.eq_ignore_ascii_case(letter)))
}
