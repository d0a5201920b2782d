//! `tokenim inbox`.

use std::time::{Duration, Instant};

use serde_json::json;
use tokenim_client::step::InboxMessage;
use tokenim_client::step::contact::Relation;
use tokenim_client::{Client, ContentKind, Event};
use tokenim_wire::hex;

use crate::args::InboxArgs;
use crate::error::CliError;
use crate::output::{self, count, line, printable, remark, utc};
use crate::progress::during;
use crate::{contact, id, signals};

/// How often the outbox is looked after while following.
const MAINTAIN_EVERY: Duration = Duration::from_secs(5);
/// Nodes may be missing this long before it is said.
const DOUBT_AFTER: Duration = Duration::from_secs(3);
/// How old the last look at a contact's keys may be.
const CONTACT_AGE: Duration = Duration::from_secs(3_600);
/// How old the proof of a sender's links may be.
const MAX_AGE: Duration = Duration::from_secs(30);
/// Messages read from the store at a time.
const PAGE: usize = 256;

pub(crate) async fn run(args: &InboxArgs) -> Result<(), CliError> {
    args.device.check()?;
    let client = args.device.open()?;
    let mut next = if args.all { 0 } else { client.unshown()? };
    if args.follow {
        follow(args, &client, next).await?;
    } else {
        if args.all {
            show_from(args, &client, &mut next).await?;
        }
        let reading = during("reading from the nodes", client.receive()).await?;
        let shown = show_from(args, &client, &mut next).await?;
        for caught in &reading.caught {
            remark(format!(
                "node {}: {}; its answer was refused",
                output::short(&caught.node),
                caught.fault
            ));
        }
        for refused in &reading.refused {
            remark(format!("an envelope was refused: {}", refused.why));
        }
        if reading.complete {
            if shown == 0 && !args.json {
                remark("Nothing new.");
            }
        } else {
            remark(incomplete(reading.answers, reading.needed, reading.missing));
        }
        client.maintain(Duration::from_secs(5)).await?;
        contact::tell(&client, &client.monitor(CONTACT_AGE).await?).await?;
    }
    client.close().await;
    Ok(())
}

/// Why something that was accepted may be missing.
fn incomplete(answers: usize, needed: usize, missing: usize) -> String {
    let listed = match missing {
        0 => String::new(),
        _ => format!("; they list {} that none of them gives", count(missing, "message")),
    };
    format!(
        "Possibly incomplete: {} answered, {needed} must{listed}.",
        count(answers, "node")
    )
}

/// What was last said about the nodes that are followed, and what would be said now.
#[derive(Default)]
struct Coverage {
    complete: Option<bool>,
    now: Option<(bool, String, Instant)>,
}

impl Coverage {
    fn change(&mut self, answers: usize, needed: usize, missing: usize, complete: bool) {
        let text = if complete {
            format!("Complete: {} answered, {needed} must.", count(answers, "node"))
        } else {
            incomplete(answers, needed, missing)
        };
        // When it began to be so, not when it last changed in detail.
        let since = match &self.now {
            Some((was, _, since)) if *was == complete => *since,
            _ => Instant::now(),
        };
        self.now = Some((complete, text, since));
    }

    /// Says it if it makes a difference and has been so for a while.
    fn tell(&mut self) {
        if let Some((complete, text, since)) = &self.now
            && self.complete != Some(*complete)
            && (*complete || since.elapsed() >= DOUBT_AFTER)
        {
            remark(text);
            self.complete = Some(*complete);
        }
    }
}

async fn follow(args: &InboxArgs, client: &Client, mut next: u64) -> Result<(), CliError> {
    show_from(args, client, &mut next).await?;
    let mut events = client.follow()?;
    let mut maintain = tokio::time::interval(MAINTAIN_EVERY);
    maintain.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut look = tokio::time::interval(Duration::from_millis(500));
    let mut coverage = Coverage::default();
    let stopped = signals::stopped();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            event = events.next() => match event {
                None => return Ok(()),
                Some(Event::Message(_)) => {
                    show_from(args, client, &mut next).await?;
                }
                Some(Event::Notice(number, notice)) => contact::tell(client, &[(number, notice)]).await?,
                Some(Event::Refused(refused)) => remark(format!("an envelope was refused: {}", refused.why)),
                Some(Event::Caught(caught)) => remark(format!(
                    "node {}: {}; its answer was refused",
                    output::short(&caught.node),
                    caught.fault
                )),
                Some(Event::Coverage { answers, needed, missing, complete }) => {
                    coverage.change(answers, needed, missing, complete);
                    coverage.tell();
                }
                Some(Event::Failed(error)) => return Err(error.into()),
                Some(_) => {}
            },
            _ = look.tick() => {
                // What another program has received is shown here too.
                show_from(args, client, &mut next).await?;
                coverage.tell();
            }
            _ = maintain.tick() => {
                client.maintain(Duration::from_secs(2)).await?;
            }
            () = &mut stopped => return Ok(()),
        }
    }
}

/// Shows what was received from a number on, whichever program has received it, and remembers that it was shown; how many.
async fn show_from(args: &InboxArgs, client: &Client, next: &mut u64) -> Result<usize, CliError> {
    let mut shown: usize = 0;
    loop {
        let page = client.messages(*next, PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(shown);
        };
        for (number, message) in &page {
            // What devices say to each other about conversations is for the program, not for people.
            if ContentKind::new(message.kind) != tokenim_client::chat::SESSION_KIND {
                show(args, client, *number, message).await?;
                shown = shown.saturating_add(1);
            }
        }
        client.shown(*last).await?;
        *next = last.saturating_add(1);
    }
}

async fn show(args: &InboxArgs, client: &Client, number: u64, message: &InboxMessage) -> Result<(), CliError> {
    let kind = ContentKind::new(message.kind);
    let relation = client.contact(&message.sender)?.map(|contact| contact.relation);
    let text = if kind == ContentKind::TEXT {
        std::str::from_utf8(&message.body).ok()
    } else {
        None
    };
    let account = if kind == ContentKind::ACCOUNT {
        let sender = client.refresh(&message.sender, MAX_AGE).await;
        Some(match sender {
            Ok(sender) => id::link::shown(client.network().id(), &sender, &message.body),
            Err(error) => Err(error.to_string()),
        })
    } else {
        None
    };
    let verified = client.is_verified(&message.sender)?;
    if args.json {
        let mut value = json!({
            "number": number,
            "message": message.id.to_string(),
            "from": message.sender.to_string(),
            "verified": verified,
            "request": relation == Some(Relation::Requested),
            "device": message.device.to_string(),
            "envelope": message.envelope.to_string(),
            "received_ms": message.received.get(),
            "bytes": message.body.len(),
        });
        if let Some(object) = value.as_object_mut() {
            match (text, &account) {
                (Some(text), _) => object.insert("text".to_owned(), text.into()),
                (None, Some(Ok(account))) => object.insert("account".to_owned(), account.as_str().into()),
                (None, _) => object.insert("hex".to_owned(), hex::encode(&message.body).into()),
            };
        }
        return output::json(&value);
    }
    let mark = match relation {
        _ if verified => "  (verified)",
        Some(Relation::Requested) => "  (new: `contact allow` or `contact block` decides)",
        _ => "",
    };
    line(format!(
        "{}  from {}  message {}{mark}",
        utc(message.received.get()),
        message.sender,
        message.id
    ))?;
    let body = match (text, account) {
        (Some(text), _) => printable(text),
        (None, Some(Ok(account))) => format!("(shows that the account {account} is theirs: proved)"),
        (None, Some(Err(why))) => format!("(claims an account, not proved: {why})"),
        (None, None) => format!("({} bytes that are not text; --json shows them)", message.body.len()),
    };
    for text in body.lines() {
        line(format!("  {text}"))?;
    }
    Ok(())
}
