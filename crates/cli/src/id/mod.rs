//! `tokenim id`.

pub(crate) mod args;
mod history;
pub(crate) mod link;
mod records;
pub(crate) mod words;

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokenim_client::{Argon2Cost, Client, ClientError, IdentityId, IdentityState};
use zeroize::Zeroizing;

pub(crate) use self::records::revoke;

use self::args::{IdArgs, IdCommand, NewArgs, NextRootArgs, RestoreArgs};
use crate::args::{FolderArgs, NetworkArgs};
use crate::error::CliError;
use crate::output::{self, line};
use crate::progress::during;
use crate::{secret, status};

/// How long what others need to write first may take to be published.
pub(crate) const PUBLISH_PATIENCE: Duration = Duration::from_secs(10);
/// How old the ledger's answer may be.
const MAX_AGE: Duration = Duration::from_secs(30);

pub(crate) async fn run(args: &IdArgs) -> Result<(), CliError> {
    match &args.what {
        IdCommand::New(args) => new(args).await,
        IdCommand::Restore(args) => restore(args).await,
        IdCommand::Backup(args) => backup(args).await,
        IdCommand::Register { folder, json } => {
            let client = folder.open()?;
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
        IdCommand::History(args) => history::run(args).await,
        IdCommand::Revoke(args) => records::revoke(args).await,
        IdCommand::Recovery(args) => records::recovery(args).await,
        IdCommand::Recover(args) => records::recover(args).await,
        IdCommand::Rotate(args) => records::rotate(args).await,
        IdCommand::Deactivate(args) => records::deactivate(args).await,
        IdCommand::Cancel(args) => records::cancel(args).await,
        IdCommand::Complete(args) => records::complete(args).await,
        IdCommand::Link { what } => link::run(what).await,
    }
}

/// The network of a folder that holds no identity yet.
pub(crate) fn network_for(
    folder: &Path,
    network: Option<&std::path::PathBuf>,
) -> Result<tokenim_client::NetworkConfig, CliError> {
    let config = status::network(&NetworkArgs {
        network: network.cloned(),
        folder: FolderArgs {
            dir: Some(folder.to_owned()),
        },
    })?;
    if folder.join(tokenim_client::STORE_FILE).exists() {
        return Err(ClientError::ClientExists(folder.to_owned()).into());
    }
    Ok(config)
}

async fn new(args: &NewArgs) -> Result<(), CliError> {
    let folder = status::folder(&args.fresh.folder)?;
    // What can fail without leaving anything behind comes first.
    let network = network_for(&folder, args.fresh.network.as_ref())?;
    words::refuse_existing(args.words_to.as_deref())?;
    words::refuse_existing(args.next_words_to.as_deref())?;
    let passphrase = secret::fresh(&args.fresh.passphrase, secret::PERSON)?;
    let (passphrase, cost) = (passphrase.as_bytes(), Argon2Cost::RECOMMENDED);
    let (client, first, second) = if args.second_phrase {
        let (client, first, second) = Client::create_with_next(&folder, network, passphrase, cost)?;
        (client, first, Some(second))
    } else {
        let (client, first) = Client::create(&folder, network, passphrase, cost)?;
        (client, first, None)
    };
    // The words before anything else: they are nowhere else.
    let shown = words::hand_over(&first, args.words_to.as_deref(), args.json, "")?;
    let shown_next = match &second {
        Some(second) => words::hand_over(second, args.next_words_to.as_deref(), args.json, "second ")?,
        None => None,
    };
    if second.is_some() && !args.json {
        words::tell_name(&client.identity());
    }
    put_on_ledger(&client, &folder, args.json, shown, shown_next).await
}

pub(crate) async fn restore(args: &RestoreArgs) -> Result<(), CliError> {
    let folder = status::folder(&args.fresh.folder)?;
    let network = network_for(&folder, args.fresh.network.as_ref())?;
    let words = words::read(&args.words)?;
    let passphrase = secret::fresh(&args.fresh.passphrase, secret::PERSON)?;
    let (passphrase, cost) = (passphrase.as_bytes(), Argon2Cost::RECOMMENDED);
    let client = Client::restore(&folder, network, &words, args.identity, passphrase, cost).await?;
    put_on_ledger(&client, &folder, args.json, None, None).await
}

/// What a command that made a device prints.
#[derive(Serialize)]
struct Made<'a> {
    identity: String,
    device: String,
    dir: &'a Path,
    height: Option<u64>,
    words: Option<&'a str>,
    next_words: Option<&'a str>,
}

/// Registers what was just made, and tells of it, with the words if the one JSON object is to have them.
pub(crate) async fn put_on_ledger(
    client: &Client,
    folder: &Path,
    json: bool,
    words: Option<Zeroizing<String>>,
    next_words: Option<Zeroizing<String>>,
) -> Result<(), CliError> {
    let registered = register(client).await;
    if json {
        let made = Made {
            identity: client.identity().to_string(),
            device: client.device().to_string(),
            dir: folder,
            height: registered.as_ref().ok().copied(),
            words: words.as_ref().map(|words| words.as_str()),
            next_words: next_words.as_ref().map(|words| words.as_str()),
        };
        // The words come last, and there is room for them: it does not grow while they are in it.
        let mut text = Zeroizing::new(Vec::new());
        text.reserve(folder.as_os_str().len().saturating_mul(6).saturating_add(1_024));
        serde_json::to_writer(&mut *text, &made)
            .map_err(|error| CliError::local(format!("{}: {error}; name another folder", folder.display())))?;
        text.push(b'\n');
        output::secret_lines(&text)?;
    } else {
        line(format!("identity  {}", client.identity()))?;
        line(format!("device    {}", client.device()))?;
        if let Ok(height) = &registered {
            line(format!("ledger    proved at height {height}"))?;
        }
    }
    if registered.is_ok() {
        // So that others can write and invite at once; else the next command tries.
        let chat = client.chat()?;
        let running = chat.run()?;
        chat.settle(PUBLISH_PATIENCE).await;
        drop(running);
    }
    client.close().await;
    registered.map(|_| ()).map_err(|error| {
        CliError::new(
            crate::error::NETWORK,
            format!("the identity is made, but not on the ledger yet: {error}; then run `tokenim id register`"),
        )
    })
}

async fn backup(args: &NextRootArgs) -> Result<(), CliError> {
    let folder = status::folder(&args.root.folder)?;
    let words = words::read(&args.root.words)?;
    let second = words::read_next(&args.next_words)?;
    let alone = words.genesis().id();
    let offline = second.as_ref().map_or(alone, |second| {
        words.genesis_with_next(&second.root_key(0).verifying_key()).id()
    });
    let own = if folder.join(tokenim_client::STORE_FILE).exists() {
        Some(Client::open(&folder, None)?)
    } else {
        None
    };
    let identity = own.as_ref().map_or(offline, Client::identity);
    let mut asked = false;
    if let Some(client) = &own {
        match client.state().await {
            Ok(state) => {
                words::root(&state, &words)?;
                if let Some(second) = &second {
                    words::next_root(&state, second, None)?;
                }
                asked = true;
            }
            // What the words give without the ledger is known all the same.
            Err(ClientError::Unreachable { .. } | ClientError::NotProgressing { .. } | ClientError::NotRegistered)
                if identity == offline => {}
            Err(error) => return Err(error.into()),
        }
        client.close().await;
    }
    if args.root.json {
        return output::json(&json!({ "identity": identity.to_string(), "asked_ledger": asked }));
    }
    let together = if second.is_some() { "together " } else { "" };
    let unasked = "The ledger was not asked whether its root was replaced since.";
    line(match (asked, own.is_some() || second.is_some()) {
        (true, _) if identity == alone => format!("The words give {identity}. They are enough to restore it."),
        (true, _) => format!(
            "The words give the root key of {identity} now{}. To restore it, name it with --identity.",
            if second.is_some() {
                ", the second ones the next"
            } else {
                ""
            }
        ),
        (false, true) => format!("The words {together}give {identity}. {unasked}"),
        (false, false) => format!(
            "The words alone give {identity}, which is your identity only if it was made without a second phrase: else name \
             the second words with --next-words-from. {unasked}"
        ),
    })
}

async fn register(client: &Client) -> Result<u64, CliError> {
    let found = during("putting the identity on the ledger", client.register()).await?;
    Ok(found.height.get())
}

async fn show(identity: Option<IdentityId>, folder: &FolderArgs, json: bool) -> Result<(), CliError> {
    let client = folder.open()?;
    let own = identity.is_none_or(|identity| identity == client.identity());
    let identity = identity.unwrap_or_else(|| client.identity());
    let found = match client.refresh(&identity, MAX_AGE).await {
        Ok(state) => Some(state),
        Err(ClientError::UnknownIdentity(_)) if own => None,
        Err(error) => return Err(error.into()),
    };
    let height = client.network().tip().map(|tip| tip.height.get());
    if json {
        output::json(&json!({
            "identity": identity.to_string(),
            "own_device": own.then(|| client.device().to_string()),
            "registered": found.is_some(),
            "height": height,
            "devices": found.as_ref().map(devices),
            "pending_due_ms": found.as_ref().and_then(IdentityState::pending).map(|pending| pending.due.get()),
            "deactivated": found.as_ref().and_then(IdentityState::deactivated).map(tokenim_wire::Height::get),
            "recovery": found.as_ref().map(|state| state.recovery.is_some()),
            "links": found.as_ref().map(|state| state.links.len()),
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
                if let Some(height) = state.deactivated() {
                    line(format!("          deactivated at height {height}"))?;
                }
                if let Some(pending) = state.pending() {
                    line(format!(
                        "pending   {}, from {} on: `id complete` carries it out, `id cancel` drops it",
                        history::pending(&pending.op),
                        output::utc(pending.due.get())
                    ))?;
                }
                line(format!(
                    "recovery  {}",
                    if state.recovery.is_some() {
                        "keys are set"
                    } else {
                        "no keys: see `id recovery`"
                    }
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
