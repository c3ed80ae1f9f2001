//! What a server was told, as its own MONITOR shows it.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    net::TcpStream,
};

use redis::Connection;

use super::redis::TestRedis;

pub struct Monitor {
    lines: Lines<BufReader<TcpStream>>,
    admin: Connection,
}

/// A command.
pub struct Seen {
    /// Called by a script, not by a client.
    pub by_script: bool,
    pub words: Vec<Vec<u8>>,
}

impl Seen {
    pub fn name(&self) -> String {
        String::from_utf8(self.words[0].clone()).unwrap().to_uppercase()
    }
}

impl Monitor {
    /// Sees everything from now on.
    pub fn of(server: &TestRedis) -> Self {
        let admin = server.connection();
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.write_all(b"MONITOR\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "+OK");
        Self { lines, admin }
    }

    /// What was told since the last call, except the time's being asked for, which each store does by itself.
    pub fn take(&mut self) -> Vec<Seen> {
        let mark = uuid::Uuid::new_v4().to_string();
        redis::cmd("ECHO").arg(&mark).exec(&mut self.admin).unwrap();
        let lines = self.lines.by_ref().map(Result::unwrap).take_while(|line| !line.contains(&mark));
        lines.map(|line| parse(&line)).filter(|seen| seen.by_script || seen.name() != "TIME").collect()
    }

    /// The names of the commands that clients sent since the last call.
    pub fn take_names(&mut self) -> Vec<String> {
        self.take().iter().filter(|seen| !seen.by_script).map(Seen::name).collect()
    }
}

/// Such as `+1339518083.107412 [0 127.0.0.1:60866] "get" "\x00key"`.
fn parse(line: &str) -> Seen {
    let (head, words) = line.split_once("] ").unwrap();
    Seen { by_script: head.ends_with("lua"), words: quoted_words(words) }
}

/// A word ends at a quote that is not escaped: what stands between two words can also stand within one.
fn quoted_words(text: &str) -> Vec<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut words = Vec::new();
    while bytes.by_ref().any(|byte| byte == b'"') {
        words.push(until_the_quote(&mut bytes));
    }
    words
}

fn until_the_quote(bytes: &mut impl Iterator<Item = u8>) -> Vec<u8> {
    let mut plain = Vec::new();
    loop {
        match bytes.next().unwrap() {
            b'"' => return plain,
            b'\\' => plain.push(escaped(bytes)),
            byte => plain.push(byte),
        }
    }
}

fn escaped(bytes: &mut impl Iterator<Item = u8>) -> u8 {
    match bytes.next().unwrap() {
        b'x' => {
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
        }
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 7,
        b'b' => 8,
        itself => itself,
    }
}

#[test]
fn a_word_may_end_with_a_quote_and_a_space() {
    let seen = parse(r#"+1.5 [0 127.0.0.1:60866] "set" "a\" " " \\\x00" "b""#);

    assert_eq!(seen.words, [b"set".to_vec(), b"a\" ".to_vec(), b" \\\0".to_vec(), b"b".to_vec()]);
}
