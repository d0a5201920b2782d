//! How long messages stay, as people write it.

use core::str::FromStr;

use tokenim_wire::limits::DISAPPEAR_SECONDS_MAX;

use crate::output::count;

/// Units with their letter, name and seconds, the longest first.
const UNITS: [(char, &str, u64); 5] = [
    ('w', "week", 7 * 24 * 3_600),
    ('d', "day", 24 * 3_600),
    ('h', "hour", 3_600),
    ('m', "minute", 60),
    ('s', "second", 1),
];

/// After how many seconds messages disappear; none if they stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timer(pub(crate) Option<u64>);

impl FromStr for Timer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "give off, or a number with s, m, h, d or w, such as 30s, 8h or 4w: at most 52w".to_owned();
        let text = text.trim().to_lowercase();
        if text == "off" {
            return Ok(Self(None));
        }
        let letter = text.chars().next_back().ok_or_else(wrong)?;
        let (.., unit) = UNITS.iter().find(|(of, ..)| *of == letter).ok_or_else(wrong)?;
        let number = text.strip_suffix(letter).unwrap_or_default().trim_end();
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*unit));
        seconds
            .filter(|seconds| digits && (1..=u64::from(DISAPPEAR_SECONDS_MAX)).contains(seconds))
            .map(|seconds| Self(Some(seconds)))
            .ok_or_else(wrong)
    }
}

/// A number of seconds in the longest unit that fits, for people.
pub(crate) fn words(seconds: u64) -> String {
    let fits = |unit: &u64| seconds.checked_rem(*unit) == Some(0);
    let (_, name, unit) = UNITS
        .into_iter()
        .find(|(.., unit)| fits(unit))
        .unwrap_or(('s', "second", 1));
    let number = seconds.checked_div(unit).unwrap_or(seconds);
    count(usize::try_from(number).unwrap_or(usize::MAX), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_is_what_people_write() {
        for (text, seconds) in [
            ("30s", 30),
            ("5M", 300),
            (" 8 h", 28_800),
            ("7d", 604_800),
            ("52w", 31_449_600),
        ] {
            assert_eq!(text.parse(), Ok(Timer(Some(seconds))), "{text}");
        }
        assert_eq!("off".parse(), Ok(Timer(None)));
        for text in [
            "",
            "s",
            "0s",
            "5",
            "-1h",
            "+1h",
            "53w",
            "1y",
            "1ss",
            "99999999999999999999w",
            "5 minutes",
            "é",
        ] {
            assert!(text.parse::<Timer>().is_err(), "{text}");
        }
    }

    #[test]
    fn seconds_are_told_in_the_longest_unit() {
        for (seconds, text) in [
            (1, "1 second"),
            (90, "90 seconds"),
            (3_600, "1 hour"),
            (172_800, "2 days"),
            (1_209_600, "2 weeks"),
        ] {
            assert_eq!(words(seconds), text);
        }
    }
}
