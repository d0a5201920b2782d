//! `tokenim device`.

use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use console::Term;
use serde_json::json;
use tokenim_client::chat::{Chat, ChatError, ChatEvent, Event};
use tokenim_client::link::{self, ConfirmationNumber, LinkCode};
use tokenim_client::{Argon2Cost, Client, ClientError, DeviceId};
use tokenim_wire::UnixMillis;
use zeroize::Zeroizing;

use crate::args::{DeviceArgs, FolderArgs, NetworkArgs};
use crate::contact::{self, qr};
use crate::error::{CliError, USAGE};
use crate::id::args::{FreshArgs, RestoreArgs, RevokeArgs, WordsArgs};
use crate::id::words;
use crate::output::{self, line, remark, utc};
use crate::{id, progress, secret, status};

/// More bytes than this are neither a code nor a number.
const ANSWER_BYTES_MAX: u64 = 4_096;
/// How long to wait until what was said is handed over.
const HISTORY_PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, Args)]
pub(crate) struct DevicesArgs {
    #[command(subcommand)]
    what: DeviceCommand,
}

#[derive(Debug, Args)]
struct LinkArgs {
    #[command(flatten)]
    fresh: FreshArgs,
    /// Print one JSON object a line: the code, then the number, then the device.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ApproveArgs {
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    words: WordsArgs,
    /// Give it what was said in your conversations in the last days, too: as this folder keeps it, sealed to the new device.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=36_500))]
    history: Option<u64>,
    /// Print one JSON object a line: the number, then the device.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum DeviceCommand {
    /// List the devices of your identity.
    List {
        #[command(flatten)]
        folder: FolderArgs,
        /// Print one JSON object for each.
        #[arg(long)]
        json: bool,
    },
    /// Make a new folder another device of your identity, with a code that a device of yours approves.
    #[command(after_help = "\
Example:
  tokenim device link --network net/genesis.tim --dir phone      (here: shows a code, then a number)
  tokenim device approve                                         (there: takes the code, shows the number)

The words stay where they are: this device never sees them. What needs them, such as adding or revoking devices, asks for
them on whichever device it is done. The code is good for ten minutes and one device; whoever sees it can hinder, and the
numbers show it. Nothing is on the ledger before both sides have said that the numbers are the same.

Without a terminal the answer is read from standard input: a line with the number that the other device shows.
If this is interrupted, run it again with the same folder.")]
    Link(LinkArgs),
    /// Let a new device in that shows a code.
    #[command(after_help = "\
Example:
  tokenim device approve                                         (asks for the code, and for your words)
  tokenim device approve --words-from words.txt --history 30

The code is never an argument, which other users of this machine would see. Without a terminal it is the first line of
standard input, and the number that the new device shows is the second.

The device then reads and writes as you: approve nobody else's. Every conversation lets it in by itself, and it sees what is
said from then on; of what was said before, what --history gives it. `tokenim device revoke` takes it out again.")]
    Approve(ApproveArgs),
    /// Make a new folder another device of your identity, from its words.
    #[command(after_help = "\
Example:
  tokenim device add --network net/genesis.tim --words-from words.txt --dir phone

The conversations of the other devices let it in by themselves, as soon as one of them is online. It sees what is said from
then on. `tokenim device link` does the same without the words on the new device.")]
    Add(RestoreArgs),
    /// Revoke a device for good: a lost phone. Every conversation removes it before anything else is said there.
    Revoke(RevokeArgs),
}

pub(crate) async fn run(args: &DevicesArgs) -> Result<(), CliError> {
    match &args.what {
        DeviceCommand::List { folder, json } => list(folder, *json).await,
        DeviceCommand::Link(args) => link_here(args).await,
        DeviceCommand::Approve(args) => approve(args).await,
        DeviceCommand::Add(args) => id::restore(args).await,
        DeviceCommand::Revoke(args) => id::revoke(args).await,
    }
}

async fn list(folder: &FolderArgs, json: bool) -> Result<(), CliError> {
    let client = folder.open()?;
    let state = progress::during("asking the ledger", client.state()).await?;
    for entry in &state.devices {
        let device = entry.keys.device_id();
        let own = device == client.device();
        if json {
            output::json(&json!({
                "device": device.to_string(),
                "this": own,
                "added": entry.added.get(),
                "revoked": entry.revoked.map(tokenim_wire::Height::get),
            }))?;
            continue;
        }
        let state = match entry.revoked {
            Some(height) => format!("revoked at height {height}"),
            None => format!("since height {}", entry.added),
        };
        line(format!("{device}  {state}{}", if own { "  (this folder)" } else { "" }))?;
    }
    client.close().await;
    Ok(())
}

async fn link_here(args: &LinkArgs) -> Result<(), CliError> {
    let fresh = &args.fresh;
    let folder = status::folder(&fresh.folder)?;
    let unfinished = link::is_unfinished(&folder)?;
    let network = if unfinished {
        status::network(&NetworkArgs {
            network: fresh.network.clone(),
            folder: fresh.folder.clone(),
        })?
    } else {
        id::network_for(&folder, fresh.network.as_ref())?
    };
    let passphrase = if unfinished {
        let passphrase = secret::existing(&fresh.passphrase, secret::PERSON)?;
        let resumed = progress::during("asking the ledger", link::resume(&folder, passphrase.as_bytes()));
        if let Some(client) = resumed.await? {
            return finish(&client, &folder, args.json).await;
        }
        remark("The device in this folder was not added yet: a new code for it follows.");
        passphrase
    } else {
        secret::fresh(&fresh.passphrase, secret::PERSON)?
    };
    let made = link::offer(&folder, network, passphrase.as_bytes(), Argon2Cost::RECOMMENDED);
    let offer = progress::during("reaching the network", made).await?;
    let code = Zeroizing::new(offer.code().to_string());
    let expires = offer.code().expires.get();
    if args.json {
        output::json(&json!({ "code": code.as_str(), "expires": expires }))?;
    } else {
        line(qr(&code)?)?;
        line(code.as_str())?;
        remark(format!(
            "Give this code to `tokenim device approve` on a device of yours before {}. Show it to nobody else.",
            utc(expires.saturating_mul(1_000))
        ));
    }
    let joining = progress::during("waiting for the other device", offer.answered()).await?;
    if args.json {
        output::json(&json!({
            "number": joining.number().to_string(),
            "identity": joining.identity().to_string(),
            "device": joining.device().to_string(),
            "answered_by": joining.answerer().to_string(),
        }))?;
    } else {
        line(format!("identity  {}", joining.identity()))?;
        line(format!("answer    by device {}", joining.answerer()))?;
        line(format!("device    {} (this folder)", joining.device()))?;
        line(format!("number    {}", joining.number()))?;
    }
    let question = "Is this your identity, and does the other device show the same number? yes or no: ";
    match agrees(question, &joining.number()) {
        Ok(true) => {}
        answered => {
            joining.refuse().await;
            return answered.and(Err(not_the_same()));
        }
    }
    let client = progress::during("waiting for the other device", joining.confirm()).await?;
    finish(&client, &folder, args.json).await
}

/// Says that the device is one of the identity's, and makes it ready for conversations.
async fn finish(client: &Client, folder: &Path, json: bool) -> Result<(), CliError> {
    id::put_on_ledger(client, folder, json, None, None).await
}

async fn approve(args: &ApproveArgs) -> Result<(), CliError> {
    args.device.check()?;
    if args.words.words_from.as_deref() == Some(Path::new("-")) {
        return Err(CliError::new(
            USAGE,
            "--words-from -: standard input gives the code here; name a file with the words, or leave it out to be asked",
        ));
    }
    let client = args.device.open()?;
    remark(
        "The new device will read and write as you in every conversation from now on, and others see that you have it. Your \
         words stay here. Approve only a device that you hold.",
    );
    if let Some(days) = args.history {
        let days = output::count(usize::try_from(days).unwrap_or(usize::MAX), "day");
        remark(format!("It will also get what was said in the last {days}."));
    }
    let asked = ask("The code that the new device shows: ")?;
    let code: LinkCode = asked.trim().parse().map_err(ClientError::from)?;
    let words = words::read(&args.words)?;
    let responding = progress::during("answering the code", link::respond(&client, &code, &words)).await?;
    drop(words);
    let approving = progress::during("waiting for the new device", responding.revealed()).await?;
    let (device, number) = (approving.device(), approving.number());
    if args.json {
        output::json(&json!({
            "number": number.to_string(),
            "identity": client.identity().to_string(),
            "device": device.to_string(),
        }))?;
    } else {
        line(format!("identity  {} (yours)", client.identity()))?;
        line(format!("device    {device} (new)"))?;
        line(format!("number    {number}"))?;
    }
    match agrees("Does the new device show the same number? yes or no: ", &number) {
        Ok(true) => {}
        answered => {
            approving.refuse().await;
            return answered.and(Err(not_the_same()));
        }
    }
    let found = progress::during("putting the device on the ledger", approving.confirm()).await?;
    if args.json {
        output::json(&json!({ "device": device.to_string(), "height": found.height.get() }))?;
    } else {
        line(format!(
            "{device} is a device of yours, proved at height {}. Your conversations let it in by themselves.",
            found.height
        ))?;
    }
    // So that conversations let it in at once; else the next command goes on.
    let chat = client.chat()?;
    let running = chat.run()?;
    let given = match args.history {
        Some(days) => progress::during("handing over what was said", hand_over(&chat, device, days)).await,
        None => Ok(()),
    };
    progress::during("letting it into the conversations", chat.settle(id::PUBLISH_PATIENCE)).await;
    drop(running);
    client.close().await;
    given
}

/// Gives a device what was said in the last days, and waits for a while until it is handed over.
async fn hand_over(chat: &Chat, device: DeviceId, days: u64) -> Result<(), CliError> {
    let mut events = chat.events();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = now.saturating_sub(Duration::from_secs(days.saturating_mul(24 * 3_600)));
    let since = UnixMillis::new(u64::try_from(since.as_millis()).unwrap_or(0));
    let began = Instant::now();
    loop {
        match chat.give_history(device, Some(since)).await {
            Ok(()) => break,
            // The conversations have yet to learn that the device is one of the owner's.
            Err(ClientError::Chat(ChatError::NotAllowed)) if began.elapsed() < id::PUBLISH_PATIENCE => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let given = async {
        while let Some(event) = events.next().await {
            if matches!(event, ChatEvent::Session(Event::HistoryGiven(given)) if given == device) {
                return;
            }
        }
    };
    if tokio::time::timeout(HISTORY_PATIENCE, given).await.is_err() {
        remark(
            "What was said is not all handed over yet: the next command in this folder that goes online goes on with it.",
        );
    }
    Ok(())
}

fn not_the_same() -> CliError {
    CliError::new(
        crate::error::FAILED,
        "the numbers were not found to be the same: no device was added; if they differ, somebody may stand between the two \
         devices, begin anew over another network",
    )
}

/// Whether the other device shows this number, as whoever is asked says.
fn agrees(question: &str, number: &ConfirmationNumber) -> Result<bool, CliError> {
    loop {
        let answer = read(question)?;
        let answer = answer.trim();
        // A program has to show that it has seen the other number.
        if number.is_typed(answer) || !std::io::stdin().is_terminal() {
            return given(answer).map(|answer| number.is_typed(answer));
        }
        match contact::yes_or_no(answer) {
            Some(agrees) => return Ok(agrees),
            None => remark("That is neither yes nor no, nor the number that the other device shows."),
        }
    }
}

/// A line of standard input that is not empty.
fn ask(question: &str) -> Result<Zeroizing<String>, CliError> {
    let answer = read(question)?;
    given(answer.trim())?;
    Ok(answer)
}

fn given(answer: &str) -> Result<&str, CliError> {
    if answer.is_empty() {
        return Err(CliError::local(
            "nothing was answered, at a terminal or on standard input: run it again and write each answer on a line",
        ));
    }
    Ok(answer)
}

/// A line of standard input, most often a terminal.
fn read(question: &str) -> Result<Zeroizing<String>, CliError> {
    let unread = |error| CliError::local(format!("no answer was read: {error}; try again"));
    let terminal = Term::stderr();
    if terminal.is_term() {
        terminal.write_str(question).map_err(unread)?;
    }
    let mut answer = Zeroizing::new(String::new());
    // As a whole line: what is pasted is longer than what people type.
    let mut input = std::io::stdin().lock().take(ANSWER_BYTES_MAX);
    if input.read_line(&mut answer).map_err(unread)? == 0 {
        return given("").map(|_| answer);
    }
    Ok(answer)
}
