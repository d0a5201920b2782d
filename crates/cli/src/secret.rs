//! The passphrase: from a file, the environment, or a question; never from the command line.

use std::io::Read as _;
use std::path::Path;

use console::Term;
use zeroize::Zeroizing;

use crate::args::PassphraseArgs;
use crate::error::CliError;

/// The variable that holds a person's passphrase.
pub(crate) const PERSON: &str = "TOKENIM_PASSPHRASE";
/// The variable that holds a node's passphrase.
pub(crate) const NODE: &str = "TOKENIM_NODE_PASSPHRASE";

/// A longer first line of a file is no passphrase.
const LINE_BYTES_MAX: u64 = 4_096;
/// Room for it, and for what looks whether there is more.
const FILE_CAPACITY: usize = 8_192;

/// The passphrase from a file or the environment, if it is there.
pub(crate) fn given(args: &PassphraseArgs, variable: &str) -> Result<Option<Zeroizing<String>>, CliError> {
    if let Some(path) = &args.passphrase_file {
        return first_line(path).map(Some);
    }
    match std::env::var(variable) {
        Ok(value) if value.is_empty() => Err(CliError::local(format!(
            "{variable} is empty: set a passphrase, or unset it to be asked"
        ))),
        Ok(value) => Ok(Some(Zeroizing::new(value))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(CliError::local(format!("{variable} is not UTF-8: set it anew"))),
    }
}

/// The passphrase of something that exists.
pub(crate) fn existing(args: &PassphraseArgs, variable: &str) -> Result<Zeroizing<String>, CliError> {
    match given(args, variable)? {
        Some(passphrase) => Ok(passphrase),
        None => ask("Passphrase: ", variable),
    }
}

/// The passphrase of something new, asked for twice.
pub(crate) fn fresh(args: &PassphraseArgs, variable: &str) -> Result<Zeroizing<String>, CliError> {
    if let Some(passphrase) = given(args, variable)? {
        return Ok(passphrase);
    }
    let passphrase = ask("New passphrase: ", variable)?;
    if *ask("The same again: ", variable)? != *passphrase {
        return Err(CliError::local(
            "the two passphrases differ: try again, nothing was made",
        ));
    }
    Ok(passphrase)
}

fn first_line(path: &Path) -> Result<Zeroizing<String>, CliError> {
    // It never grows, so it leaves no copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_CAPACITY));
    std::fs::File::open(path)
        .and_then(|file| file.take(LINE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|error| CliError::file(path, &error))?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if u64::try_from(line.len()).is_ok_and(|bytes| bytes > LINE_BYTES_MAX) {
        return Err(CliError::local(format!(
            "{} begins with a line of more than {LINE_BYTES_MAX} bytes: put the passphrase there",
            path.display()
        )));
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(CliError::local(format!(
            "{} begins with an empty line: put the passphrase there",
            path.display()
        )));
    }
    let line = std::str::from_utf8(line).map_err(|_| {
        CliError::local(format!(
            "{} is not UTF-8: put the passphrase there as text",
            path.display()
        ))
    })?;
    Ok(Zeroizing::new(line.to_owned()))
}

fn ask(question: &str, variable: &str) -> Result<Zeroizing<String>, CliError> {
    let terminal = Term::stderr();
    if !terminal.is_term() {
        return Err(CliError::local(format!(
            "there is no terminal to ask for the passphrase: set {variable}, or name a file with --passphrase-file"
        )));
    }
    let answered = terminal.write_str(question).and_then(|()| terminal.read_secure_line());
    let passphrase = Zeroizing::new(
        answered.map_err(|error| CliError::local(format!("no passphrase was read: {error}; try again")))?,
    );
    if passphrase.is_empty() {
        return Err(CliError::local("the passphrase is empty: type at least one letter"));
    }
    Ok(passphrase)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, PassphraseArgs) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        std::fs::write(&path, content).unwrap();
        let args = PassphraseArgs {
            passphrase_file: Some(path),
        };
        (folder, args)
    }

    #[test]
    fn the_first_line_of_the_file_counts() {
        let (_folder, args) = file("pässword \nrest".as_bytes());
        assert_eq!(given(&args, PERSON).unwrap().unwrap().as_str(), "pässword ");
    }

    #[test]
    fn of_a_long_file_only_the_first_line_is_read() {
        let longest = "é".repeat(2_048);
        for end in [&b""[..], b"\n", b"\n\xff\xff"] {
            let (_folder, args) = file(&[longest.as_bytes(), end].concat());
            assert_eq!(*given(&args, PERSON).unwrap().unwrap(), longest);
        }
        let (_folder, args) = file(&[b"short\r\n".as_slice(), &[0xff; 20_000]].concat());
        assert_eq!(given(&args, PERSON).unwrap().unwrap().as_str(), "short");
        let (_folder, args) = file(&[b'a'; 4_097]);
        let error = given(&args, PERSON).unwrap_err().to_string();
        assert!(
            error.contains("more than 4096 bytes: put the passphrase there"),
            "{error}"
        );
        let (_folder, args) = file(&[b'a'; 4_096]);
        assert_eq!(given(&args, PERSON).unwrap().unwrap().len(), 4_096);
    }

    #[test]
    fn empty_missing_and_binary_files_are_refused_in_words() {
        for content in [&b""[..], b"\nsecond", b"\xff\xfe"] {
            let (_folder, args) = file(content);
            assert!(
                given(&args, PERSON)
                    .unwrap_err()
                    .to_string()
                    .contains("put the passphrase there")
            );
        }
        let args = PassphraseArgs {
            passphrase_file: Some("/nonexistent/file".into()),
        };
        assert!(given(&args, PERSON).unwrap_err().to_string().contains("no such file"));
    }
}
