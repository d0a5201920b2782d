//! `tokenim id`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokenim_client::{Argon2Cost, Client, IdentityId, IdentityState, Phrase};
use zeroize::Zeroizing;

use crate::args::{FolderArgs, IdArgs, IdCommand, NetworkArgs, PassphraseArgs};
use crate::error::CliError;
use crate::init::write_new_file;
use crate::output::{self, line, remark};
use crate::{secret, status};

/// How old the ledger's answer may be.
const MAX_AGE: Duration = Duration::from_secs(30);

pub(crate) async fn run(args: &IdArgs) -> Result<(), CliError> {
    match &args.what {
        IdCommand::New {
            network,
            folder,
            passphrase,
            words_to,
            words_from,
            json,
        } => {
            let new = New {
                folder: status::folder(folder)?,
                network: network.clone(),
                passphrase,
                words_to: words_to.as_deref(),
                words_from: words_from.as_deref(),
                json: *json,
            };
            new.run().await
        }
        IdCommand::Register { folder, json } => {
            let client = Client::open(&status::folder(folder)?, None)?;
            let height = register(&client).await?;
            if *json {
                output::json(&json!({ "identity": client.identity().to_string(), "height": height }))
            } else {
                line(format!(
                    "{} is on the ledger, proved at height {height}.",
                    client.identity()
                ))
            }
        }
        IdCommand::Show { identity, folder, json } => show(*identity, folder, *json).await,
    }
}

struct New<'a> {
    folder: PathBuf,
    network: Option<PathBuf>,
    passphrase: &'a PassphraseArgs,
    words_to: Option<&'a Path>,
    words_from: Option<&'a Path>,
    json: bool,
}

impl New<'_> {
    async fn run(self) -> Result<(), CliError> {
        let network = status::network(&NetworkArgs {
            network: self.network.clone(),
            folder: FolderArgs {
                dir: Some(self.folder.clone()),
            },
        })?;
        if self.folder.join(tokenim_client::STORE_FILE).exists() {
            return Err(tokenim_client::ClientError::ClientExists(self.folder).into());
        }
        // What can fail without leaving anything behind comes first.
        let phrase = self.words_from.map(read_words).transpose()?;
        if let Some(path) = self.words_to.filter(|path| path.exists()) {
            return Err(CliError::local(format!(
                "{} exists already: name a new file for the words, nothing was made",
                path.display()
            )));
        }
        let passphrase = secret::fresh(self.passphrase, secret::PERSON)?;
        let passphrase = passphrase.as_bytes();
        let cost = Argon2Cost::RECOMMENDED;
        let (client, words) = match phrase {
            Some(phrase) => {
                let client = Client::restore(&self.folder, network, &phrase, passphrase, cost).await?;
                (client, None)
            }
            None => {
                let (client, phrase) = Client::create(&self.folder, network, passphrase, cost)?;
                (client, Some(phrase.expose()))
            }
        };
        // The words before anything else: they are nowhere else.
        let mut shown = Value::Null;
        if let Some(words) = &words {
            match self.words_to {
                Some(path) => {
                    let text = Zeroizing::new(format!("{}\n", words.as_str()));
                    write_new_file(path, text.as_bytes(), 0o600)?;
                }
                None if self.json => shown = words.as_str().into(),
                None => show_words(words)?,
            }
        }
        let registered = register(&client).await;
        if self.json {
            output::json(&json!({
                "identity": client.identity().to_string(),
                "device": client.device().to_string(),
                "dir": self.folder,
                "words": shown,
                "height": registered.as_ref().ok(),
            }))?;
        } else {
            line(format!("identity  {}", client.identity()))?;
            line(format!("device    {}", client.device()))?;
            if let Ok(height) = &registered {
                line(format!("ledger    proved at height {height}"))?;
            }
        }
        registered.map(|_| ()).map_err(|error| {
            CliError::new(
                crate::error::NETWORK,
                format!("the identity is made, but not on the ledger yet: {error}; then run `tokenim id register`"),
            )
        })
    }
}

fn show_words(words: &str) -> Result<(), CliError> {
    remark("Write these 24 words down and keep them safe. They are shown once; whoever has them has the identity.");
    let words: Vec<&str> = words.split(' ').collect();
    for (row, chunk) in words.chunks(6).enumerate() {
        let cells: Vec<String> = chunk
            .iter()
            .enumerate()
            .map(|(column, word)| {
                let number = row.saturating_mul(6).saturating_add(column).saturating_add(1);
                format!("{number:>2} {word:<9}")
            })
            .collect();
        line(cells.join(" ").trim_end())?;
    }
    Ok(())
}

fn read_words(path: &Path) -> Result<Phrase, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| CliError::file(path, &error))?;
    let text = Zeroizing::new(text);
    Phrase::parse(&text).map_err(|error| CliError::local(format!("{}: {error}; correct the words", path.display())))
}

async fn register(client: &Client) -> Result<u64, CliError> {
    let waiting = crate::progress::spinner("putting the identity on the ledger");
    let found = client.register().await;
    waiting.finish_and_clear();
    Ok(found?.height.get())
}

async fn show(identity: Option<IdentityId>, folder: &FolderArgs, json: bool) -> Result<(), CliError> {
    let client = Client::open(&status::folder(folder)?, None)?;
    let own = identity.is_none_or(|identity| identity == client.identity());
    let identity = identity.unwrap_or_else(|| client.identity());
    let found = match client.lookup(&identity, MAX_AGE).await {
        Ok(state) => Some(state),
        Err(tokenim_client::ClientError::UnknownIdentity(_)) if own => None,
        Err(error) => return Err(error.into()),
    };
    let height = client.network().tip().map(|(height, _)| height.get());
    if json {
        output::json(&json!({
            "identity": identity.to_string(),
            "own_device": own.then(|| client.device().to_string()),
            "registered": found.is_some(),
            "height": height,
            "devices": found.as_ref().map(devices),
        }))?;
    } else {
        line(format!("identity  {identity}"))?;
        if own {
            line(format!("device    {} (this folder)", client.device()))?;
        }
        match &found {
            None => line("ledger    not registered: run `tokenim id register`")?,
            Some(state) => {
                line(format!(
                    "ledger    record {}, proved at height {}",
                    state.seq,
                    height.unwrap_or(0)
                ))?;
                for entry in &state.devices {
                    let revoked = entry
                        .revoked
                        .map(|height| format!(", revoked at height {height}"))
                        .unwrap_or_default();
                    line(format!(
                        "device    {} since height {}{revoked}",
                        entry.keys.device_id(),
                        entry.added
                    ))?;
                }
            }
        }
    }
    client.close().await;
    Ok(())
}

fn devices(state: &IdentityState) -> Value {
    state
        .devices
        .iter()
        .map(|entry| {
            json!({
                "device": entry.keys.device_id().to_string(),
                "added": entry.added.get(),
                "revoked": entry.revoked.map(tokenim_wire::Height::get),
            })
        })
        .collect()
}
