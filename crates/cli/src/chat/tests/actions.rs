//! What keys do to messages, members and groups.

use tokenim_client::chat::{Change, Content, Role, content};

use super::*;

/// Selects the message of this number.
fn select(model: &mut Model, number: u8) {
    model.focus = Focus::Read;
    model.selected = Some(id(number));
}

pub(super) fn keys(model: &mut Model, letters: &str) -> Vec<Command> {
    let pressed = letters.chars().map(|letter| press(model, KeyCode::Char(letter)));
    pressed.last().unwrap()
}

pub(super) fn says(model: &Model, text: &str) -> bool {
    model.said.as_ref().is_some_and(|said| said.contains(text))
}

#[test]
fn a_reaction_is_a_digit_or_what_one_writes() {
    let reaction = |text: Option<&str>| {
        let emoji = text.map(|text| content::Reaction::new(text).unwrap());
        Command::Say(handle(1), Content::Reaction { to: id(3), emoji })
    };
    let mut model = model(80, 20);
    select(&mut model, 3);
    press(&mut model, KeyCode::Char('+'));
    assert!(screen(&model).0.contains("1 👍"), "{}", screen(&model).0);
    assert_eq!(press(&mut model, KeyCode::Char('1')), [reaction(Some("👍"))]);
    assert_eq!(model.panel, None);
    keys(&mut model, "+ok7");
    assert_eq!(press(&mut model, KeyCode::Enter), [reaction(Some("ok7"))]);
    keys(&mut model, "+");
    assert_eq!(press(&mut model, KeyCode::Enter), [reaction(None)]);
    keys(&mut model, "+");
    model.update(Msg::Paste("long".repeat(40)));
    assert_eq!(press(&mut model, KeyCode::Enter), []);
    assert!(says(&model, "too long"));
    press(&mut model, KeyCode::Esc);
    model.selected = None;
    keys(&mut model, "+");
    assert!(says(&model, "Select a message"));
}

#[test]
fn an_own_message_is_edited_and_the_draft_comes_back() {
    let mut model = model(80, 20);
    model.focus = Focus::Write;
    write(&mut model, "a draft");
    select(&mut model, 2);
    keys(&mut model, "e");
    assert_eq!(
        (model.aim, model.composer.text()),
        (Aim::Edit(id(2)), "see you at eight?")
    );
    assert!(screen(&model).0.contains("instead of: see you at eight?"));
    // No hint is given while something old is mended.
    assert_eq!(press(&mut model, KeyCode::Char('!')), []);
    let edit = Command::Send {
        conversation: handle(1),
        text: "see you at eight?!".to_owned(),
        aim: Aim::Edit(id(2)),
    };
    assert_eq!(press(&mut model, KeyCode::Enter), [edit]);
    assert_eq!((model.aim, model.composer.text()), (Aim::New, "a draft"));
    // It is dropped, or left for another conversation, without harm to the draft.
    select(&mut model, 2);
    keys(&mut model, "e");
    press(&mut model, KeyCode::Esc);
    assert_eq!((model.aim, model.composer.text()), (Aim::New, "a draft"));
    select(&mut model, 2);
    keys(&mut model, "e");
    model.open(handle(2));
    assert_eq!((model.aim, model.composer.text()), (Aim::New, ""));
    model.open(handle(1));
    assert_eq!(model.composer.text(), "a draft");
}

#[test]
fn what_is_edited_or_answered_may_be_taken_back_meanwhile() {
    let mut model = model(80, 20);
    select(&mut model, 2);
    keys(&mut model, "e");
    let mut left = talk();
    left[1].text = false;
    left[1].body = Shown::new("(taken back)");
    model.update(Msg::Messages(handle(1), left, false));
    assert_eq!((model.aim, model.composer.text()), (Aim::New, ""));
    select(&mut model, 3);
    keys(&mut model, "r");
    model.update(Msg::Messages(handle(1), Vec::new(), false));
    assert_eq!(model.aim, Aim::New);
}

#[test]
fn only_own_messages_are_changed_and_only_when_sure() {
    let mut model = model(80, 20);
    for letter in ["e", "d"] {
        select(&mut model, 3);
        assert_eq!(keys(&mut model, letter), []);
        assert!(says(&model, "only what you wrote"));
    }
    select(&mut model, 2);
    keys(&mut model, "d");
    assert_eq!(model.panel, Some(Panel::Confirm(Confirm::Delete(id(2)))));
    assert_eq!(keys(&mut model, "x"), []);
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.panel, None);
    press(&mut model, KeyCode::Delete);
    let delete = Command::Say(handle(1), Content::Delete { of: id(2) });
    assert_eq!(keys(&mut model, "y"), [delete]);
}

#[test]
fn a_group_is_made_and_changed_from_inside() {
    let change = |change| Command::Change(handle(2), change);
    let mut model = model(80, 24);
    control(&mut model, 'g');
    assert_eq!(press(&mut model, KeyCode::Enter), []);
    assert!(says(&model, "name"));
    write(&mut model, "山 trip");
    assert_eq!(
        press(&mut model, KeyCode::Enter),
        [Command::NewGroup("山 trip".to_owned())]
    );

    model.open(handle(2));
    press(&mut model, KeyCode::F(2));
    keys(&mut model, "i");
    model.update(Msg::Paste(who(7).to_string()));
    assert_eq!(press(&mut model, KeyCode::Enter), [change(Change::Invite(who(7)))]);
    // Back among the members, whoever is chosen.
    assert_eq!(model.panel, Some(Panel::Members(0)));
    press(&mut model, KeyCode::Down);
    press(&mut model, KeyCode::Down);
    press(&mut model, KeyCode::Down);
    assert_eq!(model.panel, Some(Panel::Members(2)));
    keys(&mut model, "r");
    assert_eq!(keys(&mut model, "y"), [change(Change::Remove(who(3)))]);
    press(&mut model, KeyCode::F(2));
    keys(&mut model, "r");
    assert!(says(&model, "that is you"));
    press(&mut model, KeyCode::Down);
    keys(&mut model, "o");
    write(&mut model, "boss");
    assert_eq!(press(&mut model, KeyCode::Enter), []);
    control(&mut model, 'u');
    write(&mut model, "adm");
    assert_eq!(
        press(&mut model, KeyCode::Enter),
        [change(Change::SetRole(who(2), Role::Admin))]
    );
    keys(&mut model, "n");
    control(&mut model, 'u');
    write(&mut model, "the trip");
    let rename = change(Change::Rename("the trip".to_owned()));
    assert_eq!(press(&mut model, KeyCode::Enter), [rename]);
    keys(&mut model, "t");
    write(&mut model, "soon");
    assert_eq!(press(&mut model, KeyCode::Enter), []);
    assert!(says(&model, "52w"));
    control(&mut model, 'u');
    write(&mut model, "2d");
    let timer = change(Change::Disappear(Some(172_800)));
    assert_eq!(press(&mut model, KeyCode::Enter), [timer]);
    assert_eq!(keys(&mut model, "k"), [change(Change::Refresh)]);
    keys(&mut model, "l");
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.panel, Some(Panel::Members(0)));
    keys(&mut model, "l");
    assert_eq!(keys(&mut model, "y"), [change(Change::Leave)]);
}

#[test]
fn two_people_have_no_names_or_roles() {
    let mut model = model(80, 24);
    press(&mut model, KeyCode::F(2));
    for letter in ["i", "r", "o", "n"] {
        assert_eq!(keys(&mut model, letter), []);
        assert!(says(&model, "only groups"), "{letter}");
    }
    press(&mut model, KeyCode::Down);
    assert_eq!(keys(&mut model, "s"), [Command::Safety(who(2))]);
}

#[test]
fn a_safety_number_is_verified_as_it_was_shown() {
    let mut model = model(80, 24);
    assert_eq!(press(&mut model, KeyCode::F(3)), [Command::Safety(who(2))]);
    assert_eq!(keys(&mut model, "v"), []);
    model.update(Msg::Safety(
        who(2),
        vec!["12345 67890".to_owned(), "11111 22222".to_owned()],
    ));
    let shown = Command::Verify(who(2), "12345 67890 11111 22222".to_owned());
    assert_eq!(keys(&mut model, "v"), [shown]);
    assert_eq!(model.panel, None);
}

#[test]
fn everything_about_a_message_is_a_key_away() {
    let mut model = model(80, 24);
    select(&mut model, 3);
    assert_eq!(press(&mut model, KeyCode::Enter), [Command::Details(handle(1), id(3))]);
    let about = vec![format!("from      {}", who(2)), "state     read".to_owned()];
    model.update(Msg::Details(id(3), about));
    assert!(screen(&model).0.contains("state     read"));
    assert_eq!(keys(&mut model, "p"), [Command::Proof(handle(1), id(3))]);
    model.update(Msg::Proof(id(3), vec!["was accepted".to_owned()]));
    assert!(screen(&model).0.contains("was accepted"));
}

#[test]
fn who_is_typing_is_told_and_shown() {
    let mut model = model(80, 20);
    model.focus = Focus::Write;
    assert_eq!(press(&mut model, KeyCode::Char('a')), [Command::Typing(handle(1))]);
    assert_eq!(press(&mut model, KeyCode::Left), []);
    assert_eq!(press(&mut model, KeyCode::Backspace), []);
    model.update(Msg::Typing(vec![(handle(2), who(3))]));
    assert!(!screen(&model).0.contains("typing"));
    model.update(Msg::Typing(vec![(handle(1), who(2))]));
    assert!(screen(&model).0.contains("─ tim1qgpqyqsz… is typing ─"));
    model.update(Msg::Typing(vec![(handle(1), who(2)), (handle(1), who(3))]));
    assert!(screen(&model).0.contains("and 1 other are typing"));
}

#[test]
fn receipts_are_switched_off_and_it_shows() {
    let mut model = model(80, 20);
    assert_eq!(press(&mut model, KeyCode::F(6)), [Command::Receipts(false)]);
    model.update(Msg::Receipts(false));
    assert!(screen(&model).0.contains("receipts off"));
    assert_eq!(control(&mut model, 't'), [Command::Receipts(true)]);
}

#[test]
fn a_message_is_read_when_it_is_before_somebodys_eyes() {
    let new = |number| {
        let mut all = talk();
        all.push(message(number, Some(2), "new"));
        Msg::Messages(handle(1), all, false)
    };
    let mut model = model(80, 20);
    // Nobody looks at the terminal.
    model.update(Msg::Looking(false));
    assert_eq!(model.update(new(5)), []);
    assert_eq!(model.update(Msg::Looking(true)), [Command::Read(handle(1), id(5))]);
    assert_eq!(model.update(Msg::Tick), []);
    // The list stands where the messages were.
    model.update(Msg::Resize(Size::new(44, 12)));
    model.focus = Focus::List;
    assert_eq!(model.update(new(6)), []);
    assert_eq!(press(&mut model, KeyCode::Enter), [Command::Read(handle(1), id(6))]);
}

#[test]
fn other_messages_are_shown_but_not_written_to() {
    let mut other = group();
    (other.id, other.kind, other.name) = (INBOX, Kind::Inbox, Shown::new("Other messages"));
    other.members.clear();
    let mut model = model(80, 20);
    model.update(Msg::Conversations(vec![direct(), other]));
    assert_eq!(press(&mut model, KeyCode::Down), [Command::Load(INBOX, true)]);
    let mut came = message(9, Some(3), "are you there?");
    came.notes = Shown::new("somebody new");
    assert_eq!(
        model.update(Msg::Messages(INBOX, vec![came], false)),
        [Command::Read(INBOX, id(9))]
    );
    let (text, _) = screen(&model);
    assert!(
        text.contains("are you there?") && text.contains("outside of conversations"),
        "{text}"
    );
    press(&mut model, KeyCode::Enter);
    assert_eq!(model.focus, Focus::Read);
    keys(&mut model, "+");
    assert!(says(&model, "no conversation"));
    assert_eq!(press(&mut model, KeyCode::Char('r')), [Command::Start(who(3))]);
    model.focus = Focus::Write;
    write(&mut model, "yes");
    assert_eq!(press(&mut model, KeyCode::Enter), []);
    assert_eq!(model.composer.text(), "yes");
}

#[test]
fn changes_of_a_conversation_are_told() {
    let mut model = model(80, 20);
    let mut changed = group();
    changed.members.pop();
    changed.members.push(member(4, "member"));
    (changed.name, changed.disappear) = (Shown::line("the trip"), None);
    model.update(Msg::Conversations(vec![direct(), changed]));
    let told: Vec<&str> = model.notices.iter().map(String::as_str).collect();
    assert_eq!(
        told,
        [
            "the trip: tim1qszqgpqy… is in now",
            "the trip: tim1qvpsxqcr… is no longer in it",
            "the trip: messages stay from now on",
            "Ausflug 山 🏔️ is called the trip now",
        ]
    );
    // Each is shown for a while, whatever is typed meanwhile.
    for text in ["is in now", "no longer", "stay", "is called"] {
        press(&mut model, KeyCode::Left);
        assert!(screen(&model).0.contains(text), "{text}");
        for _ in 0..20 {
            model.update(Msg::Tick);
            if !screen(&model).0.contains(text) {
                break;
            }
        }
    }
    assert!(model.notices.is_empty());
}

#[test]
fn nothing_written_is_left_behind_unasked() {
    let mut model = model(80, 20);
    model.focus = Focus::Write;
    write(&mut model, "half");
    assert_eq!(control(&mut model, 'c'), []);
    assert!(says(&model, "not sent"));
    press(&mut model, KeyCode::Left);
    assert_eq!(control(&mut model, 'q'), []);
    assert_eq!(control(&mut model, 'q'), [Command::Quit]);
}

#[test]
fn a_paste_that_no_message_holds_is_refused() {
    let mut model = model(80, 20);
    model.update(Msg::Paste("x".repeat(61_440)));
    model.update(Msg::Paste("x".to_owned()));
    assert!(says(&model, "60 KiB"));
    assert_eq!(model.composer.text().len(), 61_440);
}

#[test]
fn letters_of_keyboards_with_a_third_level_are_letters() {
    let mut model = model(80, 20);
    model.focus = Focus::Write;
    let both = KeyModifiers::CONTROL | KeyModifiers::ALT;
    model.update(Msg::Key(KeyEvent::new(KeyCode::Char('@'), both)));
    model.update(Msg::Key(KeyEvent::new(KeyCode::Char('q'), both)));
    assert_eq!(model.composer.text(), "@q");
}
