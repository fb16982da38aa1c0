//! `flowdump top`: who talks most, now. This is what is looked at and what keys do to
//! it; no terminal, no files.

mod label;
mod screen;
mod start;
pub(crate) mod terminal;
mod window;
mod worker;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use flow_common::limits::TOP_WINDOWS_SECS;

use crate::columns::Columns;
use crate::statistic::{Order, Ranking, Statistic};

pub(crate) use self::start::{Asked, top};

/// Statistics the keys go through, after those asked for.
const WORDS: [&str; 12] = [
    "srcip", "dstip", "ip", "srcport", "dstport", "proto", "record", "srcas", "dstas", "inif", "outif",
    "router",
];

/// Orders the keys go through.
const ORDERS: [Order; 4] = [Order::Bytes, Order::Packets, Order::Flows, Order::Bpp];

/// What is looked at.
#[derive(Debug, Clone)]
pub(crate) struct View {
    /// Never empty.
    statistics: Vec<Statistic>,
    chosen: usize,
    ranking: Ranking,
    /// Index into [`TOP_WINDOWS_SECS`].
    window: usize,
    is_paused: bool,
    /// The filter that holds.
    filter: String,
    /// The filter that is typed.
    editor: Option<Editor>,
}

/// A line that is typed, and what is wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Editor {
    text: String,
    /// Characters before the cursor.
    cursor: usize,
    /// Lines that say why the text is no filter.
    error: Vec<String>,
}

/// What a key asks for beyond another look of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    Nothing,
    Quit,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-Z.
    Suspend,
    /// Other sums of what is held.
    Rank,
    /// Another statistic: files are to be read again.
    Read,
    /// Another filter, if it is one.
    Filter(String),
}

impl View {
    /// With the statistics asked for, if any, before the usual ones.
    pub(crate) fn new(asked: Vec<Statistic>, window: usize, filter: String) -> Self {
        let ranking = asked.first().and_then(|one| one.rankings.first()).copied();
        let mut statistics = asked;
        for word in WORDS {
            if let Ok(usual) = Statistic::parse(word, &Columns::default(), &std::sync::Arc::default())
                && !statistics.iter().any(|known| known.key == usual.key)
            {
                statistics.push(usual);
            }
        }
        let ranking = ranking.unwrap_or(Ranking::new(Order::Bytes, false));
        Self { statistics, chosen: 0, ranking, window, is_paused: false, filter, editor: None }
    }

    /// What is counted by.
    pub(crate) fn statistic(&self) -> &Statistic {
        &self.statistics[self.chosen]
    }

    pub(crate) fn ranking(&self) -> Ranking {
        self.ranking
    }

    /// Seconds that are summed up.
    pub(crate) fn window_secs(&self) -> i64 {
        TOP_WINDOWS_SECS[self.window]
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// What a key does.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Wish {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => Wish::Interrupt,
            KeyCode::Char('z') if is_control => Wish::Suspend,
            code => match &mut self.editor {
                Some(editor) => match code {
                    KeyCode::Esc => {
                        self.editor = None;
                        Wish::Nothing
                    }
                    KeyCode::Enter => Wish::Filter(editor.text.clone()),
                    code => {
                        editor.key(code, is_control);
                        Wish::Nothing
                    }
                },
                None => self.command(code),
            },
        }
    }

    fn command(&mut self, code: KeyCode) -> Wish {
        let step = |at: usize, by: usize, of: usize| (at + by) % of;
        let n_statistics = self.statistics.len();
        match code {
            KeyCode::Char('q') => Wish::Quit,
            KeyCode::Char('p' | ' ') => {
                self.is_paused = !self.is_paused;
                Wish::Rank
            }
            KeyCode::Char('/' | 'f') => {
                let text = self.filter.clone();
                self.editor = Some(Editor { cursor: text.chars().count(), text, error: Vec::new() });
                Wish::Nothing
            }
            KeyCode::Char('s') | KeyCode::Tab => {
                self.chosen = step(self.chosen, 1, n_statistics);
                self.is_paused = false;
                Wish::Read
            }
            KeyCode::Char('S') | KeyCode::BackTab => {
                self.chosen = step(self.chosen, n_statistics - 1, n_statistics);
                self.is_paused = false;
                Wish::Read
            }
            KeyCode::Char('o') => {
                let is_same = |order: &Order| as_ranked(*order) == as_ranked(self.ranking.order);
                let at = ORDERS.iter().position(is_same).unwrap_or(ORDERS.len() - 1);
                self.ranking.order = ORDERS[step(at, 1, ORDERS.len())];
                Wish::Rank
            }
            KeyCode::Char('r') => {
                self.ranking.is_ascending = !self.ranking.is_ascending;
                Wish::Rank
            }
            KeyCode::Char('w') => {
                self.window = step(self.window, 1, TOP_WINDOWS_SECS.len());
                Wish::Rank
            }
            _ => Wish::Nothing,
        }
    }

    /// The text typed holds from now on.
    pub(crate) fn accept(&mut self, filter: String) {
        self.filter = filter;
        self.editor = None;
        self.is_paused = false;
    }

    /// The text typed is no filter: the one before holds on.
    pub(crate) fn refuse(&mut self, error: &str) {
        if let Some(editor) = &mut self.editor {
            editor.error = error.lines().map(str::to_owned).collect();
        }
    }

    /// Text that was pasted.
    pub(crate) fn paste(&mut self, text: &str) {
        if let Some(editor) = &mut self.editor {
            text.chars().filter(|c| !c.is_control()).for_each(|c| editor.insert(c));
        }
    }
}

/// Over one window rates rank as counters do.
fn as_ranked(order: Order) -> Order {
    match order {
        Order::Bps => Order::Bytes,
        Order::Pps => Order::Packets,
        order => order,
    }
}

impl Editor {
    fn key(&mut self, code: KeyCode, is_control: bool) {
        let length = self.text.chars().count();
        match code {
            KeyCode::Char('a') if is_control => self.cursor = 0,
            KeyCode::Char('e') if is_control => self.cursor = length,
            KeyCode::Char('u') if is_control => {
                self.text = self.text.chars().skip(self.cursor).collect();
                self.cursor = 0;
            }
            KeyCode::Char('w') if is_control => {
                let head: String = self.text.chars().take(self.cursor).collect();
                let head = head.trim_end();
                let kept = head.rfind(' ').map_or("", |blank| &head[..=blank]).to_owned();
                let tail: String = self.text.chars().skip(self.cursor).collect();
                self.cursor = kept.chars().count();
                self.text = kept + &tail;
            }
            KeyCode::Char(c) if !is_control => self.insert(c),
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = (self.cursor + 1).min(length),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = length,
            KeyCode::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.remove();
            }
            KeyCode::Delete if self.cursor < length => self.remove(),
            _ => return,
        }
        self.error.clear();
    }

    /// The octet the cursor is at.
    fn at(&self) -> usize {
        self.text.char_indices().nth(self.cursor).map_or(self.text.len(), |(at, _)| at)
    }

    fn insert(&mut self, c: char) {
        self.text.insert(self.at(), c);
        self.cursor += 1;
        self.error.clear();
    }

    fn remove(&mut self) {
        self.text.remove(self.at());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistic(text: &str) -> Statistic {
        Statistic::parse(text, &Columns::default(), &std::sync::Arc::default()).unwrap()
    }

    /// A view after keys: `^a` is with Ctrl, `<name>` one without a letter.
    fn typed(view: &mut View, keys: &str) -> Wish {
        let mut wish = Wish::Nothing;
        let mut rest = keys;
        while let Some(c) = rest.chars().next() {
            let (code, modifiers, length) = match c {
                '^' => (KeyCode::Char(rest.chars().nth(1).unwrap()), KeyModifiers::CONTROL, 2),
                '<' => {
                    let end = rest.find('>').unwrap();
                    let code = match &rest[1..end] {
                        "enter" => KeyCode::Enter,
                        "esc" => KeyCode::Esc,
                        "left" => KeyCode::Left,
                        "right" => KeyCode::Right,
                        "home" => KeyCode::Home,
                        "end" => KeyCode::End,
                        "back" => KeyCode::Backspace,
                        "del" => KeyCode::Delete,
                        "tab" => KeyCode::Tab,
                        "backtab" => KeyCode::BackTab,
                        name => panic!("no key {name}"),
                    };
                    (code, KeyModifiers::NONE, end + 1)
                }
                c => (KeyCode::Char(c), KeyModifiers::NONE, c.len_utf8()),
            };
            wish = view.key(KeyEvent::new(code, modifiers));
            rest = &rest[length..];
        }
        wish
    }

    #[test]
    fn keys_go_through_statistics_orders_and_windows() {
        let check = |keys: &str, expected: (&str, &str, bool, i64), wish: Wish| {
            let mut view = View::new(vec![statistic("dstport/bps")], 1, String::new());
            assert_eq!(typed(&mut view, keys), wish, "{keys}");
            let ranking = view.ranking();
            let found = (
                view.statistic().word.as_str(),
                ranking.order.word(),
                ranking.is_ascending,
                view.window_secs(),
            );
            assert_eq!(found, expected, "{keys}");
        };
        check("", ("dstport", "bps", false, 60), Wish::Nothing);
        check("s", ("srcip", "bps", false, 60), Wish::Read);
        check("sssss", ("proto", "bps", false, 60), Wish::Read);
        check("S", ("router", "bps", false, 60), Wish::Read);
        check("<tab><backtab>", ("dstport", "bps", false, 60), Wish::Read);
        check("o", ("dstport", "packets", false, 60), Wish::Rank);
        check("oooo", ("dstport", "bytes", false, 60), Wish::Rank);
        check("rw", ("dstport", "bps", true, 300), Wish::Rank);
        check("ww", ("dstport", "bps", false, 10), Wish::Rank);
        check("x", ("dstport", "bps", false, 60), Wish::Nothing);
        check("q", ("dstport", "bps", false, 60), Wish::Quit);
        check("^c", ("dstport", "bps", false, 60), Wish::Interrupt);
        check("/q^c", ("dstport", "bps", false, 60), Wish::Interrupt);
        check("^z", ("dstport", "bps", false, 60), Wish::Suspend);
    }

    #[test]
    fn a_filter_is_typed_in_place() {
        let check = |keys: &str, expected: &str| {
            let mut view = View::new(Vec::new(), 0, "port 53".into());
            let wish = typed(&mut view, keys);
            assert_eq!(wish, Wish::Filter(expected.into()), "{keys}");
        };
        check("/<enter>", "port 53");
        check("f0<enter>", "port 530");
        check("/<back><back>80<enter>", "port 80");
        check("/<home>udp and <enter>", "udp and port 53");
        check("/<left><left><del>4<right>x<end>!<enter>", "port 43x!");
        check("/^a^e^u<enter>", "");
        check("/^w^wany<enter>", "any");
        check("/<home>^w<back><left>é<del><end><right><del><enter>", "éort 53");
        check("/<left><left>^u<enter>", "53");
    }

    #[test]
    fn a_wrong_filter_is_told_and_the_old_one_kept() {
        let mut view = View::new(Vec::new(), 0, "port 53".into());
        typed(&mut view, "/x<enter>");
        view.refuse("error: no\nhint: yes\n");
        assert_eq!(view.filter, "port 53");
        assert_eq!(view.editor.as_ref().unwrap().error, ["error: no", "hint: yes"]);
        typed(&mut view, "<back>");
        assert!(view.editor.as_ref().unwrap().error.is_empty());
        typed(&mut view, "<esc>");
        assert_eq!((view.filter.as_str(), view.editor.is_none()), ("port 53", true));
        typed(&mut view, "/");
        view.paste("1\n2");
        assert_eq!(typed(&mut view, "<enter>"), Wish::Filter("port 5312".into()));
        view.accept("port 5312".into());
        assert_eq!((view.filter.as_str(), view.editor), ("port 5312", None));
    }
}
