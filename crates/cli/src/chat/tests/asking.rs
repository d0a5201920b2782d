//! Names that the owner gives, who asks to be let in, and the links by which they ask.

use tokenim_client::chat::{InviteLink, InviteName};
use tokenim_client::step::name::ContactName;

use super::actions::{keys, says};
use super::*;
use crate::chat::model::Request;
use crate::chat::names::Names;

/// As the vectors of links have it.
const LINK: &str = "TIM:INVITE:1:070707070707070707070707070707070707070707070707070707070707070747D6F2A57891D8545B84A3EDB73EE54784685DE8D659A230062566AD6C417DBA6835B9B80D7915D675EA4A62FE04E36D9C5EB28C34CA04C90EFFB7A950E83A128BFD3FAD9CB64E56EF8B291CC75CE5491A8E9036CC29A98F11A6B5F5AEACD297000000006B49D458AD18E7D2";

fn link() -> InviteLink {
    LINK.parse().unwrap()
}

fn name(text: &str) -> ContactName {
    ContactName::new(text).unwrap()
}

/// Whom everybody is called, in a model of so many cells.
fn named(columns: u16, rows: u16, names: &[(u8, &str)]) -> Model {
    let mut model = model(columns, rows);
    let names = names.iter().map(|(number, text)| (who(*number), name(text)));
    model.names = names.collect::<Names>();
    model
}

fn request(number: u8) -> Request {
    Request {
        identity: who(number),
        link: "3fa9c1d2".to_owned(),
        at: UnixMillis::new(TIME),
        verified: number == 8,
    }
}

/// What is on the screen, without spaces and edges.
fn flat(model: &Model) -> String {
    let (text, _) = screen(model);
    text.chars()
        .filter(|letter| !letter.is_whitespace() && *letter != '│')
        .collect()
}

/// The group, in which so many ask.
fn asked(model: &mut Model, numbers: &[u8]) {
    let mut one = group();
    one.requests = numbers.iter().map(|number| request(*number)).collect();
    one.links = vec![link()];
    model.update(Msg::Conversations(vec![direct(), one]));
}

#[test]
fn who_asks_is_let_in_or_not_after_a_question() {
    let mut model = named(80, 24, &[(8, "Cleo 世界")]);
    asked(&mut model, &[7, 8]);
    assert!(
        screen(&model).0.contains("2 to be let in elsewhere"),
        "{}",
        screen(&model).0
    );
    model.open(handle(2));
    press(&mut model, KeyCode::F(2));
    assert!(screen(&model).0.contains("let in (2)"), "{}", screen(&model).0);
    keys(&mut model, "a");
    let text = screen(&model).0;
    for shown in ["Cleo 世界: verified, by link 3fa9c1d2", "not verified", "2023-11-14"] {
        assert!(text.contains(shown), "{text}");
    }
    // What is asked for shows all of the identity, and does nothing but with Y.
    assert_eq!(keys(&mut model, "a"), []);
    assert_eq!(model.panel, Some(Panel::Confirm(Confirm::Admit(who(7)))));
    let text = screen(&model).0;
    assert!(text.contains(&who(7).to_string()), "{text}");
    assert_eq!(keys(&mut model, "n"), []);
    assert_eq!(keys(&mut model, "y"), [Command::Answer(handle(2), who(7), true)]);
    assert_eq!(model.panel, Some(Panel::Requests(0)));
    press(&mut model, KeyCode::Down);
    press(&mut model, KeyCode::Down);
    assert_eq!(model.panel, Some(Panel::Requests(1)));
    keys(&mut model, "r");
    let text = flat(&model);
    assert!(text.contains("NotletCleo世界(tim1"), "{text}");
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.panel, Some(Panel::Requests(0)));
    press(&mut model, KeyCode::Down);
    assert_eq!(keys(&mut model, "s"), [Command::Safety(who(8))]);
    press(&mut model, KeyCode::Esc);
    press(&mut model, KeyCode::F(2));
    keys(&mut model, "a");
    press(&mut model, KeyCode::End);
    assert_eq!(keys(&mut model, "ry"), [Command::Answer(handle(2), who(8), false)]);
    // The one at whose place nobody stands any more is nobody.
    model.panel = Some(Panel::Requests(1));
    asked(&mut model, &[]);
    assert_eq!(keys(&mut model, "ar"), []);
    assert_eq!(model.panel, Some(Panel::Requests(1)));
    assert!(screen(&model).0.contains("Nobody."));
}

#[test]
fn a_link_is_made_shown_and_made_worthless() {
    let mut model = model(80, 24);
    asked(&mut model, &[]);
    model.open(handle(2));
    press(&mut model, KeyCode::F(2));
    keys(&mut model, "j");
    assert_eq!(keys(&mut model, "n"), [Command::MakeLink(handle(2))]);
    model.update(Msg::Link(handle(2), link()));
    let text = flat(&model);
    assert!(text.contains("TIM:INVITE:1:0707"), "{text}");
    assert!(text.contains("QRcode"), "{text}");
    model.update(Msg::Resize(Size::new(80, 60)));
    assert!(screen(&model).0.contains('▀'), "{}", screen(&model).0);
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.panel, Some(Panel::Links(0)));
    press(&mut model, KeyCode::Enter);
    assert_eq!(model.panel, Some(Panel::Link(link())));
    press(&mut model, KeyCode::Esc);
    keys(&mut model, "r");
    let gone = Command::Unlink(handle(2), InviteName::of(&link().secret));
    assert_eq!(keys(&mut model, "y"), [gone]);
    // One that comes after the panel was left opens nothing.
    model.panel = None;
    model.update(Msg::Link(handle(2), link()));
    assert_eq!(model.panel, None);
}

#[test]
fn a_link_is_asked_by_as_it_is_copied_from_a_screen() {
    let mut model = model(80, 24);
    control(&mut model, 'n');
    let (head, tail) = LINK.split_at(70);
    model.update(Msg::Paste(format!("{head}\n  {tail}\n")));
    assert_eq!(press(&mut model, KeyCode::Enter), [Command::Join(link())]);
    control(&mut model, 'n');
    model.update(Msg::Paste(head.to_owned()));
    assert_eq!(press(&mut model, KeyCode::Enter), []);
    assert!(model.said.is_some() && model.panel.is_some());
}

#[test]
fn people_are_shown_by_the_names_that_the_owner_gives() {
    let mut model = named(80, 20, &[(2, "Bert 山")]);
    model.update(Msg::Typing(vec![(handle(1), who(2))]));
    let text = screen(&model).0;
    assert!(
        text.contains("Bert 山  22:14") && text.contains("Bert 山 is typing"),
        "{text}"
    );
    // The identity stands where something is decided.
    press(&mut model, KeyCode::F(3));
    let text = flat(&model);
    assert!(text.contains(&format!("Bert山({})", who(2))), "{text}");
    // A conversation begins with a name as well, written in any case.
    press(&mut model, KeyCode::Esc);
    control(&mut model, 'n');
    write(&mut model, "bert 山");
    assert_eq!(press(&mut model, KeyCode::Enter), [Command::Start(who(2))]);
}

#[test]
fn a_name_is_given_changed_and_taken_away() {
    let mut model = named(80, 24, &[(2, "Bert"), (3, "Cleo")]);
    model.open(handle(2));
    press(&mut model, KeyCode::F(2));
    keys(&mut model, "c");
    assert!(says(&model, "that is you"));
    press(&mut model, KeyCode::Down);
    keys(&mut model, "c");
    let text = screen(&model).0;
    assert!(text.contains(&who(2).to_string()) && text.contains("Bert"), "{text}");
    for (refused, why) in [("cleo", "is called so"), ("you", "mistaken")] {
        control(&mut model, 'u');
        write(&mut model, refused);
        assert_eq!(press(&mut model, KeyCode::Enter), [], "{refused}");
        assert!(says(&model, why), "{refused}");
    }
    control(&mut model, 'u');
    write(&mut model, "BERT");
    let called = Command::Call(who(2), Some(name("BERT")));
    assert_eq!(press(&mut model, KeyCode::Enter), [called]);
    assert_eq!(model.panel, Some(Panel::Members(0)));
    press(&mut model, KeyCode::Down);
    keys(&mut model, "c");
    control(&mut model, 'u');
    assert_eq!(press(&mut model, KeyCode::Enter), [Command::Call(who(2), None)]);
}

#[test]
fn who_asks_can_be_answered_on_a_small_screen() {
    let mut model = named(40, 10, &[(7, "Frau Müller-Lüdenscheidt vom Chor 世界世界")]);
    asked(&mut model, &[7, 8]);
    model.open(handle(2));
    press(&mut model, KeyCode::Enter);
    press(&mut model, KeyCode::F(2));
    keys(&mut model, "a");
    press(&mut model, KeyCode::Down);
    let chosen = |model: &Model| screen(model).0.contains("▸ tim1");
    assert!(chosen(&model), "{}", screen(&model).0);
    model.update(Msg::Resize(Size::new(30, 8)));
    press(&mut model, KeyCode::Up);
    assert!(chosen(&model), "{}", screen(&model).0);
    keys(&mut model, "a");
    let shown = screen(&model).0;
    assert!(shown.contains("Let Frau"), "{shown}");
    assert_eq!(keys(&mut model, "y"), [Command::Answer(handle(2), who(7), true)]);
}
