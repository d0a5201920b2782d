//! What each key does.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokenim_client::chat::{Change, Content, InviteLink, InviteName, content};
use tokenim_client::step::name::{ContactName, NameError};
use tokenim_client::{IdentityId, MessageId};
use tokenim_wire::limits::SESSION_TEXT_BYTES_MAX as TEXT_BYTES_MAX;

use super::compose::Composer;
use super::model::{Aim, Ask, Command, Confirm, Focus, Kind, Model, PAGE, Panel, role, too_long};
use super::timer::Timer;
use super::view;

/// Every key with what it does, as the help shows it.
pub(super) const HELP: [(&str, &str); 37] = [
    ("Everywhere", ""),
    ("Tab", "from the list to the text to the messages, and round"),
    ("Alt-Up, Alt-Down", "the conversation above or below"),
    ("Ctrl-N", "write to somebody, or ask to be let in by a link"),
    ("Ctrl-G", "make a group"),
    ("F2, Ctrl-O", "the conversation: members, name, timer, leaving"),
    ("F3, Ctrl-S", "the safety number of the other side"),
    ("F4, Ctrl-P", "the proof of the selected message, or your newest"),
    ("F5, Ctrl-D", "everything about the selected message"),
    ("F6, Ctrl-T", "whether others see what you read and that you type"),
    ("F1", "this help"),
    ("Ctrl-L", "draw the screen anew"),
    ("Ctrl-C, Ctrl-Q", "leave; what waits is sent the next time"),
    ("Writing", ""),
    ("Enter", "send"),
    ("Alt-Enter, Ctrl-J", "a new line"),
    ("Up", "to the messages, from the first line"),
    ("Ctrl-W, Ctrl-U", "remove a word, or everything before the cursor"),
    ("Esc", "drop the answer or the edit; to the list"),
    ("Messages", ""),
    ("Up, Down", "another one"),
    ("PageUp, PageDown", "by pages; Home and End for the ends"),
    ("R, Ctrl-R", "answer it"),
    ("+", "react to it"),
    ("E", "edit it, if it is yours"),
    ("D, Delete", "take it back, if it is yours"),
    ("S", "the safety number of who wrote it"),
    ("Enter", "everything about it"),
    ("P", "its proof"),
    ("The conversation", ""),
    ("I, R, O", "let somebody in; put them out; give them a role"),
    ("N, T, L", "its name; how long messages stay; leave it"),
    ("A", "who asks to be let in; there, A lets in, R does not"),
    ("J", "links by which people ask; N makes one, R ends one"),
    ("C", "a name of your own for somebody"),
    ("S", "the safety number of somebody"),
    ("K", "renew your keys in it, or ask to be let in again"),
];

/// Reactions that have a key.
pub(super) const REACTIONS: [&str; 8] = ["👍", "👎", "❤", "😂", "😮", "😢", "🙏", "🎉"];

pub(super) fn press(model: &mut Model, key: KeyEvent) -> Vec<Command> {
    if key.kind == KeyEventKind::Release {
        return Vec::new();
    }
    model.said = None;
    let (control, alt) = modifiers(key);
    if control && matches!(key.code, KeyCode::Char('c' | 'q')) {
        return leave(model);
    }
    model.leaving = false;
    match (control, key.code) {
        (true, KeyCode::Char('n')) => ask(model, Ask::Start),
        (true, KeyCode::Char('g')) => ask(model, Ask::Group),
        (true, KeyCode::Char('l')) => return vec![Command::Redraw],
        (true, KeyCode::Char('o')) | (false, KeyCode::F(2)) => members(model),
        (true, KeyCode::Char('s')) | (false, KeyCode::F(3)) => return safety(model),
        (true, KeyCode::Char('p')) | (false, KeyCode::F(4)) => return proof(model),
        (true, KeyCode::Char('d')) | (false, KeyCode::F(5)) => return details(model),
        (true, KeyCode::Char('t')) | (false, KeyCode::F(6)) => return vec![Command::Receipts(!model.receipts)],
        (false, KeyCode::F(1)) => open_panel(model, Panel::Help),
        (false, KeyCode::Up) if alt => return neighbour(model, false),
        (false, KeyCode::Down) if alt => return neighbour(model, true),
        _ if model.panel.is_some() => return in_panel(model, key, control || alt),
        (true, KeyCode::Char('r')) => return answer(model),
        (false, KeyCode::Tab) => focus(model, next(model.focus)),
        (false, KeyCode::BackTab) => focus(model, next(next(model.focus))),
        _ => {
            return match model.focus {
                Focus::List => in_list(model, key),
                Focus::Write => in_text(model, key, control, alt),
                Focus::Read => in_messages(model, key),
            };
        }
    }
    Vec::new()
}

/// Whether Control or Alt is held; both together are how some keyboards write letters.
const fn modifiers(key: KeyEvent) -> (bool, bool) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    (control && !alt, alt && !control)
}

fn leave(model: &mut Model) -> Vec<Command> {
    if model.has_drafts() && !model.leaving {
        model.leaving = true;
        model.say("something that you wrote is not sent: once more leaves without it");
        return Vec::new();
    }
    vec![Command::Quit]
}

const fn next(focus: Focus) -> Focus {
    match focus {
        Focus::List => Focus::Write,
        Focus::Write => Focus::Read,
        Focus::Read => Focus::List,
    }
}

fn open_panel(model: &mut Model, panel: Panel) {
    model.panel = Some(panel);
    model.panel_above = 0;
}

fn ask(model: &mut Model, what: Ask) {
    let mut composer = Composer::default();
    match (what, model.conversation()) {
        (Ask::Rename, Some(one)) => composer.insert(one.name.as_str()),
        (Ask::Call(whom), _) => composer.insert(model.names.get(&whom).unwrap_or_default()),
        _ => {}
    }
    open_panel(model, Panel::Ask(what, composer));
}

/// Moves the keys elsewhere.
fn focus(model: &mut Model, focus: Focus) {
    model.focus = focus;
    match focus {
        Focus::Read => {
            if model.chosen().is_none() {
                model.selected = model.messages.last().map(|message| message.id);
            }
            view::reveal(model);
        }
        Focus::Write => (model.selected, model.below) = (None, 0),
        Focus::List => {}
    }
}

/// Opens the conversation before or after the open one in the list.
fn neighbour(model: &mut Model, later: bool) -> Vec<Command> {
    let place = model.conversations.iter().position(|one| Some(one.id) == model.open);
    let wanted = match place {
        None => Some(0),
        Some(place) if later => place.checked_add(1),
        Some(place) => place.checked_sub(1),
    };
    let found = wanted
        .and_then(|place| model.conversations.get(place))
        .map(|one| one.id);
    found.map_or_else(Vec::new, |id| model.open(id))
}

fn members(model: &mut Model) {
    match model.conversation().map(|one| one.kind) {
        None => model.say("there is no conversation yet: Ctrl-N starts one"),
        Some(Kind::Inbox) => model.say("this is no conversation: it has no members"),
        Some(_) => open_panel(model, Panel::Members(0)),
    }
}

fn safety(model: &mut Model) -> Vec<Command> {
    let chosen = match &model.panel {
        Some(Panel::Members(place)) => member(model, *place).filter(|of| *of != model.own),
        Some(Panel::Requests(place)) => asker(model, *place),
        _ => model.chosen().and_then(|message| message.author),
    };
    let peer = model.conversation().and_then(super::model::Conversation::peer);
    match chosen.or(peer) {
        Some(identity) => {
            open_panel(model, Panel::Safety(identity, None));
            vec![Command::Safety(identity)]
        }
        None => {
            model.say("of whom? Select a message of theirs (Tab, Up), or a member (F2)");
            Vec::new()
        }
    }
}

fn member(model: &Model, place: usize) -> Option<IdentityId> {
    Some(model.conversation()?.members.get(place)?.identity)
}

/// The one who asks to be let in at a place.
fn asker(model: &Model, place: usize) -> Option<IdentityId> {
    let all = &model.conversation()?.requests;
    Some(all.get(place.min(all.len().saturating_sub(1)))?.identity)
}

/// The link at a place.
fn link(model: &Model, place: usize) -> Option<InviteLink> {
    let all = &model.conversation()?.links;
    all.get(place.min(all.len().saturating_sub(1))).cloned()
}

fn proof(model: &mut Model) -> Vec<Command> {
    if model.conversation().is_some_and(|one| one.kind == Kind::Inbox) {
        model.say("`tokenim receipt` has the proof of what came outside of conversations");
        return Vec::new();
    }
    let newest = || model.messages.iter().rev().find(|message| message.author.is_none());
    let message = match &model.panel {
        Some(Panel::Details(id, _)) => Some(*id),
        _ => model.chosen().or_else(newest).map(|message| message.id),
    };
    match (model.open, message) {
        (Some(conversation), Some(message)) => {
            open_panel(model, Panel::Proof(message, None));
            vec![Command::Proof(conversation, message)]
        }
        _ => {
            model.say("there is no message to prove yet");
            Vec::new()
        }
    }
}

fn details(model: &mut Model) -> Vec<Command> {
    let message = model.chosen().or_else(|| model.messages.last());
    match (model.open, message.map(|message| message.id)) {
        (Some(conversation), Some(message)) => vec![Command::Details(conversation, message)],
        _ => {
            model.say("there is no message yet");
            Vec::new()
        }
    }
}

/// The selected message, or a word about how to select one.
fn chosen(model: &mut Model) -> Option<MessageId> {
    let chosen = model.chosen().map(|message| message.id);
    if chosen.is_none() {
        model.say("which one? Select a message first (Tab, Up)");
    }
    chosen
}

fn answer(model: &mut Model) -> Vec<Command> {
    let Some(id) = chosen(model) else { return Vec::new() };
    if model.conversation().is_some_and(|one| one.kind == Kind::Inbox) {
        let author = model.message(&id).and_then(|message| message.author);
        return author.map(Command::Start).into_iter().collect();
    }
    model.aim_at(Aim::Answer(id));
    focus(model, Focus::Write);
    Vec::new()
}

/// The selected message, if it is a text that the owner may change.
fn own(model: &mut Model) -> Option<MessageId> {
    let id = chosen(model)?;
    let is_own = model
        .message(&id)
        .is_some_and(|message| message.author.is_none() && message.text);
    if !is_own {
        model.say("only what you wrote yourself");
    }
    is_own.then_some(id)
}

fn edit_message(model: &mut Model) {
    if let Some(id) = own(model) {
        model.aim_at(Aim::Edit(id));
        focus(model, Focus::Write);
    }
}

fn delete_message(model: &mut Model) {
    if let Some(id) = own(model) {
        open_panel(model, Panel::Confirm(Confirm::Delete(id)));
    }
}

fn react(model: &mut Model) {
    if model.conversation().is_some_and(|one| one.kind == Kind::Inbox) {
        model.say("this is no conversation: R begins one with who sent it");
    } else if let Some(id) = chosen(model) {
        ask(model, Ask::React(id));
    }
}

fn in_panel(model: &mut Model, key: KeyEvent, modified: bool) -> Vec<Command> {
    let Some(panel) = model.panel.clone() else {
        return Vec::new();
    };
    if key.code == KeyCode::Esc {
        // What was asked from there leads back there.
        model.panel = match panel {
            Panel::Ask(Ask::Invite | Ask::Rename | Ask::Disappear | Ask::Role(_) | Ask::Call(_), _)
            | Panel::Confirm(Confirm::Remove(_) | Confirm::Leave)
            | Panel::Requests(_)
            | Panel::Links(_) => Some(Panel::Members(0)),
            Panel::Confirm(Confirm::Admit(_) | Confirm::Refuse(_)) => Some(Panel::Requests(0)),
            Panel::Link(_) | Panel::Confirm(Confirm::Unlink(_)) => Some(Panel::Links(0)),
            _ => None,
        };
        model.panel_above = 0;
        return Vec::new();
    }
    match (panel, key.code) {
        (Panel::Ask(what, composer), code) => {
            let digit = match code {
                KeyCode::Char(letter) if composer.is_empty() && !modified => letter.to_digit(10),
                _ => None,
            };
            let quick = digit
                .and_then(|digit| usize::try_from(digit).ok()?.checked_sub(1))
                .and_then(|place| REACTIONS.get(place));
            match (what, code, quick) {
                (Ask::React(id), _, Some(reaction)) => return react_with(model, id, reaction),
                (_, KeyCode::Enter, _) => return answered(model, what, composer.text().trim()),
                _ => {
                    if let Some(Panel::Ask(_, composer)) = &mut model.panel {
                        edit(composer, key, usize::MAX);
                    }
                }
            }
        }
        (Panel::Confirm(what), KeyCode::Char('y' | 'Y')) => return confirmed(model, what),
        (Panel::Confirm(_), _) => model.say("Y does it, Esc does not"),
        (Panel::Members(place), code) => return in_members(model, place, code),
        (Panel::Requests(place), code) => return in_requests(model, place, code),
        (Panel::Links(place), code) => return in_links(model, place, code),
        (Panel::Safety(identity, Some(digits)), KeyCode::Char('v' | 'V')) => {
            model.panel = None;
            return vec![Command::Verify(identity, digits.join(" "))];
        }
        (Panel::Details(..), KeyCode::Char('p' | 'P')) => return proof(model),
        (_, KeyCode::Up) => model.panel_above = model.panel_above.saturating_sub(1),
        (_, KeyCode::Down) => model.panel_above = model.panel_above.saturating_add(1).min(view::panel_above_max(model)),
        (_, KeyCode::PageUp) => model.panel_above = model.panel_above.saturating_sub(view::page_rows(model)),
        (_, KeyCode::PageDown) => {
            let wanted = model.panel_above.saturating_add(view::page_rows(model));
            model.panel_above = wanted.min(view::panel_above_max(model));
        }
        (_, KeyCode::Enter | KeyCode::Char('q')) => model.panel = None,
        _ => {}
    }
    Vec::new()
}

fn in_members(model: &mut Model, place: usize, code: KeyCode) -> Vec<Command> {
    let Some(one) = model.conversation() else {
        model.panel = None;
        return Vec::new();
    };
    let (all, is_group) = (one.members.len(), one.kind == Kind::Group);
    let of = member(model, place);
    let other = of.filter(|of| *of != model.own);
    if let Some(to) = moved(model, place, all, code) {
        model.panel = Some(Panel::Members(to));
        view::reveal_member(model);
        return Vec::new();
    }
    let KeyCode::Char(letter) = code else {
        if code == KeyCode::Enter {
            model.panel = None;
        }
        return Vec::new();
    };
    match (letter.to_ascii_lowercase(), other) {
        ('t', _) => ask(model, Ask::Disappear),
        ('k', _) => {
            let open = model.open;
            model.say("your keys in it are renewed, or you ask to be let in again");
            return open
                .map(|id| Command::Change(id, Change::Refresh))
                .into_iter()
                .collect();
        }
        ('l', _) => open_panel(model, Panel::Confirm(Confirm::Leave)),
        ('s', Some(_)) => return safety(model),
        ('s', None) => model.say("that is you: compare with somebody else"),
        ('c', Some(other)) => ask(model, Ask::Call(other)),
        ('c', None) => model.say("that is you: names are for others"),
        ('i' | 'r' | 'o' | 'n' | 'a' | 'j', _) if !is_group => model.say("only groups have that: Ctrl-G makes one"),
        ('i', _) => ask(model, Ask::Invite),
        ('n', _) => ask(model, Ask::Rename),
        ('a', _) => open_panel(model, Panel::Requests(0)),
        ('j', _) => open_panel(model, Panel::Links(0)),
        ('r', Some(other)) => open_panel(model, Panel::Confirm(Confirm::Remove(other))),
        ('r', None) => model.say("that is you: L leaves"),
        ('o', _) => {
            if let Some(of) = of {
                ask(model, Ask::Role(of));
            }
        }
        _ => {}
    }
    Vec::new()
}

/// Where a key leads among so many, if it moves.
fn moved(model: &Model, place: usize, all: usize, code: KeyCode) -> Option<usize> {
    let step = view::page_rows(model) / 2;
    let last = all.saturating_sub(1);
    let place = place.min(last);
    let to = match code {
        KeyCode::Up => place.saturating_sub(1),
        KeyCode::Down => place.saturating_add(1),
        KeyCode::PageUp => place.saturating_sub(step),
        KeyCode::PageDown => place.saturating_add(step),
        KeyCode::Home => 0,
        KeyCode::End => last,
        _ => return None,
    };
    Some(to.min(last))
}

fn in_requests(model: &mut Model, place: usize, code: KeyCode) -> Vec<Command> {
    let all = model.conversation().map_or(0, |one| one.requests.len());
    if let Some(to) = moved(model, place, all, code) {
        model.panel = Some(Panel::Requests(to));
        view::reveal_member(model);
        return Vec::new();
    }
    let KeyCode::Char(letter) = code else { return Vec::new() };
    match (letter.to_ascii_lowercase(), asker(model, place)) {
        ('j', _) => open_panel(model, Panel::Links(0)),
        ('a', Some(whom)) => open_panel(model, Panel::Confirm(Confirm::Admit(whom))),
        ('r', Some(whom)) => open_panel(model, Panel::Confirm(Confirm::Refuse(whom))),
        ('c', Some(whom)) => ask(model, Ask::Call(whom)),
        ('s', Some(_)) => return safety(model),
        _ => {}
    }
    Vec::new()
}

fn in_links(model: &mut Model, place: usize, code: KeyCode) -> Vec<Command> {
    let all = model.conversation().map_or(0, |one| one.links.len());
    if let Some(to) = moved(model, place, all, code) {
        model.panel = Some(Panel::Links(to));
        view::reveal_member(model);
        return Vec::new();
    }
    match (code, link(model, place)) {
        (KeyCode::Char('n' | 'N'), _) => {
            let open = model.open;
            return open.map(Command::MakeLink).into_iter().collect();
        }
        (KeyCode::Char('a' | 'A'), _) => open_panel(model, Panel::Requests(0)),
        (KeyCode::Char('r' | 'R'), Some(link)) => {
            open_panel(model, Panel::Confirm(Confirm::Unlink(InviteName::of(&link.secret))));
        }
        (KeyCode::Enter, Some(link)) => open_panel(model, Panel::Link(link)),
        _ => {}
    }
    Vec::new()
}

/// What comes of a line that was asked for.
fn answered(model: &mut Model, what: Ask, text: &str) -> Vec<Command> {
    let identity = || match model.names.find(text).map_or_else(|| text.parse::<IdentityId>(), Ok) {
        Ok(identity) if identity == model.own => Err("that is you: give the identity of somebody else".to_owned()),
        Ok(identity) => Ok(identity),
        Err(error) => Err(format!("this is no identity ({error}): it begins with tim1")),
    };
    // As it is copied from a screen, in several lines.
    let joined = || text.split_whitespace().collect::<String>().parse::<InviteLink>();
    let open = model.open;
    let change = |change| {
        open.map(|id| Command::Change(id, change))
            .ok_or_else(|| "there is no conversation".to_owned())
    };
    let command = match what {
        Ask::Start if text.to_ascii_uppercase().starts_with("TIM:") => {
            joined().map(Command::Join).map_err(|error| error.to_string())
        }
        Ask::Start => identity().map(Command::Start),
        Ask::Call(whom) if text.is_empty() => Ok(Command::Call(whom, None)),
        Ask::Call(whom) => match (ContactName::new(text), model.names.find(text)) {
            (Ok(_), Some(other)) if other != whom => Err(NameError::Taken(other).to_string()),
            (Ok(name), _) => Ok(Command::Call(whom, Some(name))),
            (Err(error), _) => Err(error.to_string()),
        },
        Ask::Group | Ask::Rename if text.is_empty() => Err("a group has a name".to_owned()),
        Ask::Group => Ok(Command::NewGroup(text.to_owned())),
        Ask::Rename => change(Change::Rename(text.to_owned())),
        Ask::Invite => identity().and_then(|identity| change(Change::Invite(identity))),
        Ask::Disappear => text
            .parse::<Timer>()
            .and_then(|Timer(after)| change(Change::Disappear(after))),
        Ask::Role(of) => match role(text) {
            Some(role) => change(Change::SetRole(of, role)),
            None => Err("a member is owner, admin or member".to_owned()),
        },
        Ask::React(id) => return react_with(model, id, text),
    };
    match command {
        Ok(command) => {
            let is_change = matches!(command, Command::Change(..));
            let is_among_members = is_change || matches!(command, Command::Call(..));
            model.panel = is_among_members.then_some(Panel::Members(0));
            model.panel_above = 0;
            if is_change {
                model.say("it takes effect as soon as the ledger shows it");
            }
            vec![command]
        }
        Err(why) => {
            model.say(&why);
            Vec::new()
        }
    }
}

/// Reacts; with nothing, takes the reaction back.
fn react_with(model: &mut Model, to: MessageId, text: &str) -> Vec<Command> {
    let emoji = match text {
        "" => None,
        text => match content::Reaction::new(text) {
            Ok(reaction) => Some(reaction),
            Err(_) => {
                model.say("that is too long for a reaction: an emoji, or a word");
                return Vec::new();
            }
        },
    };
    model.panel = None;
    let said = model.open.map(|id| Command::Say(id, Content::Reaction { to, emoji }));
    said.into_iter().collect()
}

fn confirmed(model: &mut Model, what: Confirm) -> Vec<Command> {
    model.panel = None;
    let Some(id) = model.open else { return Vec::new() };
    if let Confirm::Admit(_) | Confirm::Refuse(_) = what {
        open_panel(model, Panel::Requests(0));
    }
    if let Confirm::Unlink(_) = what {
        open_panel(model, Panel::Links(0));
    }
    if matches!(what, Confirm::Remove(_) | Confirm::Leave | Confirm::Admit(_)) {
        model.say("it takes effect as soon as the ledger shows it");
    }
    vec![match what {
        Confirm::Delete(of) => Command::Say(id, Content::Delete { of }),
        Confirm::Remove(whom) => Command::Change(id, Change::Remove(whom)),
        Confirm::Leave => Command::Change(id, Change::Leave),
        Confirm::Admit(whom) => Command::Answer(id, whom, true),
        Confirm::Refuse(whom) => Command::Answer(id, whom, false),
        Confirm::Unlink(link) => Command::Unlink(id, link),
    }]
}

fn in_list(model: &mut Model, key: KeyEvent) -> Vec<Command> {
    let is_inbox = model.conversation().is_some_and(|one| one.kind == Kind::Inbox);
    match key.code {
        KeyCode::Up => return neighbour(model, false),
        KeyCode::Down => return neighbour(model, true),
        KeyCode::Enter | KeyCode::Right if is_inbox => focus(model, Focus::Read),
        KeyCode::Enter | KeyCode::Right if model.open.is_some() => focus(model, Focus::Write),
        _ => {}
    }
    Vec::new()
}

/// A key that changes a text or moves in it.
fn edit(composer: &mut Composer, key: KeyEvent, columns: usize) {
    let (control, alt) = modifiers(key);
    match (control || alt, key.code) {
        (false, KeyCode::Char(letter)) => composer.insert(letter.encode_utf8(&mut [0; 4])),
        (false, KeyCode::Backspace) => composer.backspace(),
        (_, KeyCode::Delete) => composer.delete(),
        (false, KeyCode::Left) => composer.left(),
        (false, KeyCode::Right) => composer.right(),
        (true, KeyCode::Left) => composer.word_left(),
        (true, KeyCode::Right) => composer.word_right(),
        (true, KeyCode::Backspace | KeyCode::Char('w' | 'h')) => composer.backspace_word(),
        (true, KeyCode::Char('u')) => composer.backspace_all(),
        (true, KeyCode::Char('a')) | (_, KeyCode::Home) => composer.home(columns),
        (true, KeyCode::Char('e')) | (_, KeyCode::End) => composer.end(columns),
        _ => {}
    }
}

fn in_text(model: &mut Model, key: KeyEvent, control: bool, alt: bool) -> Vec<Command> {
    let columns = view::compose_columns(model);
    let before = model.composer.text().len();
    match key.code {
        KeyCode::Enter if alt => model.composer.insert("\n"),
        KeyCode::Char('j') if control => model.composer.insert("\n"),
        KeyCode::Enter => return send(model),
        KeyCode::Esc if model.aim != Aim::New => model.aim_at(Aim::New),
        KeyCode::Esc => focus(model, Focus::List),
        KeyCode::Up if model.composer.up(columns) => {}
        KeyCode::Up => focus(model, Focus::Read),
        KeyCode::PageUp => {
            focus(model, Focus::Read);
            return in_messages(model, key);
        }
        KeyCode::Down => {
            model.composer.down(columns);
        }
        _ => edit(&mut model.composer, key, columns),
    }
    let typed = model.composer.text().len() > before && model.aim == Aim::New;
    let open = model.conversation().filter(|one| typed && one.is_open());
    open.map(|one| Command::Typing(one.id)).into_iter().collect()
}

fn send(model: &mut Model) -> Vec<Command> {
    let Some(one) = model.conversation() else {
        model.say("there is no conversation yet: Ctrl-N starts one");
        return Vec::new();
    };
    let conversation = one.id;
    if model.composer.text().trim().is_empty() {
        return Vec::new();
    }
    if !one.is_open() {
        let why = one.advice().unwrap_or_default().to_owned();
        model.say(&why);
        return Vec::new();
    }
    if model.composer.text().len() > TEXT_BYTES_MAX {
        model.say(&too_long());
        return Vec::new();
    }
    let (aim, text) = (model.aim, model.composer.take());
    model.aim_at(Aim::New);
    vec![Command::Send {
        conversation,
        text,
        aim,
    }]
}

fn in_messages(model: &mut Model, key: KeyEvent) -> Vec<Command> {
    let page = view::page_rows(model);
    match key.code {
        KeyCode::Esc => focus(model, Focus::Write),
        KeyCode::Enter => return details(model),
        KeyCode::Char('r' | 'R') => return answer(model),
        KeyCode::Char('p' | 'P') => return proof(model),
        KeyCode::Char('s' | 'S') => return safety(model),
        KeyCode::Char('e' | 'E') => edit_message(model),
        KeyCode::Char('d' | 'D') | KeyCode::Delete => delete_message(model),
        KeyCode::Char('+') => react(model),
        KeyCode::Up => {
            select(model, false);
            return older(model);
        }
        KeyCode::Down if select(model, true) => {}
        KeyCode::Down => focus(model, Focus::Write),
        KeyCode::PageUp => {
            view::scroll(model, page, true);
            return older(model);
        }
        KeyCode::PageDown => {
            view::scroll(model, page, false);
        }
        KeyCode::End => {
            model.below = 0;
            model.selected = model.messages.last().map(|message| message.id);
        }
        KeyCode::Home => {
            model.selected = model.messages.first().map(|message| message.id);
            view::reveal(model);
            return older(model);
        }
        _ => {}
    }
    Vec::new()
}

/// Selects the next message in a direction; whether there was one.
fn select(model: &mut Model, later: bool) -> bool {
    let place = model
        .selected
        .and_then(|id| model.messages.iter().position(|message| message.id == id));
    let wanted = match place {
        None => model.messages.len().checked_sub(1),
        Some(place) if later => place.checked_add(1),
        Some(place) => place.checked_sub(1),
    };
    let Some(message) = wanted.and_then(|place| model.messages.get(place)) else {
        return false;
    };
    model.selected = Some(message.id);
    view::reveal(model);
    true
}

/// Asks for older messages, if there are any and less than a page of them is left above the screen.
fn older(model: &mut Model) -> Vec<Command> {
    match model.open {
        Some(id) if model.more && !model.loading && view::rows_above(model) < view::page_rows(model) => {
            model.loading = true;
            model.loaded = model.loaded.saturating_add(PAGE);
            vec![Command::Load(id, false)]
        }
        _ => Vec::new(),
    }
}
