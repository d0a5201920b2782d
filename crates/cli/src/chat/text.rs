//! Text as cells of a terminal: what of it is shown, how wide it is, where it breaks.

use std::ops::Range;

use ratatui::buffer::CellWidth as _;
use unicode_segmentation::UnicodeSegmentation as _;

use crate::output::printable;

/// A longer cluster is no letter of any script, but a heap of marks that would run over other lines.
const CLUSTER_BYTES_MAX: usize = 64;
/// What takes the place of a tabulator.
const TAB: &str = "    ";

/// A text that can be drawn: it controls nothing, and reorders nothing beyond what its own letters do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown(String);

impl Shown {
    /// What may be shown of a text that somebody sent.
    pub(crate) fn new(text: &str) -> Self {
        let text = printable(&text.replace("\r\n", "\n")).replace('\t', TAB);
        let drawn = |cluster: &str| {
            if cluster.len() > CLUSTER_BYTES_MAX {
                "\u{fffd}".to_owned()
            } else {
                cluster.to_owned()
            }
        };
        Self(text.graphemes(true).map(drawn).collect())
    }

    /// The same in one line.
    pub(crate) fn line(text: &str) -> Self {
        Self(Self::new(text).0.replace('\n', " "))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Columns that a text takes in one line, as the terminal's buffer counts them.
pub(super) fn width(text: &str) -> usize {
    text.graphemes(true)
        .map(|cluster| usize::from(cluster.cell_width()))
        .sum()
}

/// A text that fits into so many columns, its end cut off if it must be.
pub(super) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut used = 1_usize;
    let mut end = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        used = used.saturating_add(usize::from(cluster.cell_width()));
        if used > columns {
            break;
        }
        end = at.saturating_add(cluster.len());
    }
    if columns == 0 {
        return String::new();
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// Cuts a text into lines of at most so many columns, after a space where there is one: the bytes of each line, without
/// the line feed. There is always one, and one after a line feed at the end.
pub(super) fn wrap(text: &str, columns: usize) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut used = 0_usize;
    // The last place where the line may end, and the columns up to there.
    let mut after_space: Option<(usize, usize)> = None;
    for (at, cluster) in text.grapheme_indices(true) {
        let end = at.saturating_add(cluster.len());
        if cluster == "\n" {
            lines.push(start..at);
            (start, used, after_space) = (end, 0, None);
            continue;
        }
        let wide = usize::from(cluster.cell_width());
        let space = cluster == " ";
        // A space may stand beyond the edge, where it is not seen.
        if used.saturating_add(wide) > columns && !space && start < at {
            if let Some((place, columns_before)) = after_space.take() {
                lines.push(start..place);
                start = place;
                used = used.saturating_sub(columns_before);
            }
            // A word that is longer than a line.
            if used.saturating_add(wide) > columns && start < at {
                lines.push(start..at);
                start = at;
                used = 0;
            }
        }
        used = used.saturating_add(wide);
        if space {
            after_space = Some((end, used));
        }
    }
    lines.push(start..text.len());
    lines
}

/// The lines of a text in so many columns.
pub(super) fn lines(text: &str, columns: usize) -> Vec<&str> {
    wrap(text, columns)
        .into_iter()
        .map(|line| text.get(line).unwrap_or_default())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_somebody_sent_controls_nothing() {
        let sent = "a\u{1b}[31mb\r\nc\td\u{7}\u{9b}2J\u{202e}e\u{2028}f";
        let shown = Shown::new(sent);
        assert_eq!(
            shown.as_str(),
            "a\u{fffd}[31mb\nc    d\u{fffd}\u{fffd}2J\u{fffd}e\u{fffd}f"
        );
        assert_eq!(Shown::line("one\ntwo").as_str(), "one two");
    }

    #[test]
    fn letters_of_all_scripts_stay_whole() {
        for text in ["می‌خواهم", "क्षि", "👩‍👩‍👧‍👦", "שלום", "각", "ﾊﾞ", "e\u{301}", "🏳️‍🌈"]
        {
            assert_eq!(Shown::new(text).as_str(), text);
        }
        let heap = format!("a{}", "\u{301}".repeat(500));
        assert_eq!(Shown::new(&heap).as_str(), "\u{fffd}");
    }

    #[test]
    fn columns_are_those_of_the_terminal() {
        for (text, columns) in [("abc", 3), ("世界", 4), ("e\u{301}", 1), ("👩‍👩‍👧‍👦", 2), ("", 0)] {
            assert_eq!(width(text), columns, "{text}");
        }
        assert_eq!(fit("世界世界", 5), "世界…");
        assert_eq!(fit("世界世界", 6), "世界…");
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abcd", 0), "");
    }

    #[test]
    fn lines_break_after_spaces_and_within_long_words() {
        assert_eq!(lines("the quick brown", 9), ["the quick ", "brown"]);
        assert_eq!(lines("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(lines("ab cdefghij", 4), ["ab ", "cdef", "ghij"]);
        assert_eq!(lines("世界世界", 5), ["世界", "世界"]);
        assert_eq!(lines(" שלום世", 5), [" ", "שלום", "世"]);
        assert_eq!(lines("a\n\nb\n", 5), ["a", "", "b", ""]);
        assert_eq!(lines("", 5), [""]);
        assert_eq!(lines("世", 1), ["世"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_lines_are_short(text in any::<String>(), columns in 2_usize..40) {
            let shown = Shown::new(&text);
            let wrapped = wrap(shown.as_str(), columns);
            let kept: String = wrapped.iter().map(|line| &shown.as_str()[line.clone()]).collect();
            prop_assert_eq!(kept, shown.as_str().replace('\n', ""));
            for line in wrapped {
                prop_assert!(width(shown.as_str()[line].trim_end_matches(' ')) <= columns);
            }
            prop_assert!(!shown.as_str().contains(|letter: char| letter.is_control() && letter != '\n'));
        }
    }
}
