//! The screen of `top`: a view and a picture as lines of a terminal.

use flow_common::time::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Sparkline};

use super::label::{number, rate};
use super::window::Sums;
use super::worker::Picture;
use super::{Editor, View, as_ranked};
use crate::Zone;
use crate::message::neutral;
use crate::output::RatesText;
use crate::statistic::Order;

/// What is drawn.
pub(super) struct Looked<'a> {
    pub(super) view: &'a View,
    pub(super) picture: &'a Picture,
    /// What is read, in words.
    pub(super) place: &'a str,
    pub(super) now: Timestamp,
    pub(super) zone: Zone,
}

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const FAINT: Style = Style::new().add_modifier(Modifier::DIM);
/// Lines of a sparkline.
const SPARK_LINES: u16 = 3;
/// Lines of a terminal from which on there are sparklines.
const SPARK_FROM_LINES: u16 = 14;
/// Characters a value has, before numbers make room: an IPv4 address.
const LABEL_WIDTH: usize = 16;
/// Characters of numbers, blanks before them included, the order they are by, and those
/// that make room first.
const COLUMNS: [(&str, usize, Option<Order>); 5] = [
    ("bytes/s", 11, Some(Order::Bytes)),
    ("%", 7, None),
    ("packets/s", 11, Some(Order::Packets)),
    ("flows/s", 11, Some(Order::Flows)),
    ("bpp", 9, Some(Order::Bpp)),
];
const EXPENDABLE: [usize; 4] = [4, 2, 3, 0];

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, looked: &Looked<'_>) {
    let area = frame.area();
    let spark = if area.height >= SPARK_FROM_LINES { SPARK_LINES + 1 } else { 0 };
    let lines = [1, 1, spark, 1, 1].map(Constraint::Length);
    let ends = [Constraint::Min(0), Constraint::Length(1), Constraint::Length(1)];
    let [title, filter, sparks, heading, header, rows, how, help] =
        Layout::vertical(lines.into_iter().chain(ends)).areas(area);
    draw_title(frame, title, looked);
    if spark > 0 {
        draw_sparks(frame, sparks, looked.picture);
    }
    frame.render_widget(Paragraph::new(Line::styled(heading_text(looked), BOLD)), heading);
    draw_rows(frame, header, rows, looked);
    draw_ends(frame, how, help, looked);
    // Over all else.
    draw_filter(frame, filter, looked.view);
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, looked: &Looked<'_>) {
    let clock = clock(looked.now, looked.zone);
    let state = match (looked.view.is_paused(), looked.picture.is_reading) {
        (true, _) => "  PAUSED",
        (false, true) => "  reading",
        (false, false) => "",
    };
    let left = format!("flowdump top  {}{state}", looked.place);
    let room = usize::from(area.width).saturating_sub(clock.chars().count() + 1);
    let line = format!("{left:<room$.room$} {clock}");
    frame.render_widget(
        Paragraph::new(Line::styled(line, Style::new().add_modifier(Modifier::REVERSED))),
        area,
    );
}

/// `18:20:13 UTC`, or with the zone's distance from it.
fn clock(at: Timestamp, zone: Zone) -> String {
    let Some((wall, offset_secs)) = zone.wall(at) else { return String::new() };
    let minutes = offset_secs.unsigned_abs() / 60;
    let sign = if offset_secs < 0 { '-' } else { '+' };
    match minutes {
        0 => format!("{} UTC", wall.format("%H:%M:%S")),
        _ => format!("{} UTC{sign}{:02}:{:02}", wall.format("%H:%M:%S"), minutes / 60, minutes % 60),
    }
}

fn draw_filter(frame: &mut Frame<'_>, area: Rect, view: &View) {
    const LABEL: &str = "Filter: ";
    let Some(Editor { text, cursor, error }) = &view.editor else {
        let text = if view.filter.trim().is_empty() { "any" } else { &view.filter };
        let line = Line::from(vec![Span::styled(LABEL, FAINT), Span::raw(neutral(text).replace('\n', " "))]);
        frame.render_widget(Paragraph::new(line), area);
        return;
    };
    // The end of what is before the cursor is always seen.
    let room = usize::from(area.width).saturating_sub(LABEL.len() + 1).max(1);
    let skipped = cursor.saturating_sub(room);
    let seen: String = text.chars().skip(skipped).take(room).collect();
    let line = Line::from(vec![Span::styled(LABEL, BOLD), Span::styled(seen, Style::new().underlined())]);
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(line), area);
    let column = LABEL.len() + cursor - skipped;
    frame.set_cursor_position(Position::new(
        area.x + u16::try_from(column).unwrap_or(u16::MAX).min(area.width.saturating_sub(1)),
        area.y,
    ));
    if error.is_empty() {
        return;
    }
    let below = frame.area().height.saturating_sub(area.y + 1);
    let height = u16::try_from(error.len()).unwrap_or(u16::MAX).min(below);
    let area = Rect { y: area.y + 1, height, ..area };
    let lines: Vec<_> =
        error.iter().map(|line| Line::styled(line.as_str(), Style::new().fg(Color::Red))).collect();
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_sparks(frame: &mut Frame<'_>, area: Rect, picture: &Picture) {
    let [left, _, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(2), Constraint::Fill(1)]).areas(area);
    draw_spark(frame, left, "bytes/s", picture, |sums| sums.bytes);
    draw_spark(frame, right, "flows/s", picture, |sums| sums.flows);
}

/// The last seconds, one a column, and how much the last, the mean and the most of them is.
fn draw_spark(frame: &mut Frame<'_>, area: Rect, name: &str, picture: &Picture, of: impl Fn(&Sums) -> u64) {
    let [title, bars] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let width = usize::from(bars.width);
    let seconds = &picture.seconds[picture.seconds.len().saturating_sub(width)..];
    let values: Vec<u64> = seconds.iter().map(of).collect();
    let mean = values.iter().map(|&value| value as f64).sum::<f64>() / values.len().max(1) as f64;
    let [last, most] =
        [values.last(), values.iter().max()].map(|value| number(value.copied().unwrap_or(0) as f64));
    let line = Line::from(vec![
        Span::styled(name.to_owned(), BOLD),
        Span::raw(format!(" {last}, mean {}, max {most}", number(mean))),
    ]);
    frame.render_widget(Paragraph::new(line), title);
    let before = vec![0; width.saturating_sub(values.len())];
    let data: Vec<u64> = before.into_iter().chain(values).collect();
    frame.render_widget(Sparkline::default().data(data).style(Style::new().fg(Color::Cyan)), bars);
}

/// What the rows are by.
fn title<'a>(looked: &Looked<'a>) -> &'a str {
    match looked.picture.title.as_str() {
        "" => &looked.view.statistic().title,
        title => title,
    }
}

/// `Src IP Addr by bytes, mean of 60 s to 18:20:08, 5 s ago`.
fn heading_text(looked: &Looked<'_>) -> String {
    let Looked { view, picture, now, zone, .. } = looked;
    let ranking = view.ranking();
    let by = if ranking.is_ascending { "the least " } else { "" };
    let what = format!("{} by {by}{}", title(looked), as_ranked(ranking.order).word());
    let Some(end) = picture.end_secs else { return what };
    let ago = now.secs().saturating_sub(end).max(0);
    let span = picture.span_secs;
    let short = if span < view.window_secs() { " (more can't be held)" } else { "" };
    let wall = zone.wall(Timestamp::from_secs(end)).map(|(wall, _)| wall.format("%H:%M:%S").to_string());
    let wall = wall.unwrap_or_default();
    format!("{what}, mean of {span} s to {wall}, {ago} s ago{short}")
}

fn draw_rows(frame: &mut Frame<'_>, header: Rect, area: Rect, looked: &Looked<'_>) {
    let Looked { view, picture, .. } = looked;
    let order = as_ranked(view.ranking().order);
    let (columns, width) = fitting(usize::from(area.width), order);
    let label = |text: &str| format!("{text:<width$.width$}");
    let mut names = vec![Span::raw(label(title(looked)))];
    names.extend(columns.iter().map(|&index| {
        let (name, width, of) = COLUMNS[index];
        let is_ranked = of == Some(order);
        let style = if is_ranked { BOLD.add_modifier(Modifier::UNDERLINED) } else { Style::new() };
        Span::styled(format!("{name:>width$}"), style)
    }));
    let names = Line::from(names);
    frame.render_widget(Paragraph::new(names), header);
    if picture.rows.is_empty() {
        let text = match (picture.is_reading || picture.number == 0, picture.end_secs) {
            (true, _) => "reading …",
            (false, None) => "no flows in the last minutes",
            (false, Some(_)) => "no flows",
        };
        frame.render_widget(Paragraph::new(Line::styled(text, FAINT)), area);
        return;
    }
    let row = |text: &str, sums: &Sums| {
        let secs = picture.span_secs;
        let (of, whole) = match order {
            Order::Flows | Order::First | Order::Last | Order::Duration => (sums.flows, picture.total.flows),
            Order::Packets | Order::Pps | Order::OutPackets | Order::OutPps => {
                (sums.packets, picture.total.packets)
            }
            _ => (sums.bytes, picture.total.bytes),
        };
        let percent = if whole == 0 { 0.0 } else { of as f64 * 100.0 / whole as f64 };
        let numbers = [
            rate(sums.bytes, secs),
            format!("{percent:.1}"),
            rate(sums.packets, secs),
            rate(sums.flows, secs),
            sums.value(Order::Bpp).to_string(),
        ];
        let numbers = columns.iter().map(|&index| format!("{:>1$}", numbers[index], COLUMNS[index].1));
        label(text) + &numbers.collect::<String>()
    };
    let n_rows = usize::from(area.height.saturating_sub(1)).min(picture.rows.len());
    let mut lines: Vec<_> =
        picture.rows.iter().take(n_rows).map(|(label, sums)| Line::raw(row(label, sums))).collect();
    let all = format!("all {}", picture.n_groups);
    lines.push(Line::styled(row(&all, &picture.total), FAINT));
    frame.render_widget(Paragraph::new(lines), area);
}

/// The columns there is room for, and the characters that are left for a value.
fn fitting(width: usize, order: Order) -> (Vec<usize>, usize) {
    let mut columns: Vec<_> = (0..COLUMNS.len()).collect();
    let room = |columns: &[usize]| {
        width.saturating_sub(columns.iter().map(|&index| COLUMNS[index].1).sum::<usize>() + 1)
    };
    for index in EXPENDABLE.into_iter().filter(|&index| COLUMNS[index].2 != Some(order)) {
        if room(&columns) < LABEL_WIDTH {
            columns.retain(|&column| column != index);
        }
    }
    let left = room(&columns).max(1);
    (columns, left)
}

fn draw_ends(frame: &mut Frame<'_>, how: Rect, help: Rect, looked: &Looked<'_>) {
    let Picture { rates, error, .. } = looked.picture;
    let line = match error {
        Some((error, n)) => {
            let more = if *n > 1 { format!("{n} errors, the last: ") } else { String::new() };
            Line::styled(neutral(&format!("{more}{error}")).replace('\n', " "), Style::new().fg(Color::Red))
        }
        None => {
            let scaled = rates.map(|rates| format!("scaled by {}; ", RatesText(rates))).unwrap_or_default();
            let text = "by arrival: a flow counts whole when its record comes; seen some 8 s later";
            Line::styled(format!("{scaled}{text}"), FAINT)
        }
    };
    frame.render_widget(Paragraph::new(line), how);
    let keys: &[(&str, &str)] = match looked.view.editor {
        Some(_) => &[("Enter", "take"), ("Esc", "leave as it was"), ("^U", "clear")],
        None => &[
            ("q", "quit"),
            ("p", "pause"),
            ("s/S", "statistic"),
            ("o", "order"),
            ("r", "reverse"),
            ("w", "window"),
            ("/", "filter"),
        ],
    };
    let spans =
        keys.iter().flat_map(|(key, what)| [Span::styled(*key, BOLD), Span::raw(format!(" {what}  "))]);
    frame.render_widget(Paragraph::new(Line::from_iter(spans)), help);
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::columns::Columns;
    use crate::statistic::Statistic;

    /// 2026-11-21 12:00:05 UTC.
    const NOW: Timestamp = Timestamp(1_795_262_405_000_000);

    fn picture() -> Picture {
        let sums = |bytes: u64| Sums { flows: bytes / 5_000 + 1, packets: bytes / 700 + 1, bytes };
        let rows = [
            ("10.1.2.3", 98_765_432_100),
            ("2001:db8:1:2:3:4:5:6", 12_345_678_900),
            ("192.0.2.1", 1_234_567),
            ("192.0.2.2", 1_500),
        ];
        let end = NOW.secs() - 4;
        Picture {
            number: 1,
            title: "Src IP Addr".into(),
            rows: rows.map(|(label, bytes)| (label.to_owned(), sums(bytes))).into(),
            n_groups: 4_123,
            total: sums(123_456_789_012),
            span_secs: 60,
            end_secs: Some(end),
            seconds: (0..300_u64).map(|n| sums((n % 40 + n / 3) * 100_000)).collect(),
            ..Picture::default()
        }
    }

    fn view(statistic: &str) -> View {
        View::new(
            vec![Statistic::parse(statistic, &Columns::default(), &std::sync::Arc::default()).unwrap()],
            1,
            String::new(),
        )
    }

    /// The screen as text.
    fn shown(view: &View, picture: &Picture, (width, height): (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let looked = Looked { view, picture, place: "/var/flows", now: NOW, zone: Zone::Fixed(-12_600) };
        terminal.draw(|frame| draw(frame, &looked)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn who_talks_most() {
        assert_snapshot!("usual", shown(&view("srcip/bytes"), &picture(), (80, 24)));
    }

    #[test]
    fn what_is_not_as_usual_is_said() {
        let mut view = view("dstport:p/pps:a");
        view.is_paused = true;
        view.filter = "src net 10.0.0.0/8 and\nnot port 53".into();
        let error = Some(("can't read `/var/flows/\u{1b}x.parquet`: it is damaged".to_owned(), 3));
        let picture = Picture { span_secs: 41, rates: Some((1, 1_000)), ..picture() };
        let mut text = shown(&view, &picture, (100, 16));
        text += &shown(&view, &Picture { error, ..picture }, (100, 9));
        assert_snapshot!("unusual", text);
    }

    #[test]
    fn without_flows() {
        let view = view("record");
        let mut text = shown(&view, &Picture::default(), (60, 7));
        let none = Picture { number: 1, ..Picture::default() };
        text += &shown(&view, &none, (60, 7));
        text += &shown(&view, &Picture { end_secs: Some(NOW.secs() - 11), span_secs: 60, ..none }, (60, 7));
        assert_snapshot!("empty", text);
    }

    #[test]
    fn a_filter_that_is_typed() {
        let mut view = view("srcip/bytes");
        let text = "proto tpc and (src net 10.0.0.0/8 or dst net 10.0.0.0/8)";
        let error = [
            "error: unknown protocol `tpc`",
            "  |",
            "1 | proto tpc",
            "  |       ^^^",
            "hint: did you mean `tcp`?",
        ];
        let error = error.map(str::to_owned).into();
        view.editor = Some(Editor { text: text.into(), cursor: text.len(), error });
        let mut shown_text = shown(&view, &picture(), (80, 16));
        // A line that is too long shows where it is typed.
        shown_text += &shown(&view, &picture(), (40, 8));
        assert_snapshot!("editor", shown_text);
    }

    #[test]
    fn no_size_is_too_small() {
        let mut view = view("srcip/bytes");
        for width in 1..30 {
            for height in 1..20 {
                view.editor = None;
                shown(&view, &picture(), (width, height));
                view.editor =
                    Some(Editor { text: "ä".repeat(40), cursor: 40, error: vec!["x".repeat(50); 5] });
                shown(&view, &picture(), (width, height));
            }
        }
    }
}
