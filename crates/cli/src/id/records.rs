//! The records of an identity that its owner signs: devices, recovery, rotation, the end.

use std::path::Path;

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use serde_json::json;
use tokenim_client::step::LookedUp;
use tokenim_client::{Argon2Cost, Client, ClientError, IdentityState, Network, Phrase, RecoveryShare};
use tokenim_identity::{RecordError, RecordSigner, SignedRecord};
use zeroize::Zeroizing;

use super::args::{CompleteArgs, NextRootArgs, RecoverArgs, RecoveryArgs, RevokeArgs, RootArgs};
use super::{history, network_for, put_on_ledger, words};
use crate::error::CliError;
use crate::init::write_new_file;
use crate::output::{self, line, remark, utc};
use crate::progress::during;
use crate::{secret, status};

/// More bytes than this are not a recovery key.
const KEY_BYTES_MAX: u64 = 4_096;

/// A folder's client with its state and its words.
pub(super) async fn open(args: &RootArgs) -> Result<(Client, IdentityState, Phrase), CliError> {
    let client = args.folder.open()?;
    let words = words::read(&args.words)?;
    let state = client.state().await?;
    Ok((client, state, words))
}

/// Puts a record on the ledger, the client's last act.
pub(super) async fn publish(client: &Client, record: Result<SignedRecord, RecordError>) -> Result<LookedUp, CliError> {
    let record = record.map_err(ClientError::from)?;
    let found = during("waiting for the ledger", client.publish_record(record)).await?;
    client.close().await;
    Ok(found)
}

/// Puts a record on the ledger and says what came of it.
async fn carry_out(
    client: &Client,
    record: Result<SignedRecord, RecordError>,
    json: bool,
    done: &str,
) -> Result<(), CliError> {
    let found = publish(client, record).await?;
    tell(client, &found, json, done)
}

fn tell(client: &Client, found: &LookedUp, json: bool, done: &str) -> Result<(), CliError> {
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
    let record = SignedRecord::revoke_device(client.network().id(), &state, &root, args.device);
    carry_out(&client, record, args.root.json, "The device is revoked for good.").await
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
    let client = args.folder.open()?;
    let words = words::read(&args.words)?;
    let second = words::read_next(&args.next_words)?;
    let state = client.state().await?;
    let shares =
        RecoveryShare::generate(args.threshold, args.keys, &mut UnwrapErr(SysRng)).map_err(ClientError::from)?;
    let commitment = shares.first().map(|share| share.commitment().digest());
    let id = client.network().id();
    let record = if state.recovery.is_none() {
        let (next, _) = words::next_root(&state, &words, second.as_ref())?;
        SignedRecord::set_recovery(id, &state, RecordSigner::NextRoot(&next), commitment)
    } else {
        let root = words::root(&state, &words)?;
        SignedRecord::set_recovery(id, &state, RecordSigner::Root(&root), commitment)
    };
    let record = record.map_err(ClientError::from)?;
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
    carry_out(&client, Ok(record), args.json, &done).await
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
    if !args.json {
        words::tell_name(&args.identity);
    }
    let recovering = network.recover(&args.identity, &shares, &phrase);
    let recovered = during("recovering the identity", recovering).await;
    network.close().await;
    recovered?;
    let (passphrase, cost) = (passphrase.as_bytes(), Argon2Cost::RECOMMENDED);
    let client = Client::restore(&folder, config, &phrase, Some(args.identity), passphrase, cost).await?;
    put_on_ledger(&client, &folder, args.json, shown, None).await
}

pub(crate) async fn rotate(args: &NextRootArgs) -> Result<(), CliError> {
    let (client, state, words) = open(&args.root).await?;
    let second = words::read_next(&args.next_words)?;
    let (next, after) = words::next_root(&state, &words, second.as_ref())?;
    let record = SignedRecord::rotate_root(client.network().id(), &state, &next, &after);
    let done = "The next root key asks to be the root.";
    carry_out(&client, record, args.root.json, done).await?;
    let kept = second
        .iter()
        .chain([&words])
        .find(|words| words.find_root(&next.verifying_key()).is_some());
    if !args.root.json && kept.is_none_or(|words| words.genesis().id() != state.id) {
        words::tell_name(&state.id);
    }
    Ok(())
}

pub(crate) async fn deactivate(args: &RootArgs) -> Result<(), CliError> {
    let (client, state, words) = open(args).await?;
    let root = words::root(&state, &words)?;
    let record = SignedRecord::deactivate(client.network().id(), &state, &root);
    carry_out(&client, record, args.json, "The end of the identity is asked for.").await
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
    carry_out(&client, record, args.root.json, "What was pending is dropped.").await
}

pub(crate) async fn complete(args: &CompleteArgs) -> Result<(), CliError> {
    let client = args.device.open()?;
    let found = during("waiting for the ledger", client.complete_pending()).await?;
    client.close().await;
    tell(&client, &found, args.json, "What was pending is carried out.")
}
