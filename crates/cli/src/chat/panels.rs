//! What stands above everything else: help, members, safety numbers, proofs, what is asked for.

use ratatui::layout::Rect;

use super::keys::REACTIONS;
use super::model::{Ask, Confirm, Conversation, Kind, Model, Panel};
use super::text::lines;
use super::timer;
use super::view::key_lines;
use crate::output::{count, short};

/// Columns of a panel, its border included.
const COLUMNS_MAX: u16 = 76;
/// What stands before the member that is chosen.
pub(super) const CHOSEN: &str = "▸ ";

pub(super) fn title(model: &Model) -> &'static str {
    match &model.panel {
        None => "",
        Some(Panel::Help) => "Keys",
        Some(Panel::Members(_)) if model.conversation().is_some_and(|one| one.kind == Kind::Group) => "The group",
        Some(Panel::Members(_)) => "The conversation",
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
    let mut push = |text: &str| shown.extend(lines(text, columns).into_iter().map(str::to_owned));
    match &model.panel {
        None => {}
        Some(Panel::Help) => shown = key_lines(columns),
        Some(Panel::Members(chosen)) => members(model, *chosen).iter().for_each(|line| push(line)),
        Some(Panel::Safety(identity, number)) => {
            push(&identity.to_string());
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
                    format!("Put {whom} out? They keep what they have, and read nothing that is written from then on.")
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
        Ask::Start => "Whom do you write to? Type or paste their identity (tim1…):".to_owned(),
        Ask::Group => "What is the group called? You let people in afterwards:".to_owned(),
        Ask::Invite => "Whom do you let in? Type or paste their identity (tim1…):".to_owned(),
        Ask::Rename => "What is the group called from now on?".to_owned(),
        Ask::Disappear => {
            "After how long do messages disappear? off, or a number with s, m, h, d or w. It holds for what is written from \
             then on, on the devices of all members that follow the rules:"
                .to_owned()
        }
        Ask::Role(whom) => format!("What is {} from now on: owner, admin or member?", short(&whom)),
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
        let sign = if place == chosen { CHOSEN } else { "  " };
        all.push(format!("{sign}{}", member.identity));
        let devices = count(member.devices, "device");
        let mark = if member.identity == model.own {
            ", you"
        } else if member.verified {
            ", verified"
        } else {
            ", not verified"
        };
        all.push(format!("    {}, {devices}{mark}", member.role));
    }
    all.push(String::new());
    all.push(match one.kind {
        Kind::Group => {
            "I let in · R put out · O role · S safety number\nN name · T timer · K renew keys · L leave".to_owned()
        }
        _ => "S safety number · T timer · K renew keys · L leave".to_owned(),
    });
    all
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
