//! `tokenim group link` and what belongs to it: letting people in by a link, and asking to be let in.

use std::io::BufRead as _;
use std::time::Duration;

use clap::Subcommand;
use console::Term;
use serde_json::{Value, json};
use tokenim_client::chat::{Chat, ConversationId, Info, InviteLink, InviteName, JoinRequest, Standing};
use tokenim_client::{ClientError, IdentityId};
use tokenim_wire::limits::INVITE_LIFETIME_SECONDS_MAX;

use super::{Common, Named, One, REST, Which, Work, finish, has};
use crate::chat::feed::head;
use crate::chat::names::Names;
use crate::contact::{qr, who};
use crate::error::{CliError, NETWORK, USAGE};
use crate::output::{self, count, line, remark, utc};
use crate::progress;

const DAY: u64 = 24 * 60 * 60;
/// More bytes than this are no link.
const LINK_BYTES_MAX: u64 = 4_096;

#[derive(Debug, Subcommand)]
pub(super) enum LinkCommand {
    /// Make a link by which people ask you to be let into a group; you decide about each.
    #[command(after_help = "\
Examples:
  tokenim group link 'the five'                  (good for 7 days)
  tokenim group link 'the five' --days 1 --json
  tokenim group requests 'the five'              (who has asked)

The link can be posted where everybody reads it: it lets nobody in by itself. Whoever has it sees that the group exists, not
who is in it nor what is said, and asks all your devices; one of them answers. `tokenim group unlink` makes it worthless and
forgets who asked by it. For admins and owners.")]
    Link {
        #[command(flatten)]
        which: Which,
        /// For how many days, at most 30.
        #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=INVITE_LIFETIME_SECONDS_MAX / DAY))]
        days: u64,
        #[command(flatten)]
        common: Common,
    },
    /// List the links into a group that you have made and that are good.
    Links(One),
    /// Make links worthless; who has asked by them is forgotten.
    #[command(after_help = "\
Examples:
  tokenim group unlink 'the five' 3fa9c1d2       (one, by the first letters of its name, as `group links` shows them)
  tokenim group unlink 'the five'                (all)")]
    Unlink {
        #[command(flatten)]
        which: Which,
        /// The link, or the first letters of its name; without it, all.
        #[arg(value_name = "LINK")]
        link: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Ask to be let into a group by a link.
    #[command(after_help = "\
Examples:
  tokenim group join                             (asks for the link)
  tokenim group join TIM:INVITE:1:…
  tokenim group list                             (shows the group as `joining` until you are let in)

The one who made the link learns your identity and decides. Nothing is told if they don't let you in. When they do, the group
comes by itself, on all your devices.")]
    Join {
        /// The link; without it, it is asked for, or read from standard input.
        #[arg(value_name = "LINK")]
        link: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// List who asks to be let in, into one group or any.
    #[command(after_help = "\
Example:
  tokenim group requests 'the five'
  tokenim contact verify tim1…                   (is it who they say?)
  tokenim group admit 'the five' tim1…

A request shows an identity and nothing else. Whom you block is not listed.")]
    Requests {
        /// The group; without it, all.
        #[arg(value_name = "GROUP")]
        group: Option<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Let somebody in who has asked.
    Admit(Named),
    /// Don't let somebody in. They learn nothing, and don't come before you again.
    Refuse {
        #[command(flatten)]
        which: Which,
        /// Whom; several at once.
        #[arg(value_name = "IDENTITY", required_unless_present = "all")]
        identities: Vec<IdentityId>,
        /// Everyone who asks.
        #[arg(long, conflicts_with = "identities")]
        all: bool,
        #[command(flatten)]
        common: Common,
    },
}

pub(super) async fn run(command: &LinkCommand) -> Result<(), CliError> {
    match command {
        LinkCommand::Link { which, days, common } => link(which, *days, common).await,
        LinkCommand::Links(one) => links(one).await,
        LinkCommand::Unlink { which, link, common } => unlink(which, link.as_deref(), common).await,
        LinkCommand::Join { link, common } => join(link.as_deref(), common).await,
        LinkCommand::Requests { group, common } => requests(group.as_deref(), common).await,
        LinkCommand::Admit(named) => admit(named).await,
        LinkCommand::Refuse {
            which,
            identities,
            all,
            common,
        } => refuse(which, identities, *all, common).await,
    }
}

fn name(link: &InviteLink) -> InviteName {
    InviteName::of(&link.secret)
}

fn described(conversation: ConversationId, link: &InviteLink) -> Value {
    json!({
        "group": conversation.to_string(),
        "link": link.to_string(),
        "name": name(link).to_string(),
        "expires": link.expires.get(),
    })
}

async fn link(which: &Which, days: u64, common: &Common) -> Result<(), CliError> {
    let work = Work::begin(common)?;
    let conversation = work.find(which)?.conversation;
    let lifetime = Duration::from_secs(days.saturating_mul(DAY));
    let link = work.chat.make_link(conversation, lifetime).await?;
    // So that the owner's other devices can answer too.
    work.chat.settle(REST).await;
    if common.json {
        output::json(&described(conversation, &link))?;
    } else {
        let text = link.to_string();
        line(qr(&text)?)?;
        line(text)?;
        remark(format!(
            "Link {} is good until {}. It lets nobody in: `tokenim group requests` shows who asks.",
            head(&name(&link)),
            utc(link.expires.get().saturating_mul(1_000))
        ));
    }
    work.end().await
}

async fn links(one: &One) -> Result<(), CliError> {
    let work = Work::begin(&one.common)?;
    let conversation = work.find(&one.which)?.conversation;
    let links = work.chat.links(conversation)?;
    if links.is_empty() && !one.common.json {
        remark("No links into this group: `tokenim group link` makes one.");
    }
    for link in &links {
        if one.common.json {
            output::json(&described(conversation, link))?;
        } else {
            let until = utc(link.expires.get().saturating_mul(1_000));
            line(format!("{}  until {until}  {link}", head(&name(link))))?;
        }
    }
    work.end().await
}

/// The link that is meant, if one is.
fn named(chat: &Chat, conversation: ConversationId, text: Option<&str>) -> Result<Option<InviteName>, CliError> {
    let Some(text) = text else { return Ok(None) };
    let lower = text.trim().to_lowercase();
    let links = chat.links(conversation)?;
    let mut found = links.iter().filter(|link| {
        link.to_string() == text.trim() || (lower.len() >= 4 && name(link).to_string().starts_with(&lower))
    });
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(Some(name(one))),
        (None, _) => Err(CliError::new(
            USAGE,
            "there is no such link into this group: `tokenim group links` shows them with their names",
        )),
        _ => Err(CliError::new(
            USAGE,
            "several links have names that begin so: give more letters, as `tokenim group links` shows them",
        )),
    }
}

async fn unlink(which: &Which, text: Option<&str>, common: &Common) -> Result<(), CliError> {
    let work = Work::begin(common)?;
    let conversation = work.find(which)?.conversation;
    let before = work.chat.links(conversation)?.len();
    let link = named(&work.chat, conversation, text)?;
    work.chat.revoke_link(conversation, link).await?;
    work.chat.settle(REST).await;
    let left = work.chat.links(conversation)?.len();
    let revoked = before.saturating_sub(left);
    if common.json {
        output::json(&json!({ "group": conversation.to_string(), "revoked": revoked, "left": left }))?;
    } else {
        line(format!("revoked   {}", count(revoked, "link")))?;
    }
    work.end().await
}

/// A link that is typed, pasted or comes over standard input: longer than a terminal's line need not be an argument.
fn read() -> Result<String, CliError> {
    let unread = |error| CliError::local(format!("no link was read: {error}; give it as an argument"));
    let terminal = Term::stderr();
    if terminal.is_term() {
        let read = terminal.write_str("The link: ").and_then(|()| terminal.read_line());
        return read.map_err(unread);
    }
    let mut text = String::new();
    std::io::Read::take(std::io::stdin().lock(), LINK_BYTES_MAX)
        .read_line(&mut text)
        .map_err(unread)?;
    Ok(text)
}

async fn join(given: Option<&str>, common: &Common) -> Result<(), CliError> {
    let text = match given {
        Some(text) => text.to_owned(),
        None => read()?,
    };
    let link: InviteLink = text
        .trim()
        .parse()
        .map_err(|error| CliError::new(USAGE, format!("{error}")))?;
    let work = Work::begin(common)?;
    let asked = link.ask;
    let conversation = work.chat.join(link).await?;
    let waiting = progress::spinner("asking");
    let sent = work.chat.settle(work.patience()).await;
    waiting.finish_and_clear();
    let info = work.chat.conversation(conversation)?;
    work.show(&info)?;
    if sent && info.standing == Standing::Joining && info.action.is_none() && !common.json {
        remark(format!(
            "{asked} is asked. The group comes by itself when you are let in."
        ));
    }
    work.end().await?;
    if sent {
        return Ok(());
    }
    Err(CliError::new(
        NETWORK,
        "the request is kept, but not sent yet: the next command, or `tokenim chat`, goes on with it",
    ))
}

fn request_json(conversation: ConversationId, request: &JoinRequest) -> Value {
    json!({
        "group": conversation.to_string(),
        "identity": request.asker.to_string(),
        "link": request.link.to_string(),
        "received_ms": request.at.get(),
    })
}

/// What `group show` says of those who ask.
pub(super) fn asking(chat: &Chat, info: &Info) -> Result<Vec<String>, ClientError> {
    let requests = chat.requests(info.conversation)?;
    Ok(requests
        .iter()
        .map(|request| {
            format!(
                "asks      {} to be let in, since {}",
                who(chat.client(), &request.asker),
                utc(request.at.get())
            )
        })
        .collect())
}

/// The same for programs.
pub(super) fn asking_json(chat: &Chat, info: &Info) -> Result<Vec<Value>, ClientError> {
    let requests = chat.requests(info.conversation)?;
    Ok(requests
        .iter()
        .map(|request| request_json(info.conversation, request))
        .collect())
}

async fn requests(group: Option<&str>, common: &Common) -> Result<(), CliError> {
    let work = Work::begin(common)?;
    let waiting = progress::spinner("reading from the nodes");
    let settled = work.chat.settle(work.patience().min(REST)).await;
    waiting.finish_and_clear();
    let groups = match group {
        Some(group) => vec![work.find(&Which {
            group: group.to_owned(),
        })?],
        None => work.chat.conversations()?,
    };
    let names = Names::read(&work.client)?;
    let mut any = false;
    for info in &groups {
        for request in work.chat.requests(info.conversation)? {
            any = true;
            if common.json {
                output::json(&request_json(info.conversation, &request))?;
                continue;
            }
            let verified = if work.client.is_verified(&request.asker)? {
                "  verified"
            } else {
                ""
            };
            line(format!(
                "{}  {}  {}  link {}{verified}",
                utc(request.at.get()),
                names.whole(&request.asker),
                crate::chat::feed::name(info, &names).as_str(),
                head(&request.link),
            ))?;
        }
    }
    if !any && !common.json {
        remark("Nobody asks to be let in.");
    }
    if !settled {
        remark("Possibly incomplete: not all nodes that keep your inbox have answered yet.");
    }
    work.end().await
}

async fn admit(named: &Named) -> Result<(), CliError> {
    let mut work = Work::begin(&named.common)?;
    let conversation = work.find(&named.which)?.conversation;
    let waiting = progress::spinner("reading from the nodes");
    // Perhaps the request has come since the last command.
    work.chat.settle(REST).await;
    let answered = work.chat.admit(conversation, named.identity).await;
    if let Err(error) = answered {
        waiting.finish_and_clear();
        return Err(error.into());
    }
    waiting.set_message("waiting for the ledger");
    let through = work
        .until(|chat| Ok(has(&chat.conversation(conversation)?, &named.identity)))
        .await;
    let settled = work.chat.settle(REST).await;
    waiting.finish_and_clear();
    finish(work, conversation, through? && settled).await
}

async fn refuse(which: &Which, identities: &[IdentityId], all: bool, common: &Common) -> Result<(), CliError> {
    let work = Work::begin(common)?;
    let conversation = work.find(which)?.conversation;
    work.chat.settle(REST).await;
    let asking = work.chat.requests(conversation)?;
    let refused: Vec<IdentityId> = if all {
        asking.iter().map(|request| request.asker).collect()
    } else {
        identities.to_vec()
    };
    for identity in &refused {
        work.chat.refuse(conversation, *identity).await?;
    }
    work.chat.settle(REST).await;
    let left = work.chat.requests(conversation)?.len();
    if common.json {
        output::json(&json!({ "group": conversation.to_string(), "refused": refused.len(), "left": left }))?;
    } else {
        line(format!("refused   {}", count(refused.len(), "request")))?;
    }
    work.end().await
}
