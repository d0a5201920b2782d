//! `tokenim inbox`.

use std::time::Duration;

use serde_json::json;
use tokenim_client::step::InboxMessage;
use tokenim_client::{Client, ContentKind, Event, Received};
use tokenim_wire::hex;

use crate::args::InboxArgs;
use crate::error::CliError;
use crate::output::{self, line, printable, remark, utc};
use crate::{progress, secret, signals, status};

/// How often the outbox is looked after while following.
const MAINTAIN_EVERY: Duration = Duration::from_secs(5);
/// Messages read from the store at a time.
const PAGE: usize = 256;

pub(crate) async fn run(args: &InboxArgs) -> Result<(), CliError> {
    let folder = status::folder(&args.folder)?;
    if !folder.join(tokenim_client::STORE_FILE).exists() {
        return Err(tokenim_client::ClientError::NoClient(folder).into());
    }
    let passphrase = secret::existing(&args.passphrase)?;
    let client = Client::open(&folder, Some(passphrase.as_bytes()))?;
    let mut shown = 0;
    if args.all {
        loop {
            let page = client.messages(shown, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            shown = last.saturating_add(1);
            for (number, message) in &page {
                show(args, *number, message)?;
            }
        }
    }
    if args.follow {
        follow(args, &client).await?;
    } else {
        let waiting = progress::spinner("reading from the nodes");
        let reading = client.receive().await;
        waiting.finish_and_clear();
        let reading = reading?;
        for received in &reading.received {
            show(args, received.number, &received.message)?;
        }
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
            if reading.received.is_empty() && !args.json {
                remark("Nothing new.");
            }
        } else {
            remark(format!(
                "Possibly incomplete: {} of the {} nodes that are needed answered, {} messages are listed but missing.",
                reading.answers, reading.needed, reading.missing
            ));
        }
        client.maintain(Duration::from_secs(5)).await?;
    }
    client.close().await;
    Ok(())
}

async fn follow(args: &InboxArgs, client: &Client) -> Result<(), CliError> {
    let mut events = client.follow()?;
    let mut maintain = tokio::time::interval(MAINTAIN_EVERY);
    maintain.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let stopped = signals::stopped();
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            event = events.next() => match event {
                None => return Ok(()),
                Some(Event::Message(Received { number, message, .. })) => show(args, number, &message)?,
                Some(Event::Refused(refused)) => remark(format!("an envelope was refused: {}", refused.why)),
                Some(Event::Caught(caught)) => remark(format!(
                    "node {}: {}; its answer was refused",
                    output::short(&caught.node),
                    caught.fault
                )),
                Some(Event::Coverage { answers, needed, missing, complete }) => {
                    if !args.json {
                        remark(if complete {
                            format!("Following {answers} nodes, {needed} are needed.")
                        } else {
                            format!("Possibly incomplete: following {answers} nodes, {needed} are needed; {missing} messages are missing.")
                        });
                    }
                }
                Some(Event::Failed(error)) => return Err(error.into()),
                Some(_) => {}
            },
            _ = maintain.tick() => {
                client.maintain(Duration::from_secs(2)).await?;
            }
            () = &mut stopped => return Ok(()),
        }
    }
}

fn show(args: &InboxArgs, number: u64, message: &InboxMessage) -> Result<(), CliError> {
    let text = if ContentKind::new(message.kind) == ContentKind::TEXT {
        std::str::from_utf8(&message.body).ok()
    } else {
        None
    };
    if args.json {
        let mut value = json!({
            "number": number,
            "message": message.id.to_string(),
            "from": message.sender.to_string(),
            "device": message.device.to_string(),
            "envelope": message.envelope.to_string(),
            "received_ms": message.received.get(),
            "bytes": message.body.len(),
        });
        if let Some(object) = value.as_object_mut() {
            match text {
                Some(text) => object.insert("text".to_owned(), text.into()),
                None => object.insert("hex".to_owned(), hex::encode(&message.body).into()),
            };
        }
        return output::json(&value);
    }
    line(format!(
        "{}  from {}  message {}",
        utc(message.received.get()),
        message.sender,
        message.id
    ))?;
    let body = match text {
        Some(text) => printable(text),
        None => format!("({} bytes that are not text; --json shows them)", message.body.len()),
    };
    for text in body.lines() {
        line(format!("  {text}"))?;
    }
    Ok(())
}
