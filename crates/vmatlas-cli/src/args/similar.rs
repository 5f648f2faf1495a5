//! Commands with a similar name.

use super::Cli;
use clap::{Command, CommandFactory as _};

/// The command whose name differs by the fewest letters, if by no more than a third of them.
pub(crate) fn similar_command(word: &str) -> Option<String> {
    let command = Cli::command();
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    let names = commands.map(Command::get_name).map(|name| (distance(word, name), name));
    let (distance, name) = names.min_by_key(|(distance, _)| *distance)?;
    (distance <= word.len() / 3).then(|| name.to_owned())
}

/// How many letters must be added, removed, replaced or exchanged with the next one to make `b` of
/// `a`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    // `rows[i][j]`: from the first i letters of `a` to the first j of `b`.
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut least = (rows[i - 1][j - 1] + same).min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, similar_command};

    #[test]
    fn letters_that_differ() {
        assert_eq!(distance("shwo", "show"), 1);
        assert_eq!(distance("", "at"), 2);
        assert_eq!(distance("explian", "explain"), 1);
        assert_eq!(similar_command("recrod").as_deref(), Some("record"));
        assert_eq!(similar_command("captures"), None);
        assert_eq!(similar_command("x"), None);
    }
}
