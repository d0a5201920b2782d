//! The screen, as a function of the model.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph};

use super::model::{Aim, Ask, Conversation, Focus, Kind as Of, Message, Model, Panel, mark_name};
use super::text::{fit, lines, width};
use super::{keys, panels, timer};
use crate::output::{count, utc};

/// Below this nothing can be read.
const COLUMNS_MIN: u16 = 12;
const ROWS_MIN: u16 = 4;
/// From here on there are rows for what the network does, and for an edge above what is written.
const ROWS_STATUS: u16 = 6;
const ROWS_EDGE: u16 = 7;
/// From here on the list stands beside the conversation.
const COLUMNS_WIDE: u16 = 60;
/// Columns of the list, its edge included.
const LIST_MIN: u16 = 20;
const LIST_MAX: u16 = 34;
/// Rows of what is being written.
const COMPOSE_ROWS_MAX: u16 = 6;
/// Columns by which a message's text is set in.
const INDENT: u16 = 2;

/// A row among the messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row<'a> {
    /// The message's place.
    message: usize,
    kind: Kind<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind<'a> {
    Day(String),
    Fresh,
    Head(&'a Message),
    Answers(&'a str),
    Body(&'a str),
    Notes(&'a str),
}

/// Where everything is.
struct Areas {
    list: Option<Rect>,
    head: Rect,
    messages: Rect,
    advice: Rect,
    edge: Rect,
    compose: Rect,
    status: Rect,
    help: Rect,
}

fn areas(model: &Model) -> Option<Areas> {
    let size = model.size;
    if size.width < COLUMNS_MIN || size.height < ROWS_MIN {
        return None;
    }
    let all = Rect::new(0, 0, size.width, size.height);
    let status_rows = u16::from(size.height >= ROWS_STATUS);
    let edge_rows = u16::from(size.height >= ROWS_EDGE);
    let [upper, status, help] = Layout::vertical([
        Constraint::Min(0),
        Constraint::Length(status_rows),
        Constraint::Length(1),
    ])
    .areas(all);
    let (list, main) = if size.width >= COLUMNS_WIDE {
        let columns = (size.width / 4).clamp(LIST_MIN, LIST_MAX);
        let [list, main] = Layout::horizontal([Constraint::Length(columns), Constraint::Min(0)]).areas(upper);
        (Some(list), main)
    } else if model.focus == Focus::List && model.panel.is_none() {
        (Some(upper), upper)
    } else {
        (None, upper)
    };
    let rows = lines(model.composer.text(), usize::from(compose_width(main))).len();
    let (row, _) = model.composer.position(usize::from(compose_width(main)));
    let rows = u16::try_from(rows.max(row.saturating_add(1))).unwrap_or(u16::MAX);
    let rows = rows.min(COMPOSE_ROWS_MAX).min(upper.height / 3).max(1);
    let advice = edge_rows > 0 && model.conversation().is_some_and(|one| one.advice().is_some());
    let [head, messages, advice, edge, compose] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(u16::from(advice)),
        Constraint::Length(edge_rows),
        Constraint::Length(rows),
    ])
    .areas(main);
    Some(Areas {
        list,
        head,
        messages,
        advice,
        edge,
        compose,
        status,
        help,
    })
}

/// What is written begins after a sign and ends before the edge, where the cursor may stand.
const fn compose_width(main: Rect) -> u16 {
    main.width.saturating_sub(3)
}

/// Whether the open conversation is on the screen, rather than the list in its place.
pub(super) fn shows_messages(model: &Model) -> bool {
    areas(model).is_some_and(|areas| areas.list.is_none_or(|list| !list.intersects(areas.head)))
}

/// Columns of what is being written.
pub(super) fn compose_columns(model: &Model) -> usize {
    areas(model).map_or(1, |areas| usize::from(compose_width(areas.compose)))
}

/// Columns of the messages.
pub(super) fn message_columns(model: &Model) -> usize {
    areas(model).map_or(1, |areas| usize::from(areas.messages.width.saturating_sub(1)))
}

/// Rows of messages on the screen.
pub(super) fn page_rows(model: &Model) -> usize {
    areas(model).map_or(1, |areas| usize::from(areas.messages.height))
}

/// The rows of some messages.
pub(super) fn rows(messages: &[Message], columns: usize) -> Vec<Row<'_>> {
    let text_columns = columns.saturating_sub(usize::from(INDENT)).max(1);
    let mut rows = Vec::new();
    let mut day = String::new();
    for (place, message) in messages.iter().enumerate() {
        let mut push = |kind| rows.push(Row { message: place, kind });
        let this: String = utc(message.time.get()).chars().take(10).collect();
        if this != day {
            day.clone_from(&this);
            push(Kind::Day(this));
        }
        if message.fresh {
            push(Kind::Fresh);
        }
        push(Kind::Head(message));
        if let Some(answers) = &message.answers {
            push(Kind::Answers(answers.as_str()));
        }
        for line in lines(message.body.as_str(), text_columns) {
            push(Kind::Body(line));
        }
        if !message.notes.as_str().is_empty() {
            push(Kind::Notes(message.notes.as_str()));
        }
    }
    rows
}

/// Rows of messages above the screen.
pub(super) fn rows_above(model: &Model) -> usize {
    let total = rows(&model.messages, message_columns(model)).len();
    total.saturating_sub(model.below).saturating_sub(page_rows(model))
}

/// Scrolls as little as makes the selected message visible.
pub(super) fn reveal(model: &mut Model) {
    let page = page_rows(model);
    let (total, first, last) = {
        let all = rows(&model.messages, message_columns(model));
        let selected = model
            .selected
            .and_then(|id| model.messages.iter().position(|message| message.id == id));
        let is_selected = |row: &Row<'_>| Some(row.message) == selected;
        let first = all.iter().position(is_selected);
        let last = all.iter().rposition(is_selected);
        (all.len(), first, last)
    };
    let (Some(first), Some(last)) = (first, last) else {
        model.below = 0;
        return;
    };
    let most = total.saturating_sub(page);
    // To have a row at the top, or at the bottom.
    let at_top = total.saturating_sub(first.saturating_add(page));
    let at_bottom = total.saturating_sub(last.saturating_add(1));
    model.below = model
        .below
        .clamp(at_top.min(at_bottom), at_bottom.max(at_top))
        .min(most);
}

/// Scrolls by rows, and takes the selection along; whether anything moved.
pub(super) fn scroll(model: &mut Model, by: usize, up: bool) -> bool {
    let page = page_rows(model);
    let (below, selected) = {
        let all = rows(&model.messages, message_columns(model));
        let most = all.len().saturating_sub(page);
        let below = if up {
            model.below.saturating_add(by).min(most)
        } else {
            model.below.saturating_sub(by)
        };
        let middle = all
            .len()
            .saturating_sub(below)
            .saturating_sub(page / 2)
            .saturating_sub(1);
        let place = all.get(middle).or(all.last()).map(|row| row.message);
        (
            below,
            place
                .and_then(|place| model.messages.get(place))
                .map(|message| message.id),
        )
    };
    if below == model.below {
        return false;
    }
    (model.below, model.selected) = (below, selected);
    true
}

/// Scrolls the panel as little as makes the chosen member visible.
pub(super) fn reveal_member(model: &mut Model) {
    let (area, content) = panels::content(model);
    let page = usize::from(area.height.saturating_sub(2));
    let Some(place) = content.iter().position(|line| line.starts_with(panels::CHOSEN)) else {
        return;
    };
    let ends = |line: &String| line.is_empty() || panels::is_entry(line);
    let below = content.iter().skip(place.saturating_add(1));
    let last = place.saturating_add(below.take_while(|line| !ends(line)).count());
    // Its beginning, if not all of it has room.
    let above = last.saturating_add(1).saturating_sub(page).min(place);
    // The first one brings what stands above the members into sight.
    let top = if matches!(
        model.panel,
        Some(Panel::Members(0) | Panel::Requests(0) | Panel::Links(0))
    ) {
        0
    } else {
        place
    };
    model.panel_above = model.panel_above.clamp(above.min(top), top.max(above));
}

/// How far a panel can be scrolled.
pub(super) fn panel_above_max(model: &Model) -> usize {
    let (area, content) = panels::content(model);
    content.len().saturating_sub(usize::from(area.height.saturating_sub(2)))
}

const fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

const fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// A style in a colour, where there are colours.
const fn coloured(model: &Model, style: Style, colour: Color) -> Style {
    if model.colours { style.fg(colour) } else { style }
}

/// Draws everything.
pub(super) fn view(model: &Model, frame: &mut Frame<'_>) {
    let Some(areas) = areas(model) else {
        frame.render_widget(Paragraph::new("too small"), frame.area());
        return;
    };
    let narrow = areas.list.is_some_and(|list| list.intersects(areas.head));
    if !narrow {
        conversation(model, &areas, frame);
    }
    if let Some(area) = areas.list {
        list(model, area, narrow, frame);
    }
    frame.render_widget(status(model, areas.status.width), areas.status);
    frame.render_widget(help(model, areas.help.width), areas.help);
    if model.panel.is_some() {
        panel(model, frame);
    }
}

fn list(model: &Model, area: Rect, narrow: bool, frame: &mut Frame<'_>) {
    let block = Block::new().borders(if narrow { Borders::NONE } else { Borders::RIGHT });
    let inner = block.inner(area);
    let columns = usize::from(inner.width);
    let title = if model.focus == Focus::List { bold() } else { dim() };
    let mut shown = vec![Line::styled(fit(" Conversations", columns), title)];
    if model.conversations.is_empty() {
        shown.push(Line::styled(fit(" none yet: Ctrl-N", columns), dim()));
    }
    // The open one is always in sight.
    let open = model.conversations.iter().position(|one| Some(one.id) == model.open);
    let page = usize::from(inner.height.saturating_sub(1)).max(1);
    let above = open.map_or(0, |open| open.saturating_add(1).saturating_sub(page));
    for one in model.conversations.iter().skip(above).take(page) {
        let unread = unread(one.unread);
        let name_columns = columns.saturating_sub(width(&unread)).saturating_sub(1);
        let name = fit(one.name.as_str(), name_columns);
        let pad = " ".repeat(name_columns.saturating_sub(width(&name)));
        let mut style = if one.unread > 0 { bold() } else { Style::new() };
        if !one.is_open() && one.unread == 0 {
            style = style.patch(dim());
        }
        // Beside the name where there is no reversed video.
        let sign = if Some(one.id) == model.open { "▸" } else { " " };
        let mut line = Line::from(vec![
            Span::styled(format!("{sign}{name}{pad}"), style),
            Span::styled(unread, bold()),
        ]);
        if Some(one.id) == model.open {
            line = line.patch_style(Style::new().add_modifier(Modifier::REVERSED));
        }
        shown.push(line);
    }
    frame.render_widget(Paragraph::new(shown).block(block), area);
}

fn unread(number: usize) -> String {
    match number {
        0 => String::new(),
        1..100 => format!(" {number} "),
        _ => " 99+ ".to_owned(),
    }
}

fn heading(one: &Conversation) -> String {
    let name = one.name.as_str();
    let kind = match one.kind {
        Of::Two(_) => "two people".to_owned(),
        Of::Group => count(one.members.len(), "member"),
        Of::Inbox => return name.to_owned(),
    };
    let is_verified = |of| {
        one.members
            .iter()
            .any(|member| member.identity == of && member.verified)
    };
    let verified = if one.peer().is_some_and(is_verified) {
        " (verified)"
    } else {
        ""
    };
    let timer = match one.disappear {
        None => String::new(),
        Some(seconds) => format!(" · gone after {}", timer::words(seconds)),
    };
    format!("{name}{verified} · {kind}{timer} · {}", one.suite)
}

fn conversation(model: &Model, areas: &Areas, frame: &mut Frame<'_>) {
    let columns = usize::from(areas.head.width).saturating_sub(1);
    let head = match model.conversation() {
        Some(one) => heading(one),
        None => "Ctrl-N starts a conversation, F1 shows all keys".to_owned(),
    };
    frame.render_widget(Line::styled(format!(" {}", fit(&head, columns)), bold()), areas.head);
    messages(model, areas.messages, frame);
    if let Some(advice) = model.conversation().and_then(Conversation::advice) {
        let text = format!(" {}", fit(advice, columns));
        frame.render_widget(
            Line::styled(text, coloured(model, Style::new(), Color::Yellow)),
            areas.advice,
        );
    }
    let wide = usize::from(areas.edge.width);
    let text = edge(model).map_or_else(String::new, |text| fit(&format!("─ {text} "), wide));
    let rest = "─".repeat(wide.saturating_sub(width(&text)));
    frame.render_widget(Line::styled(format!("{text}{rest}"), dim()), areas.edge);
    compose(model, areas.compose, frame);
}

/// What is said on the edge between messages and what is being written.
fn edge(model: &Model) -> Option<String> {
    let first = |id| {
        let message = model.message(&id)?;
        message.body.as_str().lines().next().map(str::to_owned)
    };
    match model.aim {
        Aim::Answer(id) => return Some(format!("answers: {}", first(id).unwrap_or_default())),
        Aim::Edit(id) => return Some(format!("instead of: {}", first(id).unwrap_or_default())),
        Aim::New => {}
    }
    if model.below > 0 {
        let unread = model.conversation().map_or(0, |one| one.unread);
        return Some(match unread {
            0 => "more below: End".to_owned(),
            unread => format!("{unread} new below: End"),
        });
    }
    let mut typing = model.typing.iter().filter(|(id, _)| Some(*id) == model.open);
    let (_, who) = typing.next()?;
    Some(match typing.count() {
        0 => format!("{} is typing", model.names.called(who)),
        others => format!("{} and {} are typing", model.names.called(who), count(others, "other")),
    })
}

fn messages(model: &Model, area: Rect, frame: &mut Frame<'_>) {
    let columns = usize::from(area.width.saturating_sub(1));
    let page = usize::from(area.height);
    let all = rows(&model.messages, columns);
    let end = all
        .len()
        .saturating_sub(model.below.min(all.len().saturating_sub(page)));
    let start = end.saturating_sub(page);
    let shown: Vec<Line<'_>> = all
        .get(start..end)
        .unwrap_or_default()
        .iter()
        .map(|row| draw(model, row, columns))
        .collect();
    // A few messages stand just above what is being written.
    let free = u16::try_from(page.saturating_sub(shown.len())).unwrap_or(0);
    let [_, lower] = Layout::vertical([Constraint::Length(free), Constraint::Min(0)]).areas(area);
    frame.render_widget(Paragraph::new(shown), lower);
}

fn draw<'a>(model: &Model, row: &Row<'a>, columns: usize) -> Line<'a> {
    let text_columns = columns.saturating_sub(usize::from(INDENT));
    match &row.kind {
        Kind::Day(day) => Line::styled(format!(" {day} (UTC)"), dim()),
        Kind::Fresh => {
            let text = "── new ";
            let rest = "─".repeat(columns.saturating_sub(width(text)));
            Line::styled(fit(&format!("{text}{rest}"), columns), bold())
        }
        Kind::Head(message) => {
            let time: String = utc(message.time.get()).chars().skip(11).take(5).collect();
            let (name, style) = match &message.author {
                None => ("You".to_owned(), coloured(model, bold(), Color::Cyan)),
                Some(author) => (model.names.called(author), bold()),
            };
            let mark = message
                .mark
                .map_or_else(String::new, |mark| format!("  {}", mark_name(mark)));
            let is_selected = model.selected == Some(message.id) && model.focus == Focus::Read;
            let sign = if is_selected { "▸" } else { " " };
            let line = Line::from(vec![
                Span::styled(format!("{sign}{}", fit(&name, text_columns)), style),
                Span::styled(format!("  {time}{mark}"), dim()),
            ]);
            if is_selected {
                line.patch_style(Style::new().add_modifier(Modifier::REVERSED))
            } else {
                line
            }
        }
        Kind::Answers(text) => Line::styled(format!("  ┃ {}", fit(text, text_columns.saturating_sub(2))), dim()),
        Kind::Body(text) => Line::from(format!("  {text}")),
        Kind::Notes(text) => Line::styled(format!("  {}", fit(text, text_columns)), dim()),
    }
}

fn compose(model: &Model, area: Rect, frame: &mut Frame<'_>) {
    let columns = usize::from(compose_width(area));
    let all = lines(model.composer.text(), columns);
    let (row, column) = model.composer.position(columns);
    let above = row.saturating_add(1).saturating_sub(usize::from(area.height));
    let sign = |place: usize| if place == 0 { "> " } else { "  " };
    let shown: Vec<Line<'_>> = all
        .iter()
        .enumerate()
        .skip(above)
        .take(usize::from(area.height))
        .map(|(place, line)| Line::from(vec![sign(place).bold(), Span::raw(*line)]))
        .collect();
    frame.render_widget(Paragraph::new(shown), area);
    if model.focus == Focus::Write && model.panel.is_none() {
        let x = area
            .x
            .saturating_add(2)
            .saturating_add(u16::try_from(column).unwrap_or(0));
        let y = area
            .y
            .saturating_add(u16::try_from(row.saturating_sub(above)).unwrap_or(0));
        frame.set_cursor_position(Position::new(x, y));
    }
}

/// How many ask to be let into groups that are not open.
fn elsewhere_asking(model: &Model) -> usize {
    let elsewhere = model.conversations.iter().filter(|one| Some(one.id) != model.open);
    elsewhere.map(|one| one.requests.len()).sum()
}

fn status(model: &Model, columns: u16) -> Line<'static> {
    let waiting = count(model.queued, "message");
    let (mut text, style) = match (model.reached, model.queued) {
        (true, 0) => ("connected".to_owned(), dim()),
        (true, _) => (format!("connected, {waiting} on the way"), dim()),
        (false, queued) => {
            let kept = match queued {
                0 => String::new(),
                _ => format!(": {waiting} kept, sent as soon as they do"),
            };
            let style = coloured(model, Style::new(), Color::Yellow);
            (format!("not enough nodes answer{kept}"), style)
        }
    };
    let elsewhere = model.conversations.iter().filter(|one| Some(one.id) != model.open);
    let unread: usize = elsewhere.map(|one| one.unread).sum();
    if unread > 0 {
        text.push_str(&format!(" · {unread} unread elsewhere"));
    }
    let asking: usize = elsewhere_asking(model);
    if asking > 0 {
        text.push_str(&format!(" · {asking} to be let in elsewhere"));
    }
    if !model.receipts {
        text.push_str(" · receipts off");
    }
    let columns = usize::from(columns).saturating_sub(1);
    Line::styled(format!(" {}", fit(&text, columns)), style)
}

fn help(model: &Model, columns: u16) -> Line<'static> {
    let columns = usize::from(columns).saturating_sub(1);
    if let Some(text) = model.said.as_ref().or(model.notices.front()) {
        return Line::styled(format!(" {}", fit(text, columns)), bold());
    }
    let is_inbox = model.conversation().is_some_and(|one| one.kind == Of::Inbox);
    let text = match (&model.panel, model.focus) {
        (Some(Panel::Ask(Ask::Disappear, _)), _) => "Enter set · Esc back",
        (Some(Panel::Ask(..)), _) => "Enter go on · Esc back",
        (Some(Panel::Confirm(_)), _) => "Y do it · Esc back",
        (Some(Panel::Safety(_, Some(_))), _) => "V they are the same · Esc back",
        (Some(Panel::Details(..)), _) => "P proof · Up Down scroll · Esc back",
        (Some(Panel::Members(_) | Panel::Requests(_) | Panel::Links(_)), _) => "Up Down choose · Esc back",
        (Some(_), _) => "Up Down scroll · Esc back",
        (None, Focus::List) => "Enter write · Up Down · Ctrl-N new · Ctrl-G group · F1 all keys · Ctrl-C leave",
        (None, Focus::Write) if model.aim != Aim::New => "Enter send · Esc drop it · F1 help",
        (None, Focus::Write) => "Enter send · Up messages · F2 conversation · F3 safety number · F1 all keys",
        (None, Focus::Read) if is_inbox => "Up Down select · R write to the sender · Enter details · F1 all keys",
        (None, Focus::Read) => "R answer · + react · E edit · D take back · Enter details · F1 all keys",
    };
    Line::styled(format!(" {}", fit(text, columns)), dim())
}

fn panel(model: &Model, frame: &mut Frame<'_>) {
    let (area, content) = panels::content(model);
    let block = Block::bordered().title(format!(" {} ", panels::title(model)));
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    let above = model.panel_above.min(panel_above_max(model));
    let rows = content.len();
    let draw = |line: String| {
        let is_chosen = line.starts_with(panels::CHOSEN);
        Line::styled(line, if is_chosen { bold() } else { Style::new() })
    };
    let shown: Vec<Line<'_>> = content.into_iter().skip(above).map(draw).collect();
    frame.render_widget(Paragraph::new(shown).block(block), area);
    if let Some(Panel::Ask(_, composer)) = &model.panel {
        let columns = usize::from(inner.width).saturating_sub(1).max(1);
        let (row, column) = composer.position(columns);
        // The text stands at the end of the panel.
        let row = rows
            .saturating_sub(lines(composer.text(), columns).len())
            .saturating_add(row);
        let x = inner.x.saturating_add(u16::try_from(column).unwrap_or(0));
        let y = inner.y.saturating_add(u16::try_from(row).unwrap_or(0));
        if inner.contains(Position::new(x, y)) {
            frame.set_cursor_position(Position::new(x, y));
        }
    }
}

/// The keys with what they do, in so many columns; what stands alone is a heading.
pub(super) fn key_lines(columns: usize) -> Vec<String> {
    let widest = keys::HELP.iter().map(|(key, _)| width(key)).max().unwrap_or(0);
    let mut shown = Vec::new();
    for (key, what) in keys::HELP {
        if what.is_empty() {
            if !shown.is_empty() {
                shown.push(String::new());
            }
            shown.push(fit(&format!("── {key} ──"), columns));
        } else if columns > widest.saturating_add(20) {
            let pad = " ".repeat(widest.saturating_sub(width(key)));
            let rest = columns.saturating_sub(widest).saturating_sub(2);
            for (place, line) in lines(what, rest).into_iter().enumerate() {
                if place == 0 {
                    shown.push(format!("{key}{pad}  {line}"));
                } else {
                    shown.push(format!("{}  {line}", " ".repeat(widest)));
                }
            }
        } else {
            shown.extend(lines(&format!("{key}: {what}"), columns).into_iter().map(str::to_owned));
        }
    }
    shown
}
