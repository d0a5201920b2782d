//! `tokenim id link`: accounts of blockchains that belong to an identity, shown to whom their owner chooses.

use std::path::{Path, PathBuf};

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use serde_json::{Value, json};
use tokenim_client::{Client, ClientError, Content, ContentKind, IdentityId, IdentityState};
use tokenim_identity::SignedRecord;
use tokenim_wallet::{Account, LinkStatement, Opening, VerifiedLink, WalletSignature, explain, verify};
use tokenim_wire::{Digest, NetworkId, Object as _, UnixSeconds, hex};

use super::args::{LinkCommand, RootArgs};
use super::records::{self, publish};
use super::words;
use crate::args::FolderArgs;
use crate::error::CliError;
use crate::init::write_new_file;
use crate::output::{self, line, remark};
use crate::progress::during;
use crate::status;

/// The folder, in a client's, that holds the openings of its links.
const FOLDER: &str = "links";

pub(crate) async fn run(what: &LinkCommand) -> Result<(), CliError> {
    match what {
        LinkCommand::Text { account, folder, out } => text(account, folder, out),
        LinkCommand::Add {
            statement,
            signature,
            root,
        } => add(statement, signature, root).await,
        LinkCommand::List { folder, json } => list(&status::folder(folder)?, *json),
        LinkCommand::Show { link, to, device } => {
            let opening = read(&path(&status::folder(&device.folder)?, link))?;
            show(&device.open()?, &opening, to).await
        }
        LinkCommand::Remove { link, root } => remove(link, root).await,
    }
}

fn text(account: &str, folder: &FolderArgs, out: &Path) -> Result<(), CliError> {
    let account: Account = account
        .parse()
        .map_err(|error| CliError::local(format!("{account}: {error}")))?;
    let client = folder.open()?;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let statement = LinkStatement::new(
        *client.network().id(),
        client.identity(),
        account,
        UnixSeconds::new(now.as_secs()),
        &mut UnwrapErr(SysRng),
    )
    .map_err(|error| CliError::local(error.to_string()))?;
    let kept = json!({
        "network": statement.network().to_string(),
        "identity": statement.identity().to_string(),
        "account": statement.account().to_string(),
        "nonce": hex::encode(statement.nonce()),
        "issued_at": statement.issued().get(),
    });
    write_new_file(out, format!("{kept}\n").as_bytes(), 0o600)?;
    let explained = explain(&statement);
    remark(format!(
        "Have this text signed by the account's wallet: {}.",
        explained.how
    ));
    line(&explained.text)?;
    remark(format!(
        "The answer is {}. It proves {}.\nThen: tokenim id link add {} ANSWER",
        explained.answer,
        explained.proves,
        out.display()
    ));
    Ok(())
}

fn statement(path: &Path) -> Result<LinkStatement, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| CliError::file(path, &error))?;
    let damaged = || CliError::local(format!("{}: not what `id link text` wrote", path.display()));
    let value: Value = serde_json::from_str(&text).map_err(|_| damaged())?;
    let field = |name: &str| value.get(name).and_then(Value::as_str).ok_or_else(damaged);
    let network: NetworkId = field("network")?.parse().map_err(|_| damaged())?;
    let identity: IdentityId = field("identity")?.parse().map_err(|_| damaged())?;
    let account: Account = field("account")?.parse().map_err(|_| damaged())?;
    let nonce = hex::decode(field("nonce")?).ok_or_else(damaged)?;
    let nonce = nonce.try_into().map_err(|_| damaged())?;
    let issued_at = value.get("issued_at").and_then(Value::as_u64).ok_or_else(damaged)?;
    LinkStatement::from_parts(network, identity, account, nonce, UnixSeconds::new(issued_at)).map_err(|_| damaged())
}

async fn add(file: &Path, signature: &str, args: &RootArgs) -> Result<(), CliError> {
    let statement = statement(file)?;
    let folder = status::folder(&args.folder)?;
    let client = args.folder.open()?;
    if statement.identity() != &client.identity() || statement.network() != client.network().id() {
        return Err(CliError::local(format!(
            "{} was made for another identity or network: make it anew with `id link text`",
            file.display()
        )));
    }
    let signature = WalletSignature::parse(statement.account(), signature)
        .map_err(|error| CliError::local(format!("the signature: {error}")))?;
    let link = verify(&statement, &signature).map_err(|error| CliError::local(format!("the signature: {error}")))?;
    let words = words::read(&args.words)?;
    let state = client.state().await?;
    let root = words::root(&state, &words)?;
    let opening = Opening::new(&link, &mut UnwrapErr(SysRng));
    let commitment = opening.commitment().map_err(ClientError::from)?;
    let record =
        SignedRecord::link_account(client.network().id(), &state, &root, commitment).map_err(ClientError::from)?;
    // The opening before the record: without it the commitment shows nothing to anybody.
    let kept = path(&folder, &commitment);
    std::fs::create_dir_all(folder.join(FOLDER)).map_err(|error| CliError::file(&folder, &error))?;
    write_new_file(&kept, &opening.to_bytes().map_err(ClientError::from)?, 0o600)?;
    let published = during("waiting for the ledger", client.publish_record(record)).await;
    client.close().await;
    let found = forget_refused(&kept, published)?;
    if args.json {
        return output::json(&json!({
            "link": commitment.to_string(),
            "account": link_account(&link),
            "height": found.height.get(),
        }));
    }
    line(format!(
        "{} is linked as {commitment}, proved at height {}. The ledger shows the commitment alone; `id link show` shows \
         the account to whom you choose.",
        link_account(&link),
        found.height
    ))
}

/// Deletes the opening of a link that the ledger rejected: nobody could be shown it. Whatever else went wrong, the record
/// may be on the ledger yet, and then the opening is needed.
fn forget_refused<T>(opening: &Path, published: Result<T, ClientError>) -> Result<T, CliError> {
    if let Err(ClientError::Rejected(_) | ClientError::Record(_)) = &published {
        std::fs::remove_file(opening).map_err(|error| CliError::file(opening, &error))?;
    }
    Ok(published?)
}

fn link_account(link: &VerifiedLink) -> String {
    link.statement().account().to_string()
}

fn path(folder: &Path, link: &Digest) -> PathBuf {
    folder.join(FOLDER).join(format!("{link}.link"))
}

fn read(path: &Path) -> Result<Opening, CliError> {
    let bytes = std::fs::read(path).map_err(|error| CliError::file(path, &error))?;
    Opening::from_bytes(&bytes).map_err(|error| CliError::local(format!("{}: {error}", path.display())))
}

fn list(folder: &Path, json: bool) -> Result<(), CliError> {
    let entries = match std::fs::read_dir(folder.join(FOLDER)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CliError::file(folder, &error)),
    };
    for entry in entries {
        let path = entry.map_err(|error| CliError::file(folder, &error))?.path();
        let opening = read(&path)?;
        let (link, account) = (
            opening.commitment().map_err(ClientError::from)?,
            opening.statement().account().to_string(),
        );
        if json {
            output::json(&json!({ "link": link.to_string(), "account": account }))?;
        } else {
            line(format!("{link}  {account}"))?;
        }
    }
    Ok(())
}

async fn show(client: &Client, opening: &Opening, to: &IdentityId) -> Result<(), CliError> {
    let content = Content {
        kind: ContentKind::ACCOUNT,
        body: opening.to_bytes().map_err(ClientError::from)?,
    };
    let report = during("sending", client.send(to, content)).await?;
    client.close().await;
    line(format!("shown to {to} in message {}", report.message))
}

async fn remove(link: &Digest, args: &RootArgs) -> Result<(), CliError> {
    let (client, state, words) = records::open(args).await?;
    let root = words::root(&state, &words)?;
    let record = SignedRecord::unlink_account(client.network().id(), &state, &root, *link);
    let found = publish(&client, record).await?;
    let opening = path(&status::folder(&args.folder)?, link);
    match std::fs::remove_file(&opening) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(CliError::file(&opening, &error));
        }
        _ => {}
    }
    if args.json {
        return output::json(&json!({ "link": link.to_string(), "height": found.height.get() }));
    }
    line(format!("The link is taken back, proved at height {}.", found.height))
}

/// What an opening that was received shows, checked against the sender's state.
pub(crate) fn shown(network: &NetworkId, sender: &IdentityState, body: &[u8]) -> Result<String, String> {
    let opening = Opening::from_bytes(body).map_err(|error| error.to_string())?;
    let link = opening
        .verify(network, &sender.id, &sender.links)
        .map_err(|error| error.to_string())?;
    Ok(link_account(&link))
}

#[cfg(test)]
mod tests {
    use tokenim_ledger::Rejection;

    use super::*;

    #[test]
    fn an_opening_stays_unless_the_ledger_rejected_its_record() {
        let folder = tempfile::tempdir().unwrap();
        let opening = folder.path().join("one.link");
        write_new_file(&opening, b"opening", 0o600).unwrap();
        assert!(forget_refused(&opening, Ok(())).is_ok() && opening.exists());
        let late = Err::<(), _>(ClientError::NotProgressing { age_seconds: 40 });
        assert!(forget_refused(&opening, late).is_err() && opening.exists());
        let rejected = Err::<(), _>(ClientError::Rejected(Rejection::RecordPrevious));
        assert!(forget_refused(&opening, rejected).is_err() && !opening.exists());
    }
}
