//! Five people in a group: two of them change it at the same moment, one is put out, and the others agree on all of it.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokenim_client::chat::{Change, Chat, Content, ConversationId, Info, Running};
use tokenim_client::{Client, ClientError};

use super::report::Report;
use super::story::{Teller, person};
use crate::error::CliError;
use crate::fleet::Fleet;

const NAMES: [&str; 5] = ["cleo", "dora", "emil", "fritz", "gina"];
/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

struct Member {
    client: Client,
    chat: Chat,
    _running: Running,
}

pub(super) async fn tell(dir: &Path, fleet: &Fleet, teller: &Teller, report: &mut Report) -> Result<(), CliError> {
    let began = Instant::now();
    let people = try_join_all(NAMES.map(|name| member(dir, name, fleet))).await?;
    let [cleo, others @ ..] = people.as_slice() else {
        return Ok(());
    };
    let invited = others.iter().map(|member| member.client.identity()).collect();
    let group = cleo.chat.create_group("the five", invited, None).await?;
    let all_in = all(&people, group, |info| info.members.len() == NAMES.len()).await?;
    for (place, one) in people.iter().enumerate() {
        one.chat.send(group, text(&format!("I am number {place}"))?).await?;
    }
    let all_read = until(|| Ok(said_by_all(&people, group)? == 25)).await?;

    // Both make a commit on the same epoch: the ledger shows one first, and the other is made anew after it.
    let last = others.last().unwrap_or(cleo);
    let second = others.first().unwrap_or(cleo);
    let (one, other) = tokio::join!(
        cleo.chat.change(group, Change::Remove(last.client.identity())),
        second.chat.change(group, Change::Refresh),
    );
    one?;
    other?;
    let left = people.get(..people.len().saturating_sub(1)).unwrap_or_default();
    let four = |info: &Info| info.members.len() == left.len();
    let removed = all(left, group, four).await?;
    cleo.chat.send(group, text("the four of us")?).await?;
    let closed = until(|| Ok(said_by_all(left, group)? == 24)).await?;

    let mut seen = Vec::new();
    let same = until(|| {
        seen = left
            .iter()
            .map(|one| {
                one.chat
                    .conversation(group)
                    .map(|info| (info.epoch, info.authenticator))
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(seen.windows(2).all(|pair| pair.first() == pair.last()))
    })
    .await?;
    report.group_members = cleo.chat.conversation(group)?.members.len();
    report.group_epochs = seen.first().map_or(0, |(epoch, _)| *epoch);
    report.group_messages = said(cleo, group)?;
    let out = said(last, group)? == NAMES.len();
    report.group_agrees = all_in && all_read && removed && closed && same && out;
    if report.group_agrees {
        teller.tell(&format!(
            "Five people made a group. Two of them changed it at the same moment: the ledger put one change first, and the \
             other followed by itself. One was put out; the four others are in the same epoch, {}, with the same keys, \
             and what they write now is closed to the fifth. {:.1} s.",
            report.group_epochs,
            began.elapsed().as_secs_f64()
        ));
    }
    for one in &people {
        one.client.close().await;
    }
    Ok(())
}

async fn member(dir: &Path, name: &str, fleet: &Fleet) -> Result<Member, CliError> {
    let client = person(dir, name, fleet)?;
    client.register().await?;
    let chat = client.chat()?;
    let running = chat.run()?;
    // So that the others find what to invite with.
    chat.settle(PATIENCE).await;
    Ok(Member {
        client,
        chat,
        _running: running,
    })
}

fn text(text: &str) -> Result<Content, CliError> {
    Content::text(text).map_err(|error| CliError::local(error.to_string()))
}

/// How many messages somebody has.
fn said(member: &Member, group: ConversationId) -> Result<usize, ClientError> {
    Ok(member.chat.messages(group, None, 1_000)?.len())
}

fn said_by_all(members: &[Member], group: ConversationId) -> Result<usize, ClientError> {
    members.iter().map(|member| said(member, group)).sum()
}

async fn all(members: &[Member], group: ConversationId, is: impl Fn(&Info) -> bool) -> Result<bool, CliError> {
    let seen = |member: &Member| member.chat.conversation(group).is_ok_and(|info| is(&info));
    until(|| Ok(members.iter().all(seen))).await
}

async fn until(mut is: impl FnMut() -> Result<bool, ClientError>) -> Result<bool, CliError> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        if is()? {
            return Ok(true);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(false)
}
