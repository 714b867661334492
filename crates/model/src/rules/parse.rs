//! Parses one rule. Parsing never fails: a condition or target that is not understood is kept as
//! text, so that it differs from every rule that kube-ipvs writes.

use std::ops::Range;

use ipset::{Dimension, SetName};
use ipvs::Protocol;

use super::{ConnectionState, Match, Rule, Target};

impl Rule {
    /// Parses the text after `-A CHAIN ` in a line of `iptables-save`. Conditions and targets that
    /// are not understood are kept as text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let Some(words) = words(text) else {
            // The text has an unterminated quote.
            return Self {
                matches: vec![Match::Other(text.into())],
                target: Target::Nothing,
            };
        };
        let mut rule = Self {
            matches: Vec::new(),
            target: Target::Nothing,
        };
        let mut rest = words.as_slice();
        while let [first, ..] = rest {
            let (group, after) = rest.split_at(length(rest));
            let values: Vec<&str> = group.iter().map(|word| word.value.as_str()).collect();
            // iptables prints only the text of a comment in quotes. Any other quoted word is kept
            // as found.
            let is_comment = matches!(values.as_slice(), ["-m", "comment", "--comment", _]);
            let words = if is_comment { &group[..3] } else { group };
            let is_bare = words.iter().all(|word| word.bare().is_some());
            let end = group.last().unwrap_or(first).place.end;
            let found = &text[first.place.start..end];
            if matches!(values.first(), Some(&("-j" | "-g"))) {
                let known = target(&values).filter(|_| is_bare);
                rule.target = known.unwrap_or_else(|| Target::Other(found.into()));
            } else {
                let known = condition(&values).filter(|_| is_bare);
                (rule.matches).push(known.unwrap_or_else(|| Match::Other(found.into())));
            }
            rest = after;
        }
        rule
    }
}

/// A word without its quotes, and its place in the text, with quotes.
struct Word {
    value: String,
    place: Range<usize>,
}

impl Word {
    /// Returns the word if it is not quoted. Options never are.
    fn bare(&self) -> Option<&str> {
        (self.value.len() == self.place.len()).then_some(&self.value)
    }
}

/// Returns true if `text` has an unterminated quote.
pub(crate) fn is_open(text: &str) -> bool {
    words(text).is_none()
}

/// Splits `text` into words; returns `None` if a quote is unterminated.
fn words(text: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut characters = text.char_indices().peekable();
    while let Some((start, first)) = characters.next_if(|_| true) {
        if first.is_ascii_whitespace() {
            continue;
        }
        let mut word = Word {
            value: String::new(),
            place: start..start + first.len_utf8(),
        };
        let mut quoted = false;
        let mut next = Some((start, first));
        while let Some((at, c)) = next {
            word.place.end = at + c.len_utf8();
            match c {
                '"' => quoted = !quoted,
                '\\' if quoted => {
                    let (at, escaped) = characters.next()?;
                    word.place.end = at + escaped.len_utf8();
                    word.value.push(escaped);
                }
                other => word.value.push(other),
            }
            next = characters.next_if(|(_, c)| quoted || !c.is_ascii_whitespace());
        }
        if quoted {
            return None;
        }
        words.push(word);
    }
    Some(words)
}

/// Returns the number of `words` that belong to the first condition, or to the target, which is
/// always last.
fn length(words: &[Word]) -> usize {
    let value = |index: usize| words.get(index).and_then(Word::bare);
    if matches!(value(0), Some("-j" | "-g")) {
        return words.len();
    }
    // The search for the next condition starts after the first option and its `!`.
    let own = if value(0) == Some("!") { 2 } else { 1 };
    (own..words.len())
        .find(|&index| {
            let comment = index > 0 && value(index - 1) == Some("--comment");
            let begins =
                begins(value(index)) || value(index) == Some("!") && begins(value(index + 1));
            begins && !comment
        })
        .unwrap_or(words.len())
}

/// Returns true if a condition or the target starts at this word. Options of matches are long ones.
fn begins(word: Option<&str>) -> bool {
    matches!(
        word,
        Some("-s" | "-d" | "-i" | "-o" | "-p" | "-f" | "-m" | "-j" | "-g")
    )
}

/// Parses the words of one condition.
fn condition(words: &[&str]) -> Option<Match> {
    if let ["-m", "comment", "--comment", text] = words {
        return Some(Match::Comment((*text).into()));
    }
    // The `!` stands first in `! -s NETWORK`, but third in `-m set ! --match-set NAME dst`.
    let (negated, words) = match words {
        ["!", words @ ..] => (true, words.to_vec()),
        ["-m", module, "!", words @ ..] => (true, [&["-m", *module], words].concat()),
        words => (false, words.to_vec()),
    };
    match words.as_slice() {
        ["-s", network] => Some(Match::Source {
            negated,
            network: network.parse().ok()?,
        }),
        ["-d", network] => Some(Match::Destination {
            negated,
            network: network.parse().ok()?,
        }),
        ["-i", name] => Some(Match::InInterface {
            negated,
            name: (*name).into(),
        }),
        ["-p", protocol] if !negated => Some(Match::Protocol(match *protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            number => Protocol::from(number.parse::<u8>().ok()?),
        })),
        ["-m", "set", "--match-set", name, ends] => Some(Match::Set {
            negated,
            name: SetName::new(name).ok()?,
            dimensions: ends.split(',').map(end).collect::<Option<_>>()?,
        }),
        ["-m", "mark", "--mark", mark] => {
            let (value, mask) = mark.split_once('/').unwrap_or((mark, "0xffffffff"));
            Some(Match::Mark {
                negated,
                value: number(value)?,
                mask: number(mask)?,
            })
        }
        ["-m", "addrtype", "--src-type", "LOCAL"] => Some(Match::Local {
            negated,
            end: Dimension::Src,
        }),
        ["-m", "addrtype", "--dst-type", "LOCAL"] => Some(Match::Local {
            negated,
            end: Dimension::Dst,
        }),
        ["-m", "physdev", "--physdev-is-in"] => Some(Match::PhysdevIsIn { negated }),
        ["-m", "conntrack", "--ctstate", states] if !negated => {
            let states = states.split(',').map(state).collect::<Option<_>>()?;
            Some(Match::ConnectionState(states))
        }
        _ => None,
    }
}

/// Parses the words of a target.
fn target(words: &[&str]) -> Option<Target> {
    match words {
        ["-j", "RETURN"] => Some(Target::Return),
        ["-j", "ACCEPT"] => Some(Target::Accept),
        ["-j", "DROP"] => Some(Target::Drop),
        ["-j", "REJECT", "--reject-with", with] => Some(Target::Reject((*with).into())),
        ["-j", "MARK", "--set-xmark", mark] => {
            let (value, mask) = mark.split_once('/')?;
            Some(Target::Mark {
                value: number(value)?,
                mask: number(mask)?,
            })
        }
        ["-j", "MASQUERADE"] => Some(Target::Masquerade {
            random_fully: false,
        }),
        ["-j", "MASQUERADE", "--random-fully"] => Some(Target::Masquerade { random_fully: true }),
        // These targets always have options.
        ["-j", "REJECT" | "MARK"] => None,
        ["-j", chain] => Some(Target::Jump((*chain).into())),
        _ => None,
    }
}

fn end(word: &str) -> Option<Dimension> {
    match word {
        "src" => Some(Dimension::Src),
        "dst" => Some(Dimension::Dst),
        _ => None,
    }
}

fn state(word: &str) -> Option<ConnectionState> {
    [
        ConnectionState::New,
        ConnectionState::Related,
        ConnectionState::Established,
    ]
    .into_iter()
    .find(|state| state.to_string() == word)
}

fn number(word: &str) -> Option<u32> {
    u32::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}
