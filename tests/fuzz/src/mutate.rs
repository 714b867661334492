//! Mutations of inputs.

#[cfg(test)]
mod tests;

use std::ops::Range;

use crate::random::Random;

/// Maximum length of an input in bytes.
pub const MAX_LENGTH: usize = 16 * 1024;

/// Maximum number of mutations of one input. Most inputs have few, so they stay close to valid
/// ones.
const MAX_MUTATIONS: usize = 8;

/// Maximum length of a piece that is inserted, deleted or repeated.
const MAX_PIECE: usize = 32;

/// Numbers at the ends of types and around the lengths of headers.
const NUMBERS: [u32; 16] = [
    0,
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    15,
    16,
    17,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0xffff_ffff,
];

/// Numbers at the limits of types, as text.
const TEXT_NUMBERS: [&str; 10] = [
    "0",
    "-1",
    "32",
    "33",
    "128",
    "129",
    "65535",
    "65536",
    "4294967296",
    "18446744073709551616",
];

/// Characters with a meaning in one of the text formats.
const MARKS: [&str; 24] = [
    "\n", " ", "\t", "\r\n", "\"", "'", "\\", "#", "-", "---\n", ":", ": ", "[", "]", "{", "}",
    ",", "/", "!", "! ", "&a ", "*a", "\u{0}", "\u{2028}",
];

/// Mutates one of `corpus`. A part of another one may be added.
///
/// # Panics
///
/// `corpus` is empty.
#[must_use]
pub fn mutated(corpus: &[Vec<u8>], is_text: bool, random: &mut Random) -> Vec<u8> {
    let mut input = random.choose(corpus).clone();
    let bits = MAX_MUTATIONS.ilog2();
    let count = 1_usize << random.below(bits as usize + 1);
    for _ in 0..=random.below(count) {
        match random.below(if is_text { 15 } else { 9 }) {
            0 => flip_bit(&mut input, random),
            1 => insert_bytes(&mut input, random),
            2 => {
                let piece = piece(&input, random);
                input.drain(piece);
            }
            3 | 4 => edit_number(&mut input, random),
            5 => {
                let other = random.choose(corpus);
                splice(&mut input, other, random);
            }
            6 => input.truncate(random.below(input.len() + 1)),
            7 => repeat(&mut input, random),
            8 => set_byte(&mut input, random),
            9 | 10 => edit_text_number(&mut input, random),
            11 | 12 => insert_mark(&mut input, random),
            13 => surround(&mut input, random),
            _ => move_line(&mut input, random),
        }
    }
    input.truncate(MAX_LENGTH);
    input
}

fn flip_bit(input: &mut [u8], random: &mut Random) {
    let at = random.below(input.len());
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

fn set_byte(input: &mut [u8], random: &mut Random) {
    let at = random.below(input.len());
    if let Some(byte) = input.get_mut(at) {
        *byte = random.byte();
    }
}

fn insert_bytes(input: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(input.len() + 1);
    let bytes: Vec<u8> = (0..=random.below(8)).map(|_| random.byte()).collect();
    input.splice(at..at, bytes);
}

/// Overwrites two or four bytes with a number, for instance the length of a message or attribute.
/// Half of the positions are multiples of four.
fn edit_number(input: &mut [u8], random: &mut Random) {
    let mut at = random.below(input.len());
    if random.below(2) == 0 {
        at -= at % 4;
    }
    let number = match random.below(3) {
        0 => u32::try_from(input.len() - at).unwrap_or(u32::MAX),
        _ => *random.choose(&NUMBERS),
    };
    let bytes = number.to_ne_bytes();
    let width = *random.choose(&[2, 4]);
    // A short number has only the low bytes.
    let low = if cfg!(target_endian = "big") {
        4 - width
    } else {
        0
    };
    for (byte, new) in input[at..].iter_mut().zip(&bytes[low..low + width]) {
        *byte = *new;
    }
}

/// Keeps the beginning of the input and appends the end of another one.
fn splice(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let (at, from) = (random.below(input.len() + 1), random.below(other.len() + 1));
    input.truncate(at);
    input.extend_from_slice(&other[from..]);
}

fn repeat(input: &mut Vec<u8>, random: &mut Random) {
    let bytes = input[piece(input, random)].to_vec();
    let at = random.below(input.len() + 1);
    let times = 1 + random.below(4);
    input.splice(at..at, bytes.repeat(times));
}

fn edit_text_number(input: &mut Vec<u8>, random: &mut Random) {
    let start = random.below(input.len());
    let Some(offset) = input[start..].iter().position(u8::is_ascii_digit) else {
        return;
    };
    let first = start + offset;
    let length = input[first..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let number = random.choose(&TEXT_NUMBERS).bytes();
    input.splice(first..first + length, number);
}

fn insert_mark(input: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(input.len() + 1);
    input.splice(at..at, random.choose(&MARKS).bytes());
}

/// Surrounds a piece with two equal marks, such as quotes.
fn surround(input: &mut Vec<u8>, random: &mut Random) {
    let piece = piece(input, random);
    let mark = random.choose(&MARKS).as_bytes();
    input.splice(piece.end..piece.end, mark.iter().copied());
    input.splice(piece.start..piece.start, mark.iter().copied());
}

fn move_line(input: &mut Vec<u8>, random: &mut Random) {
    let mut lines: Vec<&[u8]> = input.split_inclusive(|byte| *byte == b'\n').collect();
    if lines.is_empty() {
        return;
    }
    let line = lines.remove(random.below(lines.len()));
    lines.insert(random.below(lines.len() + 1), line);
    *input = lines.concat();
}

/// Returns a range of the input; empty if the input is empty.
fn piece(input: &[u8], random: &mut Random) -> Range<usize> {
    let start = random.below(input.len());
    let length = 1 + random.below(MAX_PIECE);
    start..input.len().min(start + length)
}
