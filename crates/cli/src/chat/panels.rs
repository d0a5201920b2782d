//! What stands above everything else: help, members, safety numbers, proofs, whom to write to.

use ratatui::layout::Rect;

use super::model::{Model, Panel};
use super::text::lines;
use super::view::key_lines;
use crate::output::count;

/// Columns of a panel, its border included.
const COLUMNS_MAX: u16 = 76;

pub(super) fn title(model: &Model) -> &'static str {
    match &model.panel {
        None => "",
        Some(Panel::Help) => "Keys",
        Some(Panel::Members) => "Members",
        Some(Panel::Safety(..)) => "Safety number",
        Some(Panel::Proof(..)) => "Proof",
        Some(Panel::Start(_)) => "New conversation",
    }
}

/// Where the panel is, and its lines.
pub(super) fn content(model: &Model) -> (Rect, Vec<String>) {
    let size = model.size;
    let width = COLUMNS_MAX.min(size.width.saturating_sub(2));
    let columns = usize::from(width.saturating_sub(2)).max(1);
    let wrapped = |text: &str| -> Vec<String> { lines(text, columns).into_iter().map(str::to_owned).collect() };
    let shown = match &model.panel {
        None => Vec::new(),
        Some(Panel::Help) => key_lines(columns),
        Some(Panel::Members) => members(model).iter().flat_map(|line| wrapped(line)).collect(),
        Some(Panel::Safety(identity, number)) => {
            let mut all = wrapped(&identity.to_string());
            all.push(String::new());
            match number {
                None => all.push("asking the ledger …".to_owned()),
                Some(digits) => {
                    all.extend(digits.iter().flat_map(|line| wrapped(line)));
                    all.push(String::new());
                    all.extend(wrapped(
                        "If they see the same digits, over a way that you trust, nobody stands between you. Then \
                         `tokenim contact verify` marks them as verified.",
                    ));
                }
            }
            all
        }
        Some(Panel::Proof(message, proof)) => {
            let mut all = wrapped(&format!("message {message}"));
            all.push(String::new());
            match proof {
                None => all.push("asking the ledger …".to_owned()),
                Some(text) => all.extend(text.iter().flat_map(|line| wrapped(line))),
            }
            all
        }
        Some(Panel::Start(composer)) => {
            let mut all = wrapped("Whom do you write to? Type or paste their identity (tim1…):");
            all.push(String::new());
            all.extend(
                lines(composer.text(), columns.saturating_sub(1).max(1))
                    .into_iter()
                    .map(str::to_owned),
            );
            all
        }
    };
    let height = u16::try_from(shown.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2)
        .min(size.height.saturating_sub(2));
    let x = size.width.saturating_sub(width) / 2;
    let y = size.height.saturating_sub(height) / 2;
    (Rect::new(x, y, width, height), shown)
}

fn members(model: &Model) -> Vec<String> {
    let Some(one) = model.conversation() else {
        return Vec::new();
    };
    let mut all = Vec::with_capacity(one.members.len());
    for member in &one.members {
        let who = if member.identity == model.own {
            " (you)"
        } else if member.verified {
            " (verified)"
        } else {
            ""
        };
        all.push(format!("{}{who}", member.identity));
        all.push(format!("  {}, {}", member.role, count(member.devices, "device")));
    }
    all.push(String::new());
    all.push("Members change with `tokenim group invite|remove|role`.".to_owned());
    all
}
