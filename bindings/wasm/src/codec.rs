//! The one encoding of everything that crosses the boundary, both directions.
//!
//! Fields follow one another in the order of the tables below, nothing in between. Integers are little-endian and have the width
//! of their Rust type, a truth value is one byte. Text, bytes and lists begin with a `u32` count; an optional value begins with 0
//! (absent) or 1; an enum begins with the number of its variant, one byte. The numbers never change; new variants get new ones.
//!
//! Reading checks everything and gives `None` for what is not written so: the other side is other code. It goes on to the end all
//! the same, with zeros and nothings, and tells at the end that something was wrong: a way out of every type at each of its fields
//! would be an eighth of the module.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use vodferry_engine::{
    Backoff, Begin, Budget, Checkpoint, Config, Effect, EffectId, ErrorInfo, ErrorKind, Event,
    Fault, FaultKind, FileId, FileSpec, FileState, FileView, Grant, GrantId, Input, Now,
    ObjectInfo, OnCancel, OnPartFailure, Op, Output, PartInfo, Record, Reply, Retry, Source,
    Target, Want,
};
use vodferry_exchange::{Answer, Authority, Digests};
use vodferry_oss::address::Style;
use vodferry_oss::{Credential, Response, Secret, Target as OssTarget};

use crate::shell::{Command, Prepared};

/// What can be written to the other side and read from it.
pub trait Wire: Sized {
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);
    /// Takes a value from the front of what is left; any value when it is not written there.
    fn take(from: &mut Reader<'_>) -> Self;
}

/// Reads a value that fills `bytes`.
pub fn decode<T: Wire>(bytes: &[u8]) -> Option<T> {
    let mut reader = Reader { rest: bytes, garbled: false };
    let value = T::take(&mut reader);
    (reader.rest.is_empty() && !reader.garbled).then_some(value)
}

/// Bytes being read.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Something was not written as it should be; from then on everything reads as zeros.
    garbled: bool,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, length: usize) -> &'a [u8] {
        match self.rest.split_at_checked(length) {
            Some((head, tail)) if !self.garbled => {
                self.rest = tail;
                head
            }
            _ => {
                self.garbled = true;
                &[]
            }
        }
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        for (to, from) in array.iter_mut().zip(self.bytes(N)) {
            *to = *from;
        }
        array
    }

    /// Text, or bytes, with their count before them.
    fn counted(&mut self) -> &'a [u8] {
        let length = u32::take(self);
        self.bytes(length as usize)
    }

    fn text(&mut self) -> &'a str {
        let text = core::str::from_utf8(self.counted());
        self.garbled |= text.is_err();
        text.unwrap_or_default()
    }

    /// The number of one of so many variants; 0 when there is none of that number.
    fn variant(&mut self, count: u8) -> u8 {
        let number = u8::take(self);
        if number < count {
            return number;
        }
        self.garbled = true;
        0
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(from: &mut Reader<'_>) -> $type {
                <$type>::from_le_bytes(from.array())
            }
        }
    )*};
}

/// `record! { Type { field, … } }`; the fields of a tuple are called 0, 1, …
macro_rules! record {
    ($($type:ident { $($field:tt),* })*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }
            fn take(from: &mut Reader<'_>) -> $type {
                $type { $($field: Wire::take(from)),* }
            }
        }
    )*};
}

/// `choice! { Type { number = Variant { field: name, … } … } }`; the fields of a tuple are called 0, 1, …
macro_rules! choice {
    ($($type:ident { $($number:literal = $variant:ident { $($field:tt : $name:ident),* })* })*) => {$(
        impl Wire for $type {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $($type::$variant { $($field: $name),* } => {
                        out.push($number);
                        $($name.put(out);)*
                    })*
                }
            }
            fn take(from: &mut Reader<'_>) -> $type {
                const COUNT: u8 = [$($number),*].len() as u8;
                match from.variant(COUNT) {
                    $($number => $type::$variant { $($field: Wire::take(from)),* },)*
                    _ => unreachable!("the numbers are 0, 1, … without a gap"),
                }
            }
        }
    )*};
}

integers! { u8 u16 u32 u64 i32 i64 }

record! {
    Answer { result, server_date_ms }
    Authority { credential, target, style }
    Begin { source, target, video_id, part_size, upload_id, grows_to }
    Checkpoint { begin, parts, length }
    Config {
        part_size, parallel, max_in_flight, files_at_once, retry, on_cancel, authorizer, halt_on_failure, restart_failed,
        progress_interval_ms, find_orphans, adaptive, max_buffered, on_part_failure
    }
    Credential { access_key_id, access_key_secret, security_token }
    Digests { length, md5, crc64 }
    EffectId { 0 }
    ErrorInfo { kind, code, message, request_id }
    Fault { kind, code, message, request_id, retry_after_ms }
    FileId { 0 }
    FileSpec { grant, part_size, priority }
    FileView { id, state, acknowledged, total, video_id, target }
    Grant { id, expires_at, target, video_id }
    GrantId { 0 }
    Now { mono_ms, wall_ms }
    ObjectInfo { length, etag, crc64, verified, location, request_id, callback_body, image_url }
    OssTarget { endpoint, bucket, key }
    PartInfo { number, length, etag, crc64 }
    Prepared { method, url, headers, body }
    Response { status, headers, body }
    Retry { budget, backoff }
    Source { length, modified_ms, fingerprint }
    Target { endpoint, bucket, key }
}

choice! {
    Backoff {
        0 = Fixed { ms: ms }
        1 = FullJitter { base_ms: base, cap_ms: cap }
    }
    Budget {
        0 = Count { 0: count }
        1 = Time { ms: ms }
    }
    Command {
        0 = Add { spec: spec }
        1 = Authorize { file: file, grant: grant }
        2 = Cancel { file: file }
        3 = Clear {}
        4 = NetworkChanged {}
        5 = Pause { file: file }
        6 = Remove { file: file }
        7 = Restore { file: file }
        8 = Resume { file: file }
        9 = Start {}
        10 = Stop {}
        11 = SetPriority { file: file, priority: priority }
    }
    Effect {
        0 = Abandon { id: id }
        1 = AppendCheckpoint { id: id, file: file, record: record, sync: sync }
        2 = AskGrant { id: id, file: file, want: want }
        3 = CloseCheckpoint { file: file }
        4 = LoadCheckpoint { id: id, file: file }
        5 = Perform { id: id, file: file, grant: grant, clock_offset_ms: offset, op: op }
    }
    Event {
        0 = Canceled { file: file }
        1 = Ended { last: last }
        2 = Failed { file: file, error: error }
        3 = PartAcknowledged { file: file, part: part }
        4 = Progress { file: file, acknowledged: acknowledged, in_flight: in_flight, total: total }
        5 = Resumed { file: file, parts: parts, bytes: bytes }
        6 = Retry { file: file, error: error, delay_ms: delay }
        7 = RetryResume { file: file }
        8 = Started { file: file, video_id: video_id, target: target }
        9 = Succeeded { file: file, target: target, video_id: video_id, object: object }
        10 = TokenExpired { file: file, video_id: video_id }
        11 = Warning { file: file, error: error }
    }
    FaultKind {
        0 = ClockSkew {}
        1 = Expired {}
        2 = Fatal { 0: kind }
        3 = NoSuchUpload {}
        4 = Relist {}
        5 = SlowDown {}
        6 = SourceChanged {}
        7 = Transient { 0: kind }
    }
    FileState {
        0 = Waiting {}
        1 = Active {}
        2 = Paused {}
        3 = Expired {}
        4 = Succeeded {}
        5 = Failed {}
        6 = Canceled {}
    }
    Input {
        0 = Answer { id: id, result: result, server_date_ms: date }
        1 = Appended { id: id, result: result }
        2 = Granted { id: id, result: result }
        3 = Loaded { id: id, result: result }
        4 = Sent { id: id, bytes: bytes }
        5 = Finished { file: file, length: length }
        6 = Grown { file: file, range: range }
        7 = Broken { file: file, error: error }
    }
    OnCancel {
        0 = Keep {}
        1 = Abort {}
    }
    OnPartFailure {
        0 = StopAtOnce {}
        1 = FinishOthers {}
    }
    Op {
        0 = AbortMultipartUpload { upload_id: upload_id }
        1 = CompleteMultipartUpload { upload_id: upload_id, parts: parts }
        2 = HeadObject { length: length, parts: parts }
        3 = InitiateMultipartUpload {}
        4 = ListMultipartUploads {}
        5 = ListParts { upload_id: upload_id, marker: marker }
        6 = PutObject { length: length }
        7 = UploadPart { upload_id: upload_id, number: number, range: range, held: held }
    }
    Output {
        0 = Effect { 0: effect }
        1 = Event { 0: event }
        2 = Timeout { 0: at }
    }
    Record {
        0 = Begin { 0: begin }
        1 = End {}
        2 = Part { 0: part }
        3 = Length { 0: length }
    }
    Reply {
        0 = Aborted {}
        1 = Completed { 0: object }
        2 = Head { 0: object }
        3 = Initiated { upload_id: upload_id }
        4 = PartUploaded { etag: etag, crc64: crc64 }
        5 = Parts { parts: parts, next: next }
        6 = Put { 0: object }
        7 = Uploads { 0: ids }
    }
    Style {
        0 = Auto {}
        1 = VirtualHost {}
        2 = Path {}
        3 = Cname {}
    }
    Want {
        0 = Create {}
        1 = Refresh { video_id: video_id }
    }
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn take(from: &mut Reader<'_>) -> bool {
        from.variant(2) == 1
    }
}

impl Wire for ErrorKind {
    /// By the numbers that the C ABI fixes as well.
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self as u8);
    }
    fn take(from: &mut Reader<'_>) -> ErrorKind {
        const KINDS: [ErrorKind; 11] = [
            ErrorKind::Auth,
            ErrorKind::Busy,
            ErrorKind::Canceled,
            ErrorKind::Integrity,
            ErrorKind::Io,
            ErrorKind::Misuse,
            ErrorKind::Network,
            ErrorKind::Protocol,
            ErrorKind::Service,
            ErrorKind::SourceChanged,
            ErrorKind::Storage,
        ];
        let number = u8::take(from);
        let kind = KINDS.into_iter().find(|kind| *kind as u8 == number);
        from.garbled |= kind.is_none();
        kind.unwrap_or(ErrorKind::Misuse)
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_str(out, self);
    }
    fn take(from: &mut Reader<'_>) -> String {
        from.text().into()
    }
}

impl Wire for Secret {
    fn put(&self, out: &mut Vec<u8>) {
        put_str(out, self.expose());
    }
    fn take(from: &mut Reader<'_>) -> Secret {
        from.text().into()
    }
}

impl Wire for [u8; 16] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn take(from: &mut Reader<'_>) -> [u8; 16] {
        from.array()
    }
}

impl Wire for Range<u64> {
    fn put(&self, out: &mut Vec<u8>) {
        self.start.put(out);
        self.end.put(out);
    }
    fn take(from: &mut Reader<'_>) -> Range<u64> {
        u64::take(from)..u64::take(from)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(from: &mut Reader<'_>) -> Option<T> {
        if bool::take(from) { Some(T::take(from)) } else { None }
    }
}

impl<T: Wire, E: Wire> Wire for Result<T, E> {
    /// 0 and the value, or 1 and the error.
    fn put(&self, out: &mut Vec<u8>) {
        self.is_err().put(out);
        match self {
            Ok(value) => value.put(out),
            Err(error) => error.put(out),
        }
    }
    fn take(from: &mut Reader<'_>) -> Result<T, E> {
        if bool::take(from) { Err(E::take(from)) } else { Ok(T::take(from)) }
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        for item in self {
            item.put(out);
        }
    }
    fn take(from: &mut Reader<'_>) -> Vec<T> {
        // Grown item by item: a count of the other side's making must not reserve memory.
        let mut items = Vec::new();
        for _ in 0..u32::take(from) {
            if from.garbled {
                break;
            }
            items.push(T::take(from));
        }
        items
    }
}

impl Wire for () {
    fn put(&self, _: &mut Vec<u8>) {}
    fn take(_: &mut Reader<'_>) {}
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),*))*) => {$(
        impl<$($name: Wire),*> Wire for ($($name,)*) {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$index.put(out);)*
            }
            fn take(from: &mut Reader<'_>) -> Self {
                ($($name::take(from),)*)
            }
        }
    )*};
}

tuples! {
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
}

fn put_str(out: &mut Vec<u8>, text: &str) {
    (text.len() as u32).put(out);
    out.extend_from_slice(text.as_bytes());
}
