//! The records of an identity that its owner signs: devices, recovery, rotation, the end.

use std::path::Path;

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use serde_json::json;
use tokenim_client::{Argon2Cost, Client, IdentityState, Network, Phrase, RecoveryShare};
use tokenim_identity::{RecordSigner, SignedRecord};
use zeroize::Zeroizing;

use super::args::{CompleteArgs, NextRootArgs, RecoverArgs, RecoveryArgs, RevokeArgs, RootArgs};
use super::{history, network_for, put_on_ledger, words};
use crate::error::CliError;
use crate::init::write_new_file;
use crate::output::{self, line, remark, utc};
use crate::{progress, secret, status};

/// More bytes than this are not a recovery key.
const KEY_BYTES_MAX: u64 = 4_096;

/// A folder's client with its state and its words.
async fn open(args: &RootArgs) -> Result<(Client, IdentityState, Phrase), CliError> {
    let client = Client::open(&status::folder(&args.folder)?, None)?;
    let words = words::read(&args.words)?;
    let state = client.state().await?;
    Ok((client, state, words))
}

/// Puts a record on the ledger and says what came of it.
async fn publish(client: &Client, record: SignedRecord, json: bool, done: &str) -> Result<(), CliError> {
    let waiting = progress::spinner("waiting for the ledger");
    let found = client.publish_record(record).await;
    waiting.finish_and_clear();
    let found = found?;
    tell(client, &found, json, done)?;
    client.close().await;
    Ok(())
}

fn tell(client: &Client, found: &tokenim_client::step::LookedUp, json: bool, done: &str) -> Result<(), CliError> {
    let pending = found.state.as_ref().and_then(IdentityState::pending);
    if json {
        return output::json(&json!({
            "identity": client.identity().to_string(),
            "height": found.height.get(),
            "seq": found.state.as_ref().map(|state| state.seq),
            "pending_due_ms": pending.map(|pending| pending.due.get()),
        }));
    }
    line(format!("{done} Proved at height {}.", found.height))?;
    if let Some(pending) = pending {
        line(format!(
            "Pending: {}. From {} on, `tokenim id complete` carries it out; until then `tokenim id cancel` drops it.",
            history::pending(&pending.op),
            utc(pending.due.get())
        ))?;
    }
    Ok(())
}

pub(crate) async fn revoke(args: &RevokeArgs) -> Result<(), CliError> {
    let (client, state, words) = open(&args.root).await?;
    let root = words::root(&state, &words)?;
    let record = SignedRecord::revoke_device(client.network().id(), &state, &root, args.device)
        .map_err(tokenim_client::ClientError::from)?;
    publish(&client, record, args.root.json, "The device is revoked for good.").await
}

pub(crate) async fn recovery(args: &RecoveryArgs) -> Result<(), CliError> {
    if args.threshold > args.keys {
        return Err(CliError::new(
            crate::error::USAGE,
            format!(
                "{} of {} keys can't be: lower --threshold or raise --keys",
                args.threshold, args.keys
            ),
        ));
    }
    let client = Client::open(&status::folder(&args.folder)?, None)?;
    let words = words::read(&args.words)?;
    let second = words::read_next(&args.next_words)?;
    let state = client.state().await?;
    let shares = RecoveryShare::generate(args.threshold, args.keys, &mut UnwrapErr(SysRng))
        .map_err(tokenim_client::ClientError::from)?;
    let commitment = shares.first().map(|share| share.commitment().digest());
    let id = client.network().id();
    let record = if state.recovery.is_none() {
        let (next, _) = words::next_root(&state, &words, second.as_ref())?;
        SignedRecord::set_recovery(id, &state, RecordSigner::NextRoot(&next), commitment)
    } else {
        let root = words::root(&state, &words)?;
        SignedRecord::set_recovery(id, &state, RecordSigner::Root(&root), commitment)
    };
    let record = record.map_err(tokenim_client::ClientError::from)?;
    // The keys before the record: they are nowhere else.
    std::fs::create_dir_all(&args.out).map_err(|error| CliError::file(&args.out, &error))?;
    for (number, share) in (1_u32..).zip(&shares) {
        let path = args.out.join(format!("recovery-{number}.txt"));
        let text = Zeroizing::new(format!("{}\n", share.to_text().as_str()));
        write_new_file(&path, text.as_bytes(), 0o600)?;
        remark(format!(
            "{}: give it to somebody whom you trust, and delete it here",
            path.display()
        ));
    }
    let done = format!(
        "{} of these {} keys together recover the identity.",
        args.threshold, args.keys
    );
    publish(&client, record, args.json, &done).await
}

fn read_key(path: &Path) -> Result<RecoveryShare, CliError> {
    use std::io::Read as _;
    let mut text = Zeroizing::new(String::with_capacity(1_024));
    std::fs::File::open(path)
        .and_then(|file| file.take(KEY_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| CliError::file(path, &error))?;
    RecoveryShare::from_text(text.trim()).map_err(|error| CliError::local(format!("{}: {error}", path.display())))
}

pub(crate) async fn recover(args: &RecoverArgs) -> Result<(), CliError> {
    let folder = status::folder(&args.network.folder)?;
    let config = network_for(&folder, args.network.network.as_ref())?;
    words::refuse_existing(args.words_to.as_deref())?;
    let shares = args
        .keys
        .iter()
        .map(|path| read_key(path))
        .collect::<Result<Vec<_>, _>>()?;
    let passphrase = secret::fresh(&args.passphrase, secret::PERSON)?;
    let network = Network::new(config.clone())?;
    let phrase = Phrase::generate(&mut UnwrapErr(SysRng));
    // The words before the record: without them the identity would belong to nobody.
    let shown = words::hand_over(&phrase, args.words_to.as_deref(), args.json, "new ")?;
    let waiting = progress::spinner("recovering the identity");
    let recovered = network.recover(&args.identity, &shares, &phrase).await;
    waiting.finish_and_clear();
    network.close().await;
    recovered?;
    let (passphrase, cost) = (passphrase.as_bytes(), Argon2Cost::RECOMMENDED);
    let client = Client::restore(&folder, config, &phrase, Some(args.identity), passphrase, cost).await?;
    put_on_ledger(&client, &folder, args.json, shown, serde_json::Value::Null).await
}

pub(crate) async fn rotate(args: &NextRootArgs) -> Result<(), CliError> {
    let (client, state, words) = open(&args.root).await?;
    let second = words::read_next(&args.next_words)?;
    let (next, after) = words::next_root(&state, &words, second.as_ref())?;
    let record = SignedRecord::rotate_root(client.network().id(), &state, &next, &after)
        .map_err(tokenim_client::ClientError::from)?;
    publish(
        &client,
        record,
        args.root.json,
        "The next root key asks to be the root.",
    )
    .await
}

pub(crate) async fn deactivate(args: &RootArgs) -> Result<(), CliError> {
    let (client, state, words) = open(args).await?;
    let root = words::root(&state, &words)?;
    let record =
        SignedRecord::deactivate(client.network().id(), &state, &root).map_err(tokenim_client::ClientError::from)?;
    publish(&client, record, args.json, "The end of the identity is asked for.").await
}

pub(crate) async fn cancel(args: &NextRootArgs) -> Result<(), CliError> {
    let (client, state, words) = open(&args.root).await?;
    let second = words::read_next(&args.next_words)?;
    let id = client.network().id();
    let by_next = words::next_root(&state, &words, second.as_ref());
    // The next root stands higher; where only the root is at hand, it may still be enough.
    let record = match &by_next {
        Ok((next, _)) => SignedRecord::cancel(id, &state, RecordSigner::NextRoot(next)),
        Err(_) => SignedRecord::cancel(id, &state, RecordSigner::Root(&words::root(&state, &words)?)),
    };
    let record = record.map_err(tokenim_client::ClientError::from)?;
    publish(&client, record, args.root.json, "What was pending is dropped.").await
}

pub(crate) async fn complete(args: &CompleteArgs) -> Result<(), CliError> {
    let passphrase = secret::existing(&args.passphrase, secret::PERSON)?;
    let client = Client::open(&status::folder(&args.folder)?, Some(passphrase.as_bytes()))?;
    let waiting = progress::spinner("waiting for the ledger");
    let found = client.complete_pending().await;
    waiting.finish_and_clear();
    tell(&client, &found?, args.json, "What was pending is carried out.")?;
    client.close().await;
    Ok(())
}
