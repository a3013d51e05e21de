//! Strings that match a regular expression, for the part of the language that schemas mostly use: literals,
//! classes, groups, alternatives, quantifiers, and anchors at the ends. The rest is refused.

use super::Impossible;

/// Most repetitions that a quantifier may demand.
const MAX_REPEAT: usize = 4096;
/// Most pieces that make up a sample.
const MAX_PIECES: usize = 65_536;
/// How deep groups may nest.
const MAX_DEPTH: u32 = 24;
/// How many ways of choosing among alternatives are tried for one length.
const WAYS: usize = 8;

/// A piece of an expression.
#[derive(Debug)]
enum Node {
    /// One character out of these ranges.
    Class(Vec<(char, char)>),
    /// One piece after the other.
    Sequence(Vec<Node>),
    /// One of these.
    Choice(Vec<Node>),
    /// A piece at least `least` and at most `most` times.
    Repeat {
        node: Box<Node>,
        least: usize,
        most: usize,
    },
}

/// Up to `count` different strings, shortest first, whose length is from `least` to `most` characters.
pub(super) fn samples(
    pattern: &str,
    least: usize,
    most: usize,
    count: usize,
) -> Result<Vec<String>, Impossible> {
    let node = Parser::new(pattern).pattern()?;
    let mut samples: Vec<String> = Vec::new();
    let mut pieces = MAX_PIECES;
    // Every repetition beyond what is demanded makes a string longer by one or more.
    for spare in 0..=least.saturating_add(count) {
        for way in 0..WAYS.max(count) {
            let mut writer = Writer {
                text: String::new(),
                spare,
                way,
                pieces,
            };
            if !writer.write(&node) {
                return Ok(samples);
            }
            pieces = writer.pieces;
            let length = writer.text.chars().count();
            if (least..=most).contains(&length) && !samples.contains(&writer.text) {
                samples.push(writer.text);
            }
            if samples.len() >= count {
                return Ok(samples);
            }
        }
    }
    Ok(samples)
}

struct Writer {
    text: String,
    /// Repetitions left to spend beyond the least.
    spare: usize,
    /// Which of the alternatives and characters to take.
    way: usize,
    pieces: usize,
}

impl Writer {
    /// Writes a piece; false when there were too many.
    fn write(&mut self, node: &Node) -> bool {
        self.pieces = self.pieces.saturating_sub(1);
        if self.pieces == 0 {
            return false;
        }
        match node {
            Node::Class(ranges) => {
                self.text.extend(character(ranges, self.way));
                true
            }
            Node::Sequence(nodes) => nodes.iter().all(|node| self.write(node)),
            Node::Choice(nodes) => {
                let way = self.way % nodes.len();
                self.write(&nodes[way])
            }
            Node::Repeat { node, least, most } => {
                let more = (most - least).min(self.spare);
                self.spare -= more;
                (0..least + more).all(|_| self.write(node))
            }
        }
    }
}

/// The `n`th character of some ranges, from the start again after the last.
fn character(ranges: &[(char, char)], n: usize) -> Option<char> {
    let all = || ranges.iter().flat_map(|(first, last)| *first..=*last);
    all().nth(n).or_else(|| all().next())
}

struct Parser<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    depth: u32,
}

const DIGITS: &[(char, char)] = &[('0', '9')];
const LETTERS: &[(char, char)] = &[('a', 'z'), ('A', 'Z')];
const WORDS: &[(char, char)] = &[('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')];
const SPACES: &[(char, char)] = &[(' ', ' ')];
/// What a negated class is taken from.
const VISIBLE: &[(char, char)] = &[
    ('a', 'z'),
    ('A', 'Z'),
    ('0', '9'),
    (' ', '/'),
    (':', '@'),
    ('[', '`'),
    ('{', '~'),
];

impl<'a> Parser<'a> {
    fn new(pattern: &'a str) -> Self {
        let rest = pattern.chars().peekable();
        Self { rest, depth: 0 }
    }

    fn pattern(mut self) -> Result<Node, Impossible> {
        let node = self.choice()?;
        match self.rest.next() {
            None => Ok(node),
            Some(_) => Err(unsupported()),
        }
    }

    fn choice(&mut self) -> Result<Node, Impossible> {
        let mut branches = vec![self.sequence()?];
        while self.rest.next_if_eq(&'|').is_some() {
            branches.push(self.sequence()?);
        }
        Ok(Node::Choice(branches))
    }

    /// A branch. Anchors are understood at its ends, outside of groups.
    fn sequence(&mut self) -> Result<Node, Impossible> {
        let mut nodes = Vec::new();
        if self.depth == 0 {
            self.rest.next_if_eq(&'^');
        }
        loop {
            match self.rest.peek() {
                None | Some('|' | ')') => return Ok(Node::Sequence(nodes)),
                Some('$') if self.depth == 0 => {
                    self.rest.next();
                    return match self.rest.peek() {
                        None | Some('|') => Ok(Node::Sequence(nodes)),
                        Some(_) => Err(unsupported()),
                    };
                }
                Some(_) => {
                    let atom = self.atom()?;
                    nodes.push(self.quantified(atom)?);
                }
            }
        }
    }

    fn atom(&mut self) -> Result<Node, Impossible> {
        let single = |c| Ok(Node::Class(vec![(c, c)]));
        match self.next()? {
            '(' => self.group(),
            '[' => self.class(),
            '.' => Ok(Node::Class(VISIBLE.to_vec())),
            '\\' => Ok(Node::Class(self.escape()?)),
            '^' | '$' | '*' | '+' | '?' | '{' | '}' | ']' => Err(unsupported()),
            c => single(c),
        }
    }

    fn group(&mut self) -> Result<Node, Impossible> {
        if self.rest.next_if_eq(&'?').is_some() {
            match self.next()? {
                ':' => {}
                '<' if self.rest.peek().is_some_and(char::is_ascii_alphabetic) => {
                    while self.next()? != '>' {}
                }
                _ => return Err(unsupported()),
            }
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(unsupported());
        }
        let node = self.choice()?;
        self.depth -= 1;
        match self.next()? {
            ')' => Ok(node),
            _ => Err(unsupported()),
        }
    }

    fn class(&mut self) -> Result<Node, Impossible> {
        let is_negated = self.rest.next_if_eq(&'^').is_some();
        let mut ranges = Vec::new();
        loop {
            let first = match self.next()? {
                ']' => break,
                '\\' => self.escape()?,
                // Nested classes and set operations mean different things in different dialects.
                '[' => return Err(unsupported()),
                '&' if self.rest.peek() == Some(&'&') => return Err(unsupported()),
                c => vec![(c, c)],
            };
            match (first.as_slice(), self.rest.peek()) {
                ([(low, same)], Some('-')) if low == same => {
                    self.rest.next();
                    ranges.extend(self.range(*low)?);
                }
                _ => ranges.extend(first),
            }
        }
        if is_negated {
            ranges = without(&ranges);
        }
        if ranges.is_empty() {
            return Err(unsupported());
        }
        Ok(Node::Class(ranges))
    }

    /// What follows `low-` in a class.
    fn range(&mut self, low: char) -> Result<Vec<(char, char)>, Impossible> {
        if self.rest.peek() == Some(&']') {
            return Ok(vec![(low, low), ('-', '-')]);
        }
        let high = match self.next()? {
            '\\' => self.escape()?,
            c => vec![(c, c)],
        };
        match high.as_slice() {
            [(high, same)] if high == same && low <= *high => Ok(vec![(low, *high)]),
            _ => Err(unsupported()),
        }
    }

    fn escape(&mut self) -> Result<Vec<(char, char)>, Impossible> {
        let single = |c| Ok(vec![(c, c)]);
        match self.next()? {
            'd' => Ok(DIGITS.to_vec()),
            'w' | 'S' => Ok(WORDS.to_vec()),
            's' | 'W' => Ok(SPACES.to_vec()),
            'D' => Ok(LETTERS.to_vec()),
            'n' => single('\n'),
            'r' => single('\r'),
            't' => single('\t'),
            'x' => single(self.code(2)?),
            'u' => single(self.code(4)?),
            c if c.is_ascii_punctuation() || c == ' ' => single(c),
            _ => Err(unsupported()),
        }
    }

    fn code(&mut self, digits: usize) -> Result<char, Impossible> {
        let mut code = 0;
        for _ in 0..digits {
            code = code * 16 + self.next()?.to_digit(16).ok_or_else(unsupported)?;
        }
        char::from_u32(code).ok_or_else(unsupported)
    }

    fn quantified(&mut self, node: Node) -> Result<Node, Impossible> {
        let (least, most) = match self.rest.peek() {
            Some('*') => (0, MAX_REPEAT),
            Some('+') => (1, MAX_REPEAT),
            Some('?') => (0, 1),
            Some('{') => return self.counted(node),
            _ => return Ok(node),
        };
        self.rest.next();
        self.repeated(node, least, most)
    }

    /// `{2}`, `{2,}` or `{2,5}`.
    fn counted(&mut self, node: Node) -> Result<Node, Impossible> {
        self.rest.next();
        let least = self.count()?.ok_or_else(unsupported)?;
        let most = match self.next()? {
            '}' => least,
            ',' => {
                let most = self.count()?.unwrap_or(MAX_REPEAT);
                if self.next()? != '}' {
                    return Err(unsupported());
                }
                most
            }
            _ => return Err(unsupported()),
        };
        self.repeated(node, least, most)
    }

    /// A lazy quantifier matches the same strings; a possessive one may not.
    fn repeated(&mut self, node: Node, least: usize, most: usize) -> Result<Node, Impossible> {
        self.rest.next_if_eq(&'?');
        if least > most || matches!(self.rest.peek(), Some('*' | '+' | '?' | '{')) {
            return Err(unsupported());
        }
        let node = Box::new(node);
        Ok(Node::Repeat { node, least, most })
    }

    fn count(&mut self) -> Result<Option<usize>, Impossible> {
        let mut count = None;
        while let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(10)) {
            self.rest.next();
            let value = count.unwrap_or_default() * 10 + digit as usize;
            if value > MAX_REPEAT {
                return Err(Impossible::new("its `pattern` demands too long a string"));
            }
            count = Some(value);
        }
        Ok(count)
    }

    fn next(&mut self) -> Result<char, Impossible> {
        self.rest.next().ok_or_else(unsupported)
    }
}

/// The visible characters that are in none of the ranges.
fn without(ranges: &[(char, char)]) -> Vec<(char, char)> {
    VISIBLE
        .iter()
        .flat_map(|(first, last)| *first..=*last)
        .filter(|c| {
            !ranges
                .iter()
                .any(|(first, last)| (first..=last).contains(&c))
        })
        .map(|c| (c, c))
        .collect()
}

fn unsupported() -> Impossible {
    Impossible::new("its `pattern` uses more of regular expressions than is understood here")
}
