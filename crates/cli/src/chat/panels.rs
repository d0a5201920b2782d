//! What stands above everything else: help, members, safety numbers, proofs, what is asked for.

use ratatui::layout::Rect;
use tokenim_client::chat::InviteName;

use super::feed;
use super::keys::REACTIONS;
use super::model::{Ask, Confirm, Conversation, Kind, Model, Panel};
use super::text::{lines, width as columns_of};
use super::timer;
use super::view::key_lines;
use crate::contact;
use crate::output::{count, utc};

/// Columns of a panel, its border included.
const COLUMNS_MAX: u16 = 76;
/// What stands before the member that is chosen.
pub(super) const CHOSEN: &str = "▸ ";
/// A space at which no line breaks.
const FIXED: char = '\u{a0}';

pub(super) fn title(model: &Model) -> &'static str {
    match &model.panel {
        None => "",
        Some(Panel::Help) => "Keys",
        Some(Panel::Members(_)) if model.conversation().is_some_and(|one| one.kind == Kind::Group) => "The group",
        Some(Panel::Members(_)) => "The conversation",
        Some(Panel::Requests(_)) => "Who asks to be let in",
        Some(Panel::Links(_)) => "Links into the group",
        Some(Panel::Link(_)) => "Link",
        Some(Panel::Safety(..)) => "Safety number",
        Some(Panel::Proof(..)) => "Proof",
        Some(Panel::Details(..)) => "Message",
        Some(Panel::Ask(what, _)) => match what {
            Ask::Start => "New conversation",
            Ask::Group => "New group",
            Ask::Invite => "Let somebody in",
            Ask::Rename => "Name",
            Ask::Disappear => "Messages that disappear",
            Ask::Role(_) => "Role",
            Ask::React(_) => "Reaction",
            Ask::Call(_) => "Your name for them",
        },
        Some(Panel::Confirm(_)) => "Sure?",
    }
}

/// Where the panel is, and its lines.
pub(super) fn content(model: &Model) -> (Rect, Vec<String>) {
    let size = model.size;
    let width = COLUMNS_MAX.min(size.width.saturating_sub(2));
    let columns = usize::from(width.saturating_sub(2)).max(1);
    let mut shown = Vec::new();
    let mut push = |text: &str| shown.extend(lines(text, columns).into_iter().map(|line| line.replace(FIXED, " ")));
    match &model.panel {
        None => {}
        Some(Panel::Help) => shown = key_lines(columns),
        Some(Panel::Members(chosen)) => members(model, *chosen).iter().for_each(|line| push(line)),
        Some(Panel::Requests(chosen)) => requests(model, *chosen).iter().for_each(|line| push(line)),
        Some(Panel::Links(chosen)) => links(model, *chosen).iter().for_each(|line| push(line)),
        Some(Panel::Link(link)) => {
            let text = link.to_string();
            push(&format!(
                "Good until {}. It lets nobody in: whoever has it may ask, and you decide. `tokenim group links` prints \
                 it in one line.",
                utc(link.expires.get().saturating_mul(1_000))
            ));
            push("");
            push(&text);
            push("");
            let code = contact::qr(&text).unwrap_or_default();
            let (wide, high) = (code.lines().map(columns_of).max().unwrap_or(0), code.lines().count());
            let rows = usize::from(size.height).saturating_sub(4);
            if wide <= columns && shown.len().saturating_add(high) <= rows {
                shown.extend(code.lines().map(str::to_owned));
            } else {
                let (wide, high) = (
                    wide.saturating_add(4),
                    shown.len().saturating_add(high).saturating_add(4),
                );
                let hint = format!("A window of {wide} columns and {high} rows shows it as a QR code, too.");
                shown.extend(lines(&hint, columns).into_iter().map(str::to_owned));
            }
        }
        Some(Panel::Safety(identity, number)) => {
            push(&model.names.whole(identity));
            push("");
            match number {
                None => push("asking the ledger …"),
                Some(digits) => {
                    digits.iter().for_each(|line| push(line));
                    push("");
                    push(if model.is_verified(identity) {
                        "You have marked them as verified."
                    } else {
                        "If they see the same digits, over a way that you trust, nobody stands between you. V then marks \
                         them as verified."
                    });
                }
            }
        }
        Some(Panel::Proof(message, proof)) => {
            push(&format!("message {message}"));
            push("");
            match proof {
                None => push("asking the ledger …"),
                Some(text) => text.iter().for_each(|line| push(line)),
            }
        }
        Some(Panel::Details(_, text)) => text.iter().for_each(|line| push(line)),
        Some(Panel::Ask(what, composer)) => {
            push(&question(model, *what));
            push("");
            let columns = columns.saturating_sub(1).max(1);
            shown.extend(lines(composer.text(), columns).into_iter().map(str::to_owned));
        }
        Some(Panel::Confirm(what)) => {
            push(&match what {
                Confirm::Delete(_) => "Take the message back? It goes from the devices of all members that follow the \
                                       rules; who has read it may remember it."
                    .to_owned(),
                Confirm::Remove(whom) => {
                    let whom = model.names.whole(whom);
                    format!("Put {whom} out? They keep what they have, and read nothing that is written from then on.")
                }
                Confirm::Admit(whom) => format!(
                    "Let {} in? They read what is said from then on. Is it who you think it is? S among those who ask \
                     compares safety numbers.",
                    model.names.whole(whom)
                ),
                Confirm::Refuse(whom) => format!(
                    "Not let {} in? They learn nothing of it, and don't come before you again.",
                    model.names.whole(whom)
                ),
                Confirm::Unlink(link) => {
                    format!(
                        "Make link {} worthless? Who has asked by it is forgotten.",
                        feed::head(link)
                    )
                }
                Confirm::Leave => {
                    "Leave? You keep what you have, and read nothing that is written from then on.".to_owned()
                }
            });
            push("");
            push("Y does it.");
        }
    }
    let height = u16::try_from(shown.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2)
        .min(size.height.saturating_sub(2));
    let x = size.width.saturating_sub(width) / 2;
    let y = size.height.saturating_sub(height) / 2;
    (Rect::new(x, y, width, height), shown)
}

fn question(model: &Model, what: Ask) -> String {
    match what {
        Ask::Start => "Whom do you write to? Type or paste their identity (tim1…), your name for them, or a link into a group:"
            .to_owned(),
        Ask::Group => "What is the group called? You let people in afterwards:".to_owned(),
        Ask::Invite => "Whom do you let in? Type or paste their identity (tim1…), or your name for them:".to_owned(),
        Ask::Rename => "What is the group called from now on?".to_owned(),
        Ask::Disappear => {
            "After how long do messages disappear? off, or a number with s, m, h, d or w. It holds for what is written from \
             then on, on the devices of all members that follow the rules:"
                .to_owned()
        }
        Ask::Role(whom) => format!(
            "What is {} from now on: owner, admin or member?",
            model.names.whole(&whom)
        ),
        Ask::Call(whom) => format!("What do you call {whom}? It stays on this device; nothing takes the name away:"),
        Ask::React(id) => {
            let text = model.message(&id).map_or("", |message| message.body.as_str());
            let first: String = text.lines().next().unwrap_or_default().chars().take(40).collect();
            let keys: Vec<String> = (1..).zip(REACTIONS).map(|(digit, one)| format!("{digit} {one}")).collect();
            format!(
                "{first}\n\n{}\n\nA digit, or any emoji or word; nothing takes yours back:",
                keys.join("  ")
            )
        }
    }
}

fn members(model: &Model, chosen: usize) -> Vec<String> {
    let Some(one) = model.conversation() else {
        return Vec::new();
    };
    let mut all = vec![
        one.name.as_str().to_owned(),
        protection(one),
        timer_of(one),
        String::new(),
    ];
    for (place, member) in one.members.iter().enumerate() {
        all.push(entry(place == chosen, &member.identity.to_string()));
        let devices = count(member.devices, "device");
        let mark = if member.identity == model.own {
            ", you"
        } else if member.verified {
            ", verified"
        } else {
            ", not verified"
        };
        let name = model
            .names
            .get(&member.identity)
            .map_or_else(String::new, |name| format!("{name}: "));
        all.push(format!("    {name}{}, {devices}{mark}", member.role));
    }
    all.push(String::new());
    all.push(match one.kind {
        Kind::Group => {
            let asking = match one.requests.len() {
                0 => String::new(),
                many => format!(" ({many})"),
            };
            format!(
                "I let in · R put out · O role · S safety number · C call them\nA who asks to be let in{asking} · J links · N \
                 name · T timer\nK renew keys · L leave"
            )
        }
        _ => "S safety number · C call them · T timer · K renew keys · L leave".to_owned(),
    });
    all
}

/// The first line of something that can be chosen.
fn entry(is_chosen: bool, text: &str) -> String {
    let sign = if is_chosen { CHOSEN } else { "  " };
    format!("{}{text}", sign.replace(' ', FIXED.encode_utf8(&mut [0; 2])))
}

/// Whether a line is the first one of something that can be chosen.
pub(super) fn is_entry(line: &str) -> bool {
    line.starts_with(CHOSEN) || line.starts_with("  ") && !line.starts_with("   ")
}

fn requests(model: &Model, chosen: usize) -> Vec<String> {
    let Some(one) = model.conversation().filter(|one| !one.requests.is_empty()) else {
        return vec![
            "Nobody.".to_owned(),
            String::new(),
            "J makes a link by which people can ask.".to_owned(),
        ];
    };
    let chosen = chosen.min(one.requests.len().saturating_sub(1));
    let mut all = Vec::new();
    for (place, request) in one.requests.iter().enumerate() {
        let name = model
            .names
            .get(&request.identity)
            .map_or_else(String::new, |name| format!("{name}: "));
        let verified = if request.verified { "verified" } else { "not verified" };
        let since: String = utc(request.at.get()).chars().take(16).collect();
        all.push(entry(place == chosen, &request.identity.to_string()));
        all.push(format!("    {name}{verified}, by link {}, {since}", request.link));
    }
    all.push(String::new());
    all.push("A let in · R don't · S safety number · C call them · J links".to_owned());
    all
}

fn links(model: &Model, chosen: usize) -> Vec<String> {
    let all = model.conversation().map_or(&[][..], |one| &one.links);
    let chosen = chosen.min(all.len().saturating_sub(1));
    let mut shown = Vec::new();
    for (place, link) in all.iter().enumerate() {
        let until = utc(link.expires.get().saturating_mul(1_000));
        let name = feed::head(&InviteName::of(&link.secret));
        shown.push(entry(place == chosen, &format!("{name}  until {until}")));
    }
    if all.is_empty() {
        shown.push("None yet. Who has a link may ask to be let in, and you decide about each.".to_owned());
    }
    shown.push(String::new());
    shown.push(
        "N a new one, good for 7 days · Enter shows it · R makes it worthless\nA who asks to be let in".to_owned(),
    );
    shown
}

/// What protects a conversation, and what not.
fn protection(one: &Conversation) -> String {
    let why = match one.suite {
        "post-quantum" => "what is recorded today stays closed to the quantum computers of tomorrow",
        "classical" => "a quantum computer of tomorrow could open what is recorded today",
        _ => "nothing is sent before there is a key",
    };
    format!(
        "{}: {why}. Who says it is signed classically. Epoch {}.",
        one.suite, one.epoch
    )
}

fn timer_of(one: &Conversation) -> String {
    match one.disappear {
        None => "Messages stay.".to_owned(),
        Some(seconds) => format!("Messages disappear after {}.", timer::words(seconds)),
    }
}
