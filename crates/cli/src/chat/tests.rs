//! The screen as people see it, and what keys do to it.

mod actions;
mod asking;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::CellWidth as _;
use ratatui::layout::{Position, Size};
use ratatui::style::Color;
use tokenim_client::chat::{ConversationId, Mark, Standing};
use tokenim_client::{IdentityId, MessageId};
use tokenim_wire::UnixMillis;

use super::model::{Aim, Ask, Command, Confirm, Conversation, Focus, INBOX, Kind, Member, Message, Model, Msg, Panel};
use super::text::Shown;
use super::view::view;

/// 2023-11-14 22:13:20 UTC.
const TIME: u64 = 1_700_000_000_000;

fn who(number: u8) -> IdentityId {
    IdentityId::from_bytes([number; 32])
}

fn handle(number: u8) -> ConversationId {
    ConversationId::from_bytes([number; 32])
}

fn id(number: u8) -> MessageId {
    MessageId::try_from([number; 16].as_slice()).unwrap()
}

fn member(number: u8, role: &'static str) -> Member {
    Member {
        identity: who(number),
        role,
        devices: 1 + usize::from(number),
        verified: number == 2,
    }
}

fn direct() -> Conversation {
    Conversation {
        id: handle(1),
        name: Shown::line("tim1bert"),
        kind: Kind::Two(who(2)),
        suite: "post-quantum",
        epoch: 3,
        disappear: None,
        todo: None,
        standing: Standing::Active,
        requests: Vec::new(),
        links: Vec::new(),
        members: vec![member(1, "owner"), member(2, "owner")],
        unread: 0,
    }
}

fn group() -> Conversation {
    Conversation {
        id: handle(2),
        name: Shown::line("Ausflug 山 🏔️"),
        kind: Kind::Group,
        suite: "post-quantum",
        epoch: 12,
        disappear: Some(604_800),
        todo: None,
        standing: Standing::Active,
        requests: Vec::new(),
        links: Vec::new(),
        members: vec![member(1, "owner"), member(2, "admin"), member(3, "member")],
        unread: 2,
    }
}

fn message(number: u8, author: Option<u8>, text: &str) -> Message {
    Message {
        id: id(number),
        author: author.map(who),
        time: UnixMillis::new(TIME + u64::from(number) * 60_000),
        body: Shown::new(text),
        text: true,
        fresh: false,
        answers: None,
        notes: Shown::default(),
        mark: author.is_none().then_some(Mark::Delivered),
    }
}

fn talk() -> Vec<Message> {
    let mut answered = message(3, Some(2), "да, в восемь\nу моста 🌉");
    answered.answers = Some(Shown::line("see you at eight?"));
    let mut edited = message(
        4,
        None,
        "שלום! a line that is long enough to need another one, and a third",
    );
    edited.notes = Shown::line("edited · 👍 2");
    edited.mark = Some(Mark::Queued);
    vec![
        message(1, Some(2), "good morning"),
        message(2, None, "see you at eight?"),
        answered,
        edited,
    ]
}

fn model(columns: u16, rows: u16) -> Model {
    let mut model = Model::new(who(1), Size::new(columns, rows));
    let commands = model.update(Msg::Conversations(vec![direct(), group()]));
    assert_eq!(commands, [Command::Load(handle(1), true)]);
    let commands = model.update(Msg::Messages(handle(1), talk(), false));
    // Where only the list has room, nothing is read yet.
    let read = (columns >= 60 && rows >= 4).then_some(Command::Read(handle(1), id(3)));
    assert_eq!(commands, Vec::from_iter(read));
    model
}

fn press(model: &mut Model, code: KeyCode) -> Vec<Command> {
    model.update(Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn control(model: &mut Model, letter: char) -> Vec<Command> {
    model.update(Msg::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)))
}

fn write(model: &mut Model, text: &str) {
    for letter in text.chars() {
        let commands = press(model, KeyCode::Char(letter));
        assert!(
            commands.iter().all(|command| matches!(command, Command::Typing(_))),
            "{commands:?}"
        );
    }
}

/// What is on the screen, and where the cursor is if it is shown.
fn screen(model: &Model) -> (String, Position) {
    let mut terminal = Terminal::new(TestBackend::new(model.size.width, model.size.height)).unwrap();
    terminal.draw(|frame| view(model, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..model.size.height {
        let mut line = String::new();
        let mut x = 0;
        while x < model.size.width {
            let cell = &buffer[(x, y)];
            line.push_str(cell.symbol());
            x += cell.symbol().cell_width().max(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let cursor = terminal.get_cursor_position().unwrap();
    (text, cursor)
}

#[track_caller]
fn assert_screen(model: &Model, expected: &str) {
    let (text, _) = screen(model);
    assert_eq!(text, expected.trim_start_matches('\n'), "\n{text}");
}

#[test]
fn the_list_stands_beside_what_is_said_and_written() {
    let mut model = model(80, 20);
    model.focus = Focus::Write;
    model.composer.insert("как дела, 世界?");
    model.update(Msg::Network {
        queued: 2,
        reached: true,
    });
    assert_screen(
        &model,
        r#"
 Conversations     │ tim1bert (verified) · two people · post-quantum
▸tim1bert          │
 Ausflug 山 🏔️   2 │
                   │ 2023-11-14 (UTC)
                   │ tim1qgpqyqsz…  22:14
                   │  good morning
                   │ You  22:15  delivered
                   │  see you at eight?
                   │ tim1qgpqyqsz…  22:16
                   │  ┃ see you at eight?
                   │  да, в восемь
                   │  у моста 🌉
                   │ You  22:17  queued
                   │  שלום! a line that is long enough to need another one, and
                   │  a third
                   │  edited · 👍 2
                   │────────────────────────────────────────────────────────────
                   │> как дела, 世界?
 connected, 2 messages on the way · 2 unread elsewhere
 Enter send · Up messages · F2 conversation · F3 safety number · F1 all keys
"#,
    );
    // After the sign, ten letters, and two that are twice as wide.
    assert_eq!(screen(&model).1, Position::new(20 + 2 + 10 + 4 + 1, 17));
}

#[test]
fn a_narrow_screen_shows_the_list_or_a_conversation() {
    let mut model = model(44, 12);
    assert_screen(
        &model,
        r#"
 Conversations
▸tim1bert
 Ausflug 山 🏔️                            2







 connected · 2 unread elsewhere
 Enter write · Up Down · Ctrl-N new · Ctrl-…
"#,
    );
    model.update(Msg::Resize(Size::new(44, 16)));
    press(&mut model, KeyCode::Enter);
    assert_screen(
        &model,
        r#"
 tim1bert (verified) · two people · post-qu…
  good morning
 You  22:15  delivered
  see you at eight?
 tim1qgpqyqsz…  22:16
  ┃ see you at eight?
  да, в восемь
  у моста 🌉
 You  22:17  queued
  שלום! a line that is long enough to need
  another one, and a third
  edited · 👍 2
────────────────────────────────────────────
>
 connected · 2 unread elsewhere
 Enter send · Up messages · F2 conversation…
"#,
    );
}

#[test]
fn trouble_is_told_in_one_line() {
    let mut model = model(80, 20);
    press(&mut model, KeyCode::Down);
    let mut behind = group();
    behind.standing = Standing::Behind;
    model.update(Msg::Conversations(vec![direct(), behind]));
    model.update(Msg::Messages(handle(2), vec![message(1, Some(3), "hallo")], false));
    model.update(Msg::Failed("the disk is full\nreally".to_owned()));
    let expected = r#"
 Conversations     │ Ausflug 山 🏔️ · 3 members · gone after 1 week · post-quant…
 tim1bert          │
▸Ausflug 山 🏔️   2 │
                   │
                   │
                   │
                   │
                   │
                   │
                   │
                   │
                   │
                   │ 2023-11-14 (UTC)
                   │ tim1qvpsxqcr…  22:14
                   │  hallo
                   │ this device asks to be let in again; what you write waits
                   │────────────────────────────────────────────────────────────
                   │>
 connected
 the disk is full
"#;
    assert_screen(&model, &expected.replace("disk is full", "disk is full really"));
    model.update(Msg::Network {
        queued: 1,
        reached: false,
    });
    assert!(
        screen(&model)
            .0
            .contains(" not enough nodes answer: 1 message kept, sent as soon as they do\n")
    );
}

#[test]
fn members_and_safety_numbers_stand_above_the_rest() {
    let mut model = model(80, 24);
    press(&mut model, KeyCode::F(2));
    assert_screen(
        &model,
        r#"
 Conversations     │ tim1bert (verified) · two people · post-quantum
▸tim1bert          │
 Ausflug 山 🏔️   2 │
                   │
                   │
  ┌ The conversation ────────────────────────────────────────────────────────┐
  │tim1bert                                                                  │
  │post-quantum: what is recorded today stays closed to the quantum computers│
  │of tomorrow. Who says it is signed classically. Epoch 3.                  │
  │Messages stay.                                                            │
  │                                                                          │
  │▸ tim1qyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqs3uhyfx          │
  │    owner, 2 devices, you                                                 │
  │  tim1qgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqu2sruw          │
  │    owner, 3 devices, verified                                            │
  │                                                                          │
  │S safety number · C call them · T timer · K renew keys · L leave          │
  └──────────────────────────────────────────────────────────────────────────┘d
                   │  a third
                   │  edited · 👍 2
                   │────────────────────────────────────────────────────────────
                   │>
 connected · 2 unread elsewhere
 Up Down choose · Esc back
"#,
    );
    assert_eq!(press(&mut model, KeyCode::F(3)), [Command::Safety(who(2))]);
    model.update(Msg::Safety(who(2), vec!["12345 67890 12345 67890".to_owned(); 3]));
    assert_screen(
        &model,
        r#"
 Conversations     │ tim1bert (verified) · two people · post-quantum
▸tim1bert          │
 Ausflug 山 🏔️   2 │
                   │
                   │
                   │
                   │
  ┌ Safety number ───────────────────────────────────────────────────────────┐
  │tim1qgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqyqszqgpqu2sruw            │
  │                                                                          │
  │12345 67890 12345 67890                                                   │
  │12345 67890 12345 67890                                                   │
  │12345 67890 12345 67890                                                   │
  │                                                                          │
  │You have marked them as verified.                                         │
  └──────────────────────────────────────────────────────────────────────────┘
                   │ You  22:17  queued
                   │  שלום! a line that is long enough to need another one, and
                   │  a third
                   │  edited · 👍 2
                   │────────────────────────────────────────────────────────────
                   │>
 connected · 2 unread elsewhere
 V they are the same · Esc back
"#,
    );
}

#[test]
fn an_empty_list_says_how_to_begin() {
    let mut model = Model::new(who(1), Size::new(60, 10));
    model.update(Msg::Conversations(Vec::new()));
    assert_screen(
        &model,
        r#"
 Conversations     │ Ctrl-N starts a conversation, F1 shows…
 none yet: Ctrl-N  │
                   │
                   │
                   │
                   │
                   │────────────────────────────────────────
                   │>
 connected
 Enter write · Up Down · Ctrl-N new · Ctrl-G group · F1 all…
"#,
    );
}

#[test]
fn what_is_written_is_sent_and_gone() {
    let mut model = model(80, 20);
    press(&mut model, KeyCode::Enter);
    assert_eq!(model.focus, Focus::Write);
    assert_eq!(press(&mut model, KeyCode::Enter), []);
    write(&mut model, "до встречи");
    control(&mut model, 'j');
    write(&mut model, "👩‍👩‍👧‍👦");
    press(&mut model, KeyCode::Backspace);
    write(&mut model, "世界");
    let sent = press(&mut model, KeyCode::Enter);
    let text = "до встречи\n世界".to_owned();
    assert_eq!(
        sent,
        [Command::Send {
            conversation: handle(1),
            text,
            aim: Aim::New
        }]
    );
    assert!(model.composer.is_empty());
}

#[test]
fn a_selected_message_is_answered_and_proved() {
    let mut model = model(80, 20);
    press(&mut model, KeyCode::Tab);
    press(&mut model, KeyCode::Up);
    assert_eq!((model.focus, model.selected), (Focus::Read, Some(id(4))));
    press(&mut model, KeyCode::Up);
    assert_eq!(
        press(&mut model, KeyCode::Char('p')),
        [Command::Proof(handle(1), id(3))]
    );
    assert_eq!(model.panel, Some(Panel::Proof(id(3), None)));
    // An answer about another message comes too late.
    model.update(Msg::Proof(id(2), vec!["of another".to_owned()]));
    assert_eq!(model.panel, Some(Panel::Proof(id(3), None)));
    press(&mut model, KeyCode::Esc);
    press(&mut model, KeyCode::Char('r'));
    assert_eq!((model.focus, model.aim), (Focus::Write, Aim::Answer(id(3))));
    write(&mut model, "ok");
    let sent = press(&mut model, KeyCode::Enter);
    let answer = Command::Send {
        conversation: handle(1),
        text: "ok".to_owned(),
        aim: Aim::Answer(id(3)),
    };
    assert_eq!(sent, [answer]);
    assert_eq!(model.aim, Aim::New);
}

#[test]
fn each_conversation_keeps_what_is_being_written() {
    let mut model = model(80, 20);
    press(&mut model, KeyCode::Tab);
    write(&mut model, "half a sent");
    let down = KeyEvent::new(KeyCode::Down, KeyModifiers::ALT);
    assert_eq!(model.update(Msg::Key(down)), [Command::Load(handle(2), true)]);
    assert!(model.composer.is_empty() && model.messages.is_empty());
    // What arrives late for the one left is not shown in the other.
    model.update(Msg::Messages(handle(1), talk(), false));
    assert!(model.messages.is_empty());
    let up = KeyEvent::new(KeyCode::Up, KeyModifiers::ALT);
    model.update(Msg::Key(up));
    assert_eq!(model.composer.text(), "half a sent");
}

#[test]
fn what_could_not_be_sent_comes_back() {
    let mut model = model(80, 20);
    let unsent = |id| Msg::Unsent(id, "not sent".to_owned(), "the disk is full".to_owned());
    model.update(unsent(handle(1)));
    assert_eq!(model.composer.text(), "not sent");
    model.update(unsent(handle(2)));
    let down = KeyEvent::new(KeyCode::Down, KeyModifiers::ALT);
    model.update(Msg::Key(down));
    assert_eq!(model.composer.text(), "not sent");
}

#[test]
fn somebody_is_written_to_by_identity() {
    let mut model = model(80, 20);
    control(&mut model, 'n');
    write(&mut model, "bert");
    assert_eq!(press(&mut model, KeyCode::Enter), []);
    assert!(model.said.as_ref().is_some_and(|text| text.contains("tim1")));
    control(&mut model, 'u');
    assert_eq!(model.said, None);
    model.update(Msg::Paste(format!(" {}\n", who(7))));
    assert_eq!(press(&mut model, KeyCode::Enter), [Command::Start(who(7))]);
    assert_eq!(model.update(Msg::Started(handle(7))), [Command::Load(handle(7), true)]);
    assert_eq!(model.focus, Focus::Write);
    control(&mut model, 'n');
    model.update(Msg::Paste(who(1).to_string()));
    assert_eq!(press(&mut model, KeyCode::Enter), []);
    assert!(model.said.as_ref().is_some_and(|text| text.contains("that is you")));
}

#[test]
fn what_came_since_the_last_time_stands_below_a_line() {
    let mut model = model(60, 14);
    let mut all = talk();
    all[2].fresh = true;
    model.update(Msg::Messages(handle(1), all, false));
    model.focus = Focus::Write;
    assert!(screen(&model).0.contains("── new ──"), "{}", screen(&model).0);
}

#[test]
fn without_colours_nothing_is_missing() {
    let mut model = model(80, 20);
    model.colours = false;
    let mut behind = direct();
    behind.standing = Standing::Behind;
    model.update(Msg::Conversations(vec![behind, group()]));
    model.update(Msg::Failed("the disk is full".to_owned()));
    press(&mut model, KeyCode::Tab);
    press(&mut model, KeyCode::Tab);
    let mut terminal = Terminal::new(TestBackend::new(80, 20)).unwrap();
    terminal.draw(|frame| view(&model, frame)).unwrap();
    let cells = terminal.backend().buffer().content();
    assert!(
        cells
            .iter()
            .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset)
    );
    // What is chosen has a sign, too.
    let (text, _) = screen(&model);
    assert!(text.contains("▸tim1bert") && text.contains("▸You  22:17"), "{text}");
}

#[test]
fn nothing_goes_out_where_one_was_removed() {
    let mut model = model(80, 20);
    let mut removed = direct();
    removed.standing = Standing::Removed;
    model.update(Msg::Conversations(vec![removed]));
    press(&mut model, KeyCode::Enter);
    write(&mut model, "hello?");
    assert_eq!(press(&mut model, KeyCode::Enter), []);
    assert_eq!(model.composer.text(), "hello?");
    assert!(
        model
            .said
            .as_ref()
            .is_some_and(|text| text.contains("no longer a member"))
    );
}

#[test]
fn reading_stays_in_place_while_messages_arrive() {
    let many: Vec<Message> = (0..40).map(|number| message(number, Some(2), "line\nline")).collect();
    let mut model = model(80, 20);
    model.update(Msg::Messages(handle(1), many.clone(), true));
    press(&mut model, KeyCode::Tab);
    press(&mut model, KeyCode::PageUp);
    press(&mut model, KeyCode::PageUp);
    let (before, _) = screen(&model);
    let mut more = many.clone();
    more.push(message(41, Some(2), "new"));
    let unread = model.update(Msg::Messages(handle(1), more, true));
    assert_eq!(unread, []);
    assert_eq!(screen(&model).0, before);
    assert_eq!(press(&mut model, KeyCode::End), [Command::Read(handle(1), id(41))]);
    assert!(screen(&model).0.contains("new"));
    for _ in 0..60 {
        press(&mut model, KeyCode::Up);
    }
    assert_eq!(model.selected, Some(id(0)));
    assert!(screen(&model).0.contains("2023-11-14 (UTC)"));
    // The older ones were asked for at the top, once.
    assert_eq!((model.loaded, model.loading), (400, true));
    assert_eq!(press(&mut model, KeyCode::PageUp), []);
}

#[test]
fn a_long_message_is_read_by_pages() {
    let mut model = model(60, 12);
    let long = message(9, Some(2), &"word ".repeat(2_000));
    model.update(Msg::Messages(handle(1), vec![long], false));
    press(&mut model, KeyCode::Tab);
    press(&mut model, KeyCode::PageUp);
    let mut pages = 0;
    loop {
        let below = model.below;
        press(&mut model, KeyCode::PageUp);
        if model.below == below {
            break;
        }
        pages += 1;
    }
    assert!(pages > 20, "{pages}");
    assert!(screen(&model).0.contains("tim1"));
}

#[test]
fn every_size_can_be_drawn() {
    for columns in [1, 5, 11, 12, 13, 24, 40, 60, 80] {
        for rows in [1, 3, 4, 5, 6, 7, 8, 16, 24] {
            let mut model = model(columns, rows);
            for panel in [
                None,
                Some(Panel::Help),
                Some(Panel::Members(1)),
                Some(Panel::Details(id(3), vec!["from tim1".repeat(9)])),
                Some(Panel::Confirm(Confirm::Remove(who(2)))),
                Some(Panel::Ask(Ask::React(id(3)), Default::default())),
                Some(Panel::Safety(who(2), Some(vec!["12345 67890".repeat(6)]))),
                Some(Panel::Ask(Ask::Start, Default::default())),
            ] {
                model.panel = panel;
                for focus in [Focus::List, Focus::Write, Focus::Read] {
                    model.focus = focus;
                    screen(&model);
                    press(&mut model, KeyCode::Down);
                }
            }
        }
    }
}

#[test]
fn a_resize_keeps_what_is_selected_in_sight() {
    let many: Vec<Message> = (0..40)
        .map(|number| message(number, Some(2), "some words that wrap"))
        .collect();
    let mut model = model(100, 30);
    model.update(Msg::Messages(handle(1), many, false));
    press(&mut model, KeyCode::Tab);
    press(&mut model, KeyCode::Tab);
    for _ in 0..20 {
        press(&mut model, KeyCode::Up);
    }
    let selected = model.selected;
    for (columns, rows) in [(62, 10), (30, 9), (100, 40)] {
        model.update(Msg::Resize(Size::new(columns, rows)));
        let (text, _) = screen(&model);
        assert_eq!(model.selected, selected);
        assert!(text.contains("22:33"), "{text}");
    }
}

#[test]
fn a_peer_cannot_draw_on_the_screen() {
    let mut model = model(80, 20);
    let mut evil = group();
    evil.name = Shown::line("x\u{1b}]0;owned\u{7}\n\u{202e}y");
    model.update(Msg::Conversations(vec![evil]));
    let mut text = message(5, Some(2), "\u{1b}[2J\u{9b}31m\r\u{8}\u{8}gone");
    text.answers = Some(Shown::line("\u{1b}[H"));
    text.notes = Shown::line("\u{1b}[H");
    model.update(Msg::Notice("\u{202e}\u{1b}[2J".to_owned()));
    model.update(Msg::Messages(handle(1), vec![text], false));
    model.update(Msg::Failed("bad\u{1b}[2J".to_owned()));
    let (text, _) = screen(&model);
    let controls = |letter: char| letter.is_control() && letter != '\n';
    assert!(!text.contains(controls) && !text.contains('\u{202e}'), "{text:?}");
}

#[test]
fn leaving_is_always_possible() {
    for letter in ['c', 'q'] {
        let mut model = model(80, 20);
        for panel in [
            None,
            Some(Panel::Help),
            Some(Panel::Ask(Ask::Start, Default::default())),
        ] {
            model.panel = panel;
            assert_eq!(control(&mut model, letter), [Command::Quit]);
        }
    }
}
