//! `tokenim group read`.

use serde_json::{Value, json};
use tokenim_client::Client;
use tokenim_client::chat::Mark;

use super::{One, REST, Work};
use crate::chat::feed;
use crate::chat::names::Names;
use crate::contact::who;
use crate::error::CliError;
use crate::output::{self, line, remark, utc};
use crate::progress;

pub(super) async fn read(one: &One, last: usize) -> Result<(), CliError> {
    let work = Work::begin(&one.common)?;
    let waiting = progress::spinner("reading from the nodes");
    let settled = work.chat.settle(work.patience()).await;
    waiting.finish_and_clear();
    let info = work.find(&one.which)?;
    let (messages, _) = work.chat.newest(info.conversation, last)?;
    let folded = feed::fold(&messages);
    let names = Names::read(&work.client)?;
    let called = |author| names.called(author);
    for message in &folded {
        if one.common.json {
            output::json(&message_json(&work.client, message))?;
            continue;
        }
        let author = if message.author == work.client.identity() {
            "you".to_owned()
        } else {
            who(&work.client, &message.author)
        };
        let mark = message
            .mark
            .map(|mark| format!("  {}", mark_name(mark)))
            .unwrap_or_default();
        let edited = if message.edited { "  edited" } else { "" };
        line(format!(
            "{}  {author}  message {}{mark}{edited}",
            utc(message.sent.get()),
            message.id
        ))?;
        if let Some(answered) = message.answers {
            line(format!("  (answers {answered})"))?;
        }
        for text in message.body.as_str().lines() {
            line(format!("  {text}"))?;
        }
        for (author, reaction) in &message.reactions {
            line(format!("  {} from {}", reaction.as_str(), called(author)))?;
        }
    }
    if let Some(newest) = folded
        .iter()
        .rev()
        .find(|message| message.author != work.client.identity())
    {
        work.chat.mark_read(info.conversation, newest.order).await?;
        work.chat.settle(REST).await;
    }
    if !settled {
        remark("Possibly incomplete: not all nodes that keep it have answered yet.");
    }
    work.end().await
}

const fn mark_name(mark: Mark) -> &'static str {
    match mark {
        Mark::Queued => "queued",
        Mark::Stored => "stored",
        Mark::Delivered => "delivered",
        Mark::Read => "read",
    }
}

fn message_json(client: &Client, message: &feed::Folded) -> Value {
    let reactions: Vec<_> = message
        .reactions
        .iter()
        .map(|(author, reaction)| json!({ "from": author.to_string(), "reaction": reaction.as_str() }))
        .collect();
    json!({
        "message": message.id.to_string(),
        "epoch": message.order.epoch,
        "from": message.author.to_string(),
        "own": message.author == client.identity(),
        "device": message.order.device.to_string(),
        "sent_ms": message.sent.get(),
        "text": message.body.as_str(),
        "answers": message.answers.map(|answers| answers.to_string()),
        "edited": message.edited,
        "reactions": reactions,
        "mark": message.mark.map(mark_name),
    })
}
