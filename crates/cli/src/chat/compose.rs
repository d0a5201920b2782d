//! The text that is being written: it is edited by what people see as letters, in any script.

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation as _};

use super::text::{Shown, wrap};

/// A text and a place in it.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Composer {
    text: String,
    /// In bytes; always between two letters.
    cursor: usize,
}

impl core::fmt::Debug for Composer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Composer")
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

impl Composer {
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes the text out.
    pub(super) fn take(&mut self) -> String {
        self.cursor = 0;
        core::mem::take(&mut self.text)
    }

    /// Puts a text where the cursor is, without what a terminal would obey.
    pub(super) fn insert(&mut self, text: &str) {
        // Terminals paste a line feed as a carriage return.
        let text = Shown::new(&text.replace("\r\n", "\n").replace('\r', "\n"));
        self.text.insert_str(self.cursor, text.as_str());
        self.cursor = self.cursor.saturating_add(text.as_str().len());
        // What was put in may have joined the letter that follows.
        if !self.is_boundary(self.cursor) {
            self.cursor = self.after(self.cursor);
        }
    }

    fn is_boundary(&self, at: usize) -> bool {
        let mut cursor = GraphemeCursor::new(at, self.text.len(), true);
        cursor.is_boundary(&self.text, 0).unwrap_or(true)
    }

    fn after(&self, at: usize) -> usize {
        let mut cursor = GraphemeCursor::new(at, self.text.len(), true);
        cursor
            .next_boundary(&self.text, 0)
            .ok()
            .flatten()
            .unwrap_or(self.text.len())
    }

    fn before(&self, at: usize) -> usize {
        let mut cursor = GraphemeCursor::new(at, self.text.len(), true);
        cursor.prev_boundary(&self.text, 0).ok().flatten().unwrap_or(0)
    }

    /// Where the word before the cursor begins.
    fn word_before(&self) -> usize {
        let head = self.text.get(..self.cursor).unwrap_or_default();
        head.unicode_word_indices().next_back().map_or(0, |(at, _)| at)
    }

    /// Where the word after the cursor ends.
    fn word_after(&self) -> usize {
        let tail = self.text.get(self.cursor..).unwrap_or_default();
        tail.unicode_word_indices()
            .next()
            .map_or(self.text.len(), |(at, word)| {
                self.cursor.saturating_add(at).saturating_add(word.len())
            })
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.cursor = from;
        if !self.is_boundary(from) {
            self.cursor = self.after(from);
        }
    }

    /// Removes the letter before the cursor.
    pub(super) fn backspace(&mut self) {
        self.remove(self.before(self.cursor), self.cursor);
    }

    /// Removes the letter after the cursor.
    pub(super) fn delete(&mut self) {
        self.remove(self.cursor, self.after(self.cursor));
    }

    /// Removes the word before the cursor.
    pub(super) fn backspace_word(&mut self) {
        self.remove(self.word_before(), self.cursor);
    }

    /// Removes everything before the cursor.
    pub(super) fn backspace_all(&mut self) {
        self.remove(0, self.cursor);
    }

    pub(super) fn left(&mut self) {
        self.cursor = self.before(self.cursor);
    }

    pub(super) fn right(&mut self) {
        self.cursor = self.after(self.cursor);
    }

    pub(super) fn word_left(&mut self) {
        self.cursor = self.word_before();
    }

    pub(super) fn word_right(&mut self) {
        self.cursor = self.word_after();
    }

    /// To the beginning of the line on the screen.
    pub(super) fn home(&mut self, columns: usize) {
        let (row, _) = self.position(columns);
        self.go_to(row, 0, columns);
    }

    /// To the end of the line on the screen.
    pub(super) fn end(&mut self, columns: usize) {
        let (row, _) = self.position(columns);
        self.go_to(row, usize::MAX, columns);
    }

    /// One line up on the screen; whether there was one.
    pub(super) fn up(&mut self, columns: usize) -> bool {
        let (row, column) = self.position(columns);
        row.checked_sub(1).is_some_and(|row| self.go_to(row, column, columns))
    }

    /// One line down on the screen; whether there was one.
    pub(super) fn down(&mut self, columns: usize) -> bool {
        let (row, column) = self.position(columns);
        self.go_to(row.saturating_add(1), column, columns)
    }

    /// The cursor's row and column on the screen.
    pub(super) fn position(&self, columns: usize) -> (usize, usize) {
        let lines = wrap(&self.text, columns);
        // At a break, the cursor stands where the next letter goes.
        let row = lines.iter().rposition(|line| line.start <= self.cursor).unwrap_or(0);
        let start = lines.get(row).map_or(0, |line| line.start);
        let before = self.text.get(start..self.cursor).unwrap_or_default();
        let column = super::text::width(before);
        if column >= columns {
            // After a full line: the next one, even if nothing is there yet.
            return (row.saturating_add(1), 0);
        }
        (row, column)
    }

    fn go_to(&mut self, row: usize, column: usize, columns: usize) -> bool {
        let lines = wrap(&self.text, columns);
        let Some(line) = lines.get(row) else { return false };
        let last = lines.len().saturating_sub(1) == row;
        let mut at = line.start;
        loop {
            let next = self.after(at);
            let so_far = self.text.get(line.start..next).unwrap_or_default();
            // The end of a line that goes on is the beginning of the next one.
            let broken = !last && next == line.end && self.text.get(next..).is_some_and(|rest| !rest.starts_with('\n'));
            if at >= line.end || next > line.end || super::text::width(so_far) > column || broken {
                break;
            }
            at = next;
        }
        self.cursor = at;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn typed(text: &str) -> Composer {
        let mut composer = Composer::default();
        for letter in text.chars() {
            composer.insert(letter.encode_utf8(&mut [0; 4]));
        }
        composer
    }

    #[test]
    fn letters_are_edited_whole() {
        for letter in ["e\u{301}", "👩‍👩‍👧‍👦", "क्षि", "각", "世"] {
            let mut composer = typed(&format!("a{letter}b"));
            composer.left();
            composer.backspace();
            assert_eq!(composer.text(), "ab", "{letter}");
            let mut composer = typed(&format!("a{letter}b"));
            composer.home(80);
            composer.right();
            composer.delete();
            assert_eq!(composer.text(), "ab", "{letter}");
        }
    }

    #[test]
    fn words_go_at_once() {
        let mut composer = typed("see you, мир");
        composer.backspace_word();
        assert_eq!(composer.text(), "see you, ");
        composer.word_left();
        composer.backspace_all();
        assert_eq!(composer.text(), "you, ");
        composer.word_right();
        composer.insert("!");
        assert_eq!(composer.text(), "you!, ");
    }

    #[test]
    fn the_cursor_stands_where_the_next_letter_goes() {
        let at = |text: &str, columns| typed(text).position(columns);
        assert_eq!(at("", 5), (0, 0));
        assert_eq!(at("世界", 5), (0, 4));
        assert_eq!(at("abcde", 5), (1, 0));
        assert_eq!(at("abcdef", 5), (1, 1));
        assert_eq!(at("ab\n", 5), (1, 0));
        assert_eq!(at("see you", 5), (1, 3));
    }

    #[test]
    fn lines_are_walked_as_they_stand_on_the_screen() {
        let mut composer = typed("see you at eight");
        assert_eq!(super::super::text::lines(composer.text(), 8), ["see you ", "at eight"]);
        assert!(composer.up(9));
        assert!(!composer.up(9));
        composer.home(8);
        composer.insert("I ");
        assert_eq!(composer.text(), "I see you at eight");
        assert!(composer.down(9));
        composer.end(80);
        composer.insert("!");
        assert_eq!(composer.text(), "I see you at eight!");
    }

    #[test]
    fn pasted_text_controls_nothing() {
        let mut composer = Composer::default();
        composer.insert("a\u{1b}[2J\r\nb\tc");
        assert_eq!(composer.take(), "a\u{fffd}[2J\nb    c");
        assert!(composer.is_empty());
        assert_eq!(format!("{composer:?}"), "Composer { bytes: 0, .. }");
    }

    /// What people and attackers paste: letters of many scripts, joiners, marks, controls, breaks, long words.
    fn pieces() -> impl Strategy<Value = String> {
        let known = prop::sample::select(vec![
            "a",
            " ",
            "\n",
            "\r\n",
            "\t",
            "\u{1b}[2J",
            "\u{202e}",
            "\u{2066}",
            "\u{200d}",
            "\u{200c}",
            "\u{fe0f}",
            "e\u{301}",
            "\u{301}",
            "世",
            "한",
            "각",
            "क्षि",
            "שלום",
            "مرحبا",
            "👩‍👩‍👧‍👦",
            "🏳️‍🌈",
            "🇩🇪",
            "🇩",
            "👍🏽",
            "\u{e0067}",
            "\u{0}",
            "\u{9b}31m",
            "wordwordwordword",
            "\u{ad}",
            "\u{115f}",
            "\u{3164}",
        ]);
        prop_oneof![3 => known.prop_map(str::to_owned), 1 => any::<char>().prop_map(String::from)]
    }

    proptest! {
        #[test]
        fn any_text_and_any_keys_leave_a_text_that_can_be_drawn(
            steps in prop::collection::vec((0_u8..16, pieces()), 0..80),
            columns in 2_usize..12,
        ) {
            let mut composer = Composer::default();
            for (key, piece) in steps {
                let before = composer.text().len();
                match key {
                    0 => composer.left(),
                    1 => composer.right(),
                    2 => { composer.up(columns); }
                    3 => { composer.down(columns); }
                    4 => composer.home(columns),
                    5 => composer.end(columns),
                    6 => composer.backspace(),
                    7 => composer.delete(),
                    8 => composer.backspace_word(),
                    9 => composer.word_left(),
                    10 => composer.word_right(),
                    _ => composer.insert(&piece),
                }
                // Moving changes nothing, removing makes it shorter.
                match key {
                    0..=5 | 9..=10 => prop_assert_eq!(composer.text().len(), before),
                    6..=8 => prop_assert!(composer.text().len() <= before),
                    _ => {}
                }
                prop_assert!(composer.is_boundary(composer.cursor));
                let harmful = |letter: char| letter.is_control() && letter != '\n' || ('\u{202a}'..='\u{202e}').contains(&letter);
                prop_assert!(!composer.text().contains(harmful));
                let (row, column) = composer.position(columns);
                let lines = super::super::text::lines(composer.text(), columns);
                prop_assert!(row <= lines.len() && column < columns);
                for line in lines {
                    let line = line.trim_end_matches(' ');
                    // A letter that is wider than the screen has a line of its own.
                    prop_assert!(line.graphemes(true).count() <= 1 || super::super::text::width(line) <= columns);
                }
            }
        }

        #[test]
        fn any_keys_leave_the_cursor_between_letters(keys in prop::collection::vec((0_u8..12, any::<char>()), 0..60)) {
            let mut composer = Composer::default();
            for (key, letter) in keys {
                match key {
                    0 => composer.left(),
                    1 => composer.right(),
                    2 => { composer.up(7); }
                    3 => { composer.down(7); }
                    4 => composer.home(7),
                    5 => composer.end(7),
                    6 => composer.backspace(),
                    7 => composer.delete(),
                    8 => composer.word_left(),
                    9 => composer.word_right(),
                    _ => composer.insert(letter.encode_utf8(&mut [0; 4])),
                }
                prop_assert!(composer.is_boundary(composer.cursor));
                let (_, column) = composer.position(7);
                prop_assert!(column < 7);
            }
        }
    }
}
