//! What the demo's two people write to each other: the same for the same seed.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// The longest message: 60 KiB.
const BYTES_MAX: usize = 60 * 1024;
/// Every fifth message is an answer.
const ANSWER_EVERY: usize = 5;

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Person {
    /// Begins the conversation.
    Anna,
    /// Answers.
    Bert,
}

/// One message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) from: Person,
    pub(crate) text: String,
    /// The number of the message that it answers, which must have arrived before.
    pub(crate) answers: Option<usize>,
}

/// Letters of many scripts, with 1 to 4 bytes each.
const SCRIPTS: [&str; 8] = [
    "the quick brown fox jumps over the lazy dog ",
    "Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich ",
    "Съешь же ещё этих мягких французских булок да выпей чаю ",
    "Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία ",
    "天地玄黃宇宙洪荒日月盈昃辰宿列張 ",
    "いろはにほへとちりぬるをわかよたれそつねならむ ",
    "نص حكيم له سر قاطع وذو شأن عظيم ",
    "ऋषियों को सताने वाले दुष्ट राक्षसों 🌍🌱📮🕊️ ",
];

/// The messages of a demo. The first is one byte long, the second as long as one may be; the others lie between,
/// short ones being more common; two of three are not in Latin letters alone.
pub(crate) fn plan(messages: usize, seed: u64) -> Vec<Planned> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    (0..messages)
        .map(|number| {
            let size = match number {
                0 => 1,
                1 => BYTES_MAX,
                _ => size(&mut rng),
            };
            let script = usize::try_from(rng.next_u32())
                .unwrap_or(0)
                .checked_rem(SCRIPTS.len())
                .unwrap_or(0);
            let answers = (number % ANSWER_EVERY == ANSWER_EVERY - 1).then(|| number.saturating_sub(1));
            Planned {
                from: if answers.is_some() { Person::Bert } else { Person::Anna },
                text: text(&mut rng, SCRIPTS.get(script).copied().unwrap_or_default(), size),
                answers,
            }
        })
        .collect()
}

/// From 1 byte to the longest; each doubling is as likely as the next.
fn size(rng: &mut ChaCha20Rng) -> usize {
    let bits = rng.next_u32() % 16;
    let low = 1_usize.checked_shl(bits).unwrap_or(1);
    let extra = usize::try_from(rng.next_u32())
        .unwrap_or(0)
        .checked_rem(low)
        .unwrap_or(0);
    low.saturating_add(extra).min(BYTES_MAX)
}

/// Exactly `bytes` bytes of text, from a random place of `script` on.
fn text(rng: &mut ChaCha20Rng, script: &str, bytes: usize) -> String {
    let start = usize::try_from(rng.next_u32()).unwrap_or(0);
    let letters = script.chars().count().max(1);
    let mut text = String::with_capacity(bytes);
    for letter in script.chars().cycle().skip(start % letters) {
        let left = bytes.saturating_sub(text.len());
        if left == 0 {
            break;
        }
        // Where the letter has no room any more, one of a byte does.
        text.push(if letter.len_utf8() <= left { letter } else { '.' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_messages() {
        assert_eq!(plan(50, 7), plan(50, 7));
        assert_ne!(plan(50, 7), plan(50, 8));
    }

    #[test]
    fn sizes_are_mixed_and_within_bounds() {
        let plan = plan(400, 1);
        let sizes: Vec<usize> = plan.iter().map(|planned| planned.text.len()).collect();
        assert_eq!((sizes[0], sizes[1]), (1, 61_440));
        assert!(sizes.iter().all(|size| (1..=61_440).contains(size)));
        assert!(sizes.iter().filter(|size| **size < 1_024).count() > 100);
        assert!(sizes.iter().filter(|size| **size > 16_384).count() > 20);
        assert!(plan.iter().filter(|planned| !planned.text.is_ascii()).count() > 150);
    }

    #[test]
    fn every_fifth_answers_the_one_before() {
        let plan = plan(20, 1);
        for (number, planned) in plan.iter().enumerate() {
            let answers = number % 5 == 4;
            assert_eq!(planned.from == Person::Bert, answers);
            assert_eq!(planned.answers, answers.then(|| number - 1));
        }
    }
}
