//! The grammar of RFC 8259, walked once and without recursion.

use super::{
    MAX_DEPTH,
    error::{
        Fault,
        JsonErrorKind::{self, Empty, NotAnObject, Syntax, TooDeep, Trailing, Truncated},
    },
    members::{Member, Members},
    stops::Stops,
};

const KEY: JsonErrorKind = Syntax("expected a member's name in double quotes");
const COLON: JsonErrorKind = Syntax("expected a colon after the member's name");
const VALUE: JsonErrorKind = Syntax("expected a value");
const NEXT_MEMBER: JsonErrorKind = Syntax("expected a comma or a closing brace");
const NEXT_ELEMENT: JsonErrorKind = Syntax("expected a comma or a closing bracket");
const NUMBER: JsonErrorKind = Syntax("expected a number such as 12, -0.5 or 1e3");
const CONTROL: JsonErrorKind = Syntax("write control characters in a string as escapes, as in \\n");
const ESCAPE: JsonErrorKind =
    Syntax("expected one of the escapes \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");

/// The kinds of the containers that are open below the top-level object: one bit each, set for an object.
/// The cap on depth is what lets them fit into one number.
#[derive(Default)]
struct Nest {
    objects: u128,
    depth: usize,
}

impl Nest {
    /// Opens a container; false where that would be too deep. The top-level object is a level of its own.
    fn open(&mut self, is_object: bool) -> bool {
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(is_object);
        self.depth < MAX_DEPTH
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

/// A position in a document that is known to be UTF-8.
pub(super) struct Walker<'a> {
    bytes: &'a [u8],
    at: usize,
    stops: Stops<'a>,
}

impl<'a> Walker<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            stops: Stops::new(bytes),
        }
    }

    /// The whole document: one object, and white space around it.
    pub(super) fn document(mut self, members: &mut Members) -> Result<(), Fault> {
        match self.peek() {
            Some(b'{') => self.at += 1,
            Some(b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                return Err(self.fault(NotAnObject));
            }
            Some(_) => return Err(self.fault(Syntax("expected an opening brace"))),
            None => return Err(self.fault(Empty)),
        }
        self.top_members(members)?;
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault(Trailing)),
        }
    }

    fn top_members(&mut self, members: &mut Members) -> Result<(), Fault> {
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            self.peek();
            let key_start = self.at;
            let escaped = self.key()?;
            let key_end = self.at;
            self.colon()?;
            self.peek();
            let value_start = self.at;
            self.value()?;
            let member = Member {
                key_start,
                key_end,
                value_start,
                value_end: self.at,
            };
            members.push(member, escaped);
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.unexpected(NEXT_MEMBER)),
            }
        }
    }

    /// Skips one value of the top-level object, whatever it holds.
    fn value(&mut self) -> Result<(), Fault> {
        let mut nest = Nest::default();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(open @ (b'{' | b'[')) => {
                    if !nest.open(open == b'{') {
                        return Err(self.fault(TooDeep));
                    }
                    self.at += 1;
                    if self.peek() == Some(open + 2) {
                        // Closed at once: '}' and ']' stand two behind their opening in ASCII.
                        self.at += 1;
                        nest.close();
                    } else if open == b'{' {
                        self.key()?;
                        self.colon()?;
                        continue;
                    } else {
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return Err(self.unexpected(VALUE)),
            }
            if !self.after_value(&mut nest)? {
                return Ok(());
            }
        }
    }

    /// Behind a value: closes what closes, and says whether another value follows.
    fn after_value(&mut self, nest: &mut Nest) -> Result<bool, Fault> {
        while nest.depth > 0 {
            match (self.peek(), nest.in_object()) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.key()?;
                    self.colon()?;
                    return Ok(true);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    return Ok(true);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    nest.close();
                }
                (_, true) => return Err(self.unexpected(NEXT_MEMBER)),
                (_, false) => return Err(self.unexpected(NEXT_ELEMENT)),
            }
        }
        Ok(false)
    }

    fn key(&mut self) -> Result<bool, Fault> {
        match self.peek() {
            Some(b'"') => self.string(),
            _ => Err(self.unexpected(KEY)),
        }
    }

    fn colon(&mut self) -> Result<(), Fault> {
        if self.eat(b':') {
            Ok(())
        } else {
            Err(self.unexpected(COLON))
        }
    }

    /// Skips a string from its opening quote; says whether it holds escapes.
    fn string(&mut self) -> Result<bool, Fault> {
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at = self.stops.next(self.at);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.unexpected(CONTROL)),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.bytes.get(self.at) {
            Some(b'n' | b'"' | b'\\' | b't' | b'r' | b'/' | b'b' | b'f') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                let digits = self.bytes[self.at..].iter().take(4);
                let valid = digits.take_while(|byte| byte.is_ascii_hexdigit()).count();
                self.at += valid;
                if valid < 4 {
                    return Err(self.unexpected(ESCAPE));
                }
            }
            _ => return Err(self.unexpected(ESCAPE)),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        // A zero stands alone: what follows it is not a digit of the same number.
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
            if self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
                return Err(self.fault(NUMBER));
            }
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.bytes.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.unexpected(NUMBER));
        }
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        for expected in word {
            if self.bytes.get(self.at) != Some(expected) {
                return Err(self.unexpected(VALUE));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Skips white space and looks at what follows.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn fault(&self, kind: JsonErrorKind) -> Fault {
        Fault::new(kind, self.at)
    }

    /// What stands here is not what should: `kind`, unless the document is over.
    fn unexpected(&self, kind: JsonErrorKind) -> Fault {
        self.fault(if self.at < self.bytes.len() {
            kind
        } else {
            Truncated
        })
    }
}
