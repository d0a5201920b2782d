//! Words: read without being shown, shown once, never in arguments.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use console::Term;
use tokenim_client::{IdentityId, IdentityState, Phrase};
use tokenim_identity::{RootSigningKey, next_root_digest};
use zeroize::Zeroizing;

use super::args::{NextWordsArgs, WordsArgs};
use crate::error::CliError;
use crate::init::write_new_file;
use crate::output::{remark, secret_lines};

/// More bytes than this are not 24 words.
const WORDS_BYTES_MAX: u64 = 4_096;
/// Room for them, and for what looks whether there are more.
const WORDS_CAPACITY: usize = 8_192;

/// The words, from where the command line says, else from the terminal without showing them.
pub(crate) fn read(args: &WordsArgs) -> Result<Phrase, CliError> {
    match &args.words_from {
        Some(path) => from_file(path),
        None => ask("24 words: "),
    }
}

/// The second words, if the command line names them.
pub(crate) fn read_next(args: &NextWordsArgs) -> Result<Option<Phrase>, CliError> {
    args.next_words_from.as_deref().map(from_file).transpose()
}

fn from_file(path: &Path) -> Result<Phrase, CliError> {
    // It never grows, so it leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(WORDS_CAPACITY));
    let (name, read) = if path == Path::new("-") {
        let read = std::io::stdin().lock().take(WORDS_BYTES_MAX).read_to_string(&mut text);
        ("standard input".to_owned(), read)
    } else {
        let read = std::fs::File::open(path).and_then(|file| file.take(WORDS_BYTES_MAX).read_to_string(&mut text));
        (path.display().to_string(), read)
    };
    read.map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => CliError::local(format!("{name} is not text: name the file with the words")),
        _ => CliError::file(path, &error),
    })?;
    parse(&text, &name)
}

fn ask(question: &str) -> Result<Phrase, CliError> {
    let terminal = Term::stderr();
    if !terminal.is_term() {
        return Err(CliError::local(
            "there is no terminal to ask for the words: name a file with --words-from, or - for standard input",
        ));
    }
    let answered = terminal.write_str(question).and_then(|()| terminal.read_secure_line());
    let text = answered.map_err(|error| CliError::local(format!("no words were read: {error}; try again")))?;
    parse(&Zeroizing::new(text), "the words")
}

fn parse(text: &str, name: &str) -> Result<Phrase, CliError> {
    Phrase::parse(text).map_err(|error| CliError::local(format!("{name}: {error}; correct the words")))
}

/// Refuses before anything is made if a file for words is there already.
pub(crate) fn refuse_existing(path: Option<&Path>) -> Result<(), CliError> {
    match path.filter(|path| path.exists()) {
        Some(path) => Err(CliError::local(format!(
            "{} exists already: name a new file for the words, nothing was made",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Writes words to a file of their own, or else shows them, or gives them back for the one JSON object.
pub(crate) fn hand_over(
    phrase: &Phrase,
    to: Option<&Path>,
    json: bool,
    which: &str,
) -> Result<Option<Zeroizing<String>>, CliError> {
    let words = phrase.expose();
    match to {
        Some(path) => {
            let text = Zeroizing::new(format!("{}\n", words.as_str()));
            write_new_file(path, text.as_bytes(), 0o600)?;
        }
        None if json => return Ok(Some(words)),
        None => show(&words, which)?,
    }
    Ok(None)
}

/// Says that words don't give the name of their identity.
pub(crate) fn tell_name(identity: &IdentityId) {
    remark(format!(
        "Keep the name with the words, which don't give it alone: to restore it takes --identity {identity}."
    ));
}

fn show(words: &str, which: &str) -> Result<(), CliError> {
    remark(format!(
        "Write these 24 {which}words down and keep them safe. They are shown once; whoever has them has the identity."
    ));
    // 24 words in cells of 13 letters: it never grows, so it leaves no copy behind.
    let mut rows = Zeroizing::new(String::with_capacity(512));
    for (number, word) in (1_u8..).zip(words.split(' ')) {
        // Writing to a String cannot fail.
        let _ = match number.is_multiple_of(6) {
            true => writeln!(rows, "{number:>2} {word}"),
            false => write!(rows, "{number:>2} {word:<9} "),
        };
    }
    secret_lines(rows.as_bytes())
}

/// The root key of a state, from its words.
pub(crate) fn root(state: &IdentityState, words: &Phrase) -> Result<RootSigningKey, CliError> {
    words
        .find_root(&state.root)
        .map(|index| words.root_key(index))
        .ok_or_else(|| tokenim_client::ClientError::OtherWords(state.id).into())
}

/// The key that comes after the root, and the public one after that: from the second words, or else from the first.
pub(crate) fn next_root(
    state: &IdentityState,
    words: &Phrase,
    second: Option<&Phrase>,
) -> Result<(RootSigningKey, tokenim_identity::RootKey), CliError> {
    for phrase in second.into_iter().chain([words]) {
        // After the root in the same words, or the first key of others.
        let index = phrase.find_root(&state.root).map_or(0, |index| index.saturating_add(1));
        let key = phrase.root_key(index);
        if next_root_digest(&key.verifying_key()) == state.next_root {
            let after = phrase.root_key(index.saturating_add(1)).verifying_key();
            return Ok((key, after));
        }
    }
    Err(CliError::local(format!(
        "the words don't give the next root key of {}: name the right second words with --next-words-from",
        state.id
    )))
}
