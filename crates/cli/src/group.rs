//! `tokenim group`.

use std::io::Read as _;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use futures::FutureExt as _;
use serde_json::{Value, json};
use tokenim_client::chat::{
    Change, Chat, ChatEvent, ChatEvents, Content, ConversationId, Info, Mark, Member, OrderKey, Role, Running,
    SessionSuite, Standing, content,
};
use tokenim_client::{Client, ClientError, IdentityId, MessageId};
use tokenim_wire::limits::SESSION_TEXT_BYTES_MAX;

use crate::args::DeviceArgs;
use crate::chat::names::Names;
use crate::chat::timer::{self, Timer};
use crate::chat::{self, feed};
use crate::error::{CliError, NETWORK, USAGE};
use crate::output::{self, count, line, remark};
use crate::{progress, receipt};

mod links;
mod read;

/// How often it is looked whether something has taken effect, if nothing is told.
const LOOK: Duration = Duration::from_millis(250);
/// Messages among which one that was just written is looked for.
const NEWEST: usize = 512;
/// How long what is due besides is given, once the change itself has taken effect.
const REST: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(crate) struct GroupArgs {
    #[command(subcommand)]
    what: GroupCommand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// X-Wing and AES-256: what is recorded today stays closed to the quantum computers of tomorrow. Up to 64 members.
    PostQuantum,
    /// X25519 and AES-128, as other MLS software has it, for any number of members.
    Classical,
}

impl From<Suite> for SessionSuite {
    fn from(suite: Suite) -> Self {
        match suite {
            Suite::PostQuantum => Self::PostQuantum,
            Suite::Classical => Self::Classical,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NewRole {
    /// Also gives roles.
    Owner,
    /// Invites and removes members, and names the group.
    Admin,
    /// Writes and reads.
    Member,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    /// Others are told.
    On,
    /// Nobody is told.
    Off,
}

impl From<NewRole> for Role {
    fn from(role: NewRole) -> Self {
        match role {
            NewRole::Owner => Self::Owner,
            NewRole::Admin => Self::Admin,
            NewRole::Member => Self::Member,
        }
    }
}

/// Whose folder, how long to wait, and for whom the answer is.
#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    device: DeviceArgs,
    /// Seconds to wait until the ledger shows it; what is not done by then is done by the next command or `tokenim chat`.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Which conversation.
#[derive(Debug, Args)]
struct Which {
    /// The group: its name, or the first letters of its id, as `group list` shows them; for a conversation of two, the
    /// identity of the other.
    #[arg(value_name = "GROUP")]
    group: String,
}

#[derive(Debug, Args)]
struct One {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Named {
    #[command(flatten)]
    which: Which,
    /// Whom.
    #[arg(value_name = "IDENTITY")]
    identity: IdentityId,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum GroupCommand {
    /// Make a group and invite people to it.
    #[command(after_help = "\
Examples:
  tokenim group new 'the five' tim1… tim1… tim1… tim1…
  tokenim group new lab --suite classical

All devices of those you invite are let in. The suite stays as it is for as long as the group exists.")]
    New {
        /// Its name, at most 128 bytes.
        #[arg(value_name = "NAME")]
        name: String,
        /// Whom to invite.
        #[arg(value_name = "IDENTITY")]
        members: Vec<IdentityId>,
        /// What its encryption withstands [default: post-quantum up to 64 members, else classical].
        #[arg(long, value_enum)]
        suite: Option<Suite>,
        #[command(flatten)]
        common: Common,
    },
    /// List all conversations, those of two people included.
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Show who is in a group, and how it stands.
    Show(One),
    /// Let somebody in.
    Invite(Named),
    /// Put somebody out: what is written from then on is closed to them.
    Remove(Named),
    /// Leave a group. The others remove your devices from it.
    Leave(One),
    /// Give a group another name.
    Rename {
        #[command(flatten)]
        which: Which,
        /// Its name, at most 128 bytes.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        common: Common,
    },
    /// Let messages disappear some time after they were written, or stay.
    #[command(after_help = "\
Examples:
  tokenim group disappear 'the five' 7d
  tokenim group disappear tim1… off

It holds for what is written from then on, on the devices of all members that follow the rules. In a group, admins and owners
set it; of two people, either.")]
    Disappear {
        #[command(flatten)]
        which: Which,
        /// off, or a number with s, m, h, d or w: at most 52w.
        #[arg(value_name = "TIME")]
        after: Timer,
        #[command(flatten)]
        common: Common,
    },
    /// Show or set whether others are told what this device has received and read, and when you type: in all conversations.
    Receipts {
        /// Without it, only show.
        #[arg(value_enum)]
        set: Option<Switch>,
        #[command(flatten)]
        common: Common,
    },
    /// Give a member another role.
    Role {
        #[command(flatten)]
        named: Named,
        /// Which.
        #[arg(value_enum)]
        role: NewRole,
    },
    /// Write to a group; returns once a quorum of nodes keeps it.
    #[command(after_help = "\
Examples:
  tokenim group send 'the five' 'see you at eight'
  date | tokenim group send 'the five'
  tokenim group send tim1… 'only to you'        (begins a conversation of two)")]
    Send {
        #[command(flatten)]
        which: Which,
        /// The text; without it, standard input is sent.
        text: Option<String>,
        /// Answer this message.
        #[arg(long, value_name = "MESSAGE")]
        answer: Option<MessageId>,
        /// Also wait until the acceptance is proved on the ledger, a few seconds.
        #[arg(long)]
        proof: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Show what was written, after a look at the network.
    #[command(after_help = "\
Examples:
  tokenim group read 'the five'
  tokenim group read 'the five' --last 20 --json

With --json, one object for each message. All members see the messages in the same order.")]
    Read {
        #[command(flatten)]
        one: One,
        /// At most so many messages, the newest.
        #[arg(long, value_name = "N", default_value_t = 100)]
        last: usize,
    },
    #[command(flatten)]
    Links(links::LinkCommand),
}

pub(crate) async fn run(args: &GroupArgs) -> Result<(), CliError> {
    match &args.what {
        GroupCommand::New {
            name,
            members,
            suite,
            common,
        } => new(name, members, *suite, common).await,
        GroupCommand::List { common } => list(common).await,
        GroupCommand::Show(one) => {
            let work = Work::begin(&one.common)?;
            let info = work.find(&one.which)?;
            work.show(&info)?;
            work.end().await
        }
        GroupCommand::Invite(named) => {
            let whom = named.identity;
            change(&named.which, &named.common, Change::Invite(whom), |info, _| {
                has(info, &whom)
            })
            .await
        }
        GroupCommand::Remove(named) => {
            let whom = named.identity;
            change(&named.which, &named.common, Change::Remove(whom), |info, _| {
                !has(info, &whom)
            })
            .await
        }
        GroupCommand::Leave(one) => {
            // Once the ledger shows it, the others do the rest.
            let left = |info: &Info, own: &IdentityId| {
                let stays = |member: &Member| member.identity == *own && member.role != Role::Leaving;
                info.standing == Standing::Removed || !info.members.iter().any(stays)
            };
            change(&one.which, &one.common, Change::Leave, left).await
        }
        GroupCommand::Rename { which, name, common } => {
            change(which, common, Change::Rename(name.clone()), |info, _| {
                info.name == *name
            })
            .await
        }
        GroupCommand::Disappear { which, after, common } => {
            let after = after.0;
            change(which, common, Change::Disappear(after), |info, _| {
                info.disappear_after == after
            })
            .await
        }
        GroupCommand::Receipts { set, common } => receipts(*set, common).await,
        GroupCommand::Role { named, role } => {
            let (whom, role) = (named.identity, Role::from(*role));
            let given = |info: &Info, _: &IdentityId| {
                info.members
                    .iter()
                    .any(|member| member.identity == whom && member.role == role)
            };
            change(&named.which, &named.common, Change::SetRole(whom, role), given).await
        }
        GroupCommand::Send {
            which,
            text,
            answer,
            proof,
            common,
        } => send(which, text.as_deref(), *answer, *proof, common).await,
        GroupCommand::Read { one, last } => read::read(one, *last).await,
        GroupCommand::Links(command) => links::run(command).await,
    }
}

fn has(info: &Info, identity: &IdentityId) -> bool {
    info.members.iter().any(|member| member.identity == *identity)
}

/// A client whose conversations are worked on.
struct Work<'a> {
    common: &'a Common,
    client: Client,
    chat: Chat,
    events: ChatEvents,
    running: Running,
}

impl<'a> Work<'a> {
    fn begin(common: &'a Common) -> Result<Self, CliError> {
        common.device.check()?;
        let client = common.device.open()?;
        let chat = client.chat()?;
        let events = chat.events();
        let running = chat.run()?;
        Ok(Self {
            common,
            client,
            chat,
            events,
            running,
        })
    }

    const fn patience(&self) -> Duration {
        Duration::from_secs(self.common.wait)
    }

    async fn end(mut self) -> Result<(), CliError> {
        drop(self.running);
        while let Some(Some(event)) = self.events.next().now_or_never() {
            tell(&event);
        }
        self.client.close().await;
        Ok(())
    }

    /// The conversation that is meant.
    fn find(&self, which: &Which) -> Result<Info, CliError> {
        let text = which.group.trim();
        if let Ok(identity) = text.parse::<IdentityId>() {
            return Ok(self
                .chat
                .conversation(ConversationId::between(&self.client.identity(), &identity))?);
        }
        let all = self.chat.conversations()?;
        let lower = text.to_lowercase();
        let named: Vec<&Info> = all
            .iter()
            .filter(|info| info.with.is_none() && info.name == text)
            .collect();
        let found = if named.is_empty() && lower.len() >= 4 {
            all.iter()
                .filter(|info| info.conversation.to_string().starts_with(&lower))
                .collect()
        } else {
            named
        };
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(CliError::new(
                USAGE,
                format!("there is no group called {text}: `tokenim group list` shows names and ids"),
            )),
            _ => Err(CliError::new(
                USAGE,
                format!(
                    "{} are called {text}: give the first letters of an id, as `tokenim group list` shows them",
                    count(found.len(), "group")
                ),
            )),
        }
    }

    /// Waits until something is so, or the time is up; whether it is so.
    async fn until(&mut self, mut is: impl FnMut(&Chat) -> Result<bool, ClientError>) -> Result<bool, CliError> {
        let deadline = tokio::time::Instant::now() + self.patience();
        loop {
            if is(&self.chat)? {
                return Ok(true);
            }
            tokio::select! {
                Some(event) = self.events.next() => tell(&event),
                () = tokio::time::sleep(LOOK) => {}
                () = tokio::time::sleep_until(deadline) => return Ok(false),
                error = self.running.failed() => return Err(CliError::local(error.to_string())),
            }
        }
    }

    /// Prints a conversation.
    fn show(&self, info: &Info) -> Result<(), CliError> {
        if self.common.json {
            return output::json(&described(&self.chat, info)?);
        }
        for text in sentences(&self.chat, info)? {
            line(text)?;
        }
        Ok(())
    }
}

/// Remarks what the owner should know of.
fn tell(event: &ChatEvent) {
    match event {
        ChatEvent::Session(event) => {
            if let Some(text) = chat::told(event) {
                remark(text);
            }
        }
        ChatEvent::Inbox(received) => remark(chat::inbox_told(&received.message.sender)),
        _ => {}
    }
}

fn described(chat: &Chat, info: &Info) -> Result<Value, CliError> {
    let members: Vec<_> = info
        .members
        .iter()
        .map(|member| {
            let devices: Vec<_> = member.devices.iter().map(ToString::to_string).collect();
            json!({
                "identity": member.identity.to_string(),
                "role": feed::role(member.role),
                "devices": devices,
            })
        })
        .collect();
    Ok(json!({
        "group": info.conversation.to_string(),
        "name": if info.with.is_some() { None } else { Some(&info.name) },
        "with": info.with.map(|with| with.to_string()),
        "suite": feed::suite(info.suite),
        "epoch": info.epoch,
        "authenticator": tokenim_wire::hex::encode(&info.authenticator),
        "standing": standing(info.standing),
        "members": members,
        "waiting": feed::waiting(chat, info.conversation)?,
        "disappear_after_s": info.disappear_after,
        "requests": links::asking_json(chat, info)?,
        "action": info.action.map(crate::chat::advice),
    }))
}

const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Joining => "joining",
        Standing::Active => "active",
        Standing::Behind => "behind",
        Standing::Removed => "removed",
        Standing::Stranded => "stranded",
    }
}

fn sentences(chat: &Chat, info: &Info) -> Result<Vec<String>, CliError> {
    let names = Names::read(chat.client())?;
    let mut said = vec![
        format!("group     {}", info.conversation),
        format!("name      {}", feed::name(info, &names).as_str()),
        format!(
            "state     {}, epoch {}, {}",
            standing(info.standing),
            info.epoch,
            feed::suite(info.suite)
        ),
    ];
    let waiting = feed::waiting(chat, info.conversation)?;
    if waiting > 0 {
        said.push(format!("waiting   {}", count(waiting, "message")));
    }
    if let Some(seconds) = info.disappear_after {
        said.push(format!("messages  disappear after {}", timer::words(seconds)));
    }
    for member in &info.members {
        let who = if member.identity == chat.client().identity() {
            " (you)"
        } else if chat.client().is_verified(&member.identity)? {
            " (verified)"
        } else {
            ""
        };
        said.push(format!(
            "member    {} {}, {}{who}",
            names.whole(&member.identity),
            feed::role(member.role),
            count(member.devices.len(), "device"),
        ));
    }
    said.extend(links::asking(chat, info)?);
    if let Some(action) = info.action {
        said.push(format!("to do     {}", crate::chat::advice(action)));
    }
    Ok(said)
}

async fn new(name: &str, members: &[IdentityId], suite: Option<Suite>, common: &Common) -> Result<(), CliError> {
    let mut work = Work::begin(common)?;
    let made = work
        .chat
        .create_group(name, members.to_vec(), suite.map(SessionSuite::from))
        .await?;
    let waiting = progress::spinner("inviting");
    let all = work
        .until(|chat| {
            let info = chat.conversation(made)?;
            let named = |action| {
                use tokenim_client::chat::Action;
                matches!(action, Action::NoPackage(_) | Action::NoIdentity(_))
            };
            Ok(info.action.is_some_and(named)
                || (info.standing == Standing::Active && members.iter().all(|member| has(&info, member))))
        })
        .await;
    let settled = work.chat.settle(REST).await;
    waiting.finish_and_clear();
    finish(work, made, all? && settled).await
}

/// Shows what a conversation is after a change, and says if the change is not through.
async fn finish(work: Work<'_>, conversation: ConversationId, done: bool) -> Result<(), CliError> {
    let info = work.chat.conversation(conversation)?;
    work.show(&info)?;
    work.end().await?;
    if done {
        return Ok(());
    }
    Err(CliError::new(
        NETWORK,
        "it is kept, but the ledger does not show all of it yet: the next command, or `tokenim chat`, goes on with it",
    ))
}

async fn list(common: &Common) -> Result<(), CliError> {
    let work = Work::begin(common)?;
    let waiting = progress::spinner("reading from the nodes");
    work.chat.settle(work.patience().min(REST)).await;
    waiting.finish_and_clear();
    let mut all = work.chat.conversations()?;
    all.sort_by(|one, other| {
        one.name
            .cmp(&other.name)
            .then(one.conversation.cmp(&other.conversation))
    });
    if all.is_empty() && !common.json {
        remark("No conversations yet: `tokenim group new` makes a group, `tokenim chat` begins one of two people.");
    }
    let names = Names::read(&work.client)?;
    for info in &all {
        if common.json {
            output::json(&described(&work.chat, info)?)?;
        } else {
            let id: String = info.conversation.to_string().chars().take(8).collect();
            let members = match info.with {
                Some(_) => "two people".to_owned(),
                None => count(info.members.len(), "member"),
            };
            let state = standing(info.standing);
            line(format!(
                "{id}  {state:<8}  {members:<12}  {}",
                feed::name(info, &names).as_str()
            ))?;
        }
    }
    work.end().await
}

async fn change(
    which: &Which,
    common: &Common,
    change: Change,
    is: impl Fn(&Info, &IdentityId) -> bool,
) -> Result<(), CliError> {
    let mut work = Work::begin(common)?;
    let (own, conversation) = (work.client.identity(), work.find(which)?.conversation);
    work.chat.change(conversation, change).await?;
    let waiting = progress::spinner("waiting for the ledger");
    let through = work.until(|chat| Ok(is(&chat.conversation(conversation)?, &own))).await;
    let settled = work.chat.settle(REST).await;
    waiting.finish_and_clear();
    finish(work, conversation, through? && settled).await
}

async fn receipts(set: Option<Switch>, common: &Common) -> Result<(), CliError> {
    common.device.check()?;
    let client = common.device.open()?;
    let chat = client.chat()?;
    if let Some(set) = set {
        chat.set_receipts(set == Switch::On).await?;
    }
    let receipts = chat.receipts()?;
    client.close().await;
    if common.json {
        return output::json(&json!({ "receipts": receipts }));
    }
    line(if receipts {
        "Others are told what this device has received and read, and when you type."
    } else {
        "Nobody is told what this device has received or read, or when you type."
    })
}

fn text(given: Option<&str>) -> Result<content::MessageText, CliError> {
    let text = match given {
        Some(text) => text.to_owned(),
        None => {
            let mut bytes = Vec::new();
            let limit = u64::try_from(SESSION_TEXT_BYTES_MAX).unwrap_or(u64::MAX);
            std::io::stdin()
                .lock()
                .take(limit.saturating_add(1))
                .read_to_end(&mut bytes)
                .map_err(|error| CliError::local(format!("standard input: {error}; give a text instead")))?;
            String::from_utf8(bytes).map_err(|_| {
                CliError::new(
                    USAGE,
                    "standard input is not text: send a file with `tokenim send --file`",
                )
            })?
        }
    };
    let text = text.trim_end_matches('\n');
    content::MessageText::new(text).map_err(|_| {
        CliError::new(
            USAGE,
            format!(
                "a text has 1 byte to {} KiB: send less at a time, or something",
                SESSION_TEXT_BYTES_MAX / 1_024
            ),
        )
    })
}

async fn send(
    which: &Which,
    given: Option<&str>,
    answer: Option<MessageId>,
    proof: bool,
    common: &Common,
) -> Result<(), CliError> {
    let text = text(given)?;
    let mut work = Work::begin(common)?;
    let conversation = match which.group.trim().parse::<IdentityId>() {
        Ok(identity) => work.chat.start(identity).await?,
        Err(_) => work.find(which)?.conversation,
    };
    let said = match answer {
        Some(to) => Content::Reply { to, text },
        None => Content::Text(text),
    };
    let message = work.chat.send(conversation, said).await?;
    let waiting = progress::spinner("sending");
    let mut order: Option<OrderKey> = None;
    let stored = work
        .until(|chat| {
            let sent = chat.newest(conversation, NEWEST)?.0;
            let sent = sent.iter().rev().find(|one| Some(one.id) == message);
            order = sent.map(|sent| sent.order);
            Ok(sent.is_some_and(|sent| sent.mark >= Some(Mark::Stored)))
        })
        .await;
    let stored = match stored {
        Ok(stored) => stored,
        Err(error) => {
            waiting.finish_and_clear();
            return Err(error);
        }
    };
    let proved = match order.filter(|_| proof && stored) {
        Some(order) => {
            waiting.set_message("waiting for the proof");
            work.chat.proof_of(conversation, &order, work.patience()).await?
        }
        None => None,
    };
    waiting.finish_and_clear();
    let light = work.client.network().light_client();
    if common.json {
        output::json(&json!({
            "group": conversation.to_string(),
            "message": message.map(|message| message.to_string()),
            "stored": stored,
            "proof": proved.as_ref().map(|proof| receipt::describe(&light, proof)).transpose()?,
        }))?;
    } else {
        if let Some(message) = message {
            line(format!("message {message}"))?;
        }
        if let Some(proved) = &proved {
            line(receipt::sentence(&light, proved)?)?;
        }
    }
    work.end().await?;
    if !stored {
        return Err(CliError::new(
            NETWORK,
            "the message is kept, but not by a quorum of nodes yet: the next command, or `tokenim chat`, sends it",
        ));
    }
    if proof && proved.is_none() {
        return Err(CliError::new(
            NETWORK,
            "the message is sent, but the ledger does not show it yet: the proof is there in a few seconds",
        ));
    }
    Ok(())
}
