//! `tokenim contact`.

use std::time::Duration;

use clap::{Args, Subcommand};
use console::Term;
use qrcode::render::unicode;
use qrcode::{EcLevel, QrCode};
use serde_json::json;
use tokenim_client::step::contact::{KeyChange, Notice, Relation};
use tokenim_client::step::name::ContactName;
use tokenim_client::{Client, ClientError, IdentityId, PostageBits};
use tokenim_wire::limits::POSTAGE_BITS_MAX;

use crate::args::{DeviceArgs, FolderArgs};
use crate::chat::names::Names;
use crate::error::{CliError, USAGE};
use crate::output::{self, line, remark, utc};

/// Contacts read at a time.
const PAGE: usize = 256;

#[derive(Debug, Args)]
pub(crate) struct ContactArgs {
    #[command(subcommand)]
    what: ContactCommand,
}

#[derive(Debug, Args)]
struct One {
    /// Whom.
    #[arg(value_name = "IDENTITY")]
    identity: IdentityId,
    #[command(flatten)]
    folder: FolderArgs,
}

#[derive(Debug, Subcommand)]
enum ContactCommand {
    /// List whom you know, with requests first.
    List {
        #[command(flatten)]
        folder: FolderArgs,
        /// Print one JSON object for each.
        #[arg(long)]
        json: bool,
    },
    /// Let somebody in.
    Allow(One),
    /// Keep somebody out: what they send is refused here, and they are not told.
    Block(One),
    /// Compare safety numbers or QR codes with somebody, and mark them as verified.
    #[command(after_help = "\
Examples:
  tokenim contact verify tim1…                        (shows the number and the QR code, and asks)
  tokenim contact verify tim1… --shown '12345 67890 …'
  tokenim contact verify tim1… --shown TIM:VERIFY:1:…  (what a scanner read from the other screen)

Compare over a way that you trust: face to face, or a call in which you know the voice.")]
    Verify {
        #[command(flatten)]
        one: One,
        /// What the other side shows: the sixty digits, or the text of the QR code.
        #[arg(long, value_name = "TEXT")]
        shown: Option<String>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Give somebody a name of your own, which `tokenim chat` and the lists show.
    #[command(after_help = "\
Examples:
  tokenim contact name tim1… 'Anna from the choir'
  tokenim contact name tim1…                           (shows it)
  tokenim contact name tim1… --forget

It stays on this device: nobody learns of it, and no message changes it. A name has at most 64 bytes, and two people have two
names. Where something is decided, the identity stands beside it.")]
    Name {
        /// Whom.
        #[arg(value_name = "IDENTITY")]
        identity: IdentityId,
        /// What you call them from now on.
        #[arg(value_name = "NAME")]
        name: Option<String>,
        /// Take the name away.
        #[arg(long, conflicts_with = "name")]
        forget: bool,
        #[command(flatten)]
        folder: FolderArgs,
    },
    /// Show or set the work that whoever writes to you has to do for each message, against floods of them.
    #[command(after_help = "\
Examples:
  tokenim contact postage       (shows it)
  tokenim contact postage 20    (256 times the usual 12: each bit doubles the work)

It is published with the contact key, and holds for this device. The work of a message that has 20 bits takes a computer
less than a second, with 28 a minute. Less than 12 counts as 12. For what goes out by itself, as invitations to
conversations, nobody pays more than 20: with more, you are only written to by hand.")]
    Postage {
        /// Bits of work.
        #[arg(value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=i64::from(POSTAGE_BITS_MAX)))]
        bits: Option<u8>,
        #[command(flatten)]
        device: DeviceArgs,
    },
    /// Show what changed about keys, yours and those of your contacts.
    Notices {
        #[command(flatten)]
        folder: FolderArgs,
        /// Print one JSON object for each.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(args: &ContactArgs) -> Result<(), CliError> {
    match &args.what {
        ContactCommand::List { folder, json } => list(&folder.open()?, *json),
        ContactCommand::Allow(one) => decide(one, Relation::Allowed, "is let in").await,
        ContactCommand::Block(one) => decide(one, Relation::Blocked, "is kept out").await,
        ContactCommand::Verify { one, shown, json } => verify(one, shown.as_deref(), *json).await,
        ContactCommand::Name {
            identity,
            name,
            forget,
            folder,
        } => call(&folder.open()?, identity, name.as_deref(), *forget).await,
        ContactCommand::Postage { bits, device } => postage(*bits, device).await,
        ContactCommand::Notices { folder, json } => notices(&folder.open()?, *json).await,
    }
}

async fn decide(one: &One, relation: Relation, done: &str) -> Result<(), CliError> {
    let client = one.folder.open()?;
    client.set_relation(&one.identity, relation).await?;
    line(format!("{} {done}.", one.identity))
}

async fn call(client: &Client, identity: &IdentityId, name: Option<&str>, forget: bool) -> Result<(), CliError> {
    if *identity == client.identity() {
        return Err(CliError::new(
            USAGE,
            "that is you: a name of your own is for somebody else",
        ));
    }
    if let Some(name) = name {
        let name = ContactName::new(name).map_err(ClientError::from)?;
        client.set_contact_name(identity, Some(name)).await?;
    } else if forget {
        client.set_contact_name(identity, None).await?;
        return line(format!("{identity} has no name of yours any more."));
    }
    match client.contact_name(identity)? {
        Some(name) => line(format!("{identity} is {name} to you.")),
        None => line(format!("{identity} has no name of yours.")),
    }
}

/// An identity, after what the owner calls it.
pub(crate) fn who(client: &Client, identity: &IdentityId) -> String {
    let named = client.contact_name(identity).ok().flatten();
    let names: Names = named.into_iter().map(|name| (*identity, name)).collect();
    names.whole(identity)
}

const fn name(relation: Relation) -> &'static str {
    match relation {
        Relation::Requested => "asks",
        Relation::Allowed => "let in",
        Relation::Blocked => "kept out",
        _ => "unknown",
    }
}

fn list(client: &Client, json: bool) -> Result<(), CliError> {
    let mut all = Vec::new();
    loop {
        let page = client.contacts(all.last().map(|(identity, _)| identity), PAGE)?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    let names = Names::read(client)?;
    all.sort_by_key(|(identity, contact)| (contact.relation != Relation::Requested, *identity));
    for (identity, contact) in all {
        let verified = client.is_verified(&identity)?;
        if json {
            output::json(&json!({
                "identity": identity.to_string(),
                "relation": name(contact.relation),
                "verified": verified,
                "name": names.get(&identity),
                "since_ms": contact.since.get(),
            }))?;
        } else {
            let mark = if verified { "verified" } else { "" };
            let called = names.get(&identity).unwrap_or_default();
            line(format!("{identity}  {:<8}  {mark:<8}  {called}", name(contact.relation)).trim_end())?;
        }
    }
    Ok(())
}

async fn verify(one: &One, shown: Option<&str>, json: bool) -> Result<(), CliError> {
    let client = one.folder.open()?;
    let number = client.safety_number(&one.identity).await?;
    let code = client.verification_code(&one.identity).await?;
    let shown = match shown {
        Some(shown) => shown.to_owned(),
        None => {
            if json {
                output::json(&json!({
                    "identity": one.identity.to_string(),
                    "safety_number": number.to_string(),
                    "code": code.to_string(),
                    "verified": client.is_verified(&one.identity)?,
                }))?;
                client.close().await;
                return Ok(());
            }
            line(who(&client, &one.identity))?;
            line(format!("{number:#}"))?;
            line(qr(&code.to_string())?)?;
            if !agrees()? {
                client.close().await;
                return Err(ClientError::NotVerified {
                    identity: one.identity,
                    why: "the safety numbers were not found to be the same".to_owned(),
                }
                .into());
            }
            number.to_string()
        }
    };
    client.verify_contact(&one.identity, shown.trim()).await?;
    client.close().await;
    if json {
        return output::json(&json!({ "identity": one.identity.to_string(), "verified": true }));
    }
    line(format!("{} is verified.", who(&client, &one.identity)))
}

async fn postage(bits: Option<u8>, device: &DeviceArgs) -> Result<(), CliError> {
    let Some(bits) = bits else {
        return line(format!("{} for each message.", device.folder.open()?.postage()?));
    };
    let bits = PostageBits::new(bits).map_err(|error| CliError::local(error.to_string()))?;
    device.check()?;
    let client = device.open()?;
    let set = client.set_postage(bits).await;
    let published = client.is_published();
    client.close().await;
    set?;
    line(format!("{} for each message from now on.", client.postage()?))?;
    if !published? {
        remark("Too few nodes have taken it yet: `tokenim inbox` goes on with that.");
    }
    Ok(())
}

/// The QR code of a text, two rows in each line of the terminal.
pub(crate) fn qr(text: &str) -> Result<String, CliError> {
    QrCode::with_error_correction_level(text, EcLevel::L)
        .map(|code| code.render::<unicode::Dense1x2>().quiet_zone(true).build())
        .map_err(|error| CliError::local(format!("the QR code can't be drawn: {error}")))
}

fn agrees() -> Result<bool, CliError> {
    let terminal = Term::stderr();
    if !terminal.is_term() {
        remark(
            "Not marked as verified: there is no terminal to answer at; give what the other side shows with --shown.",
        );
        return Ok(false);
    }
    let unread = |error| CliError::local(format!("no answer was read: {error}; try again"));
    loop {
        terminal
            .write_str("Does the other side show the same number? yes or no: ")
            .map_err(unread)?;
        let answer = terminal.read_line().map_err(unread)?;
        match yes_or_no(&answer) {
            Some(agrees) => return Ok(agrees),
            None => remark("That is neither yes nor no."),
        }
    }
}

/// What somebody means who was asked.
pub(crate) fn yes_or_no(answer: &str) -> Option<bool> {
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

async fn notices(client: &Client, json: bool) -> Result<(), CliError> {
    let untold = client.monitor(Duration::ZERO).await?;
    let mut from = 0;
    loop {
        let page = client.notices(from, PAGE)?;
        let Some((last, _)) = page.last() else { break };
        from = last.saturating_add(1);
        for (number, notice) in &page {
            if json {
                output::json(&json!({
                    "number": number,
                    "identity": notice.identity.to_string(),
                    "time_ms": notice.time.get(),
                    "what": describe(client, notice),
                }))?;
            } else {
                line(format!("{}  {}", utc(notice.time.get()), describe(client, notice)))?;
            }
        }
    }
    if let Some((last, _)) = untold.last() {
        client.told(*last).await?;
    }
    client.close().await;
    Ok(())
}

/// Tells the owner what was not told yet.
pub(crate) async fn tell(client: &Client, notices: &[(u64, Notice)]) -> Result<(), CliError> {
    for (_, notice) in notices {
        remark(format!("Keys: {}", describe(client, notice)));
    }
    if let Some((last, _)) = notices.last() {
        client.told(*last).await?;
    }
    Ok(())
}

/// A notice in words.
pub(crate) fn describe(client: &Client, notice: &Notice) -> String {
    let own = notice.identity == client.identity();
    let whose = if own {
        "your identity".to_owned()
    } else {
        who(client, &notice.identity)
    };
    match notice.change {
        KeyChange::DeviceAdded { device, at } if own => format!(
            "device {device} was added to your identity at height {at}. If that was not you, revoke it with `id revoke` \
             and replace your words with `id rotate`"
        ),
        KeyChange::DeviceAdded { device, at } => format!("{whose} has a new device {device} since height {at}"),
        KeyChange::DeviceRevoked { device, at } => format!("device {device} of {whose} is revoked since height {at}"),
        KeyChange::RootChanged { verified: true } if own => format!(
            "{whose} has another root key: nobody is verified any more, compare safety numbers again with those who were"
        ),
        KeyChange::RootChanged { verified: true } => {
            format!("{whose} has another root key: it is not verified any more, compare safety numbers again")
        }
        KeyChange::RootChanged { .. } => format!("{whose} has another root key"),
        KeyChange::Pending { due } => format!(
            "a change of {whose} is pending until {}{}",
            utc(due.get()),
            if own {
                ". If you did not ask for it, drop it with `id cancel` or recover"
            } else {
                ""
            }
        ),
        KeyChange::RecoveryChanged => format!("{whose} has other recovery keys"),
        KeyChange::Deactivated { at } => format!("{whose} is deactivated since height {at}"),
        KeyChange::OtherView { height, theirs, ours } if own => format!(
            "block {height} was proved here twice, with header {ours} and with header {theirs}: the network shows its members \
             different ledgers. Don't rely on it, and tell its operators"
        ),
        KeyChange::OtherView { height, theirs, ours } => format!(
            "{whose} says that block {height} has header {theirs}, but it was proved here to be {ours}: either they lie, \
             or the network shows its members different ledgers. Ask them over another way"
        ),
        KeyChange::UnprovedView { height, theirs } => format!(
            "{whose} says that block {height} has header {theirs}, but no node could prove a block of that height here: \
             either they lie, or the nodes asked here hide it. Ask them over another way"
        ),
        _ => format!("something changed about {whose} that this version does not know"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verification_code_fits_a_terminal() {
        let text = format!("TIM:VERIFY:1:{}", "A".repeat(255));
        let drawn = qr(&text).unwrap();
        let widest = drawn.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 80, "{widest} columns");
    }
}
