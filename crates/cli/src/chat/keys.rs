//! What each key does.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokenim_client::IdentityId;
use tokenim_wire::limits::SESSION_TEXT_BYTES_MAX as TEXT_BYTES_MAX;

use super::compose::Composer;
use super::model::{Command, Focus, Model, PAGE, Panel, advice, is_open};
use super::view;

/// Every key with what it does, as the help shows it.
pub(super) const HELP: [(&str, &str); 16] = [
    ("Enter", "send what you wrote; in the list, write there"),
    ("Alt-Enter, Ctrl-J", "a new line"),
    ("Tab", "from the list to the text to the messages, and round"),
    ("Up, Down", "another conversation, line or message"),
    ("PageUp, PageDown", "scroll the messages"),
    ("Alt-Up, Alt-Down", "another conversation, from anywhere"),
    ("Ctrl-N", "write to somebody whose identity you have"),
    ("Ctrl-R", "answer the selected message"),
    ("F1", "this help"),
    ("F2, Ctrl-O", "members and their roles"),
    ("F3, Ctrl-S", "the safety number of the other side"),
    ("F4, Ctrl-P", "the proof of the selected message, or your newest"),
    ("Ctrl-W, Ctrl-U", "remove a word, or everything before the cursor"),
    ("Esc", "back"),
    ("Ctrl-C, Ctrl-Q", "leave; what waits is sent the next time"),
    ("", "groups are made with `tokenim group new`"),
];

pub(super) fn press(model: &mut Model, key: KeyEvent) -> Vec<Command> {
    if key.kind == KeyEventKind::Release {
        return Vec::new();
    }
    model.said = None;
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    match (control, key.code) {
        (true, KeyCode::Char('c' | 'q')) => return vec![Command::Quit],
        (true, KeyCode::Char('n')) => open_panel(model, Panel::Start(Composer::default())),
        (true, KeyCode::Char('o')) | (false, KeyCode::F(2)) => return members(model),
        (true, KeyCode::Char('s')) | (false, KeyCode::F(3)) => return safety(model),
        (true, KeyCode::Char('p')) | (false, KeyCode::F(4)) => return proof(model),
        (false, KeyCode::F(1)) => open_panel(model, Panel::Help),
        (false, KeyCode::Up) if alt => return neighbour(model, false),
        (false, KeyCode::Down) if alt => return neighbour(model, true),
        _ if model.panel.is_some() => return in_panel(model, key),
        (true, KeyCode::Char('r')) => answer(model),
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

/// Moves the keys elsewhere.
fn focus(model: &mut Model, focus: Focus) {
    model.focus = focus;
    match focus {
        Focus::Read => {
            if model.selected.is_none() {
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

fn members(model: &mut Model) -> Vec<Command> {
    if model.conversation().is_some() {
        open_panel(model, Panel::Members);
    } else {
        model.say("there is no conversation yet: Ctrl-N starts one");
    }
    Vec::new()
}

fn safety(model: &mut Model) -> Vec<Command> {
    let of_selected = model
        .selected
        .and_then(|id| model.message(&id))
        .and_then(|message| message.author);
    let peer = model.conversation().and_then(|one| one.peer);
    match of_selected.or(peer) {
        Some(identity) => {
            open_panel(model, Panel::Safety(identity, None));
            vec![Command::Safety(identity)]
        }
        None => {
            model.say("of whom? Select a message of theirs first (Tab, Up)");
            Vec::new()
        }
    }
}

fn proof(model: &mut Model) -> Vec<Command> {
    let newest = || model.messages.iter().rev().find(|message| message.author.is_none());
    let message = model.selected.and_then(|id| model.message(&id)).or_else(newest);
    match (model.open, message.map(|message| message.id)) {
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

fn answer(model: &mut Model) {
    match model.selected {
        Some(id) => {
            focus(model, Focus::Write);
            model.answers = Some(id);
        }
        None => model.say("which one? Select a message first (Tab, Up)"),
    }
}

fn in_panel(model: &mut Model, key: KeyEvent) -> Vec<Command> {
    let Some(panel) = &mut model.panel else {
        return Vec::new();
    };
    match (panel, key.code) {
        (_, KeyCode::Esc) => model.panel = None,
        (Panel::Start(composer), KeyCode::Enter) => {
            let text = composer.text().trim().to_owned();
            return match text.parse::<IdentityId>() {
                Ok(identity) if identity == model.own => {
                    model.say("that is you: give the identity of somebody else");
                    Vec::new()
                }
                Ok(identity) => {
                    model.panel = None;
                    vec![Command::Start(identity)]
                }
                Err(error) => {
                    model.say(&format!("this is no identity ({error}): it begins with tim1"));
                    Vec::new()
                }
            };
        }
        (Panel::Start(composer), _) => edit(composer, key, usize::MAX),
        (_, KeyCode::Up) => model.panel_above = model.panel_above.saturating_sub(1),
        (_, KeyCode::Down) => model.panel_above = model.panel_above.saturating_add(1).min(view::panel_above_max(model)),
        (_, KeyCode::Enter | KeyCode::Char('q')) => model.panel = None,
        _ => {}
    }
    Vec::new()
}

fn in_list(model: &mut Model, key: KeyEvent) -> Vec<Command> {
    match key.code {
        KeyCode::Up => return neighbour(model, false),
        KeyCode::Down => return neighbour(model, true),
        KeyCode::Enter | KeyCode::Right if model.open.is_some() => focus(model, Focus::Write),
        _ => {}
    }
    Vec::new()
}

/// A key that changes a text or moves in it.
fn edit(composer: &mut Composer, key: KeyEvent, columns: usize) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
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
    match key.code {
        KeyCode::Enter if alt => model.composer.insert("\n"),
        KeyCode::Char('j') if control => model.composer.insert("\n"),
        KeyCode::Enter => return send(model),
        KeyCode::Esc if model.answers.is_some() => model.answers = None,
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
    Vec::new()
}

fn send(model: &mut Model) -> Vec<Command> {
    let (Some(conversation), Some(standing)) = (model.open, model.conversation().map(|one| one.standing)) else {
        model.say("there is no conversation yet: Ctrl-N starts one");
        return Vec::new();
    };
    if model.composer.text().trim().is_empty() {
        return Vec::new();
    }
    if !is_open(standing) {
        model.say(advice(standing).unwrap_or_default());
        return Vec::new();
    }
    if model.composer.text().len() > TEXT_BYTES_MAX {
        model.say(&format!(
            "this is longer than {} KiB: send less at a time",
            TEXT_BYTES_MAX / 1_024
        ));
        return Vec::new();
    }
    let answers = model.answers.take();
    let text = model.composer.take();
    vec![Command::Send {
        conversation,
        text,
        answers,
    }]
}

fn in_messages(model: &mut Model, key: KeyEvent) -> Vec<Command> {
    let page = view::page_rows(model);
    match key.code {
        KeyCode::Esc | KeyCode::Enter => focus(model, Focus::Write),
        KeyCode::Char('r') => answer(model),
        KeyCode::Char('p') => return proof(model),
        KeyCode::Up if select(model, false) => {}
        KeyCode::Down if select(model, true) => {}
        KeyCode::Down => focus(model, Focus::Write),
        KeyCode::PageUp if view::scroll(model, page, true) => {}
        KeyCode::PageDown => {
            view::scroll(model, page, false);
        }
        KeyCode::End => {
            model.below = 0;
            model.selected = model.messages.last().map(|message| message.id);
        }
        KeyCode::Up | KeyCode::PageUp | KeyCode::Home => return older(model, key.code == KeyCode::Home),
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

/// At the top: the older messages, if there are any.
fn older(model: &mut Model, home: bool) -> Vec<Command> {
    if home {
        model.selected = model.messages.first().map(|message| message.id);
        view::reveal(model);
    }
    match model.open {
        Some(id) if model.more && !model.loading => {
            model.loading = true;
            model.loaded = model.loaded.saturating_add(PAGE);
            vec![Command::Load(id, model.loaded)]
        }
        _ => Vec::new(),
    }
}
