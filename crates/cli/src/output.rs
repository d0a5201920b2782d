//! What is written for people and programs.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;

use crate::error::CliError;

/// Writes a line to standard output.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    written(writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush()))
}

/// Writes secret lines to standard output: whole ones in one piece, which go past its buffer, so that no copy stays there.
pub(crate) fn secret_lines(lines: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    written(out.write_all(lines).and_then(|()| out.flush()))
}

fn written(result: io::Result<()>) -> Result<(), CliError> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => CliError::quiet(),
        _ => CliError::local(format!("standard output: {error}; send it elsewhere")),
    })
}

/// Writes a JSON value as one line to standard output.
pub(crate) fn json(value: &serde_json::Value) -> Result<(), CliError> {
    line(value.to_string())
}

/// Writes a remark to standard error.
pub(crate) fn remark(text: impl AsRef<str>) {
    // A remark that nobody can read is no failure.
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// Standard output that takes no notice of a reader that went away.
pub(crate) struct Lossy;

impl Write for Lossy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stdout().lock().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stdout().lock().flush();
        Ok(())
    }
}

/// Begins logging to standard error: nothing, what goes on, or all of it.
pub(crate) fn log(verbose: u8) {
    let filter = match verbose {
        0 => return,
        1 => "tokenim_client=debug,tokenim=debug",
        _ => "debug",
    };
    let logs = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(io::stderr)
        .finish();
    // There is no other one.
    let _ = tracing::subscriber::set_global_default(logs);
}

/// A received text as it may be shown: whatever could control the terminal is replaced.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' | '\t' => letter,
            // Control characters, and those that reorder or hide what follows.
            _ if letter.is_control() => '\u{fffd}',
            // The joiners between them are part of how Persian, Hindi or a family of faces is written, and marks of
            // direction, unlike overrides, reorder nothing else.
            '\u{200b}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => '\u{fffd}',
            _ => letter,
        })
        .collect()
}

/// A time in UTC, to the second.
pub(crate) fn utc(unix_ms: u64) -> String {
    let seconds = unix_ms / 1_000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of the year 0, in eras of 400 years of 146,097 days.
    let days = days.saturating_add(719_468);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leaps = (day_of_era / 1_460)
        .saturating_sub(day_of_era / 36_524)
        .saturating_add(day_of_era / 146_096);
    let year_of_era = day_of_era.saturating_sub(leaps) / 365;
    let before = year_of_era
        .saturating_mul(365)
        .saturating_add(year_of_era / 4)
        .saturating_sub(year_of_era / 100);
    let day_of_year = day_of_era.saturating_sub(before);
    let shifted_month = day_of_year.saturating_mul(5).saturating_add(2) / 153;
    let day = day_of_year
        .saturating_sub(shifted_month.saturating_mul(153).saturating_add(2) / 5)
        .saturating_add(1);
    let month = if shifted_month < 10 {
        shifted_month.saturating_add(3)
    } else {
        shifted_month.saturating_sub(9)
    };
    let year = year_of_era
        .saturating_add(era.saturating_mul(400))
        .saturating_add(u64::from(month <= 2));
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z",
        rest / 3_600,
        rest % 3_600 / 60,
        rest % 60
    )
}

/// The first letters of a long name, enough for an eye.
pub(crate) fn short(name: &impl ToString) -> String {
    let name = name.to_string();
    let head: String = name.chars().take(12).collect();
    if head.len() < name.len() {
        format!("{head}…")
    } else {
        head
    }
}

/// So many of something, in words for people.
pub(crate) fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// A table with columns of even width, the numbers to the right.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            let number = cell.starts_with(|letter: char| letter.is_ascii_digit())
                && cell
                    .chars()
                    .all(|letter| letter.is_ascii_digit() || ",. µms%KiB".contains(letter));
            if number {
                line.push_str(&pad);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&pad);
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        assert_eq!(utc(0), "1970-01-01 00:00:00Z");
        assert_eq!(utc(951_782_399_999), "2000-02-28 23:59:59Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00Z");
        assert_eq!(utc(4_107_542_400_000), "2100-03-01 00:00:00Z");
        assert_eq!(utc(1_700_000_000_000), "2023-11-14 22:13:20Z");
    }

    #[test]
    fn a_message_cannot_control_the_terminal() {
        assert_eq!(
            printable("a\u{1b}[2Jb\r\u{7}\u{202e}c"),
            "a\u{fffd}[2Jb\u{fffd}\u{fffd}\u{fffd}c"
        );
        assert_eq!(
            printable("می\u{200c}خواهم 👩\u{200d}👧"),
            "می\u{200c}خواهم 👩\u{200d}👧"
        );
        assert_eq!(printable("Grüße, мир, 世界 🌍\n\tok"), "Grüße, мир, 世界 🌍\n\tok");
    }

    #[test]
    fn tables_line_up() {
        let rows = [
            vec!["lost".to_owned(), "0".to_owned()],
            vec!["delivered in".to_owned(), "12.5 ms".to_owned()],
        ];
        assert_eq!(table(&rows), "lost                0\ndelivered in  12.5 ms");
    }

    #[test]
    fn one_is_no_plural() {
        let counts = [0, 1, 2].map(|number| count(number, "message"));
        assert_eq!(counts, ["0 messages", "1 message", "2 messages"]);
    }

    #[test]
    fn long_names_are_cut_and_short_ones_are_not() {
        assert_eq!(short(&"0123456789abcdef"), "0123456789ab…");
        assert_eq!(short(&"short"), "short");
    }
}
